"""What other systems post of accounts."""

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select

from app.db import reading, transaction
from app.http import Application
from app.models.billing import Invoice
from app.models.persons import FreeText
from app.models.success import SurveyAnswer, Ticket, Touch, Training
from app.queries.feeds import find_feed
from app.services.tokens import WantedToken, create_token
from tests.small_company import NOW

Send = Callable[..., Any]
TICKET = {"id": "T1", "account": "1", "opened_on": "2026-02-20", "priority": "high", "text": "The import fails"}
SIGNALS: dict[str, tuple[type[Any], dict[str, Any]]] = {
    "surveys": (SurveyAnswer, {"id": "S1", "account": "1", "answered_on": "2026-02-20", "kind": "nps", "score": 9}),
    "tickets": (Ticket, TICKET),
    "touches": (Touch, {"id": "C1", "account": "1", "occurred_on": "2026-02-20", "kind": "call", "staff": "sato"}),
    "trainings": (Training, {"id": "L1", "account": "1", "occurred_on": "2026-02-20", "topic": "Reports"}),
    "invoices": (
        Invoice,
        {"id": "B1", "account": "1", "issued_on": "2026-02-01", "due_on": "2026-02-20", "amount": "99.50"}
        | {"currency": "USD"},
    ),
}


@pytest.fixture
def send(company: Application, client: FlaskClient) -> Send:
    """Post as a program that may do nothing else."""
    with transaction(company.engine) as session:
        token = create_token(session, WantedToken("helpdesk", ["signals:write"]), actor="command", now=NOW).token

    def send(name: str, *rows: dict[str, Any], status: int = 200, **said: Any) -> Any:
        headers = {"Authorization": f"Bearer {token}", **said.pop("headers", {})}
        body = {"system": "helpdesk", "data": list(rows)} | said
        answer = client.post(f"/api/v1/{name}", json=body, headers=headers)
        assert answer.status_code == status, answer.text
        return answer.json

    return send


def kept(app: Application, table: type[Any]) -> Any:
    with reading(app.engine) as session:
        return session.scalars(select(table).where(table.system == "helpdesk").order_by(table.id)).all()


@pytest.mark.parametrize("name", SIGNALS)
def test_each_kind_is_recorded_once_and_known_from_now_on(company: Application, send: Send, name: str) -> None:
    table, row = SIGNALS[name]
    assert send(name, row) == {"added": 1, "changed": 0, "unchanged": 0, "refused": []}
    assert send(name, row) == {"added": 0, "changed": 0, "unchanged": 1, "refused": []}
    (only,) = kept(company, table)
    assert (only.external_id, only.account_id, only.available_at) == (row["id"], 1, NOW)
    with reading(company.engine) as session:
        feed = find_feed(session, kind="api", name="helpdesk")
    assert feed is not None
    assert feed.last_seen_at == NOW


def test_a_ticket_that_is_closed_replaces_itself_and_its_text_is_kept_apart(company: Application, send: Send) -> None:
    send("tickets", TICKET)
    assert send("tickets", TICKET | {"closed_on": "2026-02-25", "is_escalated": True})["changed"] == 1
    first, second = kept(company, Ticket)
    assert (first.superseded_change_id, second.superseded_change_id) == (second.change_id, None)
    assert (second.is_escalated, str(second.closed_on)) == (True, "2026-02-25")
    with reading(company.engine) as session:
        assert session.get_one(FreeText, second.text_id).body == "The import fails"


def test_what_cannot_be_taken_is_refused_by_itself(company: Application, send: Send) -> None:
    survey = SIGNALS["surveys"][1]
    rows = [survey | {"id": "S2", "score": 11}, survey, survey | {"id": "S3", "account": "999"}]
    answer = send("surveys", *rows)
    assert (answer["added"], [each["index"] for each in answer["refused"]]) == (1, [0, 2])
    assert [each["field"] for each in answer["refused"]] == ["score", "account"]
    assert "0 to 10" in answer["refused"][0]["reason"]
    assert len(kept(company, SurveyAnswer)) == 1
    bill = SIGNALS["invoices"][1]
    late = send("invoices", bill | {"due_on": "2026-01-01"}, bill | {"id": "B2", "amount": "1" + "0" * 30})
    assert [each["field"] for each in late["refused"]] == ["due_on", "amount"]


def test_accounts_are_named_by_another_systems_ids_where_that_is_said(company: Application, send: Send) -> None:
    known = send("tickets", TICKET | {"account": "A-1"}, account_system="crm")
    assert (known["added"], known["refused"]) == (1, [])
    unknown = send("tickets", TICKET | {"id": "T2", "account": "A-1"}, account_system="billing")
    assert [each["field"] for each in unknown["refused"]] == ["account"]
    assert [ticket.account_id for ticket in kept(company, Ticket)] == [1]


BAD: dict[str, tuple[list[dict[str, Any]], str]] = {
    "an id twice": ([TICKET, TICKET], "twice"),
    "no rows": ([], "data"),
    "no day": ([{"id": "T1", "account": "1"}], "opened_on"),
    "a number for an id": ([TICKET | {"id": 7}], "id"),
    "a field that is none": ([TICKET | {"subject": "x"}], "subject"),
    "a NUL": ([TICKET | {"text": "a\0b"}], "NUL"),
}


def test_a_body_that_is_none_is_named_and_records_nothing(company: Application, send: Send) -> None:
    for name, (rows, words) in BAD.items():
        assert words in send("tickets", *rows, status=400)["detail"], name
    send("tickets", *({**TICKET, "id": f"T{n}"} for n in range(501)), status=400)
    with reading(company.engine) as session:
        assert session.scalar(select(func.count()).select_from(Ticket).where(Ticket.system == "helpdesk")) == 0


def test_a_request_sent_again_with_its_key_is_answered_as_before(company: Application, send: Send) -> None:
    first = send("tickets", TICKET, headers={"Idempotency-Key": "k1"})
    assert send("tickets", TICKET, headers={"Idempotency-Key": "k1"}) == first
    assert len(kept(company, Ticket)) == 1
