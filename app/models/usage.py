"""Usage by account and day."""

from datetime import date

from sqlalchemy import ForeignKey, Index, Integer, LargeBinary, SmallInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base
from app.models.versions import Id, Recorded

SmallId = SmallInteger().with_variant(Integer, "sqlite")


class UsageMetric(Base):
    """What is counted: `activity` (things done), `active_people` (distinct people of the day), ..."""

    __tablename__ = "usage_metrics"

    id: Mapped[int] = mapped_column(SmallId, primary_key=True)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    unit: Mapped[str] = mapped_column(String(30))


class UsageFeature(Base):
    """A feature of the product, as the source names it."""

    __tablename__ = "usage_features"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)


class UsageDay(Recorded, Base):
    """An amount of a metric on a day. Rows are added and never changed: a late event is another row.

    `source_key` is a 128-bit digest of (system, the row's own id or natural key): the same row
    read twice is the same key.
    """

    __tablename__ = "usage_days"

    source_key: Mapped[bytes] = mapped_column(LargeBinary(16), unique=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    product_id: Mapped[int | None] = mapped_column(ForeignKey("products.id"))
    metric_id: Mapped[int] = mapped_column(ForeignKey("usage_metrics.id"))
    feature_id: Mapped[int | None] = mapped_column(ForeignKey("usage_features.id"))
    day: Mapped[date]
    available_on: Mapped[date]
    amount: Mapped[float]
    apart_reason: Mapped[str | None] = mapped_column(
        String(30)
    )  # kept, but in no figure: before_contract, after_contract

    __table_args__ = (Index("ix_usage_days_account_id_day", "account_id", "day"),)
