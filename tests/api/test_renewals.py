"""Renewals through the API, worked out by pencil (see tests/small_company.py)."""

from typing import Any

import pytest

from tests.api.conftest import Ask


def totals(answer: Any) -> dict[tuple[str, str], dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    names = ("due", "renewed", "reduced", "lost", "open")
    return {
        (each["period"], each["group"]): {name: each[name]["amount"] for name in names} | {"rate": each["renewal_rate"]}
        for each in answer.json["data"]
    }


def test_what_is_due_is_lost_or_still_open(ask: Ask) -> None:
    """Dune's USD 600 lapsed on 1 January and its grace went by; Borealis' EUR 6,000 x 1.10 are due on 1 July."""
    found = ask("/revenue/renewals?period=2026")
    whole = {"due": "7200.00", "renewed": "0.00", "reduced": "0.00", "lost": "600.00", "open": "6600.00", "rate": 0}
    assert totals(found) == {("2026", "all"): whole}
    assert ask("/revenue/renewals").json["data"] == found.json["data"]
    assert found.json["meta"]["definitions"] == ["renewal_rate@1"]
    assert found.json["meta"]["currency"] == "USD"


def test_parts_and_groups_add_up(ask: Ask) -> None:
    found = totals(ask("/revenue/renewals?period=2026&grain=quarter&group_by=account"))
    assert {key: each["due"] for key, each in found.items()} == {
        ("2026-Q1", "4"): "600.00",
        ("2026-Q3", "2"): "6600.00",
    }
    assert [each["rate"] for each in found.values()] == [0, None]


def test_what_is_known_and_decided_goes_by_the_day(ask: Ask) -> None:
    in_grace = totals(ask("/revenue/renewals?period=2026-01&as_of=2026-01-15"))
    assert in_grace["2026-01", "all"]["open"] == "600.00"
    assert ask("/revenue/renewals?period=2026&known_at=2026-01-01T00:00:00Z").json["data"] == []


def test_the_lines_behind_it_come_as_a_calendar(ask: Ask) -> None:
    lines = ask("/revenue/renewals/lines?period=2026&currency=EUR").json["data"]
    assert [(each["due_on"], each["account"], each["due"], each["state"]) for each in lines] == [
        ("2026-01-01", "Dune Ltd", {"amount": "545.45", "currency": "EUR"}, "lost"),
        ("2026-07-01", "Borealis GmbH", {"amount": "6000.00", "currency": "EUR"}, "open"),
    ]
    table = ask("/revenue/renewals/lines?period=2026&format=csv").data.decode("utf-8-sig").splitlines()
    assert table[0].startswith("due_on,account_id,account,product_id,line_id,due,renewed,currency,state")
    assert table[2].startswith("2026-07-01,2,Borealis GmbH,1,2,6600.00,0.00,USD,open")


@pytest.mark.parametrize(
    ("query", "status", "word"),
    [
        ("period=2026-13", 400, "2026-13"),
        ("period=2026&group_by=owner", 400, "group_by"),
        ("period=2026&currency=GBP", 409, "GBP"),
        ("period=2026&known_at=2030-01-01T00:00:00Z", 400, "future"),
    ],
)
def test_what_cannot_be_answered_is_said(ask: Ask, query: str, status: int, word: str) -> None:
    answer = ask(f"/revenue/renewals?{query}")
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
    assert word in answer.json["detail"]
