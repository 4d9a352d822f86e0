"""Deals in any stage, as the CRM has them."""

from datetime import date
from decimal import Decimal

from sqlalchemy import BigInteger, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base
from app.models.versions import ExactDecimal, Id, Recorded, Version, current_version_index


class Deal(Recorded, Base):
    __tablename__ = "deals"

    system: Mapped[str] = mapped_column(String(100))
    external_id: Mapped[str] = mapped_column(String(200))
    merged_into_id: Mapped[int | None] = mapped_column(Id)  # the deal that this one lives on in

    __table_args__ = (UniqueConstraint("system", "external_id", name="uq_deals_external_id"),)


class DealVersion(Version, Base):
    """A deal as it was known. `amount` is the source's text, `amount_minor` what was booked from it."""

    __tablename__ = "deal_versions"

    deal_id: Mapped[int] = mapped_column(ForeignKey("deals.id"), index=True)
    account_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"))
    name: Mapped[str | None] = mapped_column(String(300))
    stage: Mapped[str] = mapped_column(String(10))  # open, won, lost
    type: Mapped[str] = mapped_column(String(20))  # new, renewal, expansion, contraction, cancellation
    opened_on: Mapped[date | None]
    closed_on: Mapped[date | None]
    amount: Mapped[str | None] = mapped_column(String(80))
    amount_minor: Mapped[int | None] = mapped_column(BigInteger)
    currency: Mapped[str | None] = mapped_column(String(3))
    lead_source: Mapped[str | None] = mapped_column(String(100))
    campaign: Mapped[str | None] = mapped_column(String(200))
    partner: Mapped[str | None] = mapped_column(String(200))

    __table_args__ = (
        current_version_index("uq_deal_versions_current", "deal_id"),
        Index("ix_deal_versions_account_id_closed_on", "account_id", "closed_on"),
        Index("ix_deal_versions_closed_on", "closed_on"),
    )


class DealOwner(Recorded, Base):
    """Whose deal it was, and to what share; belongs to one version of the deal."""

    __tablename__ = "deal_owners"

    deal_version_id: Mapped[int] = mapped_column(ForeignKey("deal_versions.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("persons.id"), index=True)
    share: Mapped[Decimal] = mapped_column(ExactDecimal)  # of 1

    __table_args__ = (UniqueConstraint("deal_version_id", "person_id", name="uq_deal_owners_person"),)
