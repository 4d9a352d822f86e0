from datetime import date

import numpy as np
from dateutil.relativedelta import relativedelta
from hypothesis import given
from hypothesis import strategies as st

from app.domain.months import add_months, add_months_to_days, whole_months_between

DAYS = st.dates(date(1950, 1, 1), date(2150, 12, 31))
MONTHS = st.integers(-600, 600)


def test_a_day_that_the_month_lacks_is_clipped_to_its_end():
    assert add_months(date(2023, 1, 31), 1) == date(2023, 2, 28)
    assert add_months(date(2024, 1, 31), 1) == date(2024, 2, 29)
    assert add_months(date(2024, 2, 29), 12) == date(2025, 2, 28)
    assert add_months(date(2024, 2, 29), -12) == date(2023, 2, 28)


@given(DAYS, MONTHS)
def test_one_day_and_many_are_shifted_alike(day, months):
    of_many = add_months_to_days(np.array([np.datetime64(day, "D")]), np.array([months]))
    assert add_months(day, months) == of_many[0].item()


def test_months_are_counted_from_the_original_day_each_time():
    assert add_months(date(2023, 1, 31), 2) == date(2023, 3, 31)
    assert add_months(add_months(date(2023, 1, 31), 1), 1) == date(2023, 3, 28)


def test_whole_months_between_the_ends_of_months():
    start = np.array(["2023-01-31", "2023-01-31", "2023-01-31", "2023-03-15"], dtype="datetime64[D]")
    end = np.array(["2023-02-27", "2023-02-28", "2023-03-30", "2023-03-14"], dtype="datetime64[D]")
    assert whole_months_between(start, end).tolist() == [0, 1, 1, -1]


def test_no_day_stays_no_day():
    days = np.array(["NaT", "2024-01-31"], dtype="datetime64[D]")
    shifted = add_months_to_days(days, np.array([1, 1]))
    assert np.isnat(shifted[0])
    assert shifted[1] == np.datetime64("2024-02-29")


@given(DAYS, MONTHS)
def test_adding_months_agrees_with_dateutil(day, months):
    assert add_months(day, months) == day + relativedelta(months=months)


@given(DAYS, MONTHS)
def test_whole_months_between_inverts_adding_them(day, months):
    start = np.array([day], dtype="datetime64[D]")
    end = add_months_to_days(start, np.array([months]))
    assert whole_months_between(start, end).tolist() == [months]


@given(DAYS, DAYS)
def test_whole_months_between_is_the_largest_number_that_fits(start, end):
    months = int(whole_months_between(np.array([start], "datetime64[D]"), np.array([end], "datetime64[D]"))[0])
    assert add_months(start, months) <= end < add_months(start, months + 1)


@given(DAYS, MONTHS)
def test_more_months_are_never_earlier(day, months):
    assert add_months(day, months) < add_months(day, months + 1)
