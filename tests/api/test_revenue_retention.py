"""Retention of revenue through the API, by pencil: the accounts of docs/finance-closing.md, and the small company."""

import csv
import io
import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from app.http import Application
from app.queries.revenue_retention import beginning_of_window
from tests.api.conftest import Ask, ask_with
from tests.ledger_books import Books, Moved

PAGE = (Path(__file__).parents[2] / "docs" / "finance-closing.md").read_text(encoding="utf-8")
Sums = dict[tuple[str, str], tuple[str, str]]


def sums(answer: Any) -> Sums:
    """(numerator, denominator) by group and definition."""
    assert answer.status_code == 200, answer.text
    return {
        (each["group"], each["definition"]): (each["numerator"], each["denominator"]) for each in answer.json["data"]
    }


@pytest.fixture
def by_hand(app: Application, client: FlaskClient) -> Ask:
    """Accounts A to E of the page, in dollars: who is there on 31 May 2025, and what moves them in the year after."""
    app.clock = lambda: datetime(2026, 6, 3, 9, tzinfo=UTC)
    begin, books = date(2025, 1, 1), Books(app.engine, at=datetime(2025, 1, 2, 9, tzinfo=UTC))
    books.record(*(Moved(n, begin, "new", minor) for n, minor in ((1, 50_000), (2, 40_000), (3, 3_000), (4, 7_000))))
    books.record(
        Moved(1, date(2025, 8, 1), "expansion", 12_000),
        Moved(2, date(2025, 9, 1), "contraction", -9_000),
        Moved(3, date(2025, 10, 1), "churn", -3_000),
        Moved(3, date(2026, 2, 1), "reactivation", 3_000),
        Moved(5, date(2025, 11, 1), "new", 5_000),
        Moved(5, date(2026, 5, 31), "expansion", 1_000),
    )
    return ask_with(app, client, "finance:read")


def test_the_table_of_the_page_is_what_the_api_says(by_hand: Ask) -> None:
    said = dict(re.findall(r"^\| `(\w+@1)` \| .* \| ([0-9.]+)(?: %)? \|$", PAGE, re.MULTILINE))
    assert said["nrr@1"] == "100"
    found = by_hand("/revenue/retention?as_of=2026-05-31").json
    values = {each["definition"]: float(each["value"]) for each in found["data"]}
    assert {name: f"{100 * values[name]:.0f}" for name in said if name != "quick_ratio@1"} | {
        "quick_ratio@1": f"{values['quick_ratio@1']:.2f}"
    } == said
    assert {(each["since"], each["last_on"], each["group"]) for each in found["data"]} == {
        ("2025-05-31", "2026-05-31", "all")
    }
    assert sums(by_hand("/revenue/retention?as_of=2026-05-31"))["all", "grr@1"] == ("880.00", "1000.00")


def test_one_definition_is_asked_for_by_its_name(by_hand: Ask) -> None:
    found = by_hand("/revenue/retention?as_of=2026-05-31&definition=nrr_aggregate@1").json
    assert [(each["definition"], each["value"]) for each in found["data"]] == [("nrr_aggregate@1", "1.040000")]
    assert found["meta"]["definitions"] == ["nrr_aggregate@1", "arr@1"]


def test_it_is_the_retention_of_the_closed_month(by_hand: Ask) -> None:
    report = by_hand("/periods/2026-05/current").json["retention"]["by_currency"][0]["ratios"]
    found = by_hand("/revenue/retention?period=2026-05").json["data"]
    assert {each["definition"]: each["value"] for each in found} == {name: own["value"] for name, own in report.items()}


def test_a_window_ends_with_each_part_of_the_period(by_hand: Ask) -> None:
    """Month by month over a window of one: in October C is lost, 30 of 620 + 310 + 30 + 70; it is not counted again."""
    found = by_hand("/revenue/retention?period=2025-Q4&grain=month&months=1&definition=nrr@1").json["data"]
    assert [(each["period"], each["since"], each["numerator"], each["denominator"]) for each in found] == [
        ("2025-10", "2025-09-30", "1000.00", "1030.00"),
        ("2025-11", "2025-10-31", "1000.00", "1000.00"),
        ("2025-12", "2025-11-30", "1050.00", "1050.00"),
    ]


def test_what_was_not_known_then_does_not_count(by_hand: Ask) -> None:
    """A minute after the first movements, nothing of the year after was recorded."""
    found = by_hand("/revenue/retention?as_of=2026-05-31&known_at=2025-01-02T09:01:30Z")
    assert sums(found)["all", "nrr@1"] == ("1000.00", "1000.00")


def test_groups_sum_to_the_total(ask: Ask) -> None:
    """On 1 September: yen worth USD 8,000, euros worth 6,600, Dune's 600, who leaves; Cedar is won with 1,200."""
    whole = sums(ask("/revenue/retention?months=6"))
    assert whole["all", "nrr@1"] == whole["all", "grr@1"] == ("14600.00", "15200.00")
    assert whole["all", "quick_ratio@1"] == ("1200.00", "600.00")
    assert whole["all", "logo_retention@1"] == ("2", "3")
    by_segment = sums(ask("/revenue/retention?months=6&group_by=segment"))
    assert by_segment["enterprise", "nrr@1"] == ("8000.00", "8000.00")
    assert by_segment["smb", "nrr@1"] == ("6600.00", "7200.00")
    for group_by in ("segment", "channel", "account"):
        found = sums(ask(f"/revenue/retention?months=6&group_by={group_by}"))
        for (_, name), expected in whole.items():
            parts = [own for (_, definition), own in found.items() if definition == name]
            assert tuple(sum(float(own[n]) for own in parts) for n in (0, 1)) == tuple(map(float, expected)), name


def test_each_currency_stands_for_itself_where_nothing_is_converted(ask: Ask) -> None:
    found = ask("/revenue/retention?months=6&fx=none&definition=grr@1").json
    assert {each["currency"]: (each["numerator"], each["denominator"]) for each in found["data"]} == {
        "EUR": ("6000.00", "6000.00"),
        "JPY": ("1200000", "1200000"),
        "USD": ("0.00", "600.00"),
    }
    assert found["fx"]["currency"] is None
    early = ask("/revenue/retention?as_of=2024-06-01").json["data"]
    assert early == []


def test_what_has_no_rate_is_a_conflict_or_said(ask: Ask) -> None:
    refused = ask("/revenue/retention?months=6&currency=GBP")
    assert refused.status_code == 409
    assert "GBP" in refused.json["detail"]
    said = ask("/revenue/retention?as_of=2025-12-31&definition=nrr@1").json  # no rate before 2025
    assert said["fx"]["currency"] is None
    assert "2024-12-31" in said["fx"]["reason"]


def test_it_comes_as_a_table_and_is_not_sent_twice(ask: Ask) -> None:
    answer = ask("/revenue/retention?months=6&format=csv&definition=nrr@1")
    row = next(csv.DictReader(io.StringIO(answer.data.decode("utf-8-sig"))))
    assert (row["definition"], row["value"], row["numerator"], row["currency"]) == (
        *("nrr@1", "0.960526", "14600.00", "USD"),
    )
    assert ask("/revenue/retention?months=6&format=xlsx").status_code == 200
    answer = ask("/revenue/retention?months=6")
    assert ask("/revenue/retention?months=6", **{"If-None-Match": answer.headers["ETag"]}).status_code == 304


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("period=2027", "2027"),
        ("period=2026-13", "2026-13"),
        ("group_by=product", "group_by"),
        ("months=0", "months"),
        ("definition=nrr@9", "definition"),
        ("fx=none&currency=USD", "currency"),
        ("known_at=2027-01-01T00:00:00Z", "future"),
    ],
)
def test_what_cannot_be_answered_is_said(ask: Ask, query: str, word: str) -> None:
    answer = ask(f"/revenue/retention?{query}")
    assert answer.status_code == 400
    assert word in answer.text


@pytest.mark.parametrize(
    ("last_on", "months", "since"),
    [
        (date(2025, 2, 28), 12, date(2024, 2, 29)),
        (date(2024, 2, 29), 12, date(2023, 2, 28)),
        (date(2026, 3, 30), 1, date(2026, 2, 28)),
        (date(2026, 3, 15), 12, date(2025, 3, 15)),
    ],
)
def test_a_window_begins_on_the_same_day_and_at_a_months_end_with_a_months_end(
    last_on: date, months: int, since: date
) -> None:
    assert beginning_of_window(last_on, months=months) == since
