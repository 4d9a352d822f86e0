"""Connections to CRMs: made, paused, rung and removed; how far each was read; what waits for a person."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from app.domain.texts import is_one_line
from app.errors import Conflict, Invalid, NotAllowed, NotFound
from app.models.crm import AHEAD, CrmConnection, SyncCursor, SyncRefusal, SyncReview
from app.queries.crm import ConnectionState
from app.queries.ids import BATCH
from app.services.audit import Act, record_act
from app.services.crm_pages import Unrecorded
from app.services.secrets import Keyring, Place
from integrations.crm.client import Noun, Page, Push, Window
from integrations.crm.mapping import CrmMapping, CrmMappingError, read_crm_mapping
from integrations.crm.registry import is_genuine

MOST_NAME = 100
RINGS_APART = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class NewSecret:
    """Of the CRM of that name; without `push_secret` what its pushes are signed with stays as it is."""

    name: str
    secret: Mapping[str, str] = field(repr=False)
    push_secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class NewConnection:
    """`mapping` is TOML; `push_secret` is what the CRM signs its pushes with (None: it sends none)."""

    mapping: str
    secret: Mapping[str, str] = field(repr=False)
    push_secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Stream:
    """One noun of one connection."""

    connection_id: int
    noun: Noun

    @property
    def key(self) -> tuple[int, str]:
        return self.connection_id, self.noun.value


@dataclass(frozen=True, slots=True)
class OpenWindow:
    """A window under way, and the mark to go on from (None: from its beginning)."""

    window: Window
    mark: str | None
    is_first: bool
    read: int
    started_at: datetime


def read_mapping(text: str) -> CrmMapping:
    """The mapping of a connection. Raises Invalid with what is wrong and what would be right."""
    try:
        mapping = read_crm_mapping(text)
    except CrmMappingError as error:
        raise Invalid(f"The mapping cannot be used. {error}") from None
    if not is_one_line(mapping.system) or len(mapping.system) > MOST_NAME:
        raise Invalid("system: give a name of at most 100 characters on one line.")
    return mapping


def secret_place(connection_id: int) -> Place:
    return Place("crm_connections", connection_id, "secret_ciphertext")


def push_place(connection_id: int) -> Place:
    return Place("crm_connections", connection_id, "push_ciphertext")


def create_connection(session: Session, new: NewConnection, *, keyring: Keyring, actor: str, at: datetime) -> int:
    """Add a CRM under the name of its system; its number. Raises Invalid, and Conflict where the name is taken."""
    mapping = read_mapping(new.mapping)
    if session.scalar(select(CrmConnection.id).where(CrmConnection.name == mapping.system)) is not None:
        raise Conflict(f"There is a CRM {mapping.system!r} already; remove it first, or give another `system`.")
    connection = CrmConnection(
        name=mapping.system, kind=mapping.kind, mapping=new.mapping, secret_ciphertext=b"", created_at=at, failures=0
    )
    session.add(connection)
    session.flush()
    connection.secret_ciphertext = keyring.encrypt(json.dumps(dict(new.secret)), secret_place(connection.id))
    if new.push_secret is not None:
        connection.push_ciphertext = keyring.encrypt(new.push_secret, push_place(connection.id))
    _note(session, connection.id, what="created", actor=actor, at=at)
    return connection.id


def open_secret(connection: ConnectionState, keyring: Keyring) -> dict[str, str]:
    """What lets us in. Raises SecretUnreadable."""
    found: dict[str, str] = json.loads(keyring.decrypt(connection.secret_ciphertext, secret_place(connection.id)))
    return found


def keep_secret(session: Session, connection_id: int, *, secret: Mapping[str, str], keyring: Keyring) -> None:
    """Put what lets us in in the place of what did; a connection that was removed meanwhile has no use for it."""
    connection = session.get(CrmConnection, connection_id)
    if connection is not None:
        connection.secret_ciphertext = keyring.encrypt(json.dumps(dict(secret)), secret_place(connection_id))


def replace_secret(session: Session, new: NewSecret, *, keyring: Keyring, actor: str, at: datetime) -> None:
    """Give a CRM another secret, and read it at once: how far it was read stays. Raises NotFound."""
    connection = _named(session, new.name)
    keep_secret(session, connection.id, secret=new.secret, keyring=keyring)
    if new.push_secret is not None:
        connection.push_ciphertext = keyring.encrypt(new.push_secret, push_place(connection.id))
    connection.due_at, connection.failures = None, 0
    _note(session, connection.id, what="secret_replaced", actor=actor, at=at)


def pause_connection(session: Session, name: str, *, is_paused: bool, actor: str, at: datetime) -> None:
    """Stop reading a CRM, or go on from where it was read. Raises NotFound."""
    connection = _named(session, name)
    connection.paused_at = at if is_paused else None
    connection.due_at, connection.failures = None, 0
    _note(session, connection.id, what="paused" if is_paused else "resumed", actor=actor, at=at)


def remove_connection(session: Session, name: str, *, actor: str, at: datetime) -> None:
    """Forget a CRM with its secrets and cursors; what was read from it stays. Raises NotFound."""
    connection = _named(session, name)
    _note(session, connection.id, what="removed", actor=actor, at=at)
    session.execute(delete(CrmConnection).where(CrmConnection.id == connection.id))


def ring_connection(session: Session, connection_id: int, *, at: datetime) -> bool:
    """Make a CRM due now, because it says that something changed; False where it just was, or is paused."""
    rung = session.execute(
        update(CrmConnection)
        .where(
            CrmConnection.id == connection_id,
            CrmConnection.paused_at.is_(None),
            CrmConnection.rung_at.is_(None) | (CrmConnection.rung_at <= at - RINGS_APART),
        )
        .values(rung_at=at, due_at=None)
        .returning(CrmConnection.id)
    )
    return rung.one_or_none() is not None


def answer_push(session: Session, name: str, *, push: Push, keyring: Keyring, at: datetime) -> bool:
    """Take a push of the CRM for what it is, a wish to be read; False where it just was.

    Raises NotFound for a CRM that is not there or was given no secret to sign with, NotAllowed for what is not signed.
    """
    connection = session.scalar(select(CrmConnection).where(CrmConnection.name == name))
    if connection is None or connection.push_ciphertext is None:
        raise NotFound(f"There is no CRM {name[:MOST_NAME]!r} that pushes.")
    secret = keyring.decrypt(connection.push_ciphertext, push_place(connection.id))
    if not is_genuine(connection.kind, push, secret=secret, now=at):
        raise NotAllowed("This is not signed as the CRM signs it, or it is too old.")
    return ring_connection(session, connection.id, at=at)


def note_round(
    session: Session, connection_id: int, *, due_at: datetime, failures: int, reconciled_at: datetime | None = None
) -> None:
    """Note when a CRM is to be read next, after a round that ended well (no failures) or did not."""
    values: dict[str, object] = {"due_at": due_at, "failures": failures}
    if reconciled_at is not None:
        values["reconciled_at"] = reconciled_at
    session.execute(update(CrmConnection).where(CrmConnection.id == connection_id).values(values))


def open_window(session: Session, stream: Stream, *, new: Window, at: datetime) -> OpenWindow:
    """The window of the noun that is under way, or else `new`, which then is.

    What was never read to its end is read from the beginning, whatever `new` says.
    """
    cursor = session.get(SyncCursor, stream.key)
    if cursor is None:
        cursor = SyncCursor(connection_id=stream.connection_id, noun=stream.noun.value, is_first=True, read=0)
        session.add(cursor)
    if cursor.until is None:
        cursor.since = None if cursor.is_first else new.since
        cursor.until, cursor.mark, cursor.read, cursor.total, cursor.started_at = new.until, None, 0, None, at
    session.flush()
    window = Window(cursor.since, cursor.until)
    return OpenWindow(window, cursor.mark, cursor.is_first, cursor.read, cursor.started_at or at)


def advance_cursor(session: Session, stream: Stream, *, page: Page[Any]) -> int:
    """The page is recorded: go on after it. How many things of the window were read by now."""
    cursor = session.get_one(SyncCursor, stream.key)
    cursor.mark, cursor.read = page.mark, cursor.read + len(page.items)
    cursor.total = page.total if page.total is not None else cursor.total
    session.flush()
    return cursor.read


def close_window(session: Session, stream: Stream, *, is_empty_load: bool) -> None:
    """The window was read to its end. A first load that found nothing at all counts as not begun."""
    cursor = session.get_one(SyncCursor, stream.key)
    if not is_empty_load:
        cursor.synced_until, cursor.is_first = cursor.until, False
    cursor.since, cursor.until, cursor.mark = None, None, None


def forget_cursors(session: Session, connection_id: int, *, nouns: Collection[Noun] = tuple(Noun)) -> None:
    """Read these again from the beginning, as they are now; that is no backfill, if there was one before."""
    session.execute(
        update(SyncCursor)
        .where(SyncCursor.connection_id == connection_id, SyncCursor.noun.in_([noun.value for noun in nouns]))
        .values(synced_until=None, since=None, until=None, mark=None)
    )


def distrust_cursor(session: Session, stream: Stream) -> None:
    """It is ahead of the clock: no window is to begin from it, not even once its time has come."""
    cursor = session.get_one(SyncCursor, stream.key)
    cursor.since, cursor.until, cursor.mark = None, None, AHEAD


def note_unrecorded(
    session: Session, stream: Stream, *, page: Page[Any], unrecorded: Sequence[Unrecorded], at: datetime
) -> None:
    """Remember what of a page could not be recorded, and forget what of it could not before and is now."""
    modified = {item.id: item.modified_at for item in page.items}
    known = _refused(session, stream, ids=modified.keys())
    wanted = {each.id: each for each in unrecorded}
    for id_, row in known.items():
        if id_ not in wanted:
            session.delete(row)
    for id_, each in wanted.items():
        row = known.get(id_) or SyncRefusal(
            connection_id=stream.connection_id, noun=stream.noun.value, external_id=id_, refused_at=at
        )
        row.field, row.reason, row.modified_at = each.field, each.reason, modified[id_]
        row.needs_noun, row.needs = (each.needs[0].value, each.needs[1]) if each.needs else (None, None)
        session.add(row)
    session.flush()


def forget_refusals(session: Session, stream: Stream, *, ids: Collection[str]) -> None:
    """These came in, or are gone."""
    for row in _refused(session, stream, ids=ids).values():
        session.delete(row)


def _refused(session: Session, stream: Stream, *, ids: Collection[str]) -> dict[str, SyncRefusal]:
    names = sorted(ids)
    found: dict[str, SyncRefusal] = {}
    for start in range(0, len(names), BATCH):
        rows = session.scalars(
            select(SyncRefusal).where(
                SyncRefusal.connection_id == stream.connection_id,
                SyncRefusal.noun == stream.noun.value,
                SyncRefusal.external_id.in_(names[start : start + BATCH]),
            )
        )
        found |= {row.external_id: row for row in rows}
    return found


def open_review(session: Session, stream: Stream, *, gone: Sequence[str], known: int, at: datetime) -> None:
    """Ask a person before so many are withdrawn; what was asked before is asked anew."""
    close_review(session, stream, decided_by=None, at=at)
    session.add(
        SyncReview(
            connection_id=stream.connection_id, noun=stream.noun.value, gone=list(gone), known=known, opened_at=at
        )
    )
    session.flush()


def close_review(session: Session, stream: Stream, *, decided_by: str | None, at: datetime) -> None:
    session.execute(
        update(SyncReview)
        .where(
            SyncReview.connection_id == stream.connection_id,
            SyncReview.noun == stream.noun.value,
            SyncReview.decided_at.is_(None),
        )
        .values(decided_at=at, decided_by=decided_by)
    )
    if decided_by is not None:
        _note(session, stream.connection_id, what="confirmed", actor=decided_by, at=at)


def _named(session: Session, name: str) -> CrmConnection:
    connection = session.scalar(select(CrmConnection).where(CrmConnection.name == name))
    if connection is None:
        raise NotFound(f"There is no CRM {name!r}; `tenure crm list` shows those that there are.")
    return connection


def _note(session: Session, connection_id: int, *, what: str, actor: str, at: datetime) -> None:
    record_act(session, Act(f"crm_connection.{what}", f"crm_connection:{connection_id}"), actor=actor, at=at)
