"""The keys of programs: shown once, kept as SHA-256, scoped, expiring."""

import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import update
from sqlalchemy.orm import Session

from app.domain.texts import is_one_line
from app.errors import Invalid, NotFound
from app.models.users import Token
from app.queries.callers import hash_secret
from app.services.audit import Act, record_act

SCOPES = {
    "accounts:read": "accounts, their health, their use and their retention",
    "notes:read": "what people wrote of an account, and the names of its contacts",
    "ltv:read": "the lifetime value of accounts, and the margin that it rests on",
    "health:write": "setting an account's health by hand, giving its pulse, and what became of promises and onboarding",
    "finance:read": "revenue, and what ltv:read allows",
    "finance:write": "recording what winning accounts costs, holding other books against the ledger, closing months",
    "opportunities:read": "expansion opportunities",
    "opportunities:write": "accepting, rejecting and snoozing expansion opportunities",
    "ingest:write": "sending usage events, and nothing else",
    "signals:write": "sending surveys, tickets, conversations, trainings and invoices, and nothing else",
    "webhooks:admin": "webhook endpoints, their secrets and deliveries",
    "admin": "tokens, and everything that any other scope allows",
}
INGEST = "ingest:write"
ONE_YEAR = timedelta(days=365)
PREFIX_LENGTH = 12


@dataclass(frozen=True, slots=True)
class WantedToken:
    """What is asked for. `lifetime` None never expires; `source` names the event source that a key belongs to."""

    name: str
    scopes: Collection[str]
    lifetime: timedelta | None = ONE_YEAR
    source: str | None = None


@dataclass(frozen=True, slots=True)
class NewToken:
    """`token` is the secret itself and exists nowhere else."""

    id: int
    name: str
    token: str
    prefix: str
    scopes: list[str]
    source: str | None
    created_at: datetime
    expires_at: datetime | None


def create_token(session: Session, wanted: WantedToken, *, actor: str, now: datetime) -> NewToken:
    """Create a token of 256 random bits, and record who did.

    Raises Invalid for an empty name, no scope, a scope that does not exist, or a source of a token that sends nothing.
    """
    _check(wanted)
    text = f"tnr_{secrets.token_urlsafe(32)}"
    token = Token(
        name=wanted.name.strip(),
        prefix=text[:PREFIX_LENGTH],
        sha256=hash_secret(text),
        scopes=sorted(set(wanted.scopes)),
        source=wanted.source and wanted.source.strip(),
        created_at=now,
        expires_at=None if wanted.lifetime is None else now + wanted.lifetime,
    )
    session.add(token)
    session.flush()
    act = Act("token.created", f"token:{token.id}", {"scopes": token.scopes, "source": token.source})
    record_act(session, act, actor=actor, at=now)
    return NewToken(token.id, token.name, text, token.prefix, token.scopes, token.source, now, token.expires_at)


def _is_name(text: str) -> bool:
    return bool(text.strip()) and len(text) <= 100 and is_one_line(text)


def _check(wanted: WantedToken) -> None:
    unknown = sorted(set(wanted.scopes) - set(SCOPES))
    if unknown or not wanted.scopes:
        said = f"There is no scope {unknown[0]!r}" if unknown else "A token needs a scope"
        raise Invalid(f"{said}; there are: {', '.join(SCOPES)}.")
    if not _is_name(wanted.name):
        raise Invalid("A token needs a name of 1 to 100 characters that says what it is for, on one line.")
    if wanted.source is None:
        return
    if INGEST not in wanted.scopes:
        raise Invalid(f"Only a token with the scope {INGEST} sends events, and so has a source.")
    if not _is_name(wanted.source):
        raise Invalid("A source needs a name of 1 to 100 characters, as web, ios or backend.")


def revoke_token(session: Session, *, token_id: int, actor: str, now: datetime) -> None:
    """End a token at once, and record who did; one that has ended stays as it is. Raises NotFound."""
    token = session.get(Token, token_id, with_for_update=True)
    if token is None:
        raise NotFound("There is no such token.")
    if token.revoked_at is None:
        token.revoked_at = now
        record_act(session, Act("token.revoked", f"token:{token_id}"), actor=actor, at=now)


def note_token_use(session: Session, *, token_id: int, now: datetime) -> None:
    session.execute(update(Token).where(Token.id == token_id).values(last_used_at=now))
