"""Movements of recurring revenue, and the pauses that cause some of them."""

from datetime import date

from sqlalchemy import BigInteger, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base
from app.models.versions import Id, Version, current_version_index


class Movement(Version, Base):
    """What one line's change on one day did to the ARR of an account.

    Worked out from the facts by app/domain/movements.py and kept true by every change that touches them, so that those
    in force at an instant sum up to the ARR known then. Those of days to come are here too: a term that will lapse.
    """

    __tablename__ = "movements"

    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"))  # whose the line was on that day
    contract_line_id: Mapped[int] = mapped_column(ForeignKey("contract_lines.id"))
    from_line_id: Mapped[int | None] = mapped_column(ForeignKey("contract_lines.id"))  # what the line continues
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"))
    moved_on: Mapped[date]  # the day on which it counts
    effective_on: Mapped[date]  # of a lapse: the first unpaid day, before the grace; else `moved_on`
    category: Mapped[str] = mapped_column(String(20))  # new, reactivation, expansion, contraction, churn, transfer
    reason: Mapped[str | None] = mapped_column(String(20))  # of expansion and contraction: seats, price, plan ...
    amount_minor: Mapped[int] = mapped_column(BigInteger)  # signed: what it adds to the account's ARR
    currency: Mapped[str] = mapped_column(String(3))
    source_kind: Mapped[str] = mapped_column(String(20))  # line, lapse, notice, pause, merge
    source_id: Mapped[int] = mapped_column(Id)  # of the line, the notice, the pause, or the account that was merged

    __table_args__ = (
        Index("ix_movements_account_id_moved_on", "account_id", "moved_on"),
        Index("ix_movements_moved_on_id", "moved_on", "id"),
    )


class ContractPause(Version, Base):
    """Days on which a line is neither paid for nor ended."""

    __tablename__ = "contract_pauses"

    system: Mapped[str] = mapped_column(String(100))
    external_id: Mapped[str] = mapped_column(String(200))
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), index=True)
    contract_line_id: Mapped[int] = mapped_column(ForeignKey("contract_lines.id"), index=True)
    pauses_on: Mapped[date]  # the first day that is not paid for
    resumes_on: Mapped[date | None]  # the first that is again; none: not known yet

    __table_args__ = (current_version_index("uq_contract_pauses_current", "system", "external_id"),)
