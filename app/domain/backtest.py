"""A forecast of the past, held against what happened since: how far the model is right.

Everyone alive at the origin was forecast from what was available by then; a year later it is known
who left. Nothing here knows how the forecast was made.
"""

from dataclasses import dataclass, fields, replace
from datetime import date, timedelta
from typing import Any

import numpy as np

from app.domain import calibration
from app.domain.features import Bools, Facts, Floats, Spells
from app.domain.hazard_clock import month_offsets
from app.domain.months import MONTHS_OF_A_YEAR, Days, Ints

LEVEL = 0.95
FEWEST_CHURNS = 20  # below, intervals are shown and nothing is concluded
HORIZONS_MONTHS = (1, 3, 6, 12)
BINS = 10
TOP_SHARE = 0.1
CHANCE = 0.5
RIGHT_RATIO = (0.8, 1.25)  # of expected to observed: a total inside is right enough to plan with
STILL_THERE = 10**6  # the month of leaving of who has not left


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its interval at 95 %; None where it cannot be computed."""

    value: float | None
    lower: float | None
    upper: float | None


@dataclass(frozen=True, slots=True)
class Ranking:
    """P(who left within `months` was rated above who stayed)."""

    months: int
    churns: int
    auc: Estimate


@dataclass(frozen=True, slots=True)
class RiskGroup:
    """A tenth of the accounts by forecast risk, the safest first."""

    accounts: int
    forecast: float  # mean probability
    expected: float  # churns
    observed: int
    observed_share: Estimate


@dataclass(frozen=True, slots=True)
class Backtest:
    """What a year showed. `ranking` is learned, chance or unknown; `total` right, too_many, too_few or unknown.

    Unknown: fewer than 20 churns. `chance`: the interval of the AUC at 12 months holds one half. A total
    is right where E/O or its interval meets .8 to 1.25; else the model expected too many, or too few.
    """

    accounts: int
    churns: int
    undecided: int  # in grace at the end: nobody knows yet
    expected: float
    ratio: Estimate
    rankings: tuple[Ranking, ...]
    brier: float
    accuracy: Estimate  # IPA against the reference
    slope: float | None
    calibration_error: float
    lift: float | None
    groups: tuple[RiskGroup, ...]
    ranking: str
    total: str


def judge_forecast(probability: Floats, left_in_month: Ints, *, reference: Floats, undecided: int) -> Backtest:
    """`probability` (n x 12) to leave within months 1..12, `left_in_month` 1..12 or `STILL_THERE`, n > 0.

    `reference` (n) is the probability over 12 months of whatever the forecast has to beat.
    """
    year, outcome = probability[:, MONTHS_OF_A_YEAR - 1], left_in_month <= MONTHS_OF_A_YEAR
    rankings = tuple(_rank(probability, left_in_month, months=months) for months in HORIZONS_MONTHS)
    low, high = calibration.expected_over_observed_interval(year, outcome, level=LEVEL)
    ratio = _estimate(calibration.expected_over_observed(year, outcome), low, upper=high)
    churns = int(outcome.sum())
    return Backtest(
        accounts=len(year),
        churns=churns,
        undecided=undecided,
        expected=float(year.sum()),
        ratio=ratio,
        rankings=rankings,
        brier=calibration.brier_score(year, outcome),
        accuracy=_accuracy(year, outcome, reference=reference),
        slope=_known(calibration.calibration_slope(year, outcome)),
        calibration_error=calibration.expected_calibration_error(year, outcome, bins=BINS),
        lift=_known(calibration.top_lift(year, outcome, share=TOP_SHARE)),
        groups=_group(year, outcome),
        ranking=_judge_ranking(rankings[-1].auc) if churns >= FEWEST_CHURNS else "unknown",
        total=_judge_total(ratio) if churns >= FEWEST_CHURNS else "unknown",
    )


def _rank(probability: Floats, left_in_month: Ints, *, months: int) -> Ranking:
    outcome, score = left_in_month <= months, probability[:, months - 1]
    low, high = calibration.auc_interval(score, outcome, level=LEVEL)
    return Ranking(months, int(outcome.sum()), _estimate(calibration.auc(score, outcome), low, upper=high))


def _accuracy(year: Floats, outcome: Bools, *, reference: Floats) -> Estimate:
    if not calibration.brier_score(reference, outcome):
        return Estimate(None, None, None)
    value = calibration.index_of_prediction_accuracy(year, outcome, reference=reference)
    low, high = calibration.accuracy_interval(year, outcome, reference=reference, level=LEVEL)
    return _estimate(value, low, upper=high)


def _group(year: Floats, outcome: Bools) -> tuple[RiskGroup, ...]:
    order = np.argsort(year, kind="stable")
    groups = []
    for rows in np.array_split(order, BINS):
        if len(rows):
            observed = int(outcome[rows].sum())
            low, high = calibration.share_interval(observed, len(rows), level=LEVEL)
            share = Estimate(observed / len(rows), low, high)
            mean = float(year[rows].mean())
            groups.append(RiskGroup(len(rows), mean, mean * len(rows), observed, share))
    return tuple(groups)


def _judge_ranking(auc: Estimate) -> str:
    return "learned" if auc.lower is not None and auc.lower > CHANCE else "chance"


def _judge_total(ratio: Estimate) -> str:
    if ratio.value is None or ratio.lower is None or ratio.upper is None:
        return "unknown"
    low, high = RIGHT_RATIO
    if ratio.lower > high:
        return "too_many"
    return "too_few" if ratio.upper < low else "right"


def _estimate(value: float, lower: float, *, upper: float) -> Estimate:
    return Estimate(_known(value), _known(lower), _known(upper))


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None


# --- The past as it was known ---


def months_until_churn(spells: Spells, rows: Ints, *, origin: date) -> Ints:
    """The month after `origin` (1, 2, ...) in which each spell ended by churn; `STILL_THERE` where it did not."""
    month = month_offsets(origin, spells.ended_on[rows]) + 1
    return np.where(spells.churned[rows] & (month >= 1), month, STILL_THERE)


def is_undecided(spells: Spells, rows: Ints) -> Bools:
    """Whether each spell was cut off in grace: its term is over, and whether it was renewed is not known yet."""
    undecided: Bools = ~np.isnat(spells.ended_on[rows]) & ~spells.churned[rows]
    return undecided


def rewind_spells(spells: Spells, *, origin: date, grace_days: int) -> Spells:
    """The spells as far as they were known at `origin`, one row each as before.

    What ended later had not ended; what ended within the grace before it counts as cut off there, for a term that
    lapsed is called churn only once its grace is over.
    """
    day = np.datetime64(origin, "D")
    has_ended = spells.ended_on <= day  # NaT is not
    is_settled = spells.ended_on <= np.datetime64(origin - timedelta(days=grace_days), "D")
    ended_on: Days = np.where(has_ended, spells.ended_on, np.datetime64("NaT", "D"))
    return replace(spells, ended_on=ended_on, churned=spells.churned & is_settled)


_OF_ACCOUNTS = (
    *("spells", "lines", "attributes", "usage", "milestones"),
    *("tickets", "surveys", "touches", "trainings", "invoices"),
)


def draw_accounts(facts: Facts, *, most: int) -> Facts:
    """The facts of at most about `most` accounts, chosen by a hash of their ids; of all where there are no more."""
    share = most / max(1, len(facts.account_ids))
    if share >= 1:
        return facts
    hashed = (facts.account_ids.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(40)
    drawn = hashed.astype(np.float64) < share * 2.0**24
    position = np.cumsum(drawn) - 1
    parts: dict[str, Any] = {name: _take(getattr(facts, name), drawn=drawn, position=position) for name in _OF_ACCOUNTS}
    return replace(facts, account_ids=facts.account_ids[drawn], **parts)


def _take(part: Any, *, drawn: Bools, position: Ints) -> Any:
    kept = drawn[part.account]
    columns = {field.name: getattr(part, field.name)[kept] for field in fields(part)}
    return replace(part, **(columns | {"account": position[columns["account"]]}))
