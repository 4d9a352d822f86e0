"""Who a session or a token belongs to, if it still counts."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam, or_, select
from sqlalchemy.orm import Session

from app.models.persons import Person
from app.models.users import Token, User, UserSession

IDLE_LIMIT = timedelta(minutes=30)
ABSOLUTE_LIMIT = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """One of our staff, by a session that has neither idled nor lasted too long."""

    session_hash: bytes
    user_id: int
    name: str
    email: str | None
    role: str
    language: str | None
    csrf_token: str
    last_seen_at: datetime


@dataclass(frozen=True, slots=True)
class Program:
    """A program, by a token that is neither expired nor revoked."""

    token_id: int
    name: str
    scopes: frozenset[str]
    last_used_at: datetime | None
    source: str | None = None  # the event source that a key for usage events belongs to


@dataclass(frozen=True, slots=True)
class TokenSummary:
    """What may be shown of a token once it was given out."""

    id: int
    name: str
    prefix: str
    scopes: list[str]
    source: str | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


# Built once: every request runs one of these, and building a statement costs more than running it.
SIGNED_IN = (
    select(
        UserSession.id_hash,
        User.id,
        Person.name,
        Person.email,
        User.role,
        User.language,
        UserSession.csrf_token,
        UserSession.last_seen_at,
    )
    .join(User, User.id == UserSession.user_id)
    .join(Person, Person.id == User.person_id)
    .where(
        UserSession.id_hash == bindparam("id_hash"),
        UserSession.created_at > bindparam("opened_after"),
        UserSession.last_seen_at > bindparam("seen_after"),
        User.is_active,
    )
)
PROGRAM = select(Token.id, Token.name, Token.scopes, Token.last_used_at, Token.source).where(
    Token.sha256 == bindparam("sha256"),
    Token.revoked_at.is_(None),
    or_(Token.expires_at.is_(None), Token.expires_at > bindparam("now")),
)


def hash_secret(secret: str) -> bytes:
    """SHA-256: enough for secrets of 256 random bits, which nobody can guess."""
    return hashlib.sha256(secret.encode()).digest()


def find_signed_in(session: Session, *, session_id: str, now: datetime) -> SignedIn | None:
    limits = {"opened_after": now - ABSOLUTE_LIMIT, "seen_after": now - IDLE_LIMIT}
    row = session.execute(SIGNED_IN, {"id_hash": hash_secret(session_id), **limits}).one_or_none()
    return None if row is None else SignedIn(*row)


def find_program(session: Session, *, token: str, now: datetime) -> Program | None:
    row = session.execute(PROGRAM, {"sha256": hash_secret(token), "now": now}).one_or_none()
    if row is None:
        return None
    return Program(row.id, row.name, frozenset(row.scopes), row.last_used_at, source=row.source)


def list_tokens(session: Session) -> list[TokenSummary]:
    columns = (getattr(Token, name) for name in TokenSummary.__dataclass_fields__)
    return [TokenSummary(*row) for row in session.execute(select(*columns).order_by(Token.id))]
