"""The oracle, by pencil: it says what the documents say, before it is asked about histories."""

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from tests.oracle.oracle import CompaniesMerged, DealsMerged, Deleted, Line, Restored, Sold, Told, lines_after

CLOSED = date(2026, 1, 31)


def sold(amount: str, key: str = "a", **values: Any) -> Sold:
    return Sold(key, "CORE", values.pop("kind", "recurring"), Decimal(1), Decimal(amount), **values)


def told(*lines: Sold, deal: str = "d1", company: str = "c1", stage: str = "won", currency: str = "USD") -> Told:
    return Told(deal, company, stage, CLOSED, currency, lines)


def only(*events: Any) -> Line:
    (line,) = lines_after(events)
    return line


@pytest.mark.parametrize(
    ("line", "starts_on", "ends_on", "arr"),
    [
        (sold("1200", term_months=12), CLOSED, date(2027, 1, 30), 120_000),
        (sold("3600", term_months=36), CLOSED, date(2029, 1, 30), 120_000),
        (sold("1200", term_months=1), CLOSED, date(2026, 2, 27), 1_440_000),
        (sold("100", price_months=1, auto_renew=True), CLOSED, None, 120_000),
        (sold("1200", term_months=12, auto_renew=True), CLOSED, None, 120_000),
        (sold("100", price_months=1, term_months=36), CLOSED, date(2029, 1, 30), 120_000),
        (sold("600", ends_on=date(2026, 7, 30)), CLOSED, date(2026, 7, 30), 120_000),  # to the day six months
        (sold("100", ends_on=date(2026, 2, 9)), CLOSED, date(2026, 2, 9), 365_000),  # ten days
        (sold("1200", starts_on=date(2026, 3, 1), term_months=12), date(2026, 3, 1), date(2027, 2, 28), 120_000),
        (sold("249.99", kind="one_time"), CLOSED, None, None),
        (sold("0.125", price_months=12, auto_renew=True), CLOSED, None, 12),  # half to even, once
    ],
)
def test_a_line_has_the_term_and_worth_of_the_documents(
    line: Sold, starts_on: date, ends_on: date | None, arr: int | None
) -> None:
    found = only(told(line))
    assert (found.starts_on, found.ends_on, found.arr_minor) == (starts_on, ends_on, arr)


def test_a_deals_sum_is_rounded_once_and_spread_by_largest_remainder() -> None:
    lines = [sold(amount, key, kind="one_time") for amount, key in (("0.334", "a"), ("0.333", "b"), ("0.333", "c"))]
    found = {line.key: line.amount_minor for line in lines_after([told(*lines)])}
    assert found == {"a": 34, "b": 33, "c": 33}
    halves = [sold("0.5", key, kind="one_time") for key in "abc"]
    yen = {line.key: line.amount_minor for line in lines_after([told(*halves, currency="JPY")])}
    assert yen == {"a": 1, "b": 1, "c": 0}


def test_what_is_not_won_deleted_or_merged_away_stands_no_more_and_what_is_restored_does() -> None:
    first, second = told(sold("12", term_months=12)), told(sold("24", term_months=12), deal="d2")
    assert {line.deal for line in lines_after([first, second])} == {"d1", "d2"}
    assert lines_after([first, told(sold("12", term_months=12), stage="open")]) == set()
    assert lines_after([first, Deleted("d1")]) == set()
    assert only(first, Deleted("d1"), Restored("d1")).deal == "d1"
    assert only(first, second, DealsMerged("d2", "d1")).deal == "d2"


def test_companies_merged_twice_over_are_the_last() -> None:
    first = told(sold("12", term_months=12))
    assert only(first, CompaniesMerged("c2", "c1"), CompaniesMerged("c3", "c2")).account == "c3"


def test_what_cancels_ends_the_deal_that_it_names_and_sells_nothing() -> None:
    trial, year = sold("5", kind="trial"), sold("1200", "b", term_months=12)
    named = Told("d9", "c1", "won", CLOSED, "USD", (year,), date(2026, 6, 1), "d1")
    found = {line.key: (line.ends_on, line.arr_minor) for line in lines_after([told(trial, year), named])}
    assert found == {"a": (None, None), "b": (date(2026, 5, 31), 120_000)}
    assert only(told(trial), named).ends_on == date(2026, 5, 31)  # where none recurs, all
    assert only(told(year), named, Deleted("d9")).ends_on == date(2027, 1, 30)
    assert only(told(year), named, Deleted("d1"), Restored("d1")).ends_on == date(2026, 5, 31)


def test_what_cancels_all_ends_what_was_closed_by_then_and_runs_on_the_first_unpaid_day() -> None:
    year = sold("1200", term_months=12)
    leaves = Told("d9", "c1", "won", CLOSED, "USD", (), date(2026, 6, 1))
    later = Told("d2", "c1", "won", date(2026, 2, 1), "USD", (year,))
    over = told(sold("1200", ends_on=date(2026, 5, 31)), deal="d3")
    elsewhere = told(year, deal="d4", company="c2")
    ends = {line.deal: line.ends_on for line in lines_after([told(year), leaves, later, over, elsewhere])}
    as_agreed = {"d2": date(2027, 1, 31), "d3": date(2026, 5, 31), "d4": date(2027, 1, 30)}
    assert ends == as_agreed | {"d1": date(2026, 5, 31)}
    merged = lines_after([told(year, company="c2"), leaves, CompaniesMerged("c1", "c2")])
    assert {line.ends_on for line in merged} == {date(2026, 5, 31)}
