"""Closing the books of a month."""

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from app.domain.closed_period import write_report
from app.domain.months import add_months
from app.domain.periods import Period
from app.errors import Conflict
from app.models.periods import ClosedPeriod
from app.models.versions import Change
from app.queries.facts import Known
from app.queries.moments import load_moment
from app.queries.period_report import derive_report
from app.queries.periods import Closed, find_closed, first_fact_on, list_closed
from app.queries.reconciliation import unexplained_of
from app.services.audit import Act, record_act


@dataclass(frozen=True, slots=True)
class Prepared:
    """A month ready to be closed: its report, and the last recording that it knows of."""

    period: Period
    known_at: datetime
    report: bytes


def prepare_close(session: Session, period: Period, *, now: datetime) -> Prepared:
    """The report of a month that may be closed now. Nothing is written.

    Raises Conflict for a month that is not over in the company's time zone, that is closed, that is not the one after
    the last closed month, that lies before the first deal, or whose reconciliations leave something unexplained.
    """
    known = load_moment(session, as_of=period.last_on, known_at=None, now=now)
    _refuse_unfinished(period, known=known, now=now)
    _refuse_out_of_order(session, period)
    _refuse_before_books(session, period, known=known)
    _refuse_unexplained(session, period, known=known)
    return Prepared(period, known.known_at, derive_period(session, period, known=known))


def derive_period(session: Session, period: Period, *, known: Known) -> bytes:
    """The month's report as known at an instant: of `known_at` of its close, the bytes that were stored then."""
    return write_report(derive_report(session, period, known=replace(known, as_of=period.last_on)))


def record_close(session: Session, change: Change, *, prepared: Prepared, actor: str, at: datetime) -> Closed:
    """Close the month with the report that was prepared, for ever. Raises Conflict where it was closed meanwhile."""
    period = prepared.period
    _refuse_out_of_order(session, period)
    row = ClosedPeriod(
        change_id=change.id,
        first_on=period.first_on,
        last_on=period.last_on,
        known_at=prepared.known_at,
        closed_at=at,
        closed_by=actor,
        report=prepared.report,
        sha256=hashlib.sha256(prepared.report).hexdigest(),
    )
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:
        raise Conflict(f"{period.name} was closed by somebody else just now.") from None
    details = {"sha256": row.sha256, "known_at": prepared.known_at.isoformat()}
    record_act(session, Act("period.closed", f"period:{period.name}", details), actor=actor, at=at)
    return Closed(period.name, row.first_on, row.last_on, row.known_at, at, actor, row.sha256)


def _refuse_unfinished(period: Period, *, known: Known, now: datetime) -> None:
    today = now.astimezone(known.zone).date()
    if period.last_on >= today:
        zone = known.settings.reporting_timezone
        raise Conflict(f"{period.name} is not over: today is {today} in {zone}. Close it after {period.last_on}.")


def _refuse_out_of_order(session: Session, period: Period) -> None:
    """Months are closed one after the other; books begin with the first."""
    own = find_closed(session, period)
    if own is not None:
        said = f"{period.name} was closed on {own.closed_at:%Y-%m-%d} by {own.closed_by}"
        raise Conflict(f"{said}. What is recorded since is a restatement; see /restatements.")
    closed = list_closed(session)
    if not closed:
        return
    newest, oldest = closed[0], closed[-1]
    if period.first_on < oldest.first_on:
        raise Conflict(f"The books begin with {oldest.period}, the first month that was closed.")
    following = add_months(newest.first_on, 1)
    if period.first_on != following:
        raise Conflict(f"Months are closed in their order: close {following:%Y-%m} before {period.name}.")


def _refuse_before_books(session: Session, period: Period, *, known: Known) -> None:
    """The first month may be any that something had happened by; what follows it is closed even if all was undone."""
    if list_closed(session):
        return
    first_on = first_fact_on(session, known_at=known.known_at)
    if first_on is None:
        raise Conflict("Nothing has been recorded yet: there are no books to close.")
    if first_on > period.last_on:
        raise Conflict(f"Nothing had happened by the end of {period.name}: the first deal is of {first_on}.")


def _refuse_unexplained(session: Session, period: Period, *, known: Known) -> None:
    left = unexplained_of(session, month=period.first_on, known_at=known.known_at)
    if left:
        sums = ", ".join(f"{money.text} {money.currency}" for money in left)
        raise Conflict(
            f"The reconciliations of {period.name} leave {sums} unexplained: correct it, or let it stand with a reason "
            "(/reconciliations), and close then."
        )
