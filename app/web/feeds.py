"""Feeds: whether data still comes, what was refused, what waits for somebody, and how the worker does."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import LazyString

from app.auth import current_actor, may, requires
from app.errors import Invalid
from app.http import database, now
from app.queries.feeds import FeedIncident, FeedState, list_feeds, list_incidents
from app.queries.intake import (
    ImportSummary,
    RefusedCounts,
    SourceCounts,
    count_events,
    count_refused,
    list_imports,
    list_waiting,
)
from app.queries.leases import SetAside, TaskState, list_set_aside, list_tasks
from app.queries.nights import NIGHTLY, OFF
from app.services.audit import Act, record_act
from app.services.feeds import expect_feed
from app.services.work_items import Item, retry_item
from app.web.ago import show_ago
from app.web.feeds_crm import describe_crms
from app.web.formats import NONE, show_instant, show_number
from app.web.moment import Moment, describe_freshness, load_moment
from app.web.texts import gettext as _
from app.web.texts import lazy_gettext as _l
from app.web.texts import ngettext
from app.web.words import Words, word

MOST_WAITING = 10
MOST_IMPORTS = 5
MOST_INCIDENTS = 10
REFUSED_DAYS = 7
KINDS: Words = {"import": _l("Import"), "events": _l("Usage events"), "sync": _l("Sync"), "api": _l("API")}
TASKS: Words = {
    "sync": _l("Sync of files"),
    "roll_up": _l("Roll-up of events"),
    "nightly": _l("The night"),
    "deliver": _l("Delivery of messages"),
    "watch": _l("Watch over the feeds"),
}
REFUSALS: Words = {
    "malformed": _l("cannot be read as a message"),
    "unknown_type": _l("of a type that is none of Segment's"),
    "no_message_id": _l("without messageId"),
    "no_account": _l("without groupId, and nobody has said which account the person belongs to"),
    "no_person": _l("without userId and anonymousId"),
    "no_name": _l("without a name"),
    "too_large": _l("too large"),
    "too_late": _l("happened too long before they came"),
    "in_future": _l("happened in the future"),
    "too_long": _l("with an id or a name that is too long"),
    "nul": _l("with a NUL character"),
}
STATES: dict[str, tuple[LazyString, str]] = {
    "silent": (_l("Silent"), "risk"),
    "failing": (_l("Failing"), "watch"),
    "fresh": (_l("Fresh"), "good"),
    "unwatched": (_l("Not watched"), "none"),
}


@dataclass(frozen=True, slots=True)
class FeedRow:
    id: int
    name: str
    kind: str
    state: str
    tone: str
    seen: str
    expected: str
    hours: int | None
    error: str
    detail: str


@dataclass(frozen=True, slots=True)
class SourceRow:
    name: str
    today: str
    week: str
    refused: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TaskRow:
    name: str
    state: str
    tone: str
    last: str
    due: str
    error: str


@dataclass(frozen=True, slots=True)
class AsideRow:
    task: str
    task_name: str
    item: str
    text: str
    error: str


@dataclass(frozen=True, slots=True)
class ImportRow:
    name: str
    when: str
    counts: str
    rejected: str


@dataclass(frozen=True, slots=True)
class IncidentRow:
    name: str
    opened: str
    closed: str
    is_open: bool


@requires("accounts:read")
def show_feeds() -> ResponseReturnValue:
    return _page(problem="")


@requires("admin")
def expect(feed_id: int) -> ResponseReturnValue:
    """Say how often data of a feed should come; an empty field ends the watch."""
    given = request.form.get("hours", "").strip()
    if given and not (given.isascii() and given.isdecimal() and len(given) <= 6):
        return _page(problem=_("Hours are a whole number from 1 to 8784; leave the field empty to end the watch.")), 400
    try:
        expect_feed(database(), feed_id, hours=int(given) if given else None, actor=current_actor(), at=now())
    except Invalid:
        return _page(problem=_("Hours are a whole number from 1 to 8784; leave the field empty to end the watch.")), 400
    return redirect(url_for("web.feeds"), 303)


@requires("admin")
def retry() -> ResponseReturnValue:
    """Let what was set aside be tried again."""
    item = Item(request.form.get("task", ""), request.form.get("item", ""))
    retry_item(database(), item)
    record_act(database(), Act("work_item.retried", f"work_item:{item.task}"), actor=current_actor(), at=now())
    return redirect(url_for("web.feeds"), 303)


def _page(*, problem: str) -> str:
    moment, at = load_moment(), now()
    session = database()
    zone = ZoneInfo(moment.settings.reporting_timezone)
    today_from = datetime.combine(at.astimezone(zone).date(), time(), tzinfo=zone)
    waiting, total = list_waiting(session, limit=MOST_WAITING)
    refused = count_refused(session, since=at.date() - timedelta(days=REFUSED_DAYS - 1))
    feeds = list(list_feeds(session))
    return render_template(
        "feeds.html",
        fresh=describe_freshness(moment),
        problem=problem,
        feeds=[_describe_feed(feed, moment, at=at) for feed in feeds],
        crms=describe_crms(feeds, moment=moment, at=at),
        sources=list(_describe_sources(count_events(session, now=at, today_from=today_from), refused)),
        waiting=[(each.source, each.account_ref, show_number(each.events)) for each in waiting],
        waiting_text=_waiting_text(total.accounts, total.events),
        imports=[_describe_import(each, moment) for each in list_imports(session, limit=MOST_IMPORTS)],
        tasks=[_describe_task(task, moment, at=at) for task in list_tasks(session)],
        aside=[_describe_aside(each, moment) for each in list_set_aside(session)],
        incidents=[_describe_incident(each, moment) for each in list_incidents(session, limit=MOST_INCIDENTS)],
        is_admin=may("admin"),
    )


def _instant(instant: datetime | None, moment: Moment) -> str:
    return NONE if instant is None else show_instant(instant, moment.settings.reporting_timezone)


def _describe_feed(feed: FeedState, moment: Moment, *, at: datetime) -> FeedRow:
    state = _state_of(feed)
    text, tone = STATES[state]
    hours = feed.expected_hours
    return FeedRow(
        id=feed.id,
        name=feed.name,
        kind=word(KINDS, feed.kind),
        state=str(text),
        tone=tone,
        seen=_("last data %(ago)s", ago=show_ago(feed.last_seen_at, at)) if feed.last_seen_at else _("no data yet"),
        expected=ngettext("every %(num)s hour", "every %(num)s hours", hours) if hours else _("no expectation"),
        hours=hours,
        error=feed.last_error or "",
        detail=_("silent since %(instant)s", instant=_instant(feed.silent_since, moment)) if feed.silent_since else "",
    )


def _state_of(feed: FeedState) -> str:
    if feed.silent_since is not None:
        return "silent"
    if feed.last_error is not None:
        return "failing"
    return "unwatched" if feed.expected_hours is None else "fresh"


def _describe_sources(sources: Sequence[SourceCounts], refused: Sequence[RefusedCounts]) -> Iterator[SourceRow]:
    for source in sources:
        own = [each for each in refused if each.source == source.name]
        yield SourceRow(
            name=source.name,
            today=_count(source.today, is_floor=source.is_floor),
            week=_count(source.week, is_floor=source.is_floor),
            refused=tuple(
                _("%(count)s %(what)s", count=show_number(each.events), what=word(REFUSALS, each.reason))
                for each in own
            ),
        )


def _count(count: int, *, is_floor: bool) -> str:
    return _("%(count)s or more", count=show_number(count)) if is_floor else show_number(count)


def _waiting_text(accounts: int, events: int) -> str:
    if not accounts:
        return ""
    return ngettext(
        "%(count)s account is not known here; %(events)s of its events wait.",
        "%(count)s accounts are not known here; %(events)s of their events wait.",
        accounts,
        count=show_number(accounts),
        events=show_number(events),
    )


def _describe_import(each: ImportSummary, moment: Moment) -> ImportRow:
    if each.finished_at is None:
        counts = _("did not come to its end; run it again")
    else:
        counts = _(
            "%(rows)s rows: %(added)s added, %(changed)s changed",
            rows=show_number(each.rows),
            added=show_number(each.added),
            changed=show_number(each.changed),
        )
    rejected = ngettext("%(num)s row was set apart", "%(num)s rows were set apart", each.rejected)
    return ImportRow(each.system, _instant(each.started_at, moment), counts, rejected if each.rejected else "")


def _describe_task(task: TaskState, moment: Moment, *, at: datetime) -> TaskRow:
    if task.error is not None:
        state, tone = ngettext("failed %(num)s time", "failed %(num)s times in a row", task.failures), "risk"
    elif task.is_held(at):
        state, tone = _("at work"), "watch"
    else:
        state, tone = _("in order"), "good"
    due = _("due %(instant)s", instant=_instant(task.due_at, moment)) if task.due_at else ""
    is_off = task.name == NIGHTLY and moment.settings.night_at == OFF
    return TaskRow(
        name=word(TASKS, task.name),
        state=state,
        tone=tone,
        last=show_ago(task.ended_at, at) if task.ended_at else _("not yet"),
        due=_("off") if is_off else due,
        error=task.error or "",
    )


def _describe_aside(each: SetAside, moment: Moment) -> AsideRow:
    text = ngettext(
        "tried %(num)s time, set aside %(instant)s",
        "tried %(num)s times, set aside %(instant)s",
        each.begun,
        instant=_instant(each.set_aside_at, moment),
    )
    return AsideRow(each.task, word(TASKS, each.task), each.item, text, each.error)


def _describe_incident(each: FeedIncident, moment: Moment) -> IncidentRow:
    closed = _instant(each.closed_at, moment) if each.closed_at else _("still open")
    return IncidentRow(each.name, _instant(each.opened_at, moment), closed, each.closed_at is None)
