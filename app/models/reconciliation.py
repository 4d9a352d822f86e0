"""Other books held against the ledger: each comparison as it was found, and what somebody said of what it left open."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, UTCDateTime
from app.models.versions import Recorded


class Reconciliation(Recorded, Base):
    """One comparison. `digest` covers all that it rests on: the same again finds the same, and is kept once.

    `totals`: by currency what each side comes to, and of every reason the sum, as texts of minor units.
    """

    __tablename__ = "reconciliations"

    kind: Mapped[str] = mapped_column(String(10))  # billing, crm
    system: Mapped[str] = mapped_column(String(100))  # whose books
    as_of: Mapped[date]
    known_at: Mapped[datetime] = mapped_column(UTCDateTime)  # of the ledger's side
    window_days: Mapped[int]
    file_name: Mapped[str | None] = mapped_column(String(200))
    file_sha256: Mapped[str | None] = mapped_column(String(64))
    mapping_sha256: Mapped[str | None] = mapped_column(String(64))
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    made_by: Mapped[str] = mapped_column(String(100))
    made_at: Mapped[datetime] = mapped_column(UTCDateTime)
    rows: Mapped[int]  # of the export, or deals
    compared: Mapped[int]  # positions: accounts by currency
    agreed: Mapped[int]  # of them without any difference
    totals: Mapped[dict[str, Any]] = mapped_column(JSON)

    __table_args__ = (Index("ix_reconciliations_as_of", "as_of"),)


class ReconciliationDifference(Recorded, Base):
    """An account whose sides differ in a currency. `parts` add up to `other_minor` less `ledger_minor`."""

    __tablename__ = "reconciliation_differences"

    reconciliation_id: Mapped[int] = mapped_column(ForeignKey("reconciliations.id"))
    account_id: Mapped[int | None] = mapped_column(ForeignKey("accounts.id"), index=True)
    external_id: Mapped[str | None] = mapped_column(String(200))  # of somebody whom the ledger does not know
    currency: Mapped[str] = mapped_column(String(3))
    ledger_minor: Mapped[int] = mapped_column(BigInteger)
    other_minor: Mapped[int] = mapped_column(BigInteger)
    unexplained_minor: Mapped[int] = mapped_column(BigInteger)  # gross: both signs added up without them
    parts: Mapped[list[Any]] = mapped_column(JSON)

    __table_args__ = (
        Index("ix_reconciliation_differences_reconciliation_id_id", "reconciliation_id", "id"),
        Index("ix_reconciliation_differences_unexplained", "reconciliation_id", "unexplained_minor"),
    )


class ReconciliationOverride(Recorded, Base):
    """Somebody with the right lets a difference stand that nothing explains. Never changed."""

    __tablename__ = "reconciliation_overrides"

    difference_id: Mapped[int] = mapped_column(ForeignKey("reconciliation_differences.id"), unique=True)
    reason_id: Mapped[int] = mapped_column(ForeignKey("texts.id"))
    made_by: Mapped[str] = mapped_column(String(100))
    made_at: Mapped[datetime] = mapped_column(UTCDateTime)
