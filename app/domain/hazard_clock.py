"""The clock of the hazard: landmarks, month boundaries, tenure, renewals, committed terms.

All month boundaries are counted from `as_of` itself: month o is [as_of + o months, as_of + (o + 1)
months), days clipped to the month's end. Month k = 1, 2, ... of a forecast made at as_of + L months
is month L + k - 1. A churn belongs to the month that contains `churned_on`, the first unpaid day.
"""

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from app.domain.features import FeatureTable, Floats
from app.domain.months import Days, Ints, add_months_to_days, whole_months_between

CLOCK_COLUMNS = ("one", "log_ahead", "renewal", "contract", "idle", "tenure_1_3", "tenure_4_6", "tenure_linear")
LAST_TENURE_MONTHS = 60  # the linear tenure term is held beyond


@dataclass(frozen=True, slots=True, eq=False)
class Clock:
    """What the calendar alone says of each row of a feature table in each month ahead (n x months)."""

    tenure_months: Ints
    renews: Floats  # 1 where the first day after a term of more than one month falls in the month
    contract: Floats  # n; 1 where the term is longer than one month
    idle: Floats  # 1 where a monthly contract has no first unpaid day in the month
    committed: Floats  # 1 where the whole month lies inside a committed, non-cancellable term


def training_landmarks(as_of: date, tracked_from: date, *, n_accounts: int) -> Days:
    """Landmarks at whole months back from `as_of`, none before `tracked_from`, oldest first.

    The step is one month under 500 accounts, else three. Empty where less than a step was tracked.
    """
    step = landmark_step_months(n_accounts)
    tracked = months_before(as_of, tracked_from)
    back = np.arange(step * (tracked // step), 0, -step, dtype=np.int64)
    return boundaries_from(as_of, -back)


def landmark_step_months(n_accounts: int) -> int:
    return 1 if n_accounts < 500 else 3


def months_before(as_of: date, day: date) -> int:
    """How many whole months of the clock of `as_of` lie between `day` and `as_of`; 0 if `day` is later."""
    months = -whole_months_between(np.array([as_of], dtype="datetime64[D]"), np.array([day], dtype="datetime64[D]"))
    count = int(months[0])
    exact = boundaries_from(as_of, np.array([-count]))[0] >= np.datetime64(day)
    return max(0, count if exact else count - 1)


def boundaries_from(as_of: date, offsets: Ints) -> Days:
    return add_months_to_days(np.datetime64(as_of, "D") + np.zeros(offsets.shape, dtype="timedelta64[D]"), offsets)


def month_offsets(as_of: date, days: Days) -> Ints:
    """The month o of the clock that contains each day; NaT gives a month beyond any forecast."""
    missing = np.isnat(days)
    known = np.where(missing, np.datetime64(as_of, "D"), days.astype("datetime64[D]"))
    offsets = whole_months_between(np.full(days.shape, np.datetime64(as_of, "D")), known)
    return np.where(missing, np.int64(10**6), offsets)


def landmark_offsets(as_of: date, landmarks: Days) -> Ints:
    """Months from `as_of` to each landmark (0 or negative). ValueError for a day that is no landmark."""
    offsets = month_offsets(as_of, landmarks)
    if np.any(boundaries_from(as_of, offsets) != landmarks) or np.any(offsets > 0):
        raise ValueError(f"a landmark does not lie a whole number of months before {as_of}")
    return offsets


def build_clock(table: FeatureTable, *, as_of: date, months: int) -> Clock:
    """The clock of each row of `table` over months 1..`months` after its landmark.

    A renewal is counted for the present term and for assumed later terms of the same length.
    Only the present term, being agreed, is treated as committed.
    """
    landmark = landmark_offsets(as_of, table.landmark)
    ahead = landmark[:, None] + np.arange(months)[None, :]
    tenure = _tenure_months(table, as_of=as_of, ahead=ahead)
    contract = (table.term_months > 1).astype(np.float64)
    before = _tenure_at_landmark(table)
    nothing_due = np.diff(tenure, axis=1, prepend=before[:, None]) == 0
    committed_to = month_offsets(as_of, table.committed_until)
    has_commitment = ~np.isnat(table.committed_until)
    return Clock(
        tenure_months=tenure,
        renews=_renewals(table, as_of=as_of, landmark=landmark, months=months),
        contract=contract,
        idle=(nothing_due & (contract == 0)[:, None]).astype(np.float64),
        committed=((ahead < committed_to[:, None]) & has_commitment[:, None]).astype(np.float64),
    )


def clock_columns(clock: Clock, held_from: Ints | None = None) -> Floats:
    """The clock's part of the predictor (n x months x len(CLOCK_COLUMNS)).

    Month s and tenure are held at `held_from` (n, months) from there on; renewals go on.
    """
    n, months = clock.tenure_months.shape
    ahead = np.broadcast_to(np.arange(1, months + 1, dtype=np.int64), (n, months))
    tenure = clock.tenure_months
    if held_from is not None:
        ahead = np.minimum(ahead, held_from[:, None])
        tenure = np.take_along_axis(tenure, ahead - 1, axis=1)
    columns: tuple[Any, ...] = (
        1.0,
        np.log(ahead.astype(np.float64)),
        clock.renews,
        clock.contract[:, None],
        clock.idle,
        tenure <= 3,
        (tenure >= 4) & (tenure <= 6),
        np.minimum(tenure, LAST_TENURE_MONTHS) / 12.0,
    )
    laid = np.empty((n, months, len(columns)))
    for number, column in enumerate(columns):
        laid[:, :, number] = column
    return laid


def _tenure_at_landmark(table: FeatureTable) -> Ints:
    return whole_months_between(table.started_on, table.landmark)


def _tenure_months(table: FeatureTable, *, as_of: date, ahead: Ints) -> Ints:
    """Whole months from the start to the last day of each month: the paid months behind a churn in it."""
    first = int(ahead.min(initial=0))
    ends = boundaries_from(as_of, np.arange(first + 1, int(ahead.max(initial=0)) + 2)) - np.timedelta64(1, "D")
    end_month = ends.astype("datetime64[M]")
    end_day = (ends - end_month.astype("datetime64[D]")).astype(np.int64)
    end_length = ((end_month + 1).astype("datetime64[D]") - end_month.astype("datetime64[D]")).astype(np.int64)
    start_month = table.started_on.astype("datetime64[M]")
    start_day = (table.started_on - start_month.astype("datetime64[D]")).astype(np.int64)[:, None]
    column = ahead - first
    unfinished = np.minimum(start_day, end_length[column] - 1) > end_day[column]
    months: Ints = end_month.astype(np.int64)[column] - start_month.astype(np.int64)[:, None] - unfinished
    return months


def _renewals(table: FeatureTable, *, as_of: date, landmark: Ints, months: int) -> Floats:
    renews = np.zeros((len(landmark), months))
    rows = np.flatnonzero((table.term_months > 1) & ~np.isnat(table.renewal_on))
    terms = 0
    while rows.size:
        due_on = add_months_to_days(table.renewal_on[rows], terms * table.term_months[rows])
        ahead = month_offsets(as_of, due_on) - landmark[rows]
        rows, ahead = rows[ahead < months], ahead[ahead < months]
        renews[rows[ahead >= 0], ahead[ahead >= 0]] = 1.0
        terms += 1
    return renews
