"""Recording usage events: many requests' worth in one transaction. Which of them count is told by the roll-up."""

import secrets
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from itertools import chain
from struct import Struct
from typing import Any

from psycopg import OperationalError as DriverError
from sqlalchemy import Connection, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.models.events import EventSource, Membership, RefusedEvents
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
BATCH_SIZE, BATCHES_AT_ONCE = 100, 5  # clients put a hundred into a batch, and several come together
COPY = f"COPY usage_events ({NAMES}) FROM STDIN (FORMAT binary)"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of the messages of a delivery.

    `accepted` are kept, those under an id that came before among them; `ignored` mean nothing here.
    """

    accepted: int
    ignored: int
    refused: tuple[Refused, ...]


def record_deliveries(connection: Connection, deliveries: Sequence[Delivery]) -> list[Receipt]:
    """Record what each delivery brought, in the connection's transaction; nothing may be written after it there.

    An event without an account is that of its person's last group call: before it in the delivery, else recorded
    earlier, else after it in the delivery. Where there is none it is refused.
    """
    if not any(each.homeless or each.groupings or each.identities or each.refused for each in deliveries):
        add_events(connection, list(chain.from_iterable(each.rows for each in deliveries)))
        return [Receipt(len(each.rows) + each.accepted, each.ignored, ()) for each in deliveries]
    with Session(connection, join_transaction_mode="rollback_only") as session:
        receipts = _record_people_too(session, deliveries)
        session.commit()  # of what the session holds: the transaction is the caller's
    return receipts


def _record_people_too(session: Session, deliveries: Sequence[Delivery]) -> list[Receipt]:
    batches, refused = _with_accounts(session, deliveries)
    add_events(session.connection(), list(chain.from_iterable(batches)))
    _record_memberships(session, deliveries)
    _count_refused(session, deliveries, refused=refused)
    record_identities(session, deliveries)
    return [
        Receipt(len(rows) + delivery.accepted, delivery.ignored, tuple(out))
        for delivery, rows, out in zip(deliveries, batches, refused, strict=True)
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


def add_events(connection: Connection, rows: Sequence[Row]) -> None:
    """Append the rows. One that is there already is appended again: the roll-up counts the first of them."""
    if connection.dialect.name == "postgresql":
        if rows:
            _copy(connection, rows)
        return
    for part in _parts(rows):
        # One statement for all: the driver would let go of Python's lock at every row, and wait for it as often.
        connection.exec_driver_sql(_insert_statement(len(part)), tuple(chain.from_iterable(part)))


def _parts(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    """Whole hundreds, and what is left: few lengths, so that few statements have to be kept prepared."""
    start, whole = 0, len(rows) - len(rows) % BATCH_SIZE
    while start < len(rows):
        end = min(start + BATCHES_AT_ONCE * BATCH_SIZE, whole) if start < whole else len(rows)
        yield rows[start:end]
        start = end


@lru_cache(BATCH_SIZE + BATCHES_AT_ONCE)
def _insert_statement(rows: int) -> str:
    marks = ", ".join([f"({', '.join('?' * len(COLUMNS))})"] * rows)
    return f"INSERT INTO usage_events ({NAMES}) VALUES {marks}"  # noqa: S608  our own names


def _copy(connection: Connection, rows: Iterable[Row]) -> None:
    driver: Any = connection.connection
    try:
        with driver.cursor() as cursor, cursor.copy(COPY) as copy:
            copy.write(_binary(rows))
    except DriverError as error:  # a full disk, a lost connection: as all else of the database says it
        raise OperationalError("COPY", None, error) from error


# PostgreSQL's binary form of COPY: a header, of each row the number of its columns, of each column its length (-1 for
# null) and its bytes, and -1. Written at once, and nothing has to be escaped.
_SIGNATURE, _END = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
_KEY_AND_SOURCE = Struct("!hi16sihi").pack  # and the length of the account's id; as the others
_PERSON, _NOBODY = Struct("!i16si").pack, Struct("!ii").pack
_TIMES = Struct("!iqiqi").pack


def _binary(rows: Iterable[Row]) -> bytes:
    parts = [_SIGNATURE]
    for key, source_id, account, person, name, occurred_us, received_us, properties in rows:
        ref, title = account.encode(), name.encode()
        kept = b"" if properties is None else properties.encode()
        parts += (
            _KEY_AND_SOURCE(len(COLUMNS), 16, key, 2, source_id, len(ref)),
            ref,
            _NOBODY(-1, len(title)) if person is None else _PERSON(16, person, len(title)),
            title,
            _TIMES(8, occurred_us, 8, received_us, -1 if properties is None else len(kept)),
            kept,
        )
    parts.append(_END)
    return b"".join(parts)


def _with_accounts(
    session: Session, deliveries: Sequence[Delivery]
) -> tuple[list[Sequence[Row]], list[Sequence[Refused]]]:
    """Of each delivery the rows of the events that have an account, and what is refused."""
    stored = _stored_memberships(session, deliveries)
    batches: list[Sequence[Row]] = []
    refused: list[Sequence[Refused]] = []
    for delivery in deliveries:
        rows, out = _house(delivery, stored) if delivery.homeless else ([], [])
        batches.append([*delivery.rows, *rows] if rows else delivery.rows)
        refused.append(sorted([*delivery.refused, *out], key=lambda each: each.position) if out else delivery.refused)
    return batches, refused


def _stored_memberships(session: Session, deliveries: Iterable[Delivery]) -> dict[tuple[int, bytes], str]:
    asked = {
        (delivery.source_id, event.person)
        for delivery in deliveries
        for event in delivery.homeless
        if event.person is not None
    }
    return find_memberships(session, asked) if asked else {}


def _house(delivery: Delivery, stored: Mapping[tuple[int, bytes], str]) -> tuple[list[Row], list[Refused]]:
    """The rows of the events that came without an account and have one by their person, and the others."""
    rows, refused = [], []
    groupings = sorted(delivery.groupings, reverse=True)
    later = {grouping.person: grouping.account for grouping in groupings}
    before: dict[bytes, str] = {}
    for event in delivery.homeless:
        while groupings and groupings[-1].position < event.position:
            grouping = groupings.pop()
            before[grouping.person] = grouping.account
        person = event.person or b""
        account = before.get(person) or stored.get((delivery.source_id, person)) or later.get(person)
        if account is None:
            refused.append(Refused(event.position, event.message_id[:MOST_CHARACTERS], "no_account"))
        else:
            rows.append(event.at(account))
    return rows, refused


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
