"""Recording usage events: many requests' worth in one transaction, each event once."""

import secrets
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from itertools import chain
from typing import Any

from psycopg import OperationalError as DriverError
from psycopg.errors import UniqueViolation
from sqlalchemy import Connection, func, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.models.events import EventSource, Membership, RefusedEvents
from app.queries.event_columns import ARRIVAL_LOCK
from app.queries.events import find_memberships, find_sources
from app.services.event_reading import MOST_CHARACTERS, Delivery, Refused, Row
from app.services.identities import record_identities
from app.services.secrets import Keyring, Place

PERSON_KEY_BYTES = 32
COLUMNS = (
    "event_key",
    "source_id",
    "account_ref",
    "person_key",
    "name",
    "occurred_us",
    "received_us",
    "properties",
)
NAMES = ", ".join(COLUMNS)
AT_ONCE = 100  # rows a statement: as many as the clients put in a batch
STAGE = f"CREATE TEMP TABLE incoming ON COMMIT DROP AS SELECT {NAMES} FROM usage_events LIMIT 0"  # noqa: S608
ADD_STAGED = (
    f"INSERT INTO usage_events ({NAMES}) SELECT {NAMES} FROM incoming ON CONFLICT DO NOTHING RETURNING event_key"  # noqa: S608
)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of the messages of a delivery.

    `accepted` are kept now, `duplicates` were kept before under the same id, `ignored` mean nothing here.
    """

    accepted: int
    duplicates: int
    ignored: int
    refused: tuple[Refused, ...]


def record_deliveries(session: Session, deliveries: Sequence[Delivery]) -> list[Receipt]:
    """Record what each delivery brought; nothing may be written after it in the transaction.

    An event without an account is that of its person's last group call: before it in the delivery, else recorded
    earlier, else after it in the delivery. Where there is none it is refused.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock_shared(:key)"), {"key": ARRIVAL_LOCK})
    stored = _stored_memberships(session, deliveries)
    batches, refused = [], []
    for delivery in deliveries:
        rows, homeless = _with_accounts(delivery, stored)
        batches.append(rows)
        refused.append(tuple(sorted([*delivery.refused, *homeless], key=lambda each: each.position)))
    added = add_events(session, batches)
    _record_memberships(session, deliveries)
    _count_refused(session, deliveries, refused=refused)
    record_identities(session, deliveries)
    return [
        Receipt(count + delivery.accepted, len(rows) - count, delivery.ignored, out)
        for delivery, rows, count, out in zip(deliveries, batches, added, refused, strict=True)
    ]


def ensure_sources(session: Session, names: set[str]) -> dict[str, int]:
    """The ids of event sources by name; one that is new begins where the roll-up stands."""
    known = find_sources(session, names)
    missing = names - set(known)
    if not missing:
        return known
    rolled_up_to = session.scalar(select(func.coalesce(func.max(EventSource.rolled_up_to), 0)))
    rows = [{"name": name, "created_at": datetime.now(UTC), "rolled_up_to": rolled_up_to} for name in sorted(missing)]
    session.execute(_insert(session)(EventSource).on_conflict_do_nothing(), rows)
    return find_sources(session, names)


def find_person_key(session: Session, source_id: int, *, keyring: Keyring) -> bytes:
    """The key of the digests of a source's people, made when it is first asked for."""
    source = session.get_one(EventSource, source_id, with_for_update=True)
    place = Place("event_sources", source_id, "person_key_ciphertext")
    if source.person_key_ciphertext is None:
        source.person_key_ciphertext = keyring.encrypt(secrets.token_hex(PERSON_KEY_BYTES), place)
    return bytes.fromhex(keyring.decrypt(source.person_key_ciphertext, place))


def add_events(session: Session, batches: Sequence[Sequence[Row]]) -> list[int]:
    """Add the rows of each batch whose key is not there yet; how many of each were added."""
    connection = session.connection()
    if connection.dialect.name == "sqlite":
        return [
            sum(_insert_rows(connection, rows[start : start + AT_ONCE]) for start in range(0, len(rows), AT_ONCE))
            for rows in batches
        ]
    owner: dict[bytes, int] = {}
    first: dict[bytes, Row] = {}
    for number, rows in enumerate(batches):
        for row in rows:
            if row.key not in owner:
                owner[row.key], first[row.key] = number, row
    # In the order of the keys: of two processes that were sent the same events neither waits for the other.
    added = Counter(owner[key] for key in _copy(session, [first[key] for key in sorted(first)]))
    return [added[number] for number in range(len(batches))]


def _insert_rows(connection: Connection, rows: Sequence[Row]) -> int:
    """One statement for all: the driver would let go of Python's lock at every row, and wait for it as often."""
    return connection.exec_driver_sql(_insert_statement(len(rows)), tuple(chain.from_iterable(rows))).rowcount


@lru_cache(AT_ONCE)
def _insert_statement(rows: int) -> str:
    marks = ", ".join([f"({', '.join('?' * len(COLUMNS))})"] * rows)
    return f"INSERT INTO usage_events ({NAMES}) VALUES {marks} ON CONFLICT DO NOTHING"  # noqa: S608  our own names


def _copy(session: Session, rows: Sequence[Row]) -> Iterable[bytes]:
    """The keys of those that were added. COPY itself cannot pass over what is there: where any is, by a detour."""
    if not rows:
        return []
    try:
        with session.begin_nested():
            _copy_into(session, "usage_events", rows=rows)
    except UniqueViolation:
        session.execute(text(STAGE))
        _copy_into(session, "incoming", rows=rows)
        return [bytes(key) for (key,) in session.execute(text(ADD_STAGED))]
    return [row.key for row in rows]


def _copy_into(session: Session, table: str, *, rows: Sequence[Row]) -> None:
    connection: Any = session.connection().connection  # the driver's own
    try:
        with connection.cursor() as cursor, cursor.copy(f"COPY {table} ({NAMES}) FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
    except DriverError as error:  # a full disk, a lost connection: as all else of the database says it
        raise OperationalError("COPY", None, error) from error


def _stored_memberships(session: Session, deliveries: Iterable[Delivery]) -> dict[tuple[int, bytes], str]:
    asked = {
        (delivery.source_id, event.row.person)
        for delivery in deliveries
        for event in delivery.events
        if event.row.account is None and event.row.person is not None
    }
    return find_memberships(session, asked)


def _with_accounts(delivery: Delivery, stored: Mapping[tuple[int, bytes], str]) -> tuple[list[Row], list[Refused]]:
    """The rows of the events that have an account, and the others."""
    rows, homeless = [], []
    groupings = sorted(delivery.groupings, reverse=True)
    later = {grouping.person: grouping.account for grouping in groupings}
    before: dict[bytes, str] = {}
    for position, message_id, row in delivery.events:
        if row.account is not None:
            rows.append(row)
            continue
        while groupings and groupings[-1].position < position:
            grouping = groupings.pop()
            before[grouping.person] = grouping.account
        person = row.person or b""
        account = before.get(person) or stored.get((delivery.source_id, person)) or later.get(person)
        if account is None:
            homeless.append(Refused(position, message_id[:MOST_CHARACTERS], "no_account"))
        else:
            rows.append(row._replace(account=account))
    return rows, homeless


def _record_memberships(session: Session, deliveries: Iterable[Delivery]) -> None:
    last = {
        (delivery.source_id, grouping.person): grouping.account
        for delivery in deliveries
        for grouping in delivery.groupings
    }
    known = find_memberships(session, last)
    rows = [
        {"source_id": key[0], "person_key": key[1], "account_ref": account}
        for key, account in sorted(last.items())
        if known.get(key) != account
    ]
    if rows:
        statement = _insert(session)(Membership)
        statement = statement.on_conflict_do_update(
            index_elements=["source_id", "person_key"], set_={"account_ref": statement.excluded.account_ref}
        )
        session.execute(statement, rows)


def _count_refused(
    session: Session,
    deliveries: Sequence[Delivery],
    *,
    refused: Sequence[Sequence[Refused]],
) -> None:
    """Add to the day's counts, so that a mistake in a client is seen here and not only there."""
    counts: Counter[tuple[int, datetime, str]] = Counter()
    for delivery, out in zip(deliveries, refused, strict=True):
        at = datetime.fromtimestamp(delivery.received_us / 1e6, UTC)
        counts.update((delivery.source_id, at, each.reason) for each in out)
    if not counts:
        return
    statement = _insert(session)(RefusedEvents)
    statement = statement.on_conflict_do_update(
        index_elements=["source_id", "received_on", "reason"],
        set_={
            "events_count": RefusedEvents.events + statement.excluded.events_count,
            "last_at": statement.excluded.last_at,
        },
    )
    rows = [
        {"source_id": source_id, "received_on": at.date(), "reason": reason, "events": count, "last_at": at}
        for (source_id, at, reason), count in sorted(counts.items())
    ]
    session.execute(statement, rows)


def _insert(session: Session) -> Any:
    """INSERT with ON CONFLICT, which each database spells alike and SQLAlchemy by database."""
    return postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
