"""The stored exchange rates."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.fx import Rate, RateTable
from app.models.settings import FxRate
from app.queries.known import in_force


def load_rates(session: Session, *, known_at: datetime) -> RateTable:
    """All rates as known at an instant; a few thousand at most, so they are looked up in memory."""
    rows = session.execute(select(FxRate.day, FxRate.base, FxRate.quote, FxRate.rate).where(in_force(FxRate, known_at)))
    return RateTable(Rate(day, base, quote, rate) for day, base, quote, rate in rows)
