"""Tickets, survey answers, touches and trainings: things that happen with an account on a day."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from app.models.success import AccountFact, SurveyAnswer, Ticket, Touch, Training
from app.models.versions import Change
from app.queries.ids import find_persons
from app.services.persons import ensure_staff, ensure_texts, unknown_account
from app.services.sources import Recorded, Refusal, Source
from app.services.versions import record_versions
from integrations.files.rows import SurveyRow, TicketRow, TouchRow, TrainingRow

Row = dict[str, Any]
FactRow = TicketRow | SurveyRow | TouchRow | TrainingRow
R = TypeVar("R", TicketRow, SurveyRow, TouchRow, TrainingRow)


def record_tickets(session: Session, change: Change, *, source: Source, rows: Sequence[TicketRow]) -> Recorded:
    """Record support tickets; ids must be unique in `rows`. An account that is not known is refused."""

    def columns(row: TicketRow) -> Row:
        return {
            "occurred_on": row.opened_on,
            "closed_on": row.closed_on,
            "priority": row.priority,
            "is_escalated": row.is_escalated,
            "satisfaction": row.satisfaction,
            "available_at": source.available_at(row.opened_on, row.available_on),
        }

    return _record(session, change, source=source, table=Ticket, said=_described(rows, columns))


def record_surveys(session: Session, change: Change, *, source: Source, rows: Sequence[SurveyRow]) -> Recorded:
    """Record answers to surveys; ids must be unique in `rows`. An account that is not known is refused."""

    def columns(row: SurveyRow) -> Row:
        return {
            "occurred_on": row.answered_on,
            "kind": row.kind,
            "score": row.score,
            "available_at": source.available_at(row.answered_on, row.available_on),
        }

    return _record(session, change, source=source, table=SurveyAnswer, said=_described(rows, columns))


def record_touches(session: Session, change: Change, *, source: Source, rows: Sequence[TouchRow]) -> Recorded:
    """Record conversations with accounts; ids must be unique in `rows`. An account that is not known is refused."""
    staff = ensure_staff(session, change, source=source, ids={row.staff for row in rows if row.staff})

    def columns(row: TouchRow) -> Row:
        return {
            "occurred_on": row.occurred_on,
            "kind": row.kind,
            "staff_id": staff.get(row.staff or ""),
            "available_at": source.available_at(row.occurred_on, row.available_on),
        }

    return _record(session, change, source=source, table=Touch, said=_described(rows, columns))


def record_trainings(session: Session, change: Change, *, source: Source, rows: Sequence[TrainingRow]) -> Recorded:
    """Record product trainings; ids must be unique in `rows`. An account that is not known is refused."""

    def columns(row: TrainingRow) -> Row:
        return {
            "occurred_on": row.occurred_on,
            "topic": row.topic,
            "feature": row.feature,
            "attendees": row.attendees,
            "available_at": source.available_at(row.occurred_on, row.available_on),
        }

    return _record(session, change, source=source, table=Training, said=_described(rows, columns))


def _described(rows: Sequence[R], columns: Callable[[R], Row]) -> list[tuple[FactRow, Row]]:
    return [(row, columns(row)) for row in rows]


def _record(
    session: Session,
    change: Change,
    *,
    source: Source,
    table: type[AccountFact],
    said: Sequence[tuple[FactRow, Mapping[str, Any]]],
) -> Recorded:
    rows = [row for row, _ in said]
    accounts = source.find_accounts(session, [row.account for row in rows])
    contacts = find_persons(session, source.system, kind="contact", ids=[row.contact for row in rows if row.contact])
    bodies = {row.id: row.text for row in rows if row.text and row.account in accounts}
    texts = ensure_texts(session, change, table=table, source=source, bodies=bodies)
    versions: list[Row] = []
    refusals: list[Refusal] = []
    for position, (row, columns) in enumerate(said):
        if row.account not in accounts:
            refusals.append(Refusal(position, "account", unknown_account(row.account)))
            continue
        versions.append(
            {
                "system": source.system,
                "external_id": row.id,
                "account_id": accounts[row.account],
                "person_id": contacts.get(row.contact or ""),
                "text_id": texts.get(row.id),
                **columns,
            }
        )
    outcome = record_versions(session, change, table=table, key=["system", "external_id"], rows=versions)
    return Recorded(outcome, tuple(refusals))
