"""Closed months and restatements through the API, by pencil (see tests/ledger_books.py)."""

import csv
import hashlib
import io
import json
from datetime import UTC, date, datetime
from typing import Any

import pytest
from flask.testing import FlaskClient

from app.db import transaction
from app.http import Application
from app.services.tokens import WantedToken, create_token
from tests.api.conftest import Ask, ask_with
from tests.ledger_books import Books, Moved

IN_JUNE = datetime(2026, 6, 3, 9, tzinfo=UTC)
IN_JULY = datetime(2026, 7, 10, 9, tzinfo=UTC)

Post = Any


@pytest.fixture
def books(app: Application) -> Books:
    app.clock = lambda: IN_JUNE
    books = Books(app.engine, at=datetime(2025, 1, 2, 9, tzinfo=UTC))
    books.record(Moved(1, date(2025, 1, 1), "new", 100_000), Moved(1, date(2026, 5, 10), "expansion", 20_000))
    return books


@pytest.fixture
def ask(books: Books, app: Application, client: FlaskClient) -> Ask:
    return ask_with(app, client, "finance:read")


@pytest.fixture
def post(books: Books, app: Application, client: FlaskClient) -> Post:
    with transaction(app.engine) as session:
        token = create_token(session, WantedToken("t", ["finance:write"]), actor="command", now=app.clock()).token
    return lambda path: client.post(f"/api/v1{path}", headers={"Authorization": f"Bearer {token}"})


def test_a_month_is_closed_listed_and_answered_byte_for_byte(
    app: Application, books: Books, post: Post, ask: Ask
) -> None:
    assert ask("/periods").json == {"data": []}
    before = ask("/periods/2026-05/current")
    made = post("/periods/2026-05/close")
    assert made.status_code == 201, made.text
    closed = made.json
    assert (closed["period"], closed["first_on"], closed["last_on"]) == ("2026-05", "2026-05-01", "2026-05-31")
    assert closed["closed_by"].startswith("token:")
    assert ask("/periods").json == {"data": [closed]}
    shown = ask("/periods/2026-05")
    assert shown.mimetype == "application/json"
    assert hashlib.sha256(shown.data).hexdigest() == closed["sha256"]
    assert shown.data == before.data
    assert json.loads(shown.data)["arr"][0]["closing"] == "1200.00"
    app.clock = lambda: IN_JULY
    books.record(Moved(1, date(2026, 5, 20), "expansion", 5_000), source="user:9", at=IN_JULY)
    assert ask("/periods/2026-05").data == shown.data
    assert ask("/periods/2026-05", **{"If-None-Match": shown.headers["ETag"]}).status_code == 304
    assert ask(f"/periods/2026-05/current?known_at={closed['known_at']}").data == shown.data
    assert ask("/periods/2026-05/current").json["arr"][0]["closing"] == "1250.00"
    answer = ask("/restatements").json
    assert answer["data"] == [
        {
            "period": "2026-05",
            "kind": "movement",
            "category": "expansion",
            "on": "2026-05-20",
            "delta": {"amount": "50.00", "currency": "USD"},
            "account_id": 1,
            "product": "CORE",
            "contract_line_id": 1,
            "deal_id": 1,
            "deal_system": "crm",
            "deal_external_id": "D-1",
            "cause": "a contract line of 2026-05-20, added or corrected after the close, by hand (user:9)",
            "source": "user:9",
            "change_id": answer["data"][0]["change_id"],
            "recorded_at": "2026-07-10T09:00:00Z",
        }
    ]
    assert answer["meta"]["definitions"] == ["restatement@1", "closed_period@1"]
    assert ask(f"/restatements?known_at={closed['known_at']}").json["data"] == []


def test_restatements_come_by_pages_and_as_a_table(app: Application, books: Books, post: Post, ask: Ask) -> None:
    post("/periods/2026-05/close")
    app.clock = lambda: IN_JULY
    for day in (11, 12, 13):
        books.record(Moved(1, date(2026, 5, day), "expansion", day))
    first = ask("/restatements?period=2026-05&limit=2")
    assert [each["on"] for each in first.json["data"]] == ["2026-05-11", "2026-05-12"]
    path = first.headers["Link"].partition(">")[0].removeprefix("</api/v1")
    rest = ask(path)
    assert [each["on"] for each in rest.json["data"]] == ["2026-05-13"]
    assert "Link" not in rest.headers
    table = ask("/restatements?format=csv&limit=1")
    rows = list(csv.DictReader(io.StringIO(table.text.lstrip("\ufeff"))))
    assert [(row["period"], row["delta"], row["currency"]) for row in rows] == [
        ("2026-05", "0.11", "USD"),
        ("2026-05", "0.12", "USD"),
        ("2026-05", "0.13", "USD"),
    ]
    assert "Figures-Checksum" in table.headers
    assert ask("/restatements?format=xlsx").data.startswith(b"PK")


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/periods/2026-Q1", 400, "no month"),
        ("/periods/2026-05", 404, "2026-05 is not closed"),
        ("/periods/2026-05/current?known_at=2027-01-01T00:00:00Z", 400, "future"),
        ("/periods/x/current", 400, "no month"),
        ("/restatements?known_at=2027-01-01T00:00:00Z", 400, "future"),
        ("/restatements?period=2026-05", 404, "not closed"),
        ("/restatements?period=May", 400, "no month"),
        ("/restatements?kind=guess", 400, "not valid"),
        ("/restatements?cursor=abc", 400, "cursor"),
        ("/restatements?cursor=W10", 400, "cursor"),
        ("/periods?as_of=2026-01-01", 400, "no parameter"),
    ],
)
def test_what_cannot_be_answered_is_a_problem_that_says_why(ask: Ask, path: str, status: int, said: str) -> None:
    answer = ask(path)
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
    assert said in answer.text


@pytest.mark.parametrize(
    ("month", "status", "said"),
    [
        ("2026-06", 409, "2026-06 is not over"),
        ("2024-12", 409, "the first deal is of 2025-01-01"),
        ("2026-13", 400, "no month"),
    ],
)
def test_what_cannot_be_closed_is_a_problem_that_says_why(post: Post, month: str, status: int, said: str) -> None:
    answer = post(f"/periods/{month}/close")
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
    assert said in answer.json["detail"]


def test_closing_twice_and_out_of_order_is_refused(post: Post) -> None:
    assert post("/periods/2026-03/close").status_code == 201
    assert "was closed on 2026-06-03" in post("/periods/2026-03/close").json["detail"]
    assert "close 2026-04 before 2026-05" in post("/periods/2026-05/close").json["detail"]
