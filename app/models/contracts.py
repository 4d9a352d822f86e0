"""Contracts, their lines and the notices that end them."""

from datetime import date
from decimal import Decimal

from sqlalchemy import BigInteger, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base
from app.models.versions import ExactDecimal, Recorded, Version, current_version_index


class Contract(Recorded, Base):
    """What a won deal agreed: one contract a deal."""

    __tablename__ = "contracts"

    deal_id: Mapped[int] = mapped_column(ForeignKey("deals.id"), unique=True)


class ContractVersion(Version, Base):
    """The terms above the lines. `ends_on` is the agreed last paid day; none means it runs until notice."""

    __tablename__ = "contract_versions"

    contract_id: Mapped[int] = mapped_column(ForeignKey("contracts.id"), index=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), index=True)
    starts_on: Mapped[date]
    ends_on: Mapped[date | None]
    term_months: Mapped[int | None]  # none for one-off sales
    renewal_of_id: Mapped[int | None] = mapped_column(ForeignKey("contracts.id"))
    supersedes_id: Mapped[int | None] = mapped_column(ForeignKey("contracts.id"))  # an amendment replaces it
    auto_renew: Mapped[bool] = mapped_column(default=False)
    notice_days: Mapped[int | None]
    non_cancellable: Mapped[bool] = mapped_column(default=False)
    billing_period_months: Mapped[int | None]

    __table_args__ = (current_version_index("uq_contract_versions_current", "contract_id"),)


class ContractLine(Recorded, Base):
    """One line of a deal, by the source's own key."""

    __tablename__ = "contract_lines"

    contract_id: Mapped[int] = mapped_column(ForeignKey("contracts.id"))
    line_key: Mapped[str] = mapped_column(String(200))

    __table_args__ = (UniqueConstraint("contract_id", "line_key", name="uq_contract_lines_line_key"),)


class ContractLineVersion(Version, Base):
    """A line as it was known. `arr_minor` is rounded once, here; null for what does not recur.

    `ends_on` is the last paid day as it is known now: an evergreen line gets one when it stops.
    """

    __tablename__ = "contract_line_versions"

    contract_line_id: Mapped[int] = mapped_column(ForeignKey("contract_lines.id"), index=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"), index=True)
    kind: Mapped[str] = mapped_column(String(20))  # recurring, one_time, usage_based, trial
    quantity: Mapped[Decimal] = mapped_column(ExactDecimal)
    unit_price: Mapped[Decimal | None] = mapped_column(ExactDecimal)
    discount: Mapped[Decimal | None] = mapped_column(ExactDecimal)  # of 1
    starts_on: Mapped[date]
    ends_on: Mapped[date | None]
    agreed_ends_on: Mapped[date | None]  # what `ends_on` would be without any notice
    term_months: Mapped[int | None]  # of the agreed term; none for what does not recur
    amount: Mapped[str] = mapped_column(String(80))  # the source's text
    amount_minor: Mapped[int] = mapped_column(BigInteger)  # with its share of the deal's rounding
    arr_minor: Mapped[int | None] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(String(3))

    __table_args__ = (
        current_version_index("uq_contract_line_versions_current", "contract_line_id"),
        Index("ix_contract_line_versions_account_id_starts_on", "account_id", "starts_on"),
    )


class ChurnNotice(Version, Base):
    """An account, or one line of it, said that it leaves; or was found to have left."""

    __tablename__ = "churn_notices"

    system: Mapped[str] = mapped_column(String(100))
    external_id: Mapped[str] = mapped_column(String(200))
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), index=True)
    contract_line_id: Mapped[int | None] = mapped_column(ForeignKey("contract_lines.id"))
    occurred_on: Mapped[date]  # given on
    effective_on: Mapped[date]  # the first unpaid day
    cause: Mapped[str] = mapped_column(String(20))  # voluntary, payment_failure, closed
    reason: Mapped[str | None] = mapped_column(String(200))
    is_reactivation: Mapped[bool] = mapped_column(default=False)  # the source marks that it had come back before
    text_id: Mapped[int | None] = mapped_column(ForeignKey("texts.id"))

    __table_args__ = (current_version_index("uq_churn_notices_current", "system", "external_id"),)
