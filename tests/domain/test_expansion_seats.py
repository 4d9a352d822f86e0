"""Seat pressure by pencil and by property."""

from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.expansion_seats import (
    WINDOWS,
    SeatPressure,
    SeatUse,
    known_windows,
    measure_pressure,
    seat_likelihood,
    seats_to_add,
    windows_of,
)

AS_OF = date(2026, 7, 1)
NAN = np.nan
DAY = np.datetime64


def use(*people, seats=50.0) -> SeatUse:
    return SeatUse(np.array([people], dtype=np.float64), np.array([seats], dtype=np.float64))


def test_windows_of_thirty_days_are_counted_back_from_the_day_before() -> None:
    days = np.array([DAY("2026-06-30"), DAY("2026-06-01"), DAY("2026-05-31"), DAY("2026-07-01"), DAY("2025-12-31")])
    assert windows_of(days, as_of=AS_OF).tolist() == [5, 5, 4, 6, -1]


def test_pressure_by_pencil() -> None:
    pressure = measure_pressure(use(30, 32, 34, 36, 38, 40))
    assert pressure.share.tolist() == [0.8]
    assert pressure.share_before.tolist() == [0.76]
    assert pressure.slope[0] == pytest.approx(2.0)
    assert pressure.windows_left[0] == pytest.approx(5.0)
    # 40 people and 6 x 2 more need 52 / .8 = 65 seats.
    assert seats_to_add(use(30, 32, 34, 36, 38, 40), pressure).tolist() == [15]


def test_the_slope_is_the_least_squares_line_through_what_is_known() -> None:
    people = (NAN, 12.0, NAN, 15.0, 20.0, 19.0)
    expected = np.polyfit([1, 3, 4, 5], [12, 15, 20, 19], 1)[0]
    assert measure_pressure(use(*people)).slope[0] == pytest.approx(expected)


def test_with_fewer_than_three_windows_there_is_no_slope_and_no_end_in_sight() -> None:
    pressure = measure_pressure(use(NAN, NAN, NAN, NAN, 30, 45))
    assert (pressure.slope[0], pressure.windows_left[0]) == (0.0, np.inf)
    assert seat_likelihood(pressure) == ["medium"], "nine seats in ten are in use all the same"


@pytest.mark.parametrize("unknown", [use(1, 2, 3, 4, 5, NAN), use(1, 2, 3, 4, 5, 6, seats=0.0)])
def test_what_is_not_known_is_no_pressure(unknown: SeatUse) -> None:
    pressure = measure_pressure(unknown)
    assert np.isnan(pressure.share[0])
    assert seat_likelihood(pressure) == [None]
    assert seats_to_add(unknown, pressure).tolist() == [0]


@pytest.mark.parametrize(
    ("share", "before", "left", "word"),
    [
        (0.84, 0.84, np.inf, None),
        (0.85, 0.20, np.inf, "medium"),
        (0.75, 0.70, 3.0, "medium"),
        (0.75, 0.70, 3.1, None),
        (0.74, 0.70, 1.0, None),
        (0.90, 0.90, np.inf, "high"),
        (0.90, 0.89, np.inf, "medium"),
        (0.95, 0.50, np.inf, "high"),
        (0.95, NAN, 0.0, "high"),
    ],
)
def test_the_words_are_given_by_the_rule(share: float, before: float, left: float, word: str | None) -> None:
    pressure = SeatPressure(*(np.array([value]) for value in (share, before, 0.0, left)))
    assert seat_likelihood(pressure) == [word]


def test_at_least_one_seat_is_asked_for_and_at_most_half_as_many_again() -> None:
    for people, seats, expected in ((43.0, 50.0, 4), (34.0, 50.0, 1), (500.0, 50.0, 25), (1.0, 1.0, 1)):
        full = use(*[people] * WINDOWS, seats=seats)
        assert seats_to_add(full, measure_pressure(full)).tolist() == [expected]


def test_a_window_counts_once_the_account_has_settled_in_and_the_feed_is_there() -> None:
    since = np.array([DAY("2025-01-01"), DAY("2026-02-01"), DAY("2026-06-01"), DAY("NaT")])
    first, last = DAY("2024-01-01"), DAY("2026-06-30")
    known = known_windows(since, first_day=first, last_day=last, as_of=AS_OF)
    assert known.sum(axis=1).tolist() == [6, 2, 0, 0]
    assert known[1].tolist() == [False] * 4 + [True] * 2, "90 days from February on end on 2 May"
    late = known_windows(since, first_day=DAY("2026-02-15"), last_day=last, as_of=AS_OF)
    assert late[0].tolist() == [False] * 2 + [True] * 4


@pytest.mark.parametrize("last", [DAY("2026-06-23"), DAY("NaT")])
def test_a_feed_that_has_been_silent_for_more_than_a_week_leaves_nothing_known(last: np.datetime64) -> None:
    since = np.array([DAY("2025-01-01")])
    assert not known_windows(since, first_day=DAY("2024-01-01"), last_day=last, as_of=AS_OF).any()
    assert known_windows(since, first_day=DAY("2024-01-01"), last_day=DAY("2026-06-24"), as_of=AS_OF).any()


PEOPLE = st.lists(st.floats(0, 1_000), min_size=WINDOWS, max_size=WINDOWS)


@given(PEOPLE, st.integers(1, 2_000), st.integers(2, 50))
def test_only_the_share_matters_to_the_word_not_the_size(people: list[float], seats: int, times: int) -> None:
    one = measure_pressure(use(*people, seats=float(seats)))
    many = measure_pressure(use(*(times * each for each in people), seats=float(times * seats)))
    assert one.share[0] == pytest.approx(many.share[0])
    near = any(abs(one.share[0] - edge) < 1e-9 for edge in (0.75, 0.85, 0.9, 0.95))
    near |= abs(one.share_before[0] - 0.9) < 1e-9 or abs(one.windows_left[0] - 3.0) < 1e-6
    assert near or seat_likelihood(one) == seat_likelihood(many)


@given(PEOPLE, st.integers(1, 2_000))
def test_more_people_now_never_ask_for_fewer_seats(people: list[float], seats: int) -> None:
    now, more = use(*people, seats=float(seats)), use(*people[:-1], people[-1] + 5, seats=float(seats))
    assert seats_to_add(more, measure_pressure(more))[0] >= seats_to_add(now, measure_pressure(now))[0]
