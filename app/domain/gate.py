"""Whether what was learned is fit to be shown, or the default weights have to do.

Live if both hold over the years behind: its accuracy, or the 95 % interval of how far it is ahead, reaches that of the
defaults (the prior mean with a fitted intercept); and its expected over observed, or the 95 % interval of it, meets .8
to 1.25. Under 20 churns in those years nothing fails.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from app.domain.backtest import FEWEST_CHURNS, LEVEL, NOTHING, Estimate, judge_ratio, judge_total
from app.domain.baselines import DEFAULTS, LEARNED
from app.domain.features import Bools, Floats
from app.domain.months import Ints

QUANTILE = NormalDist().inv_cdf(0.5 + LEVEL / 2)  # one standard error alone would throw out every sixth that ties


@dataclass(frozen=True, slots=True, eq=False)
class Year:
    """What both said of each account of an origin, over 12 months, and who left; `reference` as in a backtest."""

    account: Ints
    learned: Floats
    defaults: Floats
    reference: Floats
    left: Bools


@dataclass(frozen=True, slots=True)
class Gate:
    """`verdict` is learned or defaults; `reason` passed, few, not_judged, less_accurate or wrong_total.

    `gain` is the IPA of what was learned less that of the defaults, `standard_error` its error.
    """

    verdict: str
    reason: str
    years: int
    accounts: int
    churns: int
    gain: Estimate
    standard_error: float | None
    ratio: Estimate


NOT_JUDGED = Gate(LEARNED, "not_judged", 0, 0, 0, NOTHING, None, NOTHING)


def decide_gate(years: Sequence[Year]) -> Gate:
    """The verdict over the years together; their accounts may be the same ones, but not their months."""
    if not years:
        return NOT_JUDGED
    left = np.concatenate([year.left for year in years])
    learned = np.concatenate([year.learned for year in years])
    ratio, (gain, error) = judge_ratio(learned, left), accuracy_gain(years)
    reason = _decide(int(left.sum()), gain, error=error, total=judge_total(ratio))
    spread = QUANTILE * error
    is_known = bool(np.isfinite(gain) and np.isfinite(error))
    return Gate(
        verdict=LEARNED if reason in {"passed", "few"} else DEFAULTS,
        reason=reason,
        years=len(years),
        accounts=len(left),
        churns=int(left.sum()),
        gain=Estimate(gain, gain - spread, gain + spread) if is_known else NOTHING,
        standard_error=error if is_known else None,
        ratio=ratio,
    )


def accuracy_gain(years: Sequence[Year]) -> tuple[float, float]:
    """IPA of what was learned less that of the defaults, over all rows, and its standard error.

    With a and b the squared errors of both and r that of the reference, gain = sum(b - a) / sum(r). An account
    that was there in several years counts as one draw: with u = b - a - gain r summed by account,
    Var = m / (m - 1) x sum u^2 / (sum r)^2 over m accounts (delta method). Where a reference is missing the share
    that left takes its place; NaN where it errs nowhere, or for a single account.
    """
    left = np.concatenate([year.left for year in years]).astype(np.float64)
    learned, defaults, reference = (
        np.concatenate([getattr(year, name) for year in years]) for name in ("learned", "defaults", "reference")
    )
    reference = np.where(np.isfinite(reference), reference, left.mean())
    better, base = (defaults - left) ** 2 - (learned - left) ** 2, (reference - left) ** 2
    _, account = np.unique(np.concatenate([year.account for year in years]), return_inverse=True)
    m = int(account.max()) + 1
    if m < 2 or not base.sum():
        return float("nan"), float("nan")
    gain = float(better.sum() / base.sum())
    by_account = np.bincount(account, weights=better - gain * base)
    return gain, float(np.sqrt(m / (m - 1) * (by_account**2).sum()) / base.sum())


def _decide(churns: int, gain: float, *, error: float, total: str) -> str:
    if churns < FEWEST_CHURNS:
        return "few"
    if gain + QUANTILE * error < 0:
        return "less_accurate"
    return "passed" if total == "right" else "wrong_total"
