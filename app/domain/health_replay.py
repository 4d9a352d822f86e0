"""Weights of health held against the past before they count: who flips, how many alerts, and how right it would be."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from app.domain.backtest import LEVEL, Estimate, judge_ratio, to_estimate
from app.domain.calibration import auc, auc_interval, brier_interval, brier_score
from app.domain.features import Bools, FeatureTable, Floats
from app.domain.health import BANDS, Health, assess_health, dimension_weights, list_dimensions
from app.domain.months import Ints
from app.domain.survival import HazardModel

AT_RISK = BANDS.index("at_risk")


@dataclass(frozen=True, slots=True)
class Terms:
    """What health is assessed by, beside the weights: the company's settings."""

    reference_churn: float
    minimum_coverage: float


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Of the risks on a day against what happened in the year after it; bounds at 95 %."""

    auc: Estimate
    brier: Estimate
    ratio: Estimate  # expected over observed


@dataclass(frozen=True, slots=True)
class Bands:
    """The band of each account on a day: indexes into BANDS, -1 where withheld. Accounts go in rising order."""

    day: int  # since an epoch
    account: Ints
    band: Ints


def assess_with(
    model: HazardModel,
    table: FeatureTable,
    *,
    weights: Mapping[str, Mapping[str, float]],
    segments: Sequence[str | None],
    terms: Terms,
) -> Health:
    """Health of the rows under the weights of their segments; none: as calculated."""
    factors = dimension_weights(weights, segments=segments, dimensions=list_dimensions(model)) if weights else None
    return assess_health(
        model,
        table,
        reference_churn=terms.reference_churn,
        coverage_limit=terms.minimum_coverage,
        weights=factors,
    )


def count_flips(before: Ints, after: Ints) -> dict[str, int]:
    """How many accounts each move between bands takes, by `from>to`; those that stay are not listed."""
    moved = [(old, new) for old, new in zip(before.tolist(), after.tolist(), strict=True) if old != new]
    return {f"{_name(old)}>{_name(new)}": moved.count((old, new)) for old, new in sorted(set(moved))}


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


def _name(band: int) -> str:
    return BANDS[band] if band >= 0 else "withheld"
