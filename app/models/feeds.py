"""Where data comes from, and whether it still comes."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, UTCDateTime
from app.models.versions import Id

OPEN = text("closed_at IS NULL")


class Feed(Base):
    """A source of data: the import of a system, the events of a product, the sync of a CRM, the posts of a system."""

    __tablename__ = "feeds"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    kind: Mapped[str] = mapped_column(String(20))  # import, events, sync, api
    name: Mapped[str] = mapped_column(String(100))  # the system
    expected_hours: Mapped[int | None]  # data should come at least this often; none: not watched
    last_seen_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # when data last came
    last_error: Mapped[str | None] = mapped_column(Text)
    last_error_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    __table_args__ = (UniqueConstraint("kind", "name", name="uq_feeds_name"),)


class Incident(Base):
    """A feed that went silent: one incident from the first missed hour until data comes again."""

    __tablename__ = "incidents"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    feed_id: Mapped[int] = mapped_column(ForeignKey("feeds.id"))
    opened_at: Mapped[datetime] = mapped_column(UTCDateTime)
    closed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    __table_args__ = (Index("uq_incidents_open", "feed_id", unique=True, sqlite_where=OPEN, postgresql_where=OPEN),)
