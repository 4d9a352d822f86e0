"""Promises by API: listed with the deal they came with, moved, taken back, and kept from those without notes."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from app.db import transaction
from app.http import Application
from app.services.tokens import WantedToken, create_token
from tests.api.conftest import Ask, ask_with
from tests.services.test_promises import GOAL, NOTE, sync
from tests.small_company import NOW


@pytest.fixture
def send(company: Application, client: FlaskClient) -> Any:
    sync(company.engine, [GOAL, NOTE])
    with transaction(company.engine) as session:
        wanted = WantedToken("success", ("accounts:read", "health:write", "notes:read"))
        token = create_token(session, wanted, actor="command", now=NOW).token

    def send(path: str, body: Any = None) -> Any:
        return client.post(f"/api/v1{path}", json=body, headers={"Authorization": f"Bearer {token}"})

    return send


def test_a_promise_is_listed_moved_and_taken_back(send: Any, ask: Ask) -> None:
    goal, note = ask("/accounts/1/promises").json["data"]
    assert (goal["kind"], goal["state"], goal["due_on"], goal["is_overdue"]) == ("goal", "open", "2026-02-20", True)
    assert (goal["deal_id"], note["kind"], note["is_overdue"], note["due_on"]) == (1, "note", False, None)
    answer = send(f"/promises/{goal['id']}/move", {"state": "dropped", "reason": "Other plans."})
    assert answer.status_code == 200, answer.text
    moved = answer.json["data"][-1]
    assert (moved["state"], moved["is_overdue"], moved["text"]) == ("dropped", False, GOAL.text)
    [step] = moved["steps"]
    assert (step["state"], step["reason"], step["actor"].partition(":")[0]) == ("dropped", "Other plans.", "token")
    again = send(f"/promises/{moved['id']}/move", {"state": "open"})
    assert [each["state"] for each in again.json["data"]] == ["open", "open"]


def test_what_does_not_fit_is_refused_with_its_reason(send: Any, ask: Ask) -> None:
    promise_id = ask("/accounts/1/promises").json["data"][0]["id"]
    assert send(f"/promises/{promise_id}/move", {"state": "broken"}).status_code == 400
    assert send(f"/promises/{promise_id}/move", {"state": "won"}).status_code == 400
    assert send("/promises/999/move", {"state": "kept"}).status_code == 404
    assert send(f"/promises/{promise_id}/move", {"state": "kept"}).status_code == 200
    assert send(f"/promises/{promise_id}/move", {"state": "kept"}).status_code == 409
    assert ask("/accounts/999/promises").status_code == 404


def test_words_are_for_those_who_read_notes(send: Any, ask: Ask, company: Application, client: FlaskClient) -> None:
    promise_id = ask("/accounts/1/promises").json["data"][0]["id"]
    send(f"/promises/{promise_id}/move", {"state": "broken", "reason": "Too late for them."})
    without = ask_with(company, client, "accounts:read")("/accounts/1/promises")
    assert "Too late" not in without.text
    assert GOAL.text not in without.text
    assert [each["text"] for each in without.json["data"]] == [None, None]
    body = {"state": "open"}
    assert client.post(f"/api/v1/promises/{promise_id}/move", json=body).status_code == 401
