"""Which accounts a session of the database lets its queries see.

In one place for all queries, those to come too: every statement of a limited session gets the condition
on every table that says something of an account. What is not of one account (curves of groups, the
model, feeds) is the company's and stays.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Select, event, func, select
from sqlalchemy.orm import ORMExecuteState, Session, with_loader_criteria

from app.db import Base
from app.models.accounts import Account, Assignment
from app.models.persons import Person
from app.queries.callers import SignedIn
from app.queries.settings import load_company_settings

CSM, BOOK = "csm", "book"
ASSIGNED = Assignment.__table__.c


@dataclass(frozen=True, slots=True)
class Sight:
    """The accounts that these of our staff look after on a day, as customer success managers."""

    person_ids: tuple[int, ...]
    on: date


def load_sight(session: Session, user: SignedIn, *, today: date) -> Sight | None:
    """What the user is limited to; None: nothing. The assigned person is who has the user's mail address."""
    if user.role != CSM or load_company_settings(session, as_of=today).csm_sees != BOOK:
        return None
    # Few people look after many accounts: distinct first, along the index on person_id.
    assigned = select(Assignment.person_id).distinct().subquery()
    own = select(Person.id).join(assigned, assigned.c.person_id == Person.id)
    person_ids = session.scalars(own.where(func.lower(Person.email) == (user.email or "").lower()))
    return Sight(tuple(sorted(person_ids)), today)


def limit_sight(session: Session, sight: Sight) -> None:
    """Let every SELECT of the session see only the accounts of the sight."""
    options = tuple(_criteria(sight))

    def narrow(state: ORMExecuteState) -> None:
        if state.is_select:
            state.statement = state.statement.options(*options)

    event.listen(session, "do_orm_execute", narrow)


def _criteria(sight: Sight) -> Iterator[Any]:
    for mapper in Base.registry.mappers:
        if mapper.class_ is Account:
            yield _limited(mapper.class_, "id", sight=sight)
        elif "account_id" in mapper.columns:
            yield _limited(mapper.class_, "account_id", sight=sight)


def _limited(entity: type[Base], key: str, *, sight: Sight) -> Any:
    """The condition on an entity under whatever alias. A row that is of no account is no account's secret."""
    person_ids, on = list(sight.person_ids), sight.on  # in a lambda, SQLAlchemy makes parameters of these
    if entity.__mapper__.columns[key].nullable:
        return with_loader_criteria(
            entity,
            lambda cls: cls.account_id.is_(None) | cls.account_id.in_(_seen(person_ids, on)),
            include_aliases=True,
        )
    if key == "id":
        return with_loader_criteria(entity, lambda cls: cls.id.in_(_seen(person_ids, on)), include_aliases=True)
    return with_loader_criteria(entity, lambda cls: cls.account_id.in_(_seen(person_ids, on)), include_aliases=True)


def _seen(person_ids: list[int], on: date) -> Select[tuple[int]]:
    """Over the bare table, which the criteria do not touch: they would ask themselves for ever."""
    return select(ASSIGNED.account_id).where(
        ASSIGNED.person_id.in_(person_ids),
        ASSIGNED.role == CSM,
        ASSIGNED.superseded_change_id.is_(None),
        ASSIGNED.valid_from <= on,
        ASSIGNED.valid_to.is_(None) | (ASSIGNED.valid_to > on),
    )
