"""What other systems tell of accounts: one endpoint a kind, all alike."""

from typing import Any

from app.api.endpoint import Reply, endpoint
from app.auth import current_actor
from app.http import database, now
from app.schemas import signals as schemas
from app.services.signals import Told, record_signals
from integrations.files.rows import InvoiceRow, SurveyRow, TicketRow, TouchRow, TrainingRow

SCOPE = "signals:write"
RECEIPT = schemas.SignalsReceipt()


@endpoint("/surveys", method="POST", scope=SCOPE, body=schemas.body_of(schemas.Survey), answer=RECEIPT)
def send_surveys(body: dict[str, Any]) -> Reply:
    """Send answers to surveys.

    Each counts from now on. Known ids are corrected; a row that cannot be taken is refused by itself.
    """
    return _record("survey", SurveyRow, body=body)


@endpoint("/tickets", method="POST", scope=SCOPE, body=schemas.body_of(schemas.Ticket), answer=RECEIPT)
def send_tickets(body: dict[str, Any]) -> Reply:
    """Send support tickets.

    Each counts from now on. Known ids are corrected, as when a ticket is closed or escalated; a row that
    cannot be taken is refused by itself.
    """
    return _record("ticket", TicketRow, body=body)


@endpoint("/touches", method="POST", scope=SCOPE, body=schemas.body_of(schemas.Touch), answer=RECEIPT)
def send_touches(body: dict[str, Any]) -> Reply:
    """Send conversations with accounts: calls, meetings, mails, reviews.

    Each counts from now on. Known ids are corrected; a row that cannot be taken is refused by itself.
    """
    return _record("touch", TouchRow, body=body)


@endpoint("/trainings", method="POST", scope=SCOPE, body=schemas.body_of(schemas.Training), answer=RECEIPT)
def send_trainings(body: dict[str, Any]) -> Reply:
    """Send product trainings that people of accounts attended.

    Each counts from now on. Known ids are corrected; a row that cannot be taken is refused by itself.
    """
    return _record("training", TrainingRow, body=body)


@endpoint("/invoices", method="POST", scope=SCOPE, body=schemas.body_of(schemas.Invoice), answer=RECEIPT)
def send_invoices(body: dict[str, Any]) -> Reply:
    """Send invoices, and the same ones again once they are paid.

    Each counts from now on. An invoice is overdue from the day after `due_on` until its payment is known;
    one of a negative amount is a credit note. A row that cannot be taken is refused by itself.
    """
    return _record("invoice", InvoiceRow, body=body)


def _record(noun: str, row: type[Any], *, body: dict[str, Any]) -> Reply:
    rows = [row(**each) for each in body["data"]]
    told = Told(noun, body["system"], account_system=body["account_system"], rows=rows)
    return Reply(record_signals(database(), told, actor=current_actor(), at=now()))
