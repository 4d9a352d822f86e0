"""Expansion opportunities by API: lists in pages, one with its history, and the answers of sales."""

import csv
import io
from typing import Any

import pytest
from flask.testing import FlaskClient

from app.db import transaction
from app.http import Application
from app.services.tokens import WantedToken, create_token
from tests.api.conftest import Ask, ask_with
from tests.services.expansion_company import Nights, finding

PATH = "/api/v1/expansion-opportunities"


@pytest.fixture
def nights(company: Application) -> Nights:
    nights = Nights(company.engine)
    nights.run(
        finding(1, amount_minor=500_00),
        finding(2, amount_minor=900_00, likelihood="high"),
        finding(3, product_id=1, motion="upsell", quantity=4, amount_minor=700_00),
        finding(5, amount_minor=500_00, measure="bookings"),
    )
    return nights


@pytest.fixture
def ask(company: Application, client: FlaskClient, nights: Nights) -> Ask:
    return ask_with(company, client, "opportunities:read")


@pytest.fixture
def send(company: Application, client: FlaskClient, nights: Nights):
    with transaction(company.engine) as session:
        wanted = WantedToken("sales", ("opportunities:write", "opportunities:read"))
        token = create_token(session, wanted, actor="command", now=company.clock()).token

    def send(path: str, body: Any = None, **headers: str) -> Any:
        headers = {"Authorization": f"Bearer {token}", **headers}
        return client.post(f"{PATH}{path}", json={} if body is None else body, headers=headers)

    return send


def ids(answer: Any) -> list[int]:
    return [item["id"] for item in answer.json["data"]]


def test_the_dearest_come_first_with_all_that_the_message_said(ask: Ask) -> None:
    answer = ask("/expansion-opportunities")
    assert [item["worth"]["amount"] for item in answer.json["data"]] == ["900.00", "700.00", "500.00", "500.00"]
    upsell = answer.json["data"][1]
    assert upsell == {
        "id": upsell["id"],
        "state": "flagged",
        "motion": "upsell",
        "account": {"id": 3, "name": "Cedar Inc"},
        "product": {"sku": "CORE", "name": "Core"},
        "quantity": 4,
        "likelihood": "medium",
        "probability": None,
        "worth": {"amount": "700.00", "currency": "USD"},
        "expected_value": None,
        "measure": "arr",
        "why_now": "7 of the 90 accounts that did not have Plus took it in the last 6 months.",
        "evidence": ["7 of the 90 accounts that did not have Plus took it in the last 6 months."],
        "episode": 1,
        "flagged_on": "2026-03-01",
        "seen_on": "2026-03-01",
        "snoozed_until": None,
        "moved_at": "2026-03-01T03:00:00Z",
        "model_run_id": 1,
    }


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_of_equal_worth_the_likelier_come_first_also_across_pages(company: Application, ask: Ask, limit: int) -> None:
    Nights(company.engine).later().run(
        *(finding(account, product_id=1, amount_minor=500_00, likelihood="high") for account in (1, 2)),
        *(finding(account, product_id=1, amount_minor=500_00) for account in (4, 5)),
    )
    rows, url = [], f"/expansion-opportunities?min_worth=500&limit={limit}"
    while url:
        answer = ask(url)
        rows += [(item["worth"]["amount"], item["likelihood"], item["id"]) for item in answer.json["data"]]
        url = answer.headers.get("Link", "").partition(">")[0].removeprefix("</api/v1")
    assert [row[:2] for row in rows] == [
        ("900.00", "high"), ("700.00", "medium"), *[("500.00", "high")] * 2, *[("500.00", "medium")] * 4
    ]  # fmt: skip
    assert [row[2] for row in rows[2:4]] == sorted((row[2] for row in rows[2:4]), reverse=True)


@pytest.mark.parametrize("sort", ["-worth", "worth", "-flagged", "flagged"])
def test_pages_hold_each_one_once_in_the_order_asked_for(ask: Ask, sort: str) -> None:
    whole = ids(ask(f"/expansion-opportunities?sort={sort}"))
    assert len(whole) == 4
    seen, url = [], f"/expansion-opportunities?sort={sort}&limit=1"
    while url:
        answer = ask(url)
        assert answer.status_code == 200
        seen += ids(answer)
        url = answer.headers.get("Link", "").partition(">")[0].removeprefix("</api/v1")
    assert seen == whole


@pytest.mark.parametrize(
    ("asked", "accounts"),
    [
        ("motion=upsell", [3]),
        ("likelihood=high", [2]),
        ("account_id=5", [5]),
        ("min_worth=700", [2, 3]),
        ("min_worth=700.01", [2]),
        ("state=accepted", []),
        ("state=flagged&state=accepted&likelihood=medium&min_worth=600", [3]),
    ],
)
def test_filters_narrow(ask: Ask, asked: str, accounts: list[int]) -> None:
    answer = ask(f"/expansion-opportunities?{asked}")
    assert [item["account"]["id"] for item in answer.json["data"]] == accounts


@pytest.mark.parametrize("asked", ["state=open", "sort=name", "cursor=abc", "min_worth=-1", "limit=0", "owner=7"])
def test_what_cannot_be_asked_is_said(ask: Ask, asked: str) -> None:
    answer = ask(f"/expansion-opportunities?{asked}")
    assert answer.status_code == 400
    assert answer.json["detail"]


def test_a_cursor_of_another_list_is_refused(ask: Ask) -> None:
    link = ask("/expansion-opportunities?limit=1").headers["Link"]
    cursor = link.partition("cursor=")[2].partition(">")[0]
    assert ask(f"/expansion-opportunities?limit=1&sort=flagged&cursor={cursor}").status_code == 400
    assert ask(f"/expansion-opportunities?limit=1&sort=-worth&cursor={cursor}").status_code == 200


def test_csv_has_a_line_for_each(ask: Ask) -> None:
    answer = ask("/expansion-opportunities?format=csv")
    assert answer.mimetype == "text/csv"
    lines = list(csv.DictReader(io.StringIO(answer.data.decode("utf-8-sig"))))
    assert [line["worth"] for line in lines] == ["900.00", "700.00", "500.00", "500.00"]
    assert lines[1] | {"id": ""} == {
        "id": "",
        "state": "flagged",
        "motion": "upsell",
        "account_id": "3",
        "account": "Cedar Inc",
        "sku": "CORE",
        "product": "Core",
        "quantity": "4",
        "likelihood": "medium",
        "worth": "700.00",
        "expected_value": "",
        "probability": "",
        "currency": "USD",
        "measure": "arr",
        "why_now": "7 of the 90 accounts that did not have Plus took it in the last 6 months.",
        "episode": "1",
        "flagged_on": "2026-03-01",
        "seen_on": "2026-03-01",
        "snoozed_until": "",
    }
    names = {line["account"] for line in lines}
    assert '\'=Evil("x")' in names, "no cell runs as a formula"


def test_one_shows_its_history_and_what_can_be_done(ask: Ask, send) -> None:
    (number,) = ids(ask("/expansion-opportunities?likelihood=high"))
    assert ask(f"/expansion-opportunities/{number}").json["actions"] == ["accept", "reject", "snooze"]
    answer = send(f"/{number}/accept", {"note": "Called them."})
    assert answer.status_code == 200
    assert (answer.json["state"], answer.json["actions"]) == ("accepted", ["win", "lose", "undo"])
    shown = ask(f"/expansion-opportunities/{number}").json
    assert [(step["from_state"], step["to_state"]) for step in shown["moves"]] == [
        (None, "flagged"),
        ("flagged", "accepted"),
    ]
    assert shown["moves"][1]["note"] == "Called them."
    assert shown["moves"][1]["actor"].startswith("token:")
    assert shown["score"] == -1.5


def test_sales_says_what_became_of_it(ask: Ask, send) -> None:
    one, two, three, four = ids(ask("/expansion-opportunities"))
    assert send(f"/{one}/accept").json["state"] == "accepted"
    assert send(f"/{one}/won").json["state"] == "won"
    assert send(f"/{two}/accept").status_code == 200
    assert send(f"/{two}/lost", {"reason": "price"}).json["moves"][-1]["reason"] == "price"
    assert send(f"/{three}/reject", {"reason": "no_budget"}).json["state"] == "rejected"
    assert send(f"/{three}/undo").json["state"] == "flagged"
    assert send(f"/{four}/snooze", {"until": "2026-05-01"}).json["snoozed_until"] == "2026-05-01"
    assert ids(ask("/expansion-opportunities?state=flagged")) == [three]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/1/reject", {}, 400),
        ("/1/reject", {"reason": "because"}, 400),
        ("/1/lost", {"reason": "price"}, 409),
        ("/1/won", {}, 409),
        ("/1/snooze", {"until": "2026-03-01"}, 400),
        ("/1/snooze", {"until": "soon"}, 400),
        ("/1/accept", {"reason": "price"}, 400),
        ("/1/accept", {"note": "x" * 2_001}, 400),
        ("/999/accept", {}, 404),
    ],
)
def test_an_answer_that_does_not_fit_says_why(send, path: str, body: dict[str, str], status: int) -> None:
    answer = send(path, body)
    assert answer.status_code == status
    assert answer.json["detail"]


def test_reading_is_not_writing(company: Application, client: FlaskClient, ask: Ask, nights: Nights) -> None:
    with transaction(company.engine) as session:
        wanted = WantedToken("reader", ("opportunities:read",))
        token = create_token(session, wanted, actor="command", now=company.clock()).token
    answer = client.post(f"{PATH}/1/accept", json={}, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 403
    assert client.get(PATH).status_code == 401
    assert ask_with(company, client, "accounts:read")("/expansion-opportunities").status_code == 403
