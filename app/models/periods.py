"""Closed months: the report as it was when the books were closed, byte for byte."""

from datetime import date, datetime

from sqlalchemy import LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, UTCDateTime
from app.models.versions import Recorded


class ClosedPeriod(Recorded, Base):
    """A month whose books are closed. A trigger of the database refuses to change or to remove one."""

    __tablename__ = "closed_periods"

    first_on: Mapped[date] = mapped_column(unique=True)
    last_on: Mapped[date]
    known_at: Mapped[datetime] = mapped_column(UTCDateTime)  # the last recording that the close knew of
    closed_at: Mapped[datetime] = mapped_column(UTCDateTime)
    closed_by: Mapped[str] = mapped_column(String(100))
    report: Mapped[bytes] = mapped_column(LargeBinary)  # JSON, as it is answered
    sha256: Mapped[str] = mapped_column(String(64))  # of `report`
