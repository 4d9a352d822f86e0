"""Months, fiscal quarters and fiscal years."""

import itertools
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.periods import Grain, Period, parse_period, split_into_periods


@pytest.mark.parametrize(
    ("name", "start", "first_on", "last_on"),
    [
        ("2026-02", 1, date(2026, 2, 1), date(2026, 2, 28)),
        ("2024-02", 4, date(2024, 2, 1), date(2024, 2, 29)),
        ("2026-Q1", 1, date(2026, 1, 1), date(2026, 3, 31)),
        ("2026-Q1", 4, date(2026, 4, 1), date(2026, 6, 30)),
        ("2026-Q4", 4, date(2027, 1, 1), date(2027, 3, 31)),
        ("2026", 1, date(2026, 1, 1), date(2026, 12, 31)),
        ("2026", 4, date(2026, 4, 1), date(2027, 3, 31)),
    ],
)
def test_a_name_stands_for_its_days(name: str, start: int, first_on: date, last_on: date) -> None:
    assert parse_period(name, fiscal_start_month=start) == Period(name, first_on, last_on)


@pytest.mark.parametrize(
    "name", ["", "26", "2026-13", "2026-0", "2026-Q5", "2026-Q0", "2026-01-01", "２０２６", "0026"]
)
def test_any_other_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="2026-Q1"):
        parse_period(name, fiscal_start_month=1)


def test_days_are_split_at_the_edges_of_the_books() -> None:
    split = split_into_periods(date(2026, 2, 10), date(2026, 7, 5), grain=Grain.QUARTER, fiscal_start_month=4)
    assert list(split) == [
        Period("2025-Q4", date(2026, 2, 10), date(2026, 3, 31)),
        Period("2026-Q1", date(2026, 4, 1), date(2026, 6, 30)),
        Period("2026-Q2", date(2026, 7, 1), date(2026, 7, 5)),
    ]


DAYS = st.dates(date(2000, 1, 1), date(2030, 12, 31))


@given(DAYS, DAYS, st.sampled_from(Grain), st.integers(1, 12))
def test_the_parts_cover_each_day_once_and_are_named_as_they_are_read(
    one: date, other: date, grain: Grain, start: int
) -> None:
    first_on, last_on = min(one, other), max(one, other)
    parts = list(split_into_periods(first_on, last_on, grain=grain, fiscal_start_month=start))
    assert parts[0].first_on == first_on
    assert parts[-1].last_on == last_on
    for before, after in itertools.pairwise(parts):
        assert before.last_on + timedelta(days=1) == after.first_on
    for part in parts:
        whole = parse_period(part.name, fiscal_start_month=start)
        assert whole.first_on <= part.first_on <= part.last_on <= whole.last_on
