"""What contract lines have earned so far: the revenue behind the historical lifetime value.

Facts about money, so integers of minor units throughout. A day counts if it lies before `until`.
"""

from collections.abc import Sequence

import numpy as np

from app.domain.contracts import DAYS_OF_A_YEAR
from app.domain.features import Bools
from app.domain.money import divide_half_even
from app.domain.months import MONTHS_OF_A_YEAR, Days, add_months_to_days, whole_months_between

_DAY = np.timedelta64(1, "D")


def earned_recurring(arr_minor: Sequence[int], starts_on: Days, *, ends_on: Days, until: Days) -> list[int]:
    """What each recurring line earned from `starts_on` up to, not on, `until`, rounded half-even once.

    ARR x months / 12, the days of a month begun in proportion to its length; ARR x days / 365 where the agreed
    term (`ends_on`, its last day; NaT: none agreed) is not whole months. So a term earns by its end what it was
    sold for, to the rounding of its ARR. 0 where `until` does not lie after the start.
    """
    until = np.maximum(until, starts_on)
    months = whole_months_between(starts_on, until)
    begun_on, full_on = add_months_to_days(starts_on, months), add_months_to_days(starts_on, months + 1)
    days, length = (until - begun_on).astype(np.int64), (full_on - begun_on).astype(np.int64)
    by_month = _is_whole(starts_on, ends_on)
    share = np.where(by_month, months * length + days, (until - starts_on).astype(np.int64))
    whole = np.where(by_month, MONTHS_OF_A_YEAR * length, DAYS_OF_A_YEAR)
    return [
        divide_half_even(arr * part, total)
        for arr, part, total in zip(arr_minor, share.tolist(), whole.tolist(), strict=True)
    ]


def earned_otherwise(amount_minor: Sequence[int], starts_on: Days, *, ends_on: Days, until: Days) -> list[int]:
    """What each line that does not recur earned before `until`: by the days of its term, at once where it has none."""
    last_on: Days = np.where(np.isnat(ends_on), starts_on, np.maximum(ends_on, starts_on))
    length = (last_on - starts_on).astype(np.int64) + 1
    days = np.minimum((np.maximum(until, starts_on) - starts_on).astype(np.int64), length)
    return [
        divide_half_even(amount * part, total)
        for amount, part, total in zip(amount_minor, days.tolist(), length.tolist(), strict=True)
    ]


def _is_whole(starts_on: Days, ends_on: Days) -> Bools:
    """Whether each agreed term is whole months; one without an end is."""
    next_on = np.where(np.isnat(ends_on), starts_on, ends_on + _DAY)
    whole: Bools = add_months_to_days(starts_on, whole_months_between(starts_on, next_on)) == next_on
    return whole
