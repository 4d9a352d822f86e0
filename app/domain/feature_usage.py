"""Features of usage: level, trend, seats, breadth, silence."""

from dataclasses import dataclass

import numpy as np

from app.domain.feature_catalog import USAGE
from app.domain.feature_rows import Rows, months_before
from app.domain.feature_windows import Marks, divide_or_nan, expand_spans, lay_marks
from app.domain.features import Facts, Floats, Spells
from app.domain.months import Days, Ints

_DAYS_A_MONTH = 365.25 / 12
_LEAST_EXPOSURE_DAYS = 7  # one full week: the rate of fewer days says mostly which weekdays they were
_LEAST_BASELINE_DAYS = 28
_LONGEST_SILENCE_DAYS = 30  # beyond a month the level of usage says the same


def usage_columns(facts: Facts, rows: Rows) -> dict[str, Floats]:
    activity, people = (_lay_metric(facts, rows, metric=metric) for metric in ("activity", "active_people"))
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
        "usage_level": _against_company(rate, rows),
        "usage_mean_3m": _against_company(rate_3m, rows),
        "usage_trend": np.log1p(rate) - np.log1p(rate_before),
        "seats_used": divide_or_nan(peak, rows.seats, where=by_seat),
        "breadth": np.where(np.isnan(rate), np.nan, _breadth(activity, rows, since=month)),
        "days_since_use": np.where(np.isnan(rate), np.nan, activity.silent_days(rows)),
    }


@dataclass(frozen=True, slots=True)
class _Metric:
    """The rows of one usage metric that lie in a spell, and the days on which it was recorded at all."""

    marks: Marks  # by spell
    amount: Floats
    feature: Ints
    first_day: Ints  # of any account, by landmark
    last_day: Ints

    def totals(self, rows: Rows, since: Days) -> Floats:
        return np.maximum(self.marks.sums(self.amount, since)[rows.spell, rows.at], 0.0)

    def exposure_days(self, rows: Rows, since: Days) -> Floats:
        """Days of the window on which the account was live and the metric recorded; 0 where the feed is stale."""
        start = np.maximum(self._starts(rows), since[rows.at].astype(np.int64))
        days = np.maximum(self.last_day[rows.at] + 1 - start, 0)
        return np.where(rows.is_fresh(USAGE, self.last_day), days, 0).astype(np.float64)

    def silent_days(self, rows: Rows) -> Floats:
        """Days from the last use, or from the day before the account could have used it, to the feed's last day."""
        used = self.marks.only(self.amount > 0).last_days()[rows.spell, rows.at]
        days = self.last_day[rows.at] - np.maximum(used, self._starts(rows) - 1)
        return np.clip(days, 0, _LONGEST_SILENCE_DAYS).astype(np.float64)

    def _starts(self, rows: Rows) -> Ints:
        """The first day on which the account could be seen to use anything."""
        return np.maximum(rows.started_on.astype(np.int64), self.first_day[rows.at])


def _lay_metric(facts: Facts, rows: Rows, *, metric: str) -> _Metric:
    usage = facts.usage
    kept = np.zeros(len(usage.metric), dtype=bool)
    if metric in facts.usage_metrics:
        kept = usage.metric == facts.usage_metrics.index(metric)
    spell = _spell_on(facts.spells, account=usage.account[kept], day=usage.day[kept])
    inside = spell >= 0
    marks = lay_marks(
        rows.grid,
        spell[inside],
        groups=len(facts.spells.account),
        day=usage.day[kept][inside],
        available_on=usage.available_on[kept][inside],
    )
    return _Metric(
        marks=marks,
        amount=usage.amount[kept][inside],
        feature=usage.feature[kept][inside],
        first_day=marks.company_first_days(),
        last_day=marks.company_last_days(),
    )


def _spell_on(spells: Spells, *, account: Ints, day: Days) -> Ints:
    """The account's latest spell begun by that day, -1 before its first."""
    order = np.lexsort((spells.started_on, spells.account))
    epoch = np.datetime64("0001-01-01")
    stride = 2**22  # days, more than ten thousand years: an account's days never reach the next account's
    begun = spells.account[order] * stride + (spells.started_on[order] - epoch).astype(np.int64)
    place = np.searchsorted(begun, account * stride + (day - epoch).astype(np.int64), side="right") - 1
    spell = np.append(order, -1)[place]
    owner = np.append(spells.account, -1)[spell]
    return np.where(owner == account, spell, -1)


def _a_month(total: Floats, days: Floats, *, at_least: int) -> Floats:
    exposed = days >= at_least
    return divide_or_nan(total * _DAYS_A_MONTH, days, where=exposed)


def _against_company(rate: Floats, rows: Rows) -> Floats:
    """Log of the rate per seat, less its mean over the accounts of the landmark that are measured alike."""
    by_seat = rows.seats > 0
    level = np.log1p(rate / np.where(by_seat, rows.seats, 1.0))
    peers = rows.at * 2 + by_seat
    known = ~np.isnan(level)
    count = np.bincount(peers[known], minlength=2 * len(rows.grid))
    total = np.bincount(peers[known], level[known], 2 * len(rows.grid))
    return level - (total / np.maximum(count, 1))[peers]


def _breadth(activity: _Metric, rows: Rows, *, since: Days) -> Floats:
    """Features used in the window over features used by anyone so far; NaN before the source names any."""
    named = activity.marks.only((activity.feature >= 0) & (activity.amount > 0))
    feature = activity.feature[(activity.feature >= 0) & (activity.amount > 0)]
    size, width = int(feature.max(initial=-1)) + 1, len(rows.grid)
    fact, at = expand_spans(named.first, np.searchsorted(since, named.day, side="right"))
    used = np.unique((named.group[fact] * width + at) * size + feature[fact])
    count = np.bincount(used // max(size, 1), minlength=named.groups * width).reshape(named.groups, width)
    first_seen = np.full(size, width)
    np.minimum.at(first_seen, feature, named.first)
    so_far = np.bincount(first_seen, minlength=width + 1)[:width].cumsum()[rows.at].astype(np.float64)
    return divide_or_nan(count[rows.spell, rows.at].astype(np.float64), so_far, where=so_far > 0)
