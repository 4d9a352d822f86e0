"""Features of usage: level, trend, seats, breadth, silence."""

from dataclasses import dataclass

import numpy as np

from app.domain.feature_catalog import USAGE
from app.domain.feature_company import ACTIVITY, PEOPLE, lay_usage
from app.domain.feature_rows import Rows, months_before
from app.domain.feature_windows import Marks, divide_or_nan, expand_spans
from app.domain.features import Facts, Floats
from app.domain.months import Days, Ints

_DAYS_A_MONTH = 365.25 / 12
_LEAST_EXPOSURE_DAYS = 7  # one full week: the rate of fewer days says mostly which weekdays they were
_LEAST_BASELINE_DAYS = 28
_LONGEST_SILENCE_DAYS = 30  # beyond a month the level of usage says the same


def usage_columns(facts: Facts, rows: Rows) -> dict[str, Floats]:
    activity, people = (_lay_metric(facts, rows, metric=metric) for metric in (ACTIVITY, PEOPLE))
    month, quarter, baseline = (months_before(rows.grid, months) for months in (1, 3, 7))
    (total, days), (total_3m, days_3m), (total_7m, days_7m) = (
        (activity.totals(rows, since), activity.exposure_days(rows, since)) for since in (month, quarter, baseline)
    )
    rate = _a_month(total, days, at_least=_LEAST_EXPOSURE_DAYS)
    rate_3m = _a_month(total_3m, days_3m, at_least=_LEAST_EXPOSURE_DAYS)
    rate_before = _a_month(total_7m - total, days_7m - days, at_least=_LEAST_BASELINE_DAYS)
    peak = people.marks.peaks(people.amount, month)[rows.spell, rows.at]
    by_seat = (rows.seats > 0) & (people.exposure_days(rows, month) >= _LEAST_EXPOSURE_DAYS)
    return {
        "usage_level": _against_peers(rate, rows, name="usage_level"),
        "usage_mean_3m": _against_peers(rate_3m, rows, name="usage_mean_3m"),
        "usage_trend": np.log1p(rate) - np.log1p(rate_before),
        "seats_used": divide_or_nan(peak, rows.seats, where=by_seat),
        "breadth": np.where(np.isnan(rate), np.nan, _breadth(activity, rows, since=month)),
        "days_since_use": np.where(np.isnan(rate), np.nan, activity.silent_days(rows)),
    }


def measure_peers(facts: Facts, rows: Rows) -> dict[str, Floats]:
    """The mean levels of usage of those measured alike at each landmark (2 x landmarks), over these accounts."""
    activity = _lay_metric(facts, rows, metric=ACTIVITY)
    means = {}
    for name, months in (("usage_level", 1), ("usage_mean_3m", 3)):
        since = months_before(rows.grid, months)
        total, days = activity.totals(rows, since), activity.exposure_days(rows, since)
        rate = _a_month(total, days, at_least=_LEAST_EXPOSURE_DAYS)
        means[name] = _mean_of_peers(_level(rate, rows), rows)
    return means


@dataclass(frozen=True, slots=True)
class _Metric:
    """The rows of one usage metric that lie in a spell, and the days on which it was recorded at all."""

    marks: Marks  # by spell
    amount: Floats
    feature: Ints
    name: str

    def totals(self, rows: Rows, since: Days) -> Floats:
        return np.maximum(self.marks.sums(self.amount, since)[rows.spell, rows.at], 0.0)

    def exposure_days(self, rows: Rows, since: Days) -> Floats:
        """Days of the window on which the account was live and the metric recorded; 0 where the feed is stale."""
        start = np.maximum(self._starts(rows), since[rows.at].astype(np.int64))
        days = np.maximum(rows.company.last[self.name][rows.at] + 1 - start, 0)
        return np.where(rows.is_fresh(USAGE, kind=self.name), days, 0).astype(np.float64)

    def silent_days(self, rows: Rows) -> Floats:
        """Days from the last use, or from the day before the account could have used it, to the feed's last day."""
        used = self.marks.only(self.amount > 0).last_days()[rows.spell, rows.at]
        days = rows.company.last[self.name][rows.at] - np.maximum(used, self._starts(rows) - 1)
        return np.clip(days, 0, _LONGEST_SILENCE_DAYS).astype(np.float64)

    def _starts(self, rows: Rows) -> Ints:
        """The first day on which the account could be seen to use anything."""
        return np.maximum(rows.started_on.astype(np.int64), rows.company.first[self.name][rows.at])


def _lay_metric(facts: Facts, rows: Rows, *, metric: str) -> _Metric:
    marks, own = lay_usage(facts, rows.grid, metric=metric)
    amount, feature = facts.usage.amount[own], facts.usage.feature[own]
    return _Metric(marks, amount, feature, metric)


def _a_month(total: Floats, days: Floats, *, at_least: int) -> Floats:
    exposed = days >= at_least
    return divide_or_nan(total * _DAYS_A_MONTH, days, where=exposed)


def _against_peers(rate: Floats, rows: Rows, *, name: str) -> Floats:
    """Log of the rate per seat, less its mean over the accounts of the landmark that are measured alike."""
    level = _level(rate, rows)
    means = rows.company.mean_level[name] if rows.company.mean_level else _mean_of_peers(level, rows)
    return level - means[_peers(rows)]


def _level(rate: Floats, rows: Rows) -> Floats:
    return np.log1p(rate / np.where(rows.seats > 0, rows.seats, 1.0))


def _peers(rows: Rows) -> Ints:
    """The accounts of the landmark that are measured alike: by seat, or not."""
    return rows.at * 2 + (rows.seats > 0)


def _mean_of_peers(level: Floats, rows: Rows) -> Floats:
    known, size = ~np.isnan(level), 2 * len(rows.grid)
    count = np.bincount(_peers(rows)[known], minlength=size)
    return np.bincount(_peers(rows)[known], level[known], size) / np.maximum(count, 1)


def _breadth(activity: _Metric, rows: Rows, *, since: Days) -> Floats:
    """Features used in the window over features used by anyone so far; NaN before the source names any."""
    named = activity.marks.only((activity.feature >= 0) & (activity.amount > 0))
    feature = activity.feature[(activity.feature >= 0) & (activity.amount > 0)]
    size, width = int(feature.max(initial=-1)) + 1, len(rows.grid)
    fact, at = expand_spans(named.first, np.searchsorted(since, named.day, side="right"))
    used = np.unique((named.group[fact] * width + at) * size + feature[fact])
    count = np.bincount(used // max(size, 1), minlength=named.groups * width).reshape(named.groups, width)
    so_far = rows.company.features_so_far()[rows.at]
    return divide_or_nan(count[rows.spell, rows.at].astype(np.float64), so_far, where=so_far > 0)
