"""What lines have earned so far, by pencil, day by day and against what they were sold for."""

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.contracts import annual_recurring_revenue
from app.domain.earned import earned_otherwise, earned_recurring
from app.domain.months import add_months

NAT = np.datetime64("NaT", "D")


def days(*values: str | date | None) -> np.ndarray:
    return np.array([NAT if value is None else np.datetime64(value, "D") for value in values], dtype="datetime64[D]")


def recurring(arr: int, starts_on: str, ends_on: str | None, until: str) -> int:
    [earned] = earned_recurring([arr], days(starts_on), ends_on=days(ends_on), until=days(until))
    return earned


@pytest.mark.parametrize(
    ("until", "earned"),
    [
        ("2026-01-15", 0),  # the first day is not over
        ("2026-01-16", 3_226),  # 1 of 31 days of a month of 100,000 cents
        ("2026-02-15", 100_000),
        ("2026-03-01", 150_000),  # 14 of the 28 days to 15 March
        ("2026-04-15", 300_000),
        ("2025-12-01", 0),
    ],
)
def test_three_months_by_pencil(until: str, earned: int) -> None:
    assert recurring(1_200_000, "2026-01-15", None, until) == earned


def test_a_term_that_is_not_whole_months_earns_by_its_days() -> None:
    """45 days for 900.00: ARR 7,300.00, so 20.00 a day."""
    arr = annual_recurring_revenue(90_000, date(2026, 1, 1), ends_on=date(2026, 2, 14))
    assert arr == 730_000
    assert recurring(arr, "2026-01-01", "2026-02-14", "2026-01-11") == 20_000
    assert recurring(arr, "2026-01-01", "2026-02-14", "2026-02-15") == 90_000


@given(
    amount=st.integers(1, 10**12),
    months=st.integers(1, 36),
    start=st.dates(date(2019, 1, 1), date(2027, 1, 1)),
    share=st.floats(0, 1),
)
def test_a_term_earns_by_its_end_what_it_was_sold_for_and_never_less_with_time(
    amount: int, months: int, start: date, share: float
) -> None:
    end = add_months(start, months)
    arr = annual_recurring_revenue(amount, start, ends_on=end - timedelta(days=1))
    between = start + timedelta(days=int(share * (end - start).days))
    line = {"starts_on": days(start, start), "ends_on": days(*[end - timedelta(days=1)] * 2)}
    part, whole = earned_recurring([arr] * 2, line["starts_on"], ends_on=line["ends_on"], until=days(between, end))
    assert 0 <= part <= whole
    assert abs(whole - amount) <= months / 12 / 2 + 1  # the ARR was rounded once


def test_what_does_not_recur_earns_at_once_or_by_the_days_of_its_term() -> None:
    starts_on, ends_on = days("2026-01-10", "2026-01-01", "2026-01-01"), days(None, "2026-01-10", "2026-01-10")
    amounts = [30_000, 1_000, -1_000]
    assert earned_otherwise(amounts, starts_on, ends_on=ends_on, until=days(*["2026-01-10"] * 3)) == [0, 900, -900]
    assert earned_otherwise(amounts, starts_on, ends_on=ends_on, until=days(*["2026-01-11"] * 3)) == amounts
    assert earned_otherwise(amounts, starts_on, ends_on=ends_on, until=days(*["2025-12-31"] * 3)) == [0, 0, 0]


def test_amounts_beyond_what_a_float_holds_are_exact() -> None:
    arr = 12 * (2**53 - 1)
    assert recurring(arr, "2026-01-01", None, "2026-04-01") == 3 * (2**53 - 1)
