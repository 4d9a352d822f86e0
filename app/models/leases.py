"""Who is at work on what: leases with fencing tokens, and work that killed its workers."""

from datetime import datetime

from sqlalchemy import BigInteger, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, UTCDateTime


class Lease(Base):
    """The right to do a task until an instant, and how it last ended.

    `token` grows with every claim; older ones may not write. So the row is never deleted.
    """

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(String(100), primary_key=True)
    holder: Mapped[str] = mapped_column(String(200))
    token: Mapped[int] = mapped_column(BigInteger)
    claimed_at: Mapped[datetime] = mapped_column(UTCDateTime)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # when it was last given back
    due_at: Mapped[datetime | None] = mapped_column(UTCDateTime)  # not before; none: at once
    failures: Mapped[int] = mapped_column(default=0)  # in a row
    error: Mapped[str | None] = mapped_column(Text)  # of the last, if it failed


class WorkItem(Base):
    """Work that was begun and has not ended well: deleted once it has; set aside after it has failed too often."""

    __tablename__ = "work_items"

    task: Mapped[str] = mapped_column(String(50), primary_key=True)
    item: Mapped[str] = mapped_column(String(200), primary_key=True)
    begun: Mapped[int]  # how often
    begun_at: Mapped[datetime] = mapped_column(UTCDateTime)
    error: Mapped[str | None] = mapped_column(Text)  # none where the worker died
    set_aside_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
