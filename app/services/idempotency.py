"""Requests that may be sent again: the same key and request get the same answer, and act once."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.errors import Conflict
from app.models.users import IdempotencyKey
from app.services.secrets import Keyring, Place, SecretUnreadable

KEPT_FOR = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Sent:
    """A request that carries a key: whose it is, and a digest of all that was asked."""

    caller: str
    key: str
    digest: bytes

    @property
    def place(self) -> Place:
        return Place("idempotency_keys", f"{self.caller} {self.key}", "answer")


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: str


def claim_key(session: Session, sent: Sent, *, keyring: Keyring, now: datetime) -> Answer | None:
    """The answer that the same request got before; None: it is the first, and `keep_answer` is to follow.

    Of two at once the second waits here until the transaction of the first has ended: if that was rolled
    back, the second is the first. Raises Conflict where the key was sent with another request.
    """
    session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at <= now - KEPT_FOR))
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    row = {"caller": sent.caller, "key": sent.key, "request_digest": sent.digest, "status": 0, "answer": b""}
    statement = insert(IdempotencyKey).values(row | {"created_at": now}).on_conflict_do_nothing()
    if session.execute(statement.returning(IdempotencyKey.key)).one_or_none() is not None:
        return None
    found = session.get_one(IdempotencyKey, (sent.caller, sent.key))
    if found.request_digest != sent.digest:
        raise Conflict("This Idempotency-Key came with another request within a day; send a new key with a new one.")
    try:
        return Answer(found.status, keyring.decrypt(found.answer, sent.place))
    except SecretUnreadable:
        raise Conflict("This was done, but its answer cannot be read any more; look at what is there now.") from None


def keep_answer(session: Session, sent: Sent, *, answer: Answer, keyring: Keyring) -> None:
    """Keep the answer, in the transaction of what it tells; encrypted, since it may hold a new secret."""
    session.execute(
        update(IdempotencyKey)
        .where(IdempotencyKey.caller == sent.caller, IdempotencyKey.key == sent.key)
        .values(status=answer.status, answer=keyring.encrypt(answer.body, sent.place))
    )
