"""How likely an account buys more seats within the next months: a hazard by month, with churn competing.

In month s = 1..6 after a landmark, of an account that still has the seats it had then,

    logit h = a + b'z + g log s

z: share of the seats in use in the last window and in the one before, growth a window as a share of the seats, how soon
they run out, whether they have, log tenure. The event is the first month in which more seats are paid for than in the
month before: a price rise is none, and a seat more than was lost is not counted twice. An account that leaves, or has
fewer seats, is at risk up to the month before. P(more seats within k) = sum over s of h(s) x the share that neither
bought nor left before s.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from app.domain.expansion_seats import PACKED, SeatPressure, SeatUse
from app.domain.features import Bools, Floats
from app.domain.hazard_map import expit
from app.domain.logistic import fit_logistic
from app.domain.months import Ints

MONTHS = 6
FEWEST_EVENTS = 20  # below which nothing is fitted, and words are said
MOST_SHARE = 2.0
COLUMNS = ("share", "share_before", "growth", "soon", "full", "log_tenure")


@dataclass(frozen=True, slots=True, eq=False)
class SeatRows:
    """Accounts at one landmark: what was known of their seats, and the month in which they bought more.

    `event_month` is 1..6, 0 for none; each is at risk in months 1..`last_month` (0: in none).
    """

    origin: date
    columns: Floats  # n x len(COLUMNS)
    event_month: Ints
    last_month: Ints

    @property
    def events(self) -> int:
        return int((self.event_month > 0).sum())


@dataclass(frozen=True, slots=True, eq=False)
class UpsellHazard:
    """Coefficients: intercept, COLUMNS, log s."""

    coefficients: Floats

    def monthly(self, columns: Floats) -> Floats:
        """n x 6: h(s) of accounts that still have the seats they had."""
        level = self.coefficients[0] + columns @ self.coefficients[1:-1]
        return expit(level[:, None] + self.coefficients[-1] * np.log(np.arange(1, MONTHS + 1)))

    def probability(self, columns: Floats, *, churn: Floats, months: int) -> Floats:
        """P(more seats within `months`), with the monthly hazard of leaving `churn` (n x 6) competing."""
        own = self.monthly(columns)[:, :months]
        kept = np.cumprod((1.0 - own) * (1.0 - churn[:, :months]), axis=1)
        before = np.concatenate([np.ones((len(own), 1)), kept[:, :-1]], axis=1)
        result: Floats = (before * own).sum(axis=1)
        return result


@dataclass(frozen=True, slots=True)
class UpsellResult:
    """How right the hazard fitted before an origin was in the six months after it."""

    origin: date
    accounts: int
    expected: float
    observed: int

    @property
    def ratio(self) -> float | None:
        return self.expected / self.observed if self.observed else None


def describe_seats(use: SeatUse, pressure: SeatPressure, *, tenure_months: Ints) -> Floats:
    """n x len(COLUMNS). Rows of accounts whose last window is not known are NaN."""
    share = np.clip(pressure.share, 0.0, MOST_SHARE)
    before = np.where(np.isnan(pressure.share_before), share, np.clip(pressure.share_before, 0.0, MOST_SHARE))
    growth = np.clip(pressure.slope / np.where(use.seats > 0, use.seats, 1.0), -1.0, 1.0)
    soon = 1.0 / (1.0 + pressure.windows_left)
    columns = np.column_stack([share, before, growth, soon, share >= PACKED, np.log1p(tenure_months)])
    columns[np.isnan(share)] = np.nan
    return columns


def follow_seats(seats: Floats) -> tuple[Ints, Ints]:
    """Event month and last month at risk, from the seats at the landmark and after each month (n x 7; NaN: not yet)."""
    steps = np.diff(seats, axis=1)
    rises, falls = (np.where(each.any(axis=1), each.argmax(axis=1) + 1, MONTHS + 1) for each in (steps > 0, steps < 0))
    unknown = np.isnan(steps)
    cut = np.where(unknown.any(axis=1), unknown.argmax(axis=1) + 1, MONTHS + 1)
    end = np.minimum(falls, cut)
    event = np.where((rises <= MONTHS) & (rises < end), rises, 0)
    return event.astype(np.int64), np.where(event > 0, event, end - 1).astype(np.int64)


def fit_upsell(rows: Sequence[SeatRows]) -> UpsellHazard | None:
    """The hazard from all landmarks; None with fewer than 20 events."""
    if sum(each.events for each in rows) < FEWEST_EVENTS:
        return None
    columns, outcomes = [], []
    for each in rows:
        is_known = ~np.isnan(each.columns[:, 0])
        for month in range(1, MONTHS + 1):
            at_risk = is_known & (each.last_month >= month)
            log_month = np.full((int(at_risk.sum()), 1), np.log(month))
            columns.append(np.concatenate([each.columns[at_risk], log_month], axis=1))
            outcomes.append(each.event_month[at_risk] == month)
    outcome: Bools = np.concatenate(outcomes)
    if not outcome.any():
        return None
    return UpsellHazard(fit_logistic(np.concatenate(columns), outcome))


def judge_upsell(hazard: UpsellHazard, rows: SeatRows) -> UpsellResult:
    """Expected against observed of those followed for six months, or until they bought or left.

    Expected is the sum over the months at risk of h(s): who leaves is at risk no more, as in what is observed.
    """
    is_known = ~np.isnan(rows.columns[:, 0]) & (rows.last_month > 0)
    at_risk = np.arange(1, MONTHS + 1)[None, :] <= rows.last_month[is_known][:, None]
    expected = float((hazard.monthly(rows.columns[is_known]) * at_risk).sum())
    return UpsellResult(rows.origin, int(is_known.sum()), expected, int((rows.event_month[is_known] > 0).sum()))
