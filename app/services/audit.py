"""Who changed what, in a chain that shows when something was taken out of it."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from app.models.audit import AuditEntry

# Any constant will do, as long as nothing else in the database uses the same one.
CHAIN_LOCK = 7_365_222
GENESIS = bytes(32)


@dataclass(frozen=True, slots=True)
class Act:
    """What was done: `webhook_endpoint.created` to `webhook_endpoint:2`. `details` hold ids and settings, no names."""

    action: str
    subject: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How many entries there are, the digest of the last, and the first that does not fit (none: all do)."""

    entries: int
    head: str
    broken_id: int | None


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


def verify_audit(session: Session) -> Verdict:
    """Walk the chain from its first entry: an edit, an insertion, a deletion or a reorder breaks it.

    A tail that was cut off leaves a sound chain; it shows by the head, which is to be kept elsewhere.
    """
    digest, count = GENESIS, 0
    for entry in _entries(session):
        expected = _digest(entry, digest)
        if expected != entry.digest:
            return Verdict(count, digest.hex(), entry.id)
        digest, count = expected, count + 1
    return Verdict(count, digest.hex(), None)


def _entries(session: Session) -> Iterator[AuditEntry]:
    statement = select(AuditEntry).order_by(AuditEntry.id).execution_options(yield_per=1_000)
    return iter(session.scalars(statement))


def _digest(entry: AuditEntry, before: bytes) -> bytes:
    content = [entry.at.astimezone(UTC).isoformat(), entry.actor, entry.action, entry.subject, entry.details]
    return hashlib.sha256(before + orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).digest()
