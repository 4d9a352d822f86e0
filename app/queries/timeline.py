"""What happened with an account: touches, tickets, surveys, trainings, invoices, deals, notices in one line of time."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    BigInteger,
    Date,
    Float,
    Select,
    String,
    case,
    cast,
    func,
    literal,
    null,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.orm import Session, aliased
from sqlalchemy.types import TypeEngine

from app.models.billing import Invoice
from app.models.contracts import ChurnNotice
from app.models.deals import DealVersion
from app.models.persons import FreeText, Person
from app.models.success import SurveyAnswer, Ticket, Touch, Training
from app.queries.known import in_force


class Kind(StrEnum):
    """What an entry is; its words fill the entry's fields as its SELECT says."""

    TOUCH = "touch"
    TICKET = "ticket"
    SURVEY = "survey"
    TRAINING = "training"
    INVOICE = "invoice"
    DEAL = "deal"
    NOTICE = "notice"


@dataclass(frozen=True, slots=True)
class Entry:
    """One happening.

    | kind | label | title | state | score | until_on |
    |---|---|---|---|---|---|
    | touch | call, meeting, ... | | | | |
    | ticket | priority | | escalated | satisfaction | closed on |
    | survey | nps, csat | | | answer | |
    | training | | topic | | attendees | |
    | invoice | | | paid or not | | due on |
    | deal | new, renewal, ... | name | open, won, lost | | |
    | notice | cause | reason | | | effective on |
    """

    kind: Kind
    entry_id: int
    occurred_on: date
    label: str | None
    title: str | None
    state: str | None
    score: float | None
    until_on: date | None
    amount_minor: int | None
    currency: str | None
    contact: str | None
    staff: str | None
    text: str | None


def without_notes(entry: Entry) -> Entry:
    """The entry without what somebody wrote and without the contact; what a deal is called stays."""
    title = None if entry.kind is Kind.NOTICE else entry.title
    return replace(entry, contact=None, text=None, title=title)


Position = tuple[date, str, int]
"""Where a page of the timeline ended: day, kind and id of its last entry."""


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of a timeline: entries of these kinds, from behind `after` on, up to `limit` of them."""

    kinds: tuple[Kind, ...] = tuple(Kind)
    after: Position | None = None
    limit: int = 50


def load_timeline(
    session: Session, account_id: int, *, known_at: datetime, part: Part | None = None
) -> tuple[Entry, ...]:
    """The account's entries as known at `known_at`, the newest first."""
    part = part or Part()
    if not part.kinds:
        return ()
    entries = union_all(*(SELECTS[kind](account_id, known_at) for kind in part.kinds)).subquery("entries")
    contact, staff = aliased(Person), aliased(Person)
    order = (entries.c.occurred_on, entries.c.kind, entries.c.entry_id)
    statement = (
        select(
            *(entries.c[name] for name in TYPES if name not in REFERENCES),
            contact.name.label("contact"),
            staff.name.label("staff"),
            FreeText.body.label("text"),
        )
        .join(contact, contact.id == entries.c.contact_id, isouter=True)
        .join(staff, staff.id == entries.c.staff_id, isouter=True)
        .join(FreeText, FreeText.id == entries.c.text_id, isouter=True)
        .order_by(*(column.desc() for column in order))
        .limit(part.limit)
    )
    if part.after is not None:
        place = (literal(value, column.type) for value, column in zip(part.after, order, strict=True))
        statement = statement.where(tuple_(*order) < tuple_(*place))
    return tuple(Entry(**{**row, "kind": Kind(row["kind"])}) for row in session.execute(statement).mappings())


TYPES: dict[str, TypeEngine[Any]] = {
    "kind": String(10),
    "entry_id": BigInteger(),
    "occurred_on": Date(),
    "label": String(30),
    "title": String(300),
    "state": String(20),
    "score": Float(),
    "until_on": Date(),
    "amount_minor": BigInteger(),
    "currency": String(3),
    "contact_id": BigInteger(),
    "staff_id": BigInteger(),
    "text_id": BigInteger(),
}
REFERENCES = frozenset({"contact_id", "staff_id", "text_id"})


def _select(kind: Kind, **given: Any) -> Select[Any]:
    """One part of the union: the given columns, typed nulls for the others, all in one order."""
    given["kind"] = literal(kind.value, TYPES["kind"])
    return select(
        *((given[name] if name in given else cast(null(), type_)).label(name) for name, type_ in TYPES.items())
    )


def _touches(account_id: int, known_at: datetime) -> Select[Any]:
    return _select(
        Kind.TOUCH,
        entry_id=Touch.id,
        occurred_on=Touch.occurred_on,
        label=Touch.kind,
        contact_id=Touch.person_id,
        staff_id=Touch.staff_id,
        text_id=Touch.text_id,
    ).where(Touch.account_id == account_id, in_force(Touch, known_at))


def _tickets(account_id: int, known_at: datetime) -> Select[Any]:
    return _select(
        Kind.TICKET,
        entry_id=Ticket.id,
        occurred_on=Ticket.occurred_on,
        label=Ticket.priority,
        state=case((Ticket.is_escalated.is_(True), "escalated")),
        score=Ticket.satisfaction,
        until_on=Ticket.closed_on,
        contact_id=Ticket.person_id,
        text_id=Ticket.text_id,
    ).where(Ticket.account_id == account_id, in_force(Ticket, known_at))


def _survey_answers(account_id: int, known_at: datetime) -> Select[Any]:
    return _select(
        Kind.SURVEY,
        entry_id=SurveyAnswer.id,
        occurred_on=SurveyAnswer.occurred_on,
        label=SurveyAnswer.kind,
        score=SurveyAnswer.score,
        contact_id=SurveyAnswer.person_id,
        text_id=SurveyAnswer.text_id,
    ).where(SurveyAnswer.account_id == account_id, in_force(SurveyAnswer, known_at))


def _trainings(account_id: int, known_at: datetime) -> Select[Any]:
    return _select(
        Kind.TRAINING,
        entry_id=Training.id,
        occurred_on=Training.occurred_on,
        title=Training.topic,
        score=Training.attendees,
        contact_id=Training.person_id,
        text_id=Training.text_id,
    ).where(Training.account_id == account_id, in_force(Training, known_at))


def _invoices(account_id: int, known_at: datetime) -> Select[Any]:
    return _select(
        Kind.INVOICE,
        entry_id=Invoice.id,
        occurred_on=Invoice.issued_on,
        state=case((Invoice.paid_on.is_not(None), "paid"), else_="unpaid"),
        until_on=Invoice.due_on,
        amount_minor=Invoice.amount_minor,
        currency=Invoice.currency,
    ).where(Invoice.account_id == account_id, in_force(Invoice, known_at))


def _deals(account_id: int, known_at: datetime) -> Select[Any]:
    # An open deal's close date is a hope; it is shown on the day it was opened.
    happened_on = case(
        (DealVersion.stage == "open", DealVersion.opened_on),
        else_=func.coalesce(DealVersion.closed_on, DealVersion.opened_on),
    )
    return _select(
        Kind.DEAL,
        entry_id=DealVersion.id,
        occurred_on=happened_on,
        label=DealVersion.type,
        title=DealVersion.name,
        state=DealVersion.stage,
        amount_minor=DealVersion.amount_minor,
        currency=DealVersion.currency,
    ).where(DealVersion.account_id == account_id, in_force(DealVersion, known_at), happened_on.is_not(None))


def _notices(account_id: int, known_at: datetime) -> Select[Any]:
    return _select(
        Kind.NOTICE,
        entry_id=ChurnNotice.id,
        occurred_on=ChurnNotice.occurred_on,
        label=ChurnNotice.cause,
        title=ChurnNotice.reason,
        until_on=ChurnNotice.effective_on,
        text_id=ChurnNotice.text_id,
    ).where(ChurnNotice.account_id == account_id, in_force(ChurnNotice, known_at))


SELECTS: dict[Kind, Callable[[int, datetime], Select[Any]]] = {
    Kind.TOUCH: _touches,
    Kind.TICKET: _tickets,
    Kind.SURVEY: _survey_answers,
    Kind.TRAINING: _trainings,
    Kind.INVOICE: _invoices,
    Kind.DEAL: _deals,
    Kind.NOTICE: _notices,
}
