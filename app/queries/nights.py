"""Which night is to be made now: the newest whose hour has come, unless it is made or its data is not there yet."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models.accounts import Account
from app.models.runs import ImportRun, JobRun
from app.queries.leases import find_lease
from app.queries.settings import load_company_settings

NIGHTLY = "nightly"
OFF = "off"
BEFORE = ("sync", "roll_up")
"""What brings in the data of a night: each is to have ended after the night's hour."""

LONGEST_WAIT = timedelta(hours=1)
"""For one of them, or for an import, that does not end: the night is made without."""


@dataclass(frozen=True, slots=True)
class NightPlan:
    """At what local time the nights are made (none: they are not), and in which zone."""

    at: time | None
    zone: ZoneInfo

    def begins_at(self, day: date) -> datetime:
        """The instant of that day's night, in UTC. Where the clocks repeat the hour it is the first."""
        return datetime.combine(day, self.at or time(), tzinfo=self.zone).astimezone(UTC)

    def newest(self, now: datetime) -> date:
        """The last day whose night's hour has come."""
        today = now.astimezone(self.zone).date()
        return today if self.begins_at(today) <= now else today - timedelta(days=1)


def load_night_plan(session: Session) -> NightPlan:
    settings = load_company_settings(session)
    at = None if settings.night_at == OFF else time.fromisoformat(settings.night_at)
    return NightPlan(at, ZoneInfo(settings.reporting_timezone))


def find_next_night(session: Session, *, now: datetime) -> datetime | None:
    """When a night will next be made; None where none is, or where one is due already."""
    plan = load_night_plan(session)
    if plan.at is None or not _is_made(session, plan.newest(now)):
        return None
    return plan.begins_at(plan.newest(now) + timedelta(days=1))


def find_due_night(session: Session, *, now: datetime) -> date | None:
    """The day whose night is to be made now.

    Of several that were missed it is the newest: an older one would be published to nobody. There is
    none before the first account, nor while its data is still coming in, for an hour at most.
    """
    plan = load_night_plan(session)
    day = plan.newest(now)
    if plan.at is None or _is_made(session, day) or session.scalar(select(Account.id).limit(1)) is None:
        return None
    hour = plan.begins_at(day)
    is_waiting = any(_is_waited_for(session, name, hour=hour, now=now) for name in BEFORE)
    return None if is_waiting or _is_import_under_way(session, now) else day


def _is_made(session: Session, day: date) -> bool:
    made = JobRun.task == NIGHTLY, JobRun.scheduled_for == day, JobRun.finished_at.is_not(None)
    return session.scalar(select(JobRun.id).where(*made)) is not None


def _is_waited_for(session: Session, name: str, *, hour: datetime, now: datetime) -> bool:
    """Whether a task has yet to end for the first time since the night's hour, and is not stuck."""
    state = find_lease(session, name)
    if state is None:
        return True
    has_ended = state.ended_at is not None and hour <= state.ended_at <= now
    is_stuck = state.is_held(now) and not now - LONGEST_WAIT < state.claimed_at <= now
    return not has_ended and not is_stuck


def _is_import_under_way(session: Session, now: datetime) -> bool:
    """One that died is under way no more once another of its system has begun, or after an hour."""
    runs = session.execute(
        select(ImportRun.system, ImportRun.finished_at)
        .where(ImportRun.started_at > now - LONGEST_WAIT, ImportRun.started_at <= now)
        .order_by(ImportRun.id)
    )
    last: dict[str, datetime | None] = dict(runs.all())
    return None in last.values()
