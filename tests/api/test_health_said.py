"""Overrides and pulses by API: beside the calculated score wherever it is answered."""

import csv
import io
from typing import Any

import pytest
from flask.testing import FlaskClient

from app.db import transaction
from app.http import Application
from app.services.tokens import WantedToken, create_token
from tests.api.conftest import Ask, ask_with
from tests.small_company import NOW

BODY = {"band": "at_risk", "reason": "They look at another vendor.", "expires_on": "2026-03-31"}


@pytest.fixture
def send(company: Application, client: FlaskClient) -> Any:
    with transaction(company.engine) as session:
        wanted = WantedToken("success", ("accounts:read", "health:write", "notes:read"))
        token = create_token(session, wanted, actor="command", now=NOW).token

    def send(path: str, body: Any = None) -> Any:
        return client.post(f"/api/v1{path}", json=body, headers={"Authorization": f"Bearer {token}"})

    return send


def test_an_override_is_answered_beside_the_score_everywhere(send: Any, ask: Ask) -> None:
    answer = send("/accounts/1/health-overrides", BODY)
    assert answer.status_code == 201, answer.text
    [made] = answer.json["data"]
    assert (made["is_in_force"], made["reason"], made["calculated"]) == (True, BODY["reason"], 72.5)
    listed = next(each for each in ask("/accounts").json["data"] if each["id"] == 1)
    for found in (listed, ask("/accounts/1").json, ask("/accounts/1/health").json):
        assert (found["health"], found["band"]) == (72.5, "healthy")
        assert (found["override"]["band"], found["override"]["score"]) == ("at_risk", 20.0)
        assert found["override"]["expires_on"] == "2026-03-31"
    rows = list(csv.DictReader(io.StringIO(ask("/accounts?format=csv").data.decode("utf-8-sig"))))
    by_id = {row["id"]: row for row in rows}
    assert (by_id["1"]["health"], by_id["1"]["override_band"], by_id["1"]["override_score"]) == (
        "72.5",
        "at_risk",
        "20.0",
    )
    assert by_id["2"]["override_band"] == ""
    assert ask("/accounts/2/health").json["override"] is None


def test_the_reason_is_for_those_who_read_notes(send: Any, company: Application, client: FlaskClient) -> None:
    send("/accounts/1/health-overrides", BODY)
    for path in ("/accounts/1/health-overrides", "/accounts/1", "/accounts/1/health", "/accounts"):
        assert "vendor" not in ask_with(company, client, "accounts:read")(path).text
    assert "vendor" in ask_with(company, client, "accounts:read", "notes:read")("/accounts/1/health-overrides").text


def test_it_is_ended_and_that_is_taken_back(send: Any) -> None:
    send("/accounts/1/health-overrides", BODY)
    [ended] = send("/accounts/1/health-overrides/end").json["data"]
    assert (ended["is_in_force"], ended["ended_at"]) == (False, "2026-03-01T09:00:00Z")
    assert send("/accounts/1/health-overrides/end").status_code == 409
    again = send("/accounts/1/health-overrides/undo").json["data"]
    assert [each["is_in_force"] for each in again] == [True, False]


@pytest.mark.parametrize(
    "body",
    [
        BODY | {"band": "green"},
        BODY | {"expires_on": "2026-03-01"},
        BODY | {"expires_on": "2027-03-02"},
        BODY | {"reason": ""},
        {"band": "watch"},
    ],
)
def test_what_does_not_fit_says_why(send: Any, body: dict[str, str]) -> None:
    answer = send("/accounts/1/health-overrides", body)
    assert answer.status_code == 400
    assert answer.json["errors"]


@pytest.mark.parametrize(("account_id", "status"), [(4, 409), (7, 404), (99, 404)])
def test_one_that_pays_nothing_or_is_not_there_is_refused(send: Any, account_id: int, status: int) -> None:
    assert send(f"/accounts/{account_id}/health-overrides", BODY).status_code == status


def test_a_judgement_says_how_many_wait(send: Any, ask: Ask) -> None:
    send("/accounts/1/health-overrides", BODY)
    found = ask("/health-overrides/judgement").json
    assert (found["n"], found["waiting"], found["nearer"]) == (0, 1, "unknown")
    assert found["gain"] == {"value": None, "lower": None, "upper": None}


def test_a_pulse_is_kept_with_those_before(send: Any, ask: Ask) -> None:
    send("/accounts/1/pulses", {"value": 2, "note": "Their champion is gone."})
    answer = send("/accounts/1/pulses", {"value": 4})
    assert answer.status_code == 201
    assert [(each["value"], each["note"]) for each in answer.json["data"]] == [
        (4, None),
        (2, "Their champion is gone."),
    ]
    assert [each["note"] for each in ask("/accounts/1/pulses").json["data"]] == [None, None]
    assert ask("/accounts/1/health").json["health"] == 72.5


@pytest.mark.parametrize("value", [0, 6, "3", None, 2.5])
def test_a_pulse_that_is_none_is_refused(send: Any, value: Any) -> None:
    assert send("/accounts/1/pulses", {"value": value}).status_code == 400
