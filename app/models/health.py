"""What people say of an account's health, kept apart from what was calculated; and weights that are tried out."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, UTCDateTime
from app.models.versions import Id

OPEN = text("ended_at IS NULL")


class HealthOverride(Base):
    """Somebody says that the score of an account is not right, why, and until when. Never changed but by ending it.

    The calculated score stays what it was and is shown beside it; `calculated` is what it was when this was said.
    """

    __tablename__ = "health_overrides"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), index=True)
    band: Mapped[str] = mapped_column(String(10))  # healthy, watch, at_risk
    score: Mapped[float]  # 0 to 100, within the band
    reason_id: Mapped[int] = mapped_column(ForeignKey("texts.id"))
    calculated: Mapped[float | None]
    calculated_risk: Mapped[float | None]
    actor: Mapped[str] = mapped_column(String(100))
    begins_at: Mapped[datetime] = mapped_column(UTCDateTime)
    expires_on: Mapped[date]
    ended_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    ended_by: Mapped[str | None] = mapped_column(String(100))

    __table_args__ = (
        Index("uq_health_overrides_open", "account_id", unique=True, sqlite_where=OPEN, postgresql_where=OPEN),
    )


class Pulse(Base):
    """How the customer success manager feels about an account on a day, 1 (bad) to 5 (good). None replaces another."""

    __tablename__ = "pulses"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    account_id: Mapped[int] = mapped_column(ForeignKey("accounts.id"), index=True)
    value: Mapped[int]
    text_id: Mapped[int | None] = mapped_column(ForeignKey("texts.id"))
    actor: Mapped[str] = mapped_column(String(100))
    given_at: Mapped[datetime] = mapped_column(UTCDateTime)


class HealthTrial(Base):
    """Weights of health that somebody tries out: what they would have changed in the past, before they count.

    `weights`: by segment ("" is every other) and dimension, 1 is as calculated. Published, they are a version of
    the setting `health_weights`.
    """

    __tablename__ = "health_trials"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    weights: Mapped[dict[str, Any]] = mapped_column(JSON)
    actor: Mapped[str] = mapped_column(String(100))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    replay: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    replayed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    error: Mapped[str | None] = mapped_column(Text)
    published_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    published_by: Mapped[str | None] = mapped_column(String(100))
