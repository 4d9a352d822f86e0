"""The CRMs: what changed in each is read window by window, and each page is committed with the mark to go on from.

Nothing is remembered beside the database. A sweep that dies is gone on with from the last page that was committed;
a page that comes twice changes nothing the second time.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from app.db import reading, transaction
from app.errors import Invalid
from app.queries.crm import (
    ConnectionState,
    find_ready_since,
    list_connections,
    list_progress,
    list_waiting_renewals,
)
from app.queries.settings import load_company_settings
from app.services.changes import recording
from app.services.crm import (
    OpenWindow,
    Stream,
    advance_cursor,
    close_window,
    distrust_cursor,
    forget_cursors,
    forget_refusals,
    keep_secret,
    note_round,
    note_unrecorded,
    open_secret,
    open_window,
    read_mapping,
)
from app.services.crm_pages import RecordedPage, Recorder, record_page
from app.services.feeds import note_feed
from app.services.secrets import Keyring, SecretUnreadable
from app.services.sources import Source
from integrations.crm.client import CrmBusy, CrmClient, CrmError, CrmNonsense, Noun, Page, Window
from integrations.crm.registry import connect
from integrations.targets import Policy
from jobs.import_run import NothingNew
from jobs.reconcile_crm import TooMuchGone, reconcile
from jobs.statistics import sample_statistics
from jobs.sync import Synced, sync_inbox
from jobs.work import Work
from jobs.write_crm import BackWriter, write_back

log = logging.getLogger(__name__)

FEED = "sync"
EVERY = timedelta(minutes=5)
LONGEST_PAUSE = timedelta(hours=1)
RECONCILE_EVERY = timedelta(hours=24)
BACKFILL_LAG_DAYS = 1
"""Of a first load: a fact whose creation the CRM does not date counts as known on the day after it happened."""
SLICE_SECONDS = 300.0
"""So long at a time a sweep reads one CRM: the inbox and the other CRMs have their turn in between."""

CLOCK_STEP = timedelta(minutes=1)
"""A clock that is put right by no more than this is no alarm: the overlap of two windows is longer."""

LOOKED_AT = frozenset(4**power for power in range(1, 9))
"""At these pages of a first load the database looks at what it was given: it was empty when it began, and looks for
everything in the wrong index until it knows better."""

Connect = Callable[[Work, ConnectionState], CrmClient]
Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class CrmSynced:
    """What a sweep of the CRMs came to: pages, things on them, and CRMs that could not be read."""

    pages: int = 0
    read: int = 0
    failed: int = 0

    def __add__(self, other: "CrmSynced") -> "CrmSynced":
        return CrmSynced(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))


@dataclass(frozen=True, slots=True)
class Asked:
    """Which CRMs, by name (none: those that are due), and whether everything is to be read again."""

    names: Sequence[str] = ()
    is_full: bool = False
    slice_seconds: float = SLICE_SECONDS
    tell: Tell = log.info


class OutOfTime(Exception):
    """The slice is over; the next sweep goes on."""


class CursorAhead(CrmError):
    """It was read up to a time that has not come: the clock was set back, or the cursor is damaged."""


@dataclass(slots=True)
class Sweep:
    """One CRM being read."""

    work: Work
    connection: ConnectionState
    client: CrmClient
    asked: Asked
    until: float  # of the monotonic clock
    zone: ZoneInfo
    done: CrmSynced = field(default_factory=CrmSynced)

    def note(self, page: Page[Any]) -> None:
        self.done += CrmSynced(pages=1, read=len(page.items))
        if time.monotonic() > self.until:
            raise OutOfTime


def connect_over_network(work: Work, connection: ConnectionState) -> CrmClient:
    """The client of a connection. CrmError where its secret cannot be read or its URL not be reached."""
    keyring = Keyring.of(work.settings)
    try:
        secret = open_secret(connection, keyring)
        mapping = read_mapping(connection.mapping)
    except (SecretUnreadable, Invalid) as error:
        raise CrmError(str(error)) from None

    def keep(changed: Mapping[str, str]) -> None:
        # Without the fence: whoever holds the lease by now needs it too, and what it replaces opens nothing any more.
        with transaction(work.engine) as session:
            keep_secret(session, connection.id, secret=changed, keyring=keyring)

    policy = Policy(private_targets=work.settings.private_targets)
    return connect(mapping, secret=secret, policy=policy, keep=keep)


def sync_crms(work: Work, asked: Asked = Asked(), *, connect: Connect = connect_over_network) -> CrmSynced:
    """One sweep over the CRMs that are due, or are asked for; one that cannot be read stops none of the others."""
    total = CrmSynced()
    with reading(work.engine) as session:
        connections = list_connections(session)
    for connection in connections:
        if connection.name in asked.names or (not asked.names and _is_due(connection, work.clock())):
            total += _sync(work, connection, asked=asked, connect=connect)
    return total


def sync_everything(work: Work) -> Synced:
    """The inbox, then the CRMs: all that is read from elsewhere."""
    synced, crms = sync_inbox(work), sync_crms(work)
    return replace(synced, crm_records=crms.read, bad_crms=crms.failed)


def _is_due(connection: ConnectionState, now: datetime) -> bool:
    return connection.paused_at is None and (connection.due_at is None or connection.due_at <= now)


def _sync(work: Work, connection: ConnectionState, *, asked: Asked, connect: Connect) -> CrmSynced:
    sweep = None
    try:
        client = connect(work, connection)
        with reading(work.engine) as session:
            zone = ZoneInfo(load_company_settings(session).reporting_timezone)
        until = time.monotonic() + asked.slice_seconds
        sweep = Sweep(work, connection, client, asked, until, zone)
        _read_all(sweep)
        _write_back(sweep)
    except OutOfTime:
        _note(work, connection, due_at=None)
    except CrmError as error:
        _fail(work, connection, error=error)
        return (sweep.done if sweep else CrmSynced()) + CrmSynced(failed=1)
    return sweep.done if sweep else CrmSynced()


def _write_back(sweep: Sweep) -> None:
    """What cannot be written is told with what was to be written: that the CRM was read is true all the same."""
    work, connection = sweep.work, sweep.connection
    mapping = read_mapping(connection.mapping)
    try:
        write_back(BackWriter(work, connection, sweep.client, mapping, sweep.until))
    except CrmError as error:
        log.warning("%s could not be written to: %s", connection.name, error)
        if isinstance(error, CrmBusy) and error.retry_after_seconds:
            _note(work, connection, due_at=work.clock() + timedelta(seconds=error.retry_after_seconds))


def _read_all(sweep: Sweep) -> None:
    work, connection = sweep.work, sweep.connection
    if sweep.asked.is_full:
        with work.writing() as session:
            forget_cursors(session, connection.id)
    now = work.clock()
    _refuse_what_is_ahead(sweep, now=now)
    for noun in sweep.client.nouns():
        _read_noun(sweep, noun, now=now)
    is_overdue = connection.reconciled_at is None or connection.reconciled_at + RECONCILE_EVERY <= now
    if is_overdue or sweep.asked.is_full:
        reconcile(work, connection, client=sweep.client)
    with work.writing() as session:
        reconciled_at = now if is_overdue or sweep.asked.is_full else None
        note_round(session, connection.id, due_at=now + EVERY, failures=0, reconciled_at=reconciled_at)
        note_feed(session, kind=FEED, name=connection.name, at=now)


def _refuse_what_is_ahead(sweep: Sweep, *, now: datetime) -> None:
    """Raise CursorAhead where something was read up to a time that has not come; it is then not gone on from at all."""
    connection = sweep.connection
    with reading(sweep.work.engine) as session:
        found = list_progress(session, connection.id).values()
    latest = {each.noun: max((at for at in (each.synced_until, each.until) if at), default=now) for each in found}
    ahead = {noun: at for noun, at in latest.items() if at > now + CLOCK_STEP}
    if not ahead:
        return
    with sweep.work.writing() as session:
        for noun in ahead:
            distrust_cursor(session, Stream(connection.id, Noun(noun)))
    raise CursorAhead(
        f"{connection.name}: {', '.join(sorted(ahead))} was read up to {max(ahead.values()):%Y-%m-%d %H:%M}Z, which "
        f"has not come yet. Set the clock right, or read everything again with `tenure sync --full {connection.name}`."
    )


def _note(work: Work, connection: ConnectionState, *, due_at: datetime | None) -> None:
    with work.writing() as session:
        note_round(session, connection.id, due_at=due_at or work.clock(), failures=0)


def _fail(work: Work, connection: ConnectionState, *, error: CrmError) -> None:
    """Note why, show it, and wait longer with every failure in a row, or as long as the CRM asks for."""
    log.warning("%s could not be read: %s", connection.name, error)
    now, failures = work.clock(), connection.failures + 1
    pause = min(EVERY * 2 ** min(failures, 12), LONGEST_PAUSE)
    if isinstance(error, CrmBusy) and error.retry_after_seconds:
        pause = max(pause, timedelta(seconds=error.retry_after_seconds))
    reconciled_at = now if isinstance(error, TooMuchGone) else None  # a person is asked once a day, not every minute
    with work.writing() as session:
        note_round(session, connection.id, due_at=now + pause, failures=failures, reconciled_at=reconciled_at)
        note_feed(session, kind=FEED, name=connection.name, at=now, error=str(error))


def _read_noun(sweep: Sweep, noun: Noun, *, now: datetime) -> None:
    """Read the window under way to its end, or one from the last up to now."""
    work, stream = sweep.work, Stream(sweep.connection.id, noun)
    new = _next_window(sweep, noun, now=now)
    with work.writing() as session:
        opened = open_window(session, stream, new=new, at=now)
    read, until = opened.read, opened.window.until
    for number, page in enumerate(_pages(sweep, noun, opened=opened)):
        if opened.is_first and number in LOOKED_AT:
            with work.writing() as session:
                sample_statistics(session)
        read = _take(sweep, stream, page=page, is_first=opened.is_first)
        _tell_progress(sweep, noun)
        sweep.note(page)
    is_load = opened.is_first and noun in {Noun.COMPANY, Noun.DEAL}
    with work.writing() as session:
        close_window(session, stream, is_empty_load=is_load and read == 0)
    if opened.mark is not None and until < now:  # it was gone on with: what changed since is next
        _read_noun(sweep, noun, now=now)


def _next_window(sweep: Sweep, noun: Noun, *, now: datetime) -> Window:
    """From the last, with the client's overlap, and from what can be recorded by now; up to now less its lag."""
    with reading(sweep.work.engine) as session:
        progress = list_progress(session, sweep.connection.id).get(noun.value)
        ready = find_ready_since(session, sweep.connection, noun=noun.value)
    last = progress.synced_until if progress else None
    until = now - timedelta(seconds=sweep.client.lag_seconds)
    if last is None or (progress and progress.is_distrusted):
        return Window(None, until)
    since = last - timedelta(seconds=sweep.client.overlap_seconds)
    return Window(min(since, ready) if ready else since, max(until, last))


def _pages(sweep: Sweep, noun: Noun, *, opened: OpenWindow) -> Iterator[Page[Any]]:
    """The pages of the window; CrmNonsense where one leads back to where it was before."""
    seen = {opened.mark}
    for page in sweep.client.read(noun, opened.window, mark=opened.mark):
        if page.mark in seen:
            raise CrmNonsense("The CRM's pages lead back to one that was read before.")
        seen.add(page.mark)
        yield page


def _take(sweep: Sweep, stream: Stream, *, page: Page[Any], is_first: bool) -> int:
    """Record a page together with its mark, in one transaction; how many things of the window were read by now.

    A page that says nothing new is not worth a tick of the clock of facts: then only its mark is written.
    """
    work, connection = sweep.work, sweep.connection
    lag = BACKFILL_LAG_DAYS if is_first else None
    results: list[RecordedPage] = []
    read = 0
    with suppress(NothingNew), work.writing() as session:
        with recording(session, f"sync {connection.name}", assumed_lag_days=lag, clock=work.clock) as change:
            source = Source(connection.name, work.clock(), lag_days=lag, zone=sweep.zone)
            ids = [item.id for item in page.items] if stream.noun is Noun.DEAL else []
            waiting = list_waiting_renewals(session, connection.id, needs=ids)
            recorder = Recorder(session, change, source, waiting)
            results.append(record_page(recorder, stream.noun, items=page.items))
            note_unrecorded(session, stream, page=page, unrecorded=results[0].unrecorded, at=work.clock())
            forget_refusals(session, stream, ids=results[0].arrived)
            read = advance_cursor(session, stream, page=page)
        if not results[0].has_changed_something:
            raise NothingNew
    if not results[0].has_changed_something:
        with work.writing() as session:
            note_unrecorded(session, stream, page=page, unrecorded=results[0].unrecorded, at=work.clock())
            read = advance_cursor(session, stream, page=page)
    return read


def _tell_progress(sweep: Sweep, noun: Noun) -> None:
    """How far it is, and on a long load how long it will take, at the pace since it began."""
    with reading(sweep.work.engine) as session:
        at = list_progress(session, sweep.connection.id)[noun.value]
    said = (
        f"{sweep.connection.name}: {at.read:,}" + (f" of {at.total:,}" if at.total else "") + f" {noun.value} records"
    )
    if left := at.left(sweep.work.clock()):
        said += f", about {timedelta(seconds=round(left.total_seconds()))} left"
    sweep.asked.tell(said)
