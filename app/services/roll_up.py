"""Recording what was counted of usage events, and what of them waits for its account."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.domain.months import Days, Ints
from app.domain.roll_up import Counts, PersonDays
from app.errors import Conflict
from app.models.events import EventKey, EventSource, UsageEvent, WaitingEvents
from app.models.usage import UsageDay, UsageFeature, UsageMetric
from app.models.versions import Change
from app.queries.event_columns import Waiting
from app.services.bulk import add_columns
from app.services.usage import ensure_names

METRICS = ("activity", "active_people")
PRUNED_AT_ONCE = 5_000  # keys lie anywhere: each is a page of the index
# No product has as many features; a client that puts an id into the names of its events would make one of each.
MOST_FEATURES = 2_000
OTHER_FEATURES = "(other)"

Row = tuple[int, int, int, int]  # account, day, day of being known, people


@dataclass(frozen=True, slots=True)
class Found:
    """What a part of the events comes to. Features and people are positions in the lists of their names and keys."""

    counts: Counts
    features: Sequence[str]
    people: PersonDays
    person_keys: Sequence[bytes]

    @property
    def is_empty(self) -> bool:
        return not len(self.counts.account)


def record_roll_up(session: Session, change: Change, *, found: Found, part: int = 0) -> int:
    """Add usage days: `activity` by feature, and as `active_people` those not seen at the account on the day before.

    Rows are added and never changed: what comes later of the same day is another row. Returns how
    many. `part` tells several of one change apart.
    """
    metrics = ensure_names(session, UsageMetric, names=METRICS)
    feature_ids = np.array(_ensure_features(session, found.features), dtype=np.int64)
    counts = found.counts
    fresh = _add_person_days(session, found)
    columns = {
        "account_id": np.concatenate([counts.account, fresh.account]),
        "metric_id": np.repeat([metrics[name] for name in METRICS], [len(counts.account), len(fresh.account)]),
        "feature_id": np.concatenate(
            [feature_ids[counts.feature].astype(np.float64), np.full(len(fresh.account), np.nan)]
        ),
        "day": _days(np.concatenate([counts.day, fresh.day])),
        "available_on": _days(np.concatenate([counts.available, fresh.available])),
        "amount": np.concatenate([counts.events, fresh.events]).astype(np.float64),
    }
    size = len(columns["day"])
    bookkeeping = {"change_id": np.full(size, change.id), "source_key": _keys(change.id, part, size=size)}
    add_columns(session, UsageDay, columns=bookkeeping | columns)
    return size


def _ensure_features(session: Session, names: Sequence[str]) -> list[int]:
    """The id of each feature; new ones beyond the bound are counted as one."""
    counted = list(names)
    already = session.scalar(select(func.count()).select_from(UsageFeature)) or 0
    if already + len(set(names)) > MOST_FEATURES:
        known = set(session.scalars(select(UsageFeature.name)))
        fresh = sorted(set(names) - known)[: max(MOST_FEATURES - already, 0)]
        counted = [name if name in known or name in fresh else OTHER_FEATURES for name in names]
    ids = ensure_names(session, UsageFeature, names=set(counted))
    return [ids[name] for name in counted]


def _add_person_days(session: Session, found: Found) -> Counts:
    """Add the people of each day who are not there yet, and count them by account, day and day of being known."""
    people = found.people
    keys = [found.person_keys[position] for position in people.person.tolist()]
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    rows = (_add_on_sqlite if is_sqlite else _add_on_postgresql)(session, people=people, keys=keys)
    if not rows:
        nothing = np.zeros(0, dtype=np.int64)
        return Counts(nothing, nothing, nothing, nothing, nothing)
    account, day, available, number = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    return Counts(account, np.zeros_like(account), day, available, number)


ADD_ON_SQLITE = (
    "INSERT INTO person_days (account_id, day, person_key, available_on) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
COUNT_ON_SQLITE = """
    SELECT account_id, CAST(julianday(day) - 2440587.5 AS INTEGER),
        CAST(julianday(available_on) - 2440587.5 AS INTEGER), count(*)
    FROM person_days WHERE rowid > ? GROUP BY account_id, day, available_on
"""
ADD_ON_POSTGRESQL = """
    WITH added AS (
        INSERT INTO person_days (account_id, day, person_key, available_on)
        SELECT account_id, DATE '1970-01-01' + day, person_key, DATE '1970-01-01' + available
        FROM unnest(%s::bigint[], %s::int[], %s::bytea[], %s::int[]) AS given (account_id, day, person_key, available)
        ON CONFLICT DO NOTHING RETURNING account_id, day, available_on
    )
    SELECT account_id, day - DATE '1970-01-01', available_on - DATE '1970-01-01', count(*)
    FROM added GROUP BY account_id, day, available_on
"""


def _add_on_sqlite(session: Session, *, people: PersonDays, keys: list[bytes]) -> list[Row]:
    connection = session.connection()
    last = connection.exec_driver_sql("SELECT coalesce(max(rowid), 0) FROM person_days").scalar()
    days, available = (np.datetime_as_string(_days(column)).tolist() for column in (people.day, people.available))
    cursor = connection.connection.cursor()
    cursor.executemany(ADD_ON_SQLITE, list(zip(people.account.tolist(), days, keys, available, strict=True)))
    return [tuple(row) for row in connection.exec_driver_sql(COUNT_ON_SQLITE, (last,))]


def _add_on_postgresql(session: Session, *, people: PersonDays, keys: list[bytes]) -> list[Row]:
    values = (people.account.tolist(), people.day.tolist(), keys, people.available.tolist())
    return [tuple(row) for row in session.connection().exec_driver_sql(ADD_ON_POSTGRESQL, values)]


def _days(numbers: Ints) -> Days:
    days: Days = numbers.astype("datetime64[D]")
    return days


def _keys(change_id: int, part: int, *, size: int) -> NDArray[np.uint8]:
    """A key for each row that no other has: these rows are made once, and are not told apart by what they count."""
    pairs = np.column_stack([np.full(size, change_id), (part << 32) + np.arange(size)]).astype(">u8")
    keys: NDArray[np.uint8] = pairs.view(np.uint8).reshape(size, 16)
    return keys


def hold_roll_up(session: Session, *, at: int) -> None:
    """Make sure that nobody rolls up at the same time, and that nobody did since `at`. Raises Conflict."""
    statement = select(EventSource.rolled_up_to).order_by(EventSource.id).with_for_update()
    if max(session.scalars(statement), default=0) != at:
        raise Conflict("Somebody else rolled up these events.")


def advance(session: Session, *, to: int) -> None:
    session.execute(update(EventSource).values(rolled_up_to=to))


def keep_waiting(session: Session, source_id: int, *, events: Mapping[str, int], first: int, last: int) -> None:
    """Events of accounts that are not known, between two ids: counted by the source's id of the account."""
    if not events:
        return
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    statement = insert(WaitingEvents)
    statement = statement.on_conflict_do_update(
        index_elements=["source_id", "account_ref"],
        set_={
            "last_event_id": statement.excluded.last_event_id,
            "events_count": WaitingEvents.events + statement.excluded.events_count,
        },
    )
    span = {"source_id": source_id, "first_event_id": first, "last_event_id": last}
    session.execute(statement, [span | {"account_ref": ref, "events": count} for ref, count in sorted(events.items())])


def take_from_waiting(session: Session, waiting: Sequence[Waiting], *, end: int, events: Mapping[str, int]) -> None:
    """What waited up to the id `end` waits no more. Raises Conflict if any of it was taken by somebody else."""
    for row in waiting:
        mine = (WaitingEvents.source_id == row.source_id, WaitingEvents.account_ref == row.account_ref)
        statement = update(WaitingEvents).where(*mine, WaitingEvents.first_event_id == row.first_event_id)
        left = WaitingEvents.events - events.get(row.account_ref, 0)
        if session.execute(statement.values(first_event_id=end + 1, events=left)).rowcount != 1:  # type: ignore[attr-defined]
            raise Conflict("Somebody else took up these events.")
    session.execute(delete(WaitingEvents).where(WaitingEvents.first_event_id > WaitingEvents.last_event_id))


def prune_events(session: Session, *, received_before_us: int) -> int:
    """Delete some of the events that were received before, oldest first; how many. Those not rolled up yet stay."""
    most = session.scalar(select(func.coalesce(func.max(EventSource.rolled_up_to), 0))) or 0
    young = select(UsageEvent.id).where(UsageEvent.received_us >= received_before_us).order_by(UsageEvent.id).limit(1)
    end = min(most + 1, session.scalar(young) or most + 1)
    oldest = select(UsageEvent.id).where(UsageEvent.id < end).order_by(UsageEvent.id).limit(PRUNED_AT_ONCE)
    theirs = select(UsageEvent.event_key).where(UsageEvent.id.in_(oldest.scalar_subquery()))
    session.execute(delete(EventKey).where(EventKey.event_key.in_(theirs)))
    gone = session.execute(delete(UsageEvent).where(UsageEvent.id.in_(oldest.scalar_subquery()))).rowcount  # type: ignore[attr-defined]
    if gone:
        session.execute(delete(WaitingEvents).where(WaitingEvents.last_event_id < end))
    return int(gone)
