"""What came in: usage events by source, what of them was refused or waits, and the last imports."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from app.models.events import EventSource, RefusedEvents, UsageEvent, WaitingEvents
from app.models.runs import ImportRun

MOST_COUNTED = 100_000  # of the newest events: counting more takes longer than the rest of the page
WEEK = timedelta(days=7)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class SourceCounts:
    """Events received since the start of the day, and in the seven days before the instant.

    `is_floor`: more were received than are counted here.
    """

    name: str
    today: int
    week: int
    is_floor: bool


@dataclass(frozen=True, slots=True)
class RefusedCounts:
    source: str
    reason: str
    events: int
    last_at: datetime


@dataclass(frozen=True, slots=True)
class Waiting:
    """Events of an account that no system has told us of, by the source's id of it."""

    source: str
    account_ref: str
    events: int


@dataclass(frozen=True, slots=True)
class WaitingTotal:
    accounts: int
    events: int


@dataclass(frozen=True, slots=True)
class ImportSummary:
    system: str
    mapping: str
    started_at: datetime
    finished_at: datetime | None
    rows: int
    rejected: int
    added: int
    changed: int


def count_events(session: Session, *, now: datetime, today_from: datetime) -> list[SourceCounts]:
    """By source, every one of them; the newest 100,000 events are counted."""
    event, since = UsageEvent, _microseconds(now - WEEK)
    newest = select(event.source_id, event.received_us).order_by(event.id.desc()).limit(MOST_COUNTED).subquery()
    received = newest.c.received_us
    counted = (
        select(
            newest.c.source_id,
            func.sum(case((received >= _microseconds(today_from), 1), else_=0)).label("today"),
            func.sum(case((received >= since, 1), else_=0)).label("week"),
        )
        .group_by(newest.c.source_id)
        .subquery()
    )
    size, oldest = session.execute(select(func.count(), func.min(received)).select_from(newest)).one()
    is_floor = size == MOST_COUNTED and oldest >= since
    rows = session.execute(
        select(EventSource.name, counted.c.today, counted.c.week)
        .outerjoin(counted, counted.c.source_id == EventSource.id)
        .order_by(EventSource.name)
    )
    return [SourceCounts(row.name, int(row.today or 0), int(row.week or 0), is_floor) for row in rows]


def count_refused(session: Session, *, since: date) -> list[RefusedCounts]:
    """By source and reason, the most first."""
    row = RefusedEvents
    total = func.sum(row.events)
    statement = (
        select(EventSource.name, row.reason, total, func.max(row.last_at))
        .join(EventSource, EventSource.id == row.source_id)
        .where(row.received_on >= since)
        .group_by(EventSource.name, row.reason)
        .order_by(total.desc(), EventSource.name, row.reason)
    )
    return [RefusedCounts(name, reason, int(events), at) for name, reason, events, at in session.execute(statement)]


def list_waiting(session: Session, *, limit: int) -> tuple[list[Waiting], WaitingTotal]:
    """The unknown accounts with the most events, and how many there are in all."""
    row = WaitingEvents
    statement = (
        select(EventSource.name, row.account_ref, row.events)
        .join(EventSource, EventSource.id == row.source_id)
        .order_by(row.events.desc(), row.source_id, row.account_ref)
        .limit(limit)
    )
    accounts, events = session.execute(select(func.count(), func.coalesce(func.sum(row.events), 0))).one()
    return [Waiting(*each) for each in session.execute(statement)], WaitingTotal(accounts or 0, int(events or 0))


def list_imports(session: Session, *, limit: int) -> list[ImportSummary]:
    """The newest first; a run that did not come to its end has no counts."""
    statement = select(ImportRun).order_by(ImportRun.id.desc()).limit(limit)
    return [_summary(run) for run in session.scalars(statement)]


def _summary(run: ImportRun) -> ImportSummary:
    files: list[dict[str, Any]] = run.report.get("files", [])
    nouns: dict[str, dict[str, Any]] = run.report.get("nouns", {})
    return ImportSummary(
        system=run.system,
        mapping=run.mapping,
        started_at=run.started_at,
        finished_at=run.finished_at,
        rows=sum(each.get("rows", 0) for each in files),
        rejected=sum(each.get("rejected", 0) for each in files),
        added=sum(each.get("added", 0) for each in nouns.values()),
        changed=sum(each.get("changed", 0) for each in nouns.values()),
    )


def _microseconds(instant: datetime) -> int:
    return (instant - EPOCH) // timedelta(microseconds=1)
