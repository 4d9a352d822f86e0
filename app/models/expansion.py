"""Expansion opportunities: what we flag to sales, and what became of it."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, UTCDateTime
from app.models.versions import Id

UNDECIDED = text("state IN ('flagged', 'snoozed', 'accepted')")


class ExpansionOpportunity(Base):
    """An account that is ready for more of a product (upsell) or for one it does not own (cross-sell).

    `episode` counts how often the same thing was flagged for the account: there is at most one that
    is undecided, and the next can only begin after it has ended.
    """

    __tablename__ = "expansion_opportunities"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), index=True)
    motion: Mapped[str] = mapped_column(String(20))  # upsell, cross_sell
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"))
    episode: Mapped[int]
    state: Mapped[str] = mapped_column(String(20))  # flagged, snoozed, accepted, rejected, won, lost, lapsed
    snoozed_until: Mapped[date | None]
    flagged_on: Mapped[date]  # the night's date
    flagged_at: Mapped[datetime] = mapped_column(UTCDateTime)
    seen_on: Mapped[date]  # the last night that found it again
    moved_at: Mapped[datetime] = mapped_column(UTCDateTime)  # when it came to its state
    run_id: Mapped[int] = mapped_column(ForeignKey("model_runs.id"))  # whose risk allowed it
    likelihood: Mapped[str] = mapped_column(String(10))  # high, medium
    score: Mapped[float]
    # Of coming within six months, and amount x margin x months expected x probability; null: no level was right twice.
    probability: Mapped[float | None]
    expected_value_minor: Mapped[int | None] = mapped_column(BigInteger)
    quantity: Mapped[int | None]  # seats more
    measure: Mapped[str] = mapped_column(String(10))  # of the amount: arr (a year), bookings (once)
    amount_minor: Mapped[int] = mapped_column(BigInteger)  # what it would add
    currency: Mapped[str] = mapped_column(String(3))
    evidence: Mapped[list[Any]] = mapped_column(JSON)  # each with `kind` and the numbers its words are made of

    __table_args__ = (
        UniqueConstraint("account_id", "motion", "product_id", "episode", name="uq_expansion_opportunities_episode"),
        Index(
            "uq_expansion_opportunities_undecided",
            "account_id",
            "motion",
            "product_id",
            unique=True,
            sqlite_where=UNDECIDED,
            postgresql_where=UNDECIDED,
        ),
        Index("ix_expansion_opportunities_state_amount", "state", "amount_minor"),
    )


class ExpansionMove(Base):
    """A step of an opportunity from one state to the next: who, when, why. Rows are added only."""

    __tablename__ = "expansion_moves"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    opportunity_id: Mapped[int] = mapped_column(ForeignKey("expansion_opportunities.id"), index=True)
    moved_at: Mapped[datetime] = mapped_column(UTCDateTime)
    from_state: Mapped[str | None] = mapped_column(String(20))
    to_state: Mapped[str] = mapped_column(String(20))
    actor: Mapped[str] = mapped_column(String(100))  # as in the audit: user:7, token:3, link:12, night
    reason: Mapped[str | None] = mapped_column(String(50))  # of a rejection or a loss, from a list
    text_id: Mapped[int | None] = mapped_column(ForeignKey("texts.id"))
