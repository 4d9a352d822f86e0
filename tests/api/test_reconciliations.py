"""Reconciliations through the API: made, shown, downloaded, let stand; by pencil (see tests/small_company.py)."""

import csv
import io
from typing import Any

import pytest
from flask.testing import FlaskClient

from app.db import reading, transaction
from app.http import Application
from app.queries.audit import Asked, list_entries
from app.services.tokens import WantedToken, create_token
from tests.api.conftest import Ask, ask_with

MAPPING = """
system = "crm"
kind = "crm"
[[files]]
name = "charges*.csv"
encoding = "cp932"
[files.charge]
account = "customer"
product = "plan"
starts_on = "from"
ends_on = "to"
amount = "amount"
currency = "currency"
"""
HEADER = "customer,plan,from,to,amount,currency\n"
FIRST, LAST = "2026-02-01", "2026-02-28"
# The ledger: JPY 1,200,000 a year (account 1, A-1 in the CRM), EUR 6,000 (2), USD 1,200 (3).
CONTENT = HEADER + f"A-1,PLUS,{FIRST},{LAST},100000,JPY\n=Evil,CORE,{FIRST},{LAST},90,USD\n"

Post = Any


@pytest.fixture
def post(company: Application, client: FlaskClient) -> Post:
    with transaction(company.engine) as session:
        token = create_token(session, WantedToken("t", ["finance:write"]), actor="command", now=company.clock()).token

    def send(path: str, body: dict[str, Any], **headers: str) -> Any:
        headers = {"Authorization": f"Bearer {token}", **headers}
        return client.post(f"/api/v1{path}", json=body, headers=headers)

    return send


def billing(**said: Any) -> dict[str, Any]:
    body = {"kind": "billing", "as_of": LAST, "mapping": MAPPING, "file_name": "charges.csv", "content": CONTENT}
    return body | said


def test_a_billing_export_is_held_against_the_ledger(post: Post, ask: Ask) -> None:
    made = post("/reconciliations", billing())
    assert made.status_code == 201, made.text
    run = made.json
    assert (run["kind"], run["system"], run["as_of"], run["rows"]) == ("billing", "crm", LAST, 2)
    assert (run["compared"], run["agreed"], run["differing"], run["open_differences"]) == (4, 1, 3, 0)
    assert run["made_by"].startswith("token:")
    totals = {each["ledger"]["currency"]: each for each in run["totals"]}
    assert {name: (each["ledger"]["amount"], each["other"]["amount"]) for name, each in totals.items()} == {
        "JPY": ("1200000", "1200000"),
        "EUR": ("6000.00", "0.00"),
        "USD": ("1200.00", "1080.00"),
    }
    assert totals["USD"]["difference"] == {"amount": "-120.00", "currency": "USD"}
    assert [(each["reason"], each["amount"]["amount"]) for each in totals["USD"]["reasons"]] == [
        ("missing_in_billing", "-1200.00"),
        ("missing_in_ledger", "1080.00"),
    ]
    assert ask("/reconciliations").json["data"] == [run]
    shown = ask(f"/reconciliations/{run['id']}").json
    assert shown["run"] == run
    assert shown["meta"]["definitions"] == ["reconciliation@1"]
    assert (shown["meta"]["as_of"], shown["meta"]["known_at"]) == (LAST, "2026-02-28T20:00:00Z")
    found = {each["account_name"] or each["external_id"]: each for each in shown["data"]}
    assert set(found) == {"Borealis GmbH", "Cedar Inc", "=Evil"}
    assert found["=Evil"]["parts"] == [
        {
            "reason": "missing_in_ledger",
            "check": "nothing_sold",
            "words": "Charged, and not in the ledger.",
            "amount": {"amount": "1080.00", "currency": "USD"},
            "rows": [3],
            "deals": [],
            "records": 1,
            "contract_lines": [],
        }
    ]
    assert found["Cedar Inc"]["parts"][0]["contract_lines"] == [{"id": 3, "system": "crm", "deal": "D-3", "line": "1"}]


def test_a_table_has_a_line_for_each_reason_and_no_cell_that_runs(post: Post, ask: Ask) -> None:
    run_id = post("/reconciliations", billing()).json["id"]
    answer = ask(f"/reconciliations/{run_id}?format=csv")
    rows = list(csv.DictReader(io.StringIO(answer.data.decode("utf-8-sig"))))
    assert [(row["account"], row["external_id"], row["currency"], row["amount"], row["reason"]) for row in rows] == [
        ("Borealis GmbH", "", "EUR", "-6000.00", "missing_in_billing"),
        ("Cedar Inc", "", "USD", "-1200.00", "missing_in_billing"),
        ("", "'=Evil", "USD", "1080.00", "missing_in_ledger"),
    ]
    assert [(row["records"], row["contract_lines"]) for row in rows] == [("", "D-2 1"), ("", "D-3 1"), ("3", "")]
    assert {(row["as_of"], row["known_at"]) for row in rows} == {(LAST, "2026-02-28T20:00:00Z")}
    assert ask(f"/reconciliations/{run_id}?format=xlsx").data[:2] == b"PK"


def test_pages_of_differences_are_walked_to_their_end(post: Post, ask: Ask) -> None:
    run_id = post("/reconciliations", billing()).json["id"]
    seen, path = [], f"/reconciliations/{run_id}?limit=1"
    while path:
        answer = ask(path)
        seen += [each["id"] for each in answer.json["data"]]
        link = answer.headers.get("Link", "")
        path = link.partition("<")[2].partition(">")[0].removeprefix("/api/v1")
    assert seen == [each["id"] for each in ask(f"/reconciliations/{run_id}").json["data"]]
    post("/reconciliations", billing(as_of="2026-02-27"))
    newest = ask("/reconciliations?limit=1")
    assert newest.json["data"][0]["as_of"] == "2026-02-27"
    older = ask(newest.headers["Link"].partition("<")[2].partition(">")[0].removeprefix("/api/v1"))
    assert [each["id"] for each in older.json["data"]] == [run_id]


def test_the_same_again_is_the_same_and_what_another_knew_is_another(post: Post) -> None:
    first = post("/reconciliations", billing(known_at="2026-02-28T20:00:00Z")).json
    assert post("/reconciliations", billing(known_at="2026-02-28T20:00:00Z")).json == first
    assert post("/reconciliations", billing(known_at="2026-02-27T20:00:00Z")).json["id"] != first["id"]
    key = {"Idempotency-Key": "once"}
    again = [post("/reconciliations", billing(window_days=7), **key).json["id"] for _ in range(2)]
    assert again[0] == again[1] != first["id"]


def test_what_nothing_explains_is_let_stand_once_with_a_reason(
    post: Post, ask: Ask, company: Application, client: FlaskClient
) -> None:
    less = f"A-1,PLUS,{FIRST},{LAST},90000,JPY\n"  # 90,000 a month instead of 100,000
    run = post("/reconciliations", billing(content=HEADER + less)).json
    assert run["open_differences"] == 1
    [found] = ask(f"/reconciliations/{run['id']}?is_open=true").json["data"]
    assert (found["unexplained"], found["is_open"]) == ({"amount": "120000", "currency": "JPY"}, True)
    path = f"/reconciliation-differences/{found['id']}/override"
    assert post(path, {"reason": "   "}).status_code == 400
    assert post("/reconciliation-differences/999/override", {"reason": "x"}).status_code == 404
    said = post(path, {"reason": "credited by letter of 3 March"}).json["data"]
    assert said["is_open"] is False
    assert said["override"]["reason"] == "credited by letter of 3 March"
    assert said["override"]["made_by"].startswith("token:")
    assert said["parts"] == found["parts"]
    assert post(path, {"reason": "again"}).status_code == 409
    explained = next(
        each for each in ask(f"/reconciliations/{run['id']}").json["data"] if each["unexplained"]["amount"] == "0.00"
    )
    assert post(f"/reconciliation-differences/{explained['id']}/override", {"reason": "x"}).status_code == 409
    assert ask(f"/reconciliations/{run['id']}").json["run"]["open_differences"] == 0
    with reading(company.engine) as session:
        entry = list_entries(session, Asked(action="reconciliation.overridden")).entries[0]
    assert entry.subject == f"reconciliation_difference:{found['id']}"
    assert entry.details == {"unexplained": "120000 JPY"}  # and no word of the reason: that may be erased
    reader = ask_with(company, client, "finance:read")
    assert reader("/reconciliations").status_code == 200


def test_whoever_only_reads_makes_nothing(company: Application, client: FlaskClient, post: Post) -> None:
    with transaction(company.engine) as session:
        wanted = WantedToken("a reader", ["finance:read"])
        token = create_token(session, wanted, actor="command", now=company.clock()).token
    headers = {"Authorization": f"Bearer {token}"}
    assert client.post("/api/v1/reconciliations", json=billing(), headers=headers).status_code == 403
    found = client.post("/api/v1/reconciliation-differences/1/override", json={"reason": "x"}, headers=headers)
    assert found.status_code == 403


def test_the_crms_amounts_are_held_against_what_was_booked(post: Post, ask: Ask) -> None:
    """The small company's texts are minor units; as major units they are a hundred times what was booked."""
    made = post("/reconciliations", {"kind": "crm", "as_of": LAST, "system": "crm"}).json
    assert (made["kind"], made["system"], made["rows"]) == ("crm", "crm", 5)
    [evil] = [each for each in ask(f"/reconciliations/{made['id']}").json["data"] if each["account_id"] == 5]
    assert (evil["ledger"]["amount"], evil["other"]["amount"]) == ("300.00", "30000.00")
    assert evil["parts"][0]["reason"] == "unexplained"
    assert (evil["parts"][0]["deals"], evil["parts"][0]["rows"]) == ([{"id": 5, "system": "crm", "deal": "D-5"}], [])
    nobodys = post("/reconciliations", {"kind": "crm", "as_of": LAST, "system": "another"}).json
    assert (nobodys["rows"], nobodys["compared"]) == (0, 0)


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "a kind that there is not": ({"kind": "bank"}, "kind"),
    "no day": ({"as_of": "2026-02-30"}, "as_of"),
    "known later than now": ({"known_at": "2030-01-01T00:00:00Z"}, "known_at lies in the future"),
    "a path for a name": ({"file_name": "../charges.csv"}, "file_name"),
    "a name the mapping does not know": ({"file_name": "invoices.csv"}, "knows no such file"),
    "no TOML": ({"mapping": "system = "}, "mapping.toml: not valid TOML"),
    "another noun": ({"mapping": MAPPING.replace("files.charge", "files.usage")}, "there is no such key"),
    "no rows that can be read": ({"content": HEADER + f"A-1,PLUS,{FIRST},{LAST},NaN,JPY\n"}, "line 2, amount: 'NaN'"),
    "a column that is not there": ({"content": "customer,plan\n"}, "has no column"),
    "too many days": ({"window_days": 93}, "window_days"),
    "a CRM's name": ({"system": "hubspot"}, "Has no meaning for billing"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.one_database
def test_bad_input_is_refused_with_what_to_do(post: Post, ask: Ask, name: str) -> None:
    said, words = BAD[name]
    answer = post("/reconciliations", billing(**said))
    assert answer.status_code == 400, answer.text
    assert answer.mimetype == "application/problem+json"
    assert words in answer.text
    assert "/tmp" not in answer.text  # noqa: S108
    assert "tenure-reconcile-" not in answer.text
    assert ask("/reconciliations").json["data"] == []


@pytest.mark.one_database
def test_billing_needs_its_file_and_a_crm_none(post: Post) -> None:
    answer = post("/reconciliations", {"kind": "billing", "as_of": LAST})
    assert {each["field"] for each in answer.json["errors"]} & {"mapping", "file_name", "content"}
    assert post("/reconciliations", {"kind": "crm", "as_of": LAST, "content": "x"}).status_code == 400


def test_a_reconciliation_that_is_not_there_is_not_found(ask: Ask) -> None:
    assert ask("/reconciliations/999").status_code == 404
