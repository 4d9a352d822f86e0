"""The bridge of ARR through the API, worked out by pencil (see tests/small_company.py)."""

from typing import Any

import pytest

from tests.api.conftest import Ask

AMOUNTS = ("opening", "new", "reactivation", "expansion", "contraction", "churn", "transfer", "closing")


def bridges(answer: Any) -> dict[tuple[str, str, str], list[str]]:
    assert answer.status_code == 200, answer.text
    return {
        (each["period"], each["group"], each["opening"]["currency"]): [each[name]["amount"] for name in AMOUNTS]
        for each in answer.json["data"]
    }


def test_opening_and_movements_are_the_closing(ask: Ask) -> None:
    """In 2026 up to 1 March Cedar begins with USD 1,200 a year and Dune's USD 600 leave with their grace."""
    found = bridges(ask("/revenue/movements?period=2026"))
    assert found == {
        ("2026", "all", "EUR"): ["6000.00", "0.00", "0.00", "0.00", "0.00", "0.00", "0.00", "6000.00"],
        ("2026", "all", "JPY"): ["1200000", "0", "0", "0", "0", "0", "0", "1200000"],
        ("2026", "all", "USD"): ["600.00", "1200.00", "0.00", "0.00", "0.00", "-600.00", "0.00", "1200.00"],
    }
    assert ask("/revenue/movements").json["data"] == ask("/revenue/movements?period=2026").json["data"]


def test_parts_follow_each_other_and_groups_add_up(ask: Ask) -> None:
    months = bridges(ask("/revenue/movements?period=2026-Q1&grain=month"))
    dollars = [months[name, "all", "USD"] for name in ("2026-01", "2026-02", "2026-03")]
    assert [each[0] for each in dollars[1:]] == [each[-1] for each in dollars[:-1]]
    assert [each[5] for each in dollars] == ["-600.00", "0.00", "0.00"]  # the grace is over on 31 January
    accounts = bridges(ask("/revenue/movements?period=2026&group_by=account"))
    assert accounts["2026", "4", "USD"] == ["600.00", "0.00", "0.00", "0.00", "0.00", "-600.00", "0.00", "0.00"]
    segments = bridges(ask("/revenue/movements?period=2026&group_by=segment"))
    assert segments["2026", "smb", "USD"][-1] == "1200.00"
    products = bridges(ask("/revenue/movements?period=2026&group_by=product"))
    assert {key[1] for key in products} == {"CORE", "PLUS"}
    currencies = bridges(ask("/revenue/movements?period=2026&group_by=currency"))
    assert {key[1:] for key in currencies} == {("EUR", "EUR"), ("JPY", "JPY"), ("USD", "USD")}


def test_the_closing_is_the_arr_of_the_day(ask: Ask) -> None:
    arr = {each["group"]: each["arr"] for each in ask("/revenue/arr?group_by=currency").json["data"]}
    bridge = ask("/revenue/movements?period=2026").json["data"]
    assert {each["closing"]["currency"]: each["closing"] for each in bridge} == arr


def test_it_comes_as_a_table(ask: Ask) -> None:
    table = ask("/revenue/movements?period=2026&format=csv").data.decode("utf-8-sig").splitlines()
    assert table[0].startswith("period,first_on,last_on,group,label,opening,new,reactivation")
    assert table[3].startswith(
        "2026,2026-01-01,2026-03-01,all,all,600.00,1200.00,0.00,0.00,0.00,-600.00,0.00,1200.00,USD"
    )


@pytest.mark.parametrize(
    ("query", "word"), [("period=2026-13", "2026-13"), ("period=2027", "2027"), ("group_by=owner", "group_by")]
)
def test_what_cannot_be_answered_is_said(ask: Ask, query: str, word: str) -> None:
    answer = ask(f"/revenue/movements?{query}")
    assert answer.status_code == 400
    assert word in answer.json["detail"]
