"""Reading the audit: who changed what, the newest first."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.models.audit import AuditEntry
from app.models.persons import Person
from app.models.users import Token, User

GENESIS = bytes(32)


@dataclass(frozen=True, slots=True)
class Entry:
    """One act. `digest` is hexadecimal."""

    id: int
    at: datetime
    actor: str
    action: str
    subject: str | None
    details: dict[str, Any]
    digest: str


@dataclass(frozen=True, slots=True)
class Asked:
    """Which entries: by this actor, with an action that begins so, behind the entry `before`."""

    actor: str | None = None
    action: str | None = None
    before: int | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class Page:
    entries: list[Entry]
    next_before: int | None


@dataclass(frozen=True, slots=True)
class Head:
    """How many entries there are, and the digest of the last: of none, 64 zeros."""

    entries: int
    digest: str


def list_entries(session: Session, asked: Asked) -> Page:
    """A page of entries, the newest first; `next_before` leads to the next."""
    statement = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(asked.limit + 1)
    if asked.actor:
        statement = statement.where(AuditEntry.actor == asked.actor)
    if asked.action:
        statement = statement.where(AuditEntry.action.startswith(asked.action, autoescape=True))
    if asked.before:
        statement = statement.where(AuditEntry.id < asked.before)
    rows = session.scalars(statement).all()
    shown = rows[: asked.limit]
    return Page([_entry(row) for row in shown], shown[-1].id if len(rows) > asked.limit else None)


def _entry(row: AuditEntry) -> Entry:
    return Entry(row.id, row.at, row.actor, row.action, row.subject, dict(row.details), row.digest.hex())


def find_head(session: Session) -> Head:
    count = session.scalar(select(func.count()).select_from(AuditEntry)) or 0
    last = session.scalar(select(AuditEntry.digest).order_by(AuditEntry.id.desc()).limit(1))
    return Head(count, (last or GENESIS).hex())


def name_actors(session: Session, actors: Sequence[str]) -> dict[str, str]:
    """The names of those of the actors who have one: the audit itself holds none, so that a person can be erased."""
    ids: dict[str, list[int]] = {"user": [], "token": []}
    for actor in set(actors):
        kind, _, number = actor.partition(":")
        if kind in ids and number.isdecimal():
            ids[kind].append(int(number))
    users = session.execute(
        select(User.id, Person.name).join(Person, Person.id == User.person_id).where(User.id.in_(ids["user"]))
    )
    tokens = session.execute(select(Token.id, Token.name).where(Token.id.in_(ids["token"])))
    return {f"user:{row[0]}": row[1] for row in users} | {f"token:{row[0]}": row[1] for row in tokens}
