"""What was billed and what winning customers cost."""

from datetime import date, datetime

from sqlalchemy import BigInteger, ForeignKey, String
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, UTCDateTime
from app.models.versions import Version, current_version_index


class Invoice(Version, Base):
    """An invoice by the source's own id. `paid_available_at` says since when the payment was known."""

    __tablename__ = "invoices"

    system: Mapped[str] = mapped_column(String(100))
    external_id: Mapped[str] = mapped_column(String(200))
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), index=True)
    issued_on: Mapped[date]
    due_on: Mapped[date]
    paid_on: Mapped[date | None]
    paid_available_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    amount_minor: Mapped[int | None] = mapped_column(BigInteger)
    currency: Mapped[str | None] = mapped_column(String(3))

    __table_args__ = (current_version_index("uq_invoices_current", "system", "external_id"),)


class AcquisitionCost(Version, Base):
    """What was spent in a month on winning customers through a channel: marketing and sales together."""

    __tablename__ = "acquisition_costs"

    channel: Mapped[str] = mapped_column(String(200))
    month: Mapped[date]  # its first day
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(String(3))

    __table_args__ = (current_version_index("uq_acquisition_costs_current", "channel", "month"),)
