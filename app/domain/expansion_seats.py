"""Seat pressure: how many of the paid seats are in use, how fast that grows, and when they run out."""

from dataclasses import dataclass
from datetime import date

import numpy as np

from app.domain.expansion_moves import HIGH, MEDIUM
from app.domain.features import Bools, Floats
from app.domain.months import Days, Ints

WINDOW_DAYS = 30
WINDOWS = 6  # the last of them ends the day before `as_of`
LEAST_WINDOWS = 3  # with fewer there is no slope
SETTLING_DAYS = 90
FRESH_DAYS = 7  # a feed that has been silent for longer says nothing of today
FULL, FILLING = 0.85, 0.75  # shares of the seats
CROWDED, PACKED = 0.9, 0.95
SOON_MONTHS = 3.0
ROOM = 0.8  # the share of the seats in use once the seats asked for are there
AHEAD_WINDOWS = 6.0  # for which there are to be seats enough
MOST_GROWTH = 0.5  # of the seats there are


@dataclass(frozen=True, slots=True, eq=False)
class SeatUse:
    """One row an account: people in each window of 30 days (oldest first, NaN: not live, or not known), and seats."""

    people: Floats  # accounts x WINDOWS
    seats: Floats


@dataclass(frozen=True, slots=True, eq=False)
class SeatPressure:
    """`share` of the seats in the last window; `slope` in people a window; `windows_left` inf where none is in sight.

    All are NaN where the last window is not known or there are no seats; slope 0 where too few windows are.
    """

    share: Floats
    share_before: Floats  # in the window before the last
    slope: Floats
    windows_left: Floats  # until people = seats, at this slope; 0 where they are


def windows_of(day: Days, *, as_of: date) -> Ints:
    """The window each day lies in, 0 the oldest; below 0 it is too old, and at WINDOWS or above not before `as_of`."""
    back = (np.datetime64(as_of) - day.astype("datetime64[D]")).astype(np.int64)
    result: Ints = WINDOWS - 1 - (back - 1) // WINDOW_DAYS
    return result


def known_windows(live_since: Days, *, first_day: np.datetime64, last_day: np.datetime64, as_of: date) -> Bools:
    """accounts x WINDOWS: whether the account had settled in, and the feed was there, all through the window.

    An account settles in for its first 90 days: that more and more people come then says nothing of later.

    `first_day` and `last_day` are those of the feed, of any account. A feed that has been silent for
    more than a week leaves nothing known.
    """
    starts = np.datetime64(as_of) - WINDOW_DAYS * np.arange(WINDOWS, 0, -1)
    if np.isnat(last_day) or (np.datetime64(as_of) - last_day).astype(int) > FRESH_DAYS:
        return np.zeros((len(live_since), WINDOWS), dtype=np.bool_)
    result: Bools = np.maximum(live_since + SETTLING_DAYS, first_day)[:, None] <= starts
    return result


def measure_pressure(use: SeatUse) -> SeatPressure:
    """Share, least-squares slope over the known windows, and windows until the seats run out."""
    seats = np.where(use.seats > 0, use.seats, np.nan)
    known = ~np.isnan(use.people)
    place = np.where(known, np.arange(WINDOWS, dtype=np.float64), np.nan)
    count = known.sum(axis=1)
    people = np.where(known, use.people, 0.0)
    mean_place = np.nansum(place, axis=1) / np.maximum(count, 1)
    centred = np.where(known, place - mean_place[:, None], 0.0)
    spread = (centred**2).sum(axis=1)
    enough = (count >= LEAST_WINDOWS) & (spread > 0)
    slope = np.where(enough, (centred * people).sum(axis=1) / np.where(spread > 0, spread, 1.0), 0.0)
    last = use.people[:, -1]
    free = np.maximum(seats - last, 0.0)
    left = np.where(free == 0, 0.0, np.where(slope > 0, free / np.where(slope > 0, slope, 1.0), np.inf))
    is_known = ~np.isnan(last) & ~np.isnan(seats)
    return SeatPressure(
        share=last / seats,
        share_before=use.people[:, -2] / seats,
        slope=np.where(is_known, slope, np.nan),
        windows_left=np.where(is_known, left, np.nan),
    )


def seat_likelihood(pressure: SeatPressure) -> list[str | None]:
    """`medium`: 85 % of the seats in use, or 75 % and full within three windows of 30 days at this slope.

    `high`: 95 % in the last window, or 90 % in it and in the one before. None: nothing to say.
    """
    soon = (pressure.share >= FILLING) & (pressure.windows_left <= SOON_MONTHS)
    medium = (pressure.share >= FULL) | soon
    high = (pressure.share >= PACKED) | ((pressure.share >= CROWDED) & (pressure.share_before >= CROWDED))
    return [HIGH if is_high else MEDIUM if is_medium else None for is_high, is_medium in zip(high, medium, strict=True)]


def seats_to_add(use: SeatUse, pressure: SeatPressure) -> Ints:
    """So many that the people of half a year from now use 80 % of them: at least 1, at most half as many again.

    0 where the pressure is not known.
    """
    last = use.people[:, -1]
    expected = last + AHEAD_WINDOWS * np.maximum(pressure.slope, 0.0)
    wanted = np.ceil(expected / ROOM - use.seats)
    most = np.maximum(np.floor(MOST_GROWTH * use.seats), 1.0)
    is_known = ~np.isnan(pressure.share)
    result: Ints = np.where(is_known, np.clip(np.nan_to_num(wanted), 1.0, np.nan_to_num(most, nan=1.0)), 0.0).astype(
        np.int64
    )
    return result
