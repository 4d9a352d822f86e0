"""Closed months, as they were closed."""

import re
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.domain.periods import Period, parse_period
from app.errors import Invalid, NotFound
from app.models.deals import DealVersion
from app.models.ledger import Movement
from app.models.periods import ClosedPeriod
from app.queries.known import in_force

MONTH_NAME = re.compile(r"[12][0-9]{3}-(?:0[1-9]|1[0-2])", re.ASCII)


@dataclass(frozen=True, slots=True)
class Closed:
    """A closed month without its report. `closed_by`: user:7, token:3, command."""

    period: str
    first_on: date
    last_on: date
    known_at: datetime
    closed_at: datetime
    closed_by: str
    sha256: str


_ROW = ClosedPeriod
COLUMNS = (_ROW.first_on, _ROW.last_on, _ROW.known_at, _ROW.closed_at, _ROW.closed_by, _ROW.sha256)


def parse_month(name: str) -> Period:
    """The month called so; Invalid for any other name, a quarter's or a year's too."""
    if MONTH_NAME.fullmatch(name) is None:
        said = f"{name[:20]!r} is no month; a month is called like 2026-05."
        raise Invalid(said, {"period": [said]})
    return parse_period(name, fiscal_start_month=1)


def list_closed(session: Session) -> list[Closed]:
    """The closed months, the newest first; a handful for each year, so that they need no pages."""
    rows = session.execute(select(*COLUMNS).order_by(ClosedPeriod.first_on.desc()))
    return [Closed(f"{row.first_on:%Y-%m}", *row) for row in rows]


def find_closed(session: Session, period: Period) -> Closed | None:
    row = session.execute(select(*COLUMNS).where(ClosedPeriod.first_on == period.first_on)).one_or_none()
    return None if row is None else Closed(period.name, *row)


def load_closed_report(session: Session, period: Period) -> bytes:
    """The report as it was stored; NotFound for a month that is open."""
    report = session.scalar(select(ClosedPeriod.report).where(ClosedPeriod.first_on == period.first_on))
    if report is None:
        raise NotFound(f"{period.name} is not closed; /periods lists what is, /periods/{period.name}/current the rest.")
    return report


def first_fact_on(session: Session, *, known_at: datetime) -> date | None:
    """The day of the first won deal or movement."""
    won = select(func.min(DealVersion.closed_on)).where(in_force(DealVersion, known_at), DealVersion.stage == "won")
    moved = select(func.min(Movement.moved_on)).where(in_force(Movement, known_at))
    days = [day for day in (session.scalar(won), session.scalar(moved)) if day is not None]
    return min(days, default=None)
