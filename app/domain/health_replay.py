"""Weights of health held against the past before they count: who flips, how many alerts, and how right it would be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from statistics import NormalDist

import numpy as np

from app.domain.backtest import FEWEST_CHURNS, LEVEL, NOTHING, Estimate, judge_ratio, to_estimate
from app.domain.calibration import auc, auc_interval, brier_interval, brier_score
from app.domain.features import Bools, Floats
from app.domain.hazard_map import expit
from app.domain.health import BANDS, NOTICE_RISK, Health, dimension_weights, health_band
from app.domain.months import Ints

AT_RISK = BANDS.index("at_risk")
WITHHELD = "withheld"
NEARER, FARTHER, NO_DIFFERENCE, TOO_FEW = "nearer", "farther", "no_difference", "too_few"
QUANTILE = NormalDist().inv_cdf(0.5 + LEVEL / 2)

Weights = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True, eq=False)
class Weighted:
    """The yearly risk p* of n rows under some weights, and the band: an index into BANDS, -1 where withheld."""

    risk: Floats
    band: Ints


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Of the risks on a day against what happened in the year after it; bounds at 95 %."""

    auc: Estimate
    brier: Estimate
    ratio: Estimate  # expected over observed


@dataclass(frozen=True, slots=True)
class Gain:
    """By how much the Brier score of some risks is better than that of others; above 0: nearer to what happened.

    `verdict` is nearer or farther where the 95 % interval leaves out 0, else no_difference; too_few under 20 churns.
    """

    brier: Estimate
    verdict: str


@dataclass(frozen=True, slots=True)
class Bands:
    """The band of each account on a day: indexes into BANDS, -1 where withheld. Accounts go in rising order."""

    day: int  # since an epoch
    account: Ints
    band: Ints


def weigh(health: Health, weights: Weights, *, segments: Sequence[str | None], reference_churn: float) -> Weighted:
    """Health that was assessed without weights, under those of each row's segment; none: as calculated.

    logit p* = that of the reference + the sum over dimensions of weight x contribution. A notice is not weighted.
    """
    factors = dimension_weights(weights, segments=segments, dimensions=health.dimensions)
    weighted = expit(health.reference_logit + (factors * health.dimension_contributions).sum(axis=1))
    risk = np.where(health.gave_notice, NOTICE_RISK, weighted)
    return Weighted(risk, np.where(health.withheld, -1, health_band(risk, reference_churn=reference_churn)))


def count_flips(before: Ints, after: Ints) -> dict[str, int]:
    """How many accounts each move between bands takes, by `from>to`; those that stay are not listed."""
    moved = [(old, new) for old, new in zip(before.tolist(), after.tolist(), strict=True) if old != new]
    return {f"{name_band(old)}>{name_band(new)}": moved.count((old, new)) for old, new in sorted(set(moved))}


def name_band(band: int) -> str:
    return BANDS[band] if band >= 0 else WITHHELD


def alerts_a_day(seen: Sequence[Bands]) -> float:
    """Accounts a day that came to be at risk from one look to the next, of those that were seen at both.

    Raises ValueError for fewer than two looks. One that came and went between two looks is not counted.
    """
    if len(seen) < 2:
        raise ValueError("alerts are counted between two days at least")
    alerts = 0
    for earlier, later in pairwise(seen):
        _both, was, is_now = np.intersect1d(earlier.account, later.account, return_indices=True)
        alerts += int(((earlier.band[was] != AT_RISK) & (later.band[is_now] == AT_RISK)).sum())
    return alerts / (seen[-1].day - seen[0].day)


def measure_accuracy(risk: Floats, left: Bools) -> Accuracy:
    """`left` within the year after the day of the risks (n > 0)."""
    return Accuracy(
        auc=to_estimate(auc(risk, left), auc_interval(risk, left, level=LEVEL)),
        brier=to_estimate(brier_score(risk, left), brier_interval(risk, left, level=LEVEL)),
        ratio=judge_ratio(risk, left),
    )


def measure_gain(tried: Floats, others: Floats, *, left: Bools) -> Gain:
    """The mean over accounts of (other - left)^2 - (tried - left)^2, with its normal interval; n > 0.

    Both speak of the same accounts, so the difference is far surer than either score.
    """
    better = (others - left) ** 2 - (tried - left) ** 2
    mean, n = float(better.mean()), len(left)
    if n < 2:
        return Gain(NOTHING, TOO_FEW)
    spread = QUANTILE * float(better.std(ddof=1)) / sqrt(n)
    gain = Estimate(mean, mean - spread, mean + spread)
    return Gain(gain, TOO_FEW if left.sum() < FEWEST_CHURNS else _judge(mean - spread, mean + spread))


def _judge(lower: float, upper: float) -> str:
    if lower > 0:
        return NEARER
    return FARTHER if upper < 0 else NO_DIFFERENCE
