"""Who changed what, in a chain that shows when something was taken out of it."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.errors import Invalid
from app.models.audit import AuditEntry
from app.queries.audit import GENESIS

# Any constant will do, as long as nothing else in the database uses the same one.
CHAIN_LOCK = 7_365_222
BATCH = 1_000


@dataclass(frozen=True, slots=True)
class Act:
    """What was done: `webhook_endpoint.created` to `webhook_endpoint:2`. `details` hold ids and settings, no names."""

    action: str
    subject: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How many entries fit, the digest of the last of them, and the first that does not fit (None: all do)."""

    entries: int
    head: str
    broken_id: int | None
    is_head_found: bool  # whether one of them has the digest that was asked for


def record_act(session: Session, act: Act, *, actor: str, at: datetime) -> None:
    """Add an entry: digest = SHA-256(digest before, at, actor, action, subject, details).

    `actor` is `user:7`, `token:3`, `link:12`, `command`, `night` or `nobody`. To be called before the change's
    stamp is taken (inside `recording`), so that the two locks are always taken in the same order.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": CHAIN_LOCK})
    last = session.scalar(select(AuditEntry.digest).order_by(AuditEntry.id.desc()).limit(1))
    entry = AuditEntry(at=at, actor=actor, action=act.action, subject=act.subject, details=dict(act.details))
    entry.digest = _digest(entry, last or GENESIS)
    session.add(entry)
    session.flush()


def verify_audit(session: Session, *, head: str | None = None) -> Verdict:
    """Walk the chain from its first entry: an edit, an insertion, a deletion or a reorder breaks it.

    A tail that was cut off leaves a sound chain, and so does one rewritten from some entry on. Both show
    by a `head` that was kept elsewhere (64 hexadecimal digits): no entry has that digest any more.
    """
    digest, count, wanted = GENESIS, 0, _bytes(head)
    is_found = wanted == digest
    for entry in _entries(session):
        expected = _digest(entry, digest)
        if expected != entry.digest:
            return Verdict(count, digest.hex(), entry.id, is_found)
        digest, count = expected, count + 1
        is_found = is_found or digest == wanted
    return Verdict(count, digest.hex(), None, is_found)


def _bytes(head: str | None) -> bytes | None:
    if head is None:
        return None
    try:
        digest = bytes.fromhex(head)
    except ValueError:
        digest = b""
    if len(digest) != len(GENESIS):
        raise Invalid("A head is 64 hexadecimal digits, as `tenure audit head` prints it.")
    return digest


def _entries(session: Session) -> Iterator[AuditEntry]:
    """All of them, the first first, a batch at a time: whoever stops half-way leaves no cursor open."""
    last_id = 0
    while True:
        batch = select(AuditEntry).where(AuditEntry.id > last_id).order_by(AuditEntry.id).limit(BATCH)
        entries = session.scalars(batch).all()
        yield from entries
        if len(entries) < BATCH:
            return
        last_id = entries[-1].id
        session.expunge_all()  # or a long chain would stay in memory whole


def _digest(entry: AuditEntry, before: bytes) -> bytes:
    content = [entry.at.astimezone(UTC).isoformat(), entry.actor, entry.action, entry.subject, entry.details]
    return hashlib.sha256(before + orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).digest()
