"""The keys of programs: shown once, kept as SHA-256, scoped, expiring."""

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import update
from sqlalchemy.orm import Session

from app.errors import Invalid, NotFound
from app.models.users import Token
from app.queries.callers import hash_secret

SCOPES = {
    "accounts:read": "accounts, their health and their retention",
    "finance:read": "revenue, lifetime value and the definitions behind them",
    "opportunities:read": "expansion opportunities",
    "opportunities:write": "accepting, rejecting and snoozing expansion opportunities",
    "ingest:write": "sending usage events, and nothing else",
    "webhooks:admin": "webhook endpoints, their secrets and deliveries",
    "admin": "tokens, and everything that any other scope allows",
}
ONE_YEAR = timedelta(days=365)
PREFIX_LENGTH = 12


@dataclass(frozen=True, slots=True)
class NewToken:
    """`token` is the secret itself and exists nowhere else."""

    id: int
    name: str
    token: str
    prefix: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None


def create_token(
    session: Session,
    *,
    name: str,
    scopes: Collection[str],
    now: datetime,
    lifetime: timedelta | None = ONE_YEAR,
) -> NewToken:
    """Create a token of 256 random bits; `lifetime` None never expires.

    Raises Invalid for an empty name, no scope, or a scope that does not exist.
    """
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        said = f"There is no scope {unknown[0]!r}" if unknown else "A token needs a scope"
        raise Invalid(f"{said}; there are: {', '.join(SCOPES)}.")
    if not name.strip() or len(name) > 100:
        raise Invalid("A token needs a name of 1 to 100 characters that says what it is for.")
    text = f"tnr_{secrets.token_urlsafe(32)}"
    token = Token(
        name=name.strip(),
        prefix=text[:PREFIX_LENGTH],
        sha256=hash_secret(text),
        scopes=sorted(set(scopes)),
        created_at=now,
        expires_at=None if lifetime is None else now + lifetime,
    )
    session.add(token)
    session.flush()
    return NewToken(token.id, token.name, text, token.prefix, token.scopes, now, token.expires_at)


def revoke_token(session: Session, *, token_id: int, now: datetime) -> None:
    """End a token at once; one that has ended stays as it is. Raises NotFound."""
    token = session.get(Token, token_id)
    if token is None:
        raise NotFound("There is no such token.")
    token.revoked_at = token.revoked_at or now


def note_token_use(session: Session, *, token_id: int, now: datetime) -> None:
    session.execute(update(Token).where(Token.id == token_id).values(last_used_at=now))
