"""Whole months on the calendar: the clock of contracts, landmarks and forecasts.

A month counted from a day ends the day before the same day of the next month; where that day
does not exist it is clipped to the month's end, counted from the original day each time
(31 January + 1 month = 28 February, + 2 months = 31 March).
"""

from calendar import monthrange
from datetime import date

import numpy as np
from numpy.typing import NDArray

MONTHS_OF_A_YEAR = 12

Days = NDArray[np.datetime64]
Ints = NDArray[np.int64]


def add_months(day: date, months: int) -> date:
    """The same day `months` later (or earlier, if negative), clipped to the month's end."""
    index = day.year * MONTHS_OF_A_YEAR + day.month - 1 + int(months)
    year, month = divmod(index, MONTHS_OF_A_YEAR)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def add_months_to_days(days: Days, months: Ints) -> Days:
    """`add_months` for arrays that broadcast together; NaT stays NaT."""
    month = days.astype("datetime64[M]")
    day_of_month = (days.astype("datetime64[D]") - month.astype("datetime64[D]")).astype(np.int64)
    target = month + months.astype("timedelta64[M]")
    length = ((target + np.timedelta64(1, "M")).astype("datetime64[D]") - target.astype("datetime64[D]")).astype(
        np.int64
    )
    clipped = np.minimum(day_of_month, length - 1).astype("timedelta64[D]")
    result: Days = target.astype("datetime64[D]") + clipped
    missing = np.isnat(days) | np.zeros(result.shape, dtype=bool)
    result[missing] = np.datetime64("NaT")
    return result


def whole_months_between(start: Days, end: Days) -> Ints:
    """The largest n with `add_months(start, n) <= end`; negative where end lies before start."""
    start, end = np.broadcast_arrays(start.astype("datetime64[D]"), end.astype("datetime64[D]"))
    months = (end.astype("datetime64[M]") - start.astype("datetime64[M]")).astype(np.int64)
    result: Ints = np.where(add_months_to_days(start, months) > end, months - 1, months)
    return result
