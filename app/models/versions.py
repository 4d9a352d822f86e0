"""What every recorded row has: by which change it came, by which it was replaced, since when it could be known."""

from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, String, Text, text
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from app.db import Base, UTCDateTime

# SQLite gives out row ids only for INTEGER primary keys; they have 64 bits there anyway.
Id = BigInteger().with_variant(Integer, "sqlite")


class ExactDecimal(TypeDecorator[Decimal]):
    """A decimal number kept digit for digit: SQLite has no decimal type of its own."""

    impl = String(80)
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        return None if value is None else format(value, "f")

    def process_result_value(self, value: str | None, dialect: Dialect) -> Decimal | None:  # noqa: ARG002
        return None if value is None else Decimal(value)


class Change(Base):
    """One transaction that recorded facts: the clock of "as known at".

    `recorded_at` is set by the transaction's last statement, under a lock held until the commit,
    so that its order is the order of commits; it is never null once committed.
    """

    __tablename__ = "changes"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    recorded_at: Mapped[datetime | None] = mapped_column(UTCDateTime, unique=True)
    source: Mapped[str] = mapped_column(String(200))
    is_backfill: Mapped[bool] = mapped_column(default=False)
    assumed_lag_days: Mapped[int | None]  # of a backfill whose source has no date of creation
    note: Mapped[str | None] = mapped_column(Text)


class Recorded:
    """A row that came with a change and stays."""

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    change_id: Mapped[int] = mapped_column(ForeignKey("changes.id"), index=True)


class Version(Recorded):
    """A row that says how something was, from when it was recorded until another replaced it."""

    superseded_change_id: Mapped[int | None] = mapped_column(ForeignKey("changes.id"), index=True)
    available_at: Mapped[datetime] = mapped_column(UTCDateTime)


class DatedVersion(Version):
    """A version of what holds from `valid_from` until the day before `valid_to` (none: until further notice)."""

    valid_from: Mapped[date]
    valid_to: Mapped[date | None]


def current_version_index(name: str, *columns: str) -> Index:
    """A unique index over the rows in force: at most one newest version of a thing.

    "As known at" cannot use it, since it also asks for rows that were replaced later: what is looked
    up by a thing's id at an instant needs an index on that id besides.
    """
    in_force = text("superseded_change_id IS NULL")
    return Index(name, *columns, unique=True, sqlite_where=in_force, postgresql_where=in_force)
