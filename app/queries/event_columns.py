"""Reading raw events as columns, a window of ids at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from sqlalchemy import func, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, aliased

from app.domain.months import Ints
from app.domain.roll_up import BLOCK_US
from app.models.accounts import ExternalId
from app.models.events import EventSource, UsageEvent, WaitingEvents

# Held, shared, from before an event gets its id until it is committed: a trigger of PostgreSQL's on usage_events sees
# to it. Whoever holds it alone knows that no event will still appear below the highest id. (Any constant will do, as
# long as nothing else uses the same one; the migration that makes the trigger has it too.)
ARRIVAL_LOCK = 7_365_223
LONGEST_WAIT = "2s"  # for those who are storing events at this moment
LOCK_NOT_AVAILABLE = "55P03"
_PAIR = 1_000_000_000  # two numbers of blocks in one: a cell less a row to read


@dataclass(frozen=True, slots=True)
class Window:
    """Events with ids above `after`, up to and with `end`."""

    after: int
    end: int


@dataclass(frozen=True, slots=True)
class RawEvents:
    """Events of one source in the order of their ids; the instants as quarters of an hour since 1970."""

    account_ref: Sequence[str]
    person_key: Sequence[bytes | None]
    name: Sequence[str]
    occurred_block: Ints
    received_block: Ints


@dataclass(frozen=True, slots=True)
class Waiting:
    """Events of an account that was not known, between two ids; `account_id` where it is known by now."""

    source_id: int
    account_ref: str
    first_event_id: int
    last_event_id: int
    account_id: int | None


def find_horizon(session: Session) -> int | None:
    """The highest id below which no event will still appear; None: it could not be had in time.

    PostgreSQL gives out ids before it commits what has them, so that a lower one may appear after a higher one: those
    that are storing events are waited for. SQLite has one writer. To be asked in a transaction of its own.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text(f"SET LOCAL lock_timeout = '{LONGEST_WAIT}'"))
        try:
            session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ARRIVAL_LOCK})
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) != LOCK_NOT_AVAILABLE:
                raise
            return None
    return session.scalar(select(func.coalesce(func.max(UsageEvent.id), 0)))


def load_sources(session: Session) -> dict[int, str]:
    return {number: name for number, name in session.execute(select(EventSource.id, EventSource.name))}  # noqa: C416


def rolled_up_to(session: Session) -> int:
    """The id up to which events were rolled up; one that came first later begins there."""
    return session.scalar(select(func.coalesce(func.max(EventSource.rolled_up_to), 0))) or 0


def find_window(session: Session, *, after: int, horizon: int, most: int) -> Window:
    """The next events, at most so many of them."""
    statement = select(UsageEvent.id).where(UsageEvent.id > after, UsageEvent.id <= horizon).order_by(UsageEvent.id)
    end = session.scalar(statement.offset(most - 1).limit(1))
    return Window(after, horizon if end is None else end)


def last_received_at(session: Session, window: Window, *, source_id: int) -> datetime:
    """When the source's last event of the window came; it has one there."""
    event = UsageEvent
    ours = event.source_id == source_id, event.id > window.after, event.id <= window.end
    received_us = session.scalars(select(func.max(event.received_us)).where(*ours)).one()
    return datetime.fromtimestamp(received_us / 1e6, UTC)


def read_events(session: Session, window: Window, *, source_id: int) -> RawEvents:
    where = "e.source_id = {0} AND e.id > {0} AND e.id <= {0}"
    return _read(session, f"usage_events e WHERE {where}", values=[source_id, window.after, window.end])


def read_waiting_events(session: Session, window: Window, *, source_id: int) -> RawEvents:
    """Those that wait, of accounts that are known by now or not."""
    joined = (
        "usage_events e JOIN waiting_events w ON w.source_id = e.source_id AND w.account_ref = e.account_ref "
        "AND e.id BETWEEN w.first_event_id AND w.last_event_id"
    )
    where = "e.source_id = {0} AND e.id > {0} AND e.id <= {0}"
    return _read(session, f"{joined} WHERE {where}", values=[source_id, window.after, window.end])


def _read(session: Session, what: str, *, values: Sequence[Any]) -> RawEvents:
    """Through the driver's own cursor: SQLAlchemy would make a second object of every row."""
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    pair = f"(e.occurred_us / {BLOCK_US}) * {_PAIR} + e.received_us / {BLOCK_US}"
    statement = f"SELECT e.account_ref, e.person_key, e.name, {pair} FROM {what} ORDER BY e.id"  # noqa: S608
    connection: Any = session.connection().connection
    cursor = connection.cursor() if is_sqlite else connection.cursor(binary=True)
    rows = cursor.execute(statement.replace("{0}", "?" if is_sqlite else "%s"), values).fetchall()
    cursor.close()
    refs, keys, names, pairs = zip(*rows, strict=True) if rows else ((), (), (), ())
    occurred, received = np.divmod(np.array(pairs, dtype=np.int64), _PAIR)
    return RawEvents(refs, keys, names, occurred, received)


def load_waiting(session: Session) -> list[Waiting]:
    """What waits for an account, with the account if it is known by now."""
    other = aliased(ExternalId)
    account = (
        select(other.account_id)
        .where(
            other.system == EventSource.name,
            other.external_id == WaitingEvents.account_ref,
            other.superseded_change_id.is_(None),
        )
        .order_by((other.kind == "product").desc(), other.kind)
        .limit(1)
        .correlate(EventSource, WaitingEvents)
        .scalar_subquery()
    )
    columns = (WaitingEvents.first_event_id, WaitingEvents.last_event_id, account.label("account_id"))
    statement = (
        select(WaitingEvents.source_id, WaitingEvents.account_ref, *columns)
        .join(EventSource, EventSource.id == WaitingEvents.source_id)
        .order_by(WaitingEvents.source_id, WaitingEvents.account_ref)
    )
    return [Waiting(*row) for row in session.execute(statement)]
