"""Which accounts a session of the database lets its queries see.

In one place for all queries, those to come too: every statement of a limited session gets the condition
on every table that says something of an account. What is not of one account (curves of groups, the
model, feeds) is the company's and stays.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, Select, event, func, select
from sqlalchemy.orm import ORMExecuteState, Session, with_loader_criteria

from app.db import Base
from app.models.accounts import Account, Assignment
from app.models.persons import Person
from app.queries.callers import SignedIn
from app.queries.settings import load_company_settings

CSM, BOOK = "csm", "book"


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
    seen = _seen_accounts(sight)
    for mapper in Base.registry.mappers:
        if mapper.class_ is Account:
            condition: ColumnElement[bool] = Account.id.in_(seen)
        elif "account_id" in mapper.columns:
            column = mapper.class_.account_id
            # Of a row that may be of no account (a person who is one of our staff) that is no secret.
            may_be_none = mapper.columns["account_id"].nullable
            condition = column.in_(seen) | column.is_(None) if may_be_none else column.in_(seen)
        else:
            continue
        yield with_loader_criteria(mapper.class_, condition, include_aliases=True)


def _seen_accounts(sight: Sight) -> Select[tuple[int]]:
    """Over the bare table, which the criteria do not touch: they would ask themselves for ever."""
    table = Assignment.__table__.c
    return select(table.account_id).where(
        table.person_id.in_(sight.person_ids),
        table.role == CSM,
        table.superseded_change_id.is_(None),
        table.valid_from <= sight.on,
        table.valid_to.is_(None) | (table.valid_to > sight.on),
    )
