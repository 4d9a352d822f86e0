"""Roll up usage events: by day in the reporting time zone, account and event, each event once.

An event counts on the day it happened, and is known from the day it was received; that of an account which was not
known then, from the day on which it was taken up.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar
from zoneinfo import ZoneInfo

import numpy as np
from sqlalchemy.orm import Session

from app.db import reading, transaction
from app.domain.months import Ints
from app.domain.roll_up import BLOCK_SECONDS, EventColumns, count_events, days_of_blocks, find_person_days
from app.errors import Conflict
from app.queries.event_columns import (
    RawEvents,
    Waiting,
    Window,
    find_horizon,
    find_window,
    last_received_at,
    load_sources,
    load_waiting,
    read_events,
    read_waiting_events,
    rolled_up_to,
)
from app.queries.event_keys import read_event_keys
from app.queries.events import find_event_accounts
from app.queries.settings import load_company_settings
from app.services.changes import recording
from app.services.event_keys import delete_events, take_keys
from app.services.feeds import note_feed
from app.services.roll_up import (
    PRUNED_AT_ONCE,
    Found,
    advance,
    hold_roll_up,
    keep_waiting,
    prune_events,
    record_roll_up,
    take_from_waiting,
)
from jobs.work import Work

CHUNK = 200_000  # events at a time: what they take up in memory is some 150 MB
SIFTED_AHEAD = 1_000_000  # so many keys are put into their order at a time: some 60 MB
TAKEN_AT_ONCE = 5_000  # of them: nobody can store events on SQLite meanwhile
UNKNOWN = -1
MOST_REMEMBERED = 1_000_000  # accounts

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True)
class RolledUp:
    """What a sweep did. `waiting` are events of accounts that are not known, `taken_up` those that are now."""

    events: int = 0
    taken_up: int = 0
    waiting: int = 0
    usage_days: int = 0
    pruned: int = 0
    duplicates: int = 0  # events that had been sent before
    is_overtaken: bool = False  # somebody else was at it, or would not be waited for: the next sweep goes on

    def __add__(self, other: "RolledUp") -> "RolledUp":
        return RolledUp(
            self.events + other.events,
            self.taken_up + other.taken_up,
            self.waiting + other.waiting,
            self.usage_days + other.usage_days,
            self.pruned + other.pruned,
            self.duplicates + other.duplicates,
            self.is_overtaken or other.is_overtaken,
        )


def roll_up_events(work: Work) -> RolledUp:
    """Roll up all that has arrived, take up what waited for accounts that are known now, delete what is past its time.

    First the events that were sent before are told from the others, and deleted.
    A chunk at a time: read and counted first, then written in one transaction together with the place reached, which
    two workers cannot both move. One that dies anywhere leaves whole chunks behind, and the next goes on from there.
    """
    with transaction(work.engine) as session:
        horizon = find_horizon(session)
    if horizon is None:
        return RolledUp(is_overtaken=True)
    done = RolledUp()
    with reading(work.engine) as session:
        settings = load_company_settings(session)
        accounts = _Accounts(load_waiting(session))
    zone = ZoneInfo(settings.reporting_timezone)
    try:
        done += _take_up(work, accounts, zone=zone)
        done += _roll_up_new(work, accounts, zone=zone, horizon=horizon)
    except Conflict:
        return done + RolledUp(is_overtaken=True)
    return done + _prune(work, older_than=timedelta(days=settings.event_retention_days))


class _Accounts:
    """Which accounts the sources' ids of them are: each looked up once a sweep, so that it is one thing throughout.

    Whose events wait since before this sweep stays unknown in it, though it may be known by now: what waits is taken
    up between two ids, and nothing else may lie between them.
    """

    def __init__(self, waiting: Sequence[Waiting]) -> None:
        self.known_by_now = [row for row in waiting if row.account_id is not None]
        self._waits = {(row.source_id, row.account_ref) for row in waiting if row.account_id is None}
        self._found: dict[int, dict[str, int]] = {}

    def of(self, session: Session, source_id: int, *, source: str, refs: Sequence[str]) -> Ints:
        """The account of each, or UNKNOWN."""
        found = self._found.setdefault(source_id, {})
        if len(found) > MOST_REMEMBERED:
            self._waits |= {(source_id, ref) for ref, account in found.items() if account == UNKNOWN}
            found.clear()
        missing = {ref for ref in set(refs) - found.keys() if (source_id, ref) not in self._waits}
        known = find_event_accounts(session, source, refs=missing)
        found |= {ref: known.get(ref, UNKNOWN) for ref in set(refs) - found.keys()}
        return np.fromiter(map(found.__getitem__, refs), np.int64, len(refs))


@dataclass(slots=True)
class _Part:
    """A window's events of one source: what they come to, and whose are not known."""

    source_id: int
    found: Found
    events: int
    taken: Counter[str] = field(default_factory=Counter)
    waiting: Counter[str] = field(default_factory=Counter)


def _roll_up_new(work: Work, accounts: _Accounts, *, zone: ZoneInfo, horizon: int) -> RolledUp:
    done = RolledUp()
    with reading(work.engine) as session:
        after = sifted_to = rolled_up_to(session)
    while after < horizon:
        if after == sifted_to:
            sifted_to, duplicates = _sift(work, after=after, horizon=horizon)
            done += RolledUp(duplicates=duplicates)
        with reading(work.engine) as session:
            window = find_window(session, after=after, horizon=sifted_to, most=CHUNK)
            parts, seen = [], {}
            for source_id, source in load_sources(session).items():
                raw = read_events(session, window, source_id=source_id)
                if raw.account_ref:
                    seen[source] = last_received_at(session, window, source_id=source_id)
                account = accounts.of(session, source_id, source=source, refs=raw.account_ref)
                parts.append(_count(source_id, raw, account=account, zone=zone))
        done += _write(work, parts, window=window, seen=seen)
        after = window.end
    return done


def _sift(work: Work, *, after: int, horizon: int) -> tuple[int, int]:
    """Delete what was sent before of the next events; up to which id, and how many.

    In the order of the keys, so that each page of their index is written once and not for every key; and in many short
    transactions, which those who store events hardly notice. One that dies in between is gone through again.
    """
    with reading(work.engine) as session:
        arrived = read_event_keys(session, after=after, horizon=horizon, most=SIFTED_AHEAD)
    duplicates = 0
    for start in range(0, max(len(arrived.ids), len(arrived.repeats)), TAKEN_AT_ONCE):
        part = slice(start, start + TAKEN_AT_ONCE)
        with work.writing() as session:
            hold_roll_up(session, at=after)
            duplicates += take_keys(session, arrived.rows(part))
            duplicates += delete_events(session, arrived.repeats[part].tolist())
    return arrived.end, duplicates


def _write(work: Work, parts: Sequence[_Part], *, window: Window, seen: Mapping[str, datetime]) -> RolledUp:
    with work.writing() as session:
        hold_roll_up(session, at=window.after)
        for source, at in seen.items():
            note_feed(session, kind="events", name=source, at=at)
        for part in parts:
            keep_waiting(session, part.source_id, events=part.waiting, first=window.after + 1, last=window.end)
        advance(session, to=window.end)
        rows = _record(session, parts)
    waiting = sum(part.waiting.total() for part in parts)
    return RolledUp(events=sum(part.events for part in parts), waiting=waiting, usage_days=rows)


def _record(session: Session, parts: Sequence[_Part]) -> int:
    """Under one change, if there is anything: nothing may be written after it."""
    found = [part.found for part in parts if not part.found.is_empty]
    if not found:
        return 0
    with recording(session, "events") as change:
        return sum(record_roll_up(session, change, found=each, part=number) for number, each in enumerate(found))


def _take_up(work: Work, accounts: _Accounts, *, zone: ZoneInfo) -> RolledUp:
    """Roll up what waited for accounts that are known by now. It is known from today."""
    done = RolledUp()
    today = _day_number(work.clock(), zone)
    for source_id in sorted({row.source_id for row in accounts.known_by_now}):
        waiting = [row for row in accounts.known_by_now if row.source_id == source_id]
        last = max(row.last_event_id for row in waiting)
        while waiting:
            after = min(row.first_event_id for row in waiting) - 1
            with reading(work.engine) as session:
                window = find_window(session, after=after, horizon=last, most=CHUNK)
                raw = read_waiting_events(session, window, source_id=source_id)
            due = [row for row in waiting if row.first_event_id <= window.end]
            owner = {row.account_ref: row.account_id or UNKNOWN for row in due}
            account = np.array([owner.get(ref, UNKNOWN) for ref in raw.account_ref], dtype=np.int64)
            part = _count(source_id, raw, account=account, zone=zone, known_on=today)
            with work.writing() as session:
                take_from_waiting(session, due, end=window.end, events=part.taken)
                rows = _record(session, [part])
            done += RolledUp(taken_up=part.taken.total(), usage_days=rows)
            moved = [replace(row, first_event_id=max(row.first_event_id, window.end + 1)) for row in waiting]
            waiting = [row for row in moved if row.first_event_id <= row.last_event_id]
    return done


def _count(source_id: int, raw: RawEvents, *, account: Ints, zone: ZoneInfo, known_on: int | None = None) -> _Part:
    """Count the events whose account is known. `known_on`: the day of knowing, if not that of being received."""
    is_known = account != UNKNOWN
    person, keys = _codes(raw.person_key)
    feature, names = _codes(raw.name)
    received = days_of_blocks(raw.received_block, zone)
    columns = EventColumns(
        account=account[is_known],
        feature=feature[is_known],
        person=person[is_known],
        day=days_of_blocks(raw.occurred_block, zone)[is_known],
        available=(received if known_on is None else np.full_like(received, known_on))[is_known],
    )
    part = _Part(
        source_id, Found(count_events(columns), names, find_person_days(columns), keys), events=len(columns.account)
    )
    part.taken.update(
        ref for ref, known in zip(raw.account_ref, is_known, strict=True) if known and known_on is not None
    )
    if not is_known.all():
        part.waiting.update(raw.account_ref[position] for position in np.flatnonzero(~is_known).tolist())
    return part


def _codes(values: Sequence[Key | None]) -> tuple[Ints, list[Key]]:
    """Each value's position in the list of those that differ; -1 for None."""
    code: dict[Key | None, int] = {value: number for number, value in enumerate(set(values) - {None})}
    code[None] = -1
    positions = np.fromiter(map(code.__getitem__, values), np.int64, len(values))
    return positions, [value for value in code if value is not None]


def _day_number(instant: datetime, zone: ZoneInfo) -> int:
    return int(days_of_blocks(np.array([int(instant.timestamp()) // BLOCK_SECONDS]), zone)[0])


def _prune(work: Work, *, older_than: timedelta) -> RolledUp:
    pruned, last = 0, PRUNED_AT_ONCE
    before_us = int((work.clock() - older_than).timestamp() * 1e6)
    while last == PRUNED_AT_ONCE:
        with work.writing() as session:
            last = prune_events(session, received_before_us=before_us)
        pruned += last
    return RolledUp(pruned=pruned)
