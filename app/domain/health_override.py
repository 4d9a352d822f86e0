"""What somebody sets in place of a calculated score: what it promises, and whether it or the score was nearer."""

from dataclasses import dataclass

import numpy as np

from app.domain.backtest import LEVEL, NOTHING, Estimate, to_estimate
from app.domain.calibration import brier_interval, brier_score, mean_interval
from app.domain.features import Bools, Floats
from app.domain.health import BANDS, SCORE_AT, USUAL_CHURN, band_edges, health_score
from app.domain.months import Ints

FEWEST_JUDGED = 20
OVERRIDE, SCORE, NEITHER, UNKNOWN = "override", "score", "neither", "unknown"


@dataclass(frozen=True, slots=True)
class Judgement:
    """Over `n` overrides of `accounts` accounts of which `left` left within the year, by choice.

    `override` and `score` are Brier scores (0 is best), `gain` is the score's less the override's: above 0 the
    override was nearer. `nearer` is override, score, neither (the interval of the gain holds 0) or unknown (under
    FEWEST_JUDGED).
    """

    n: int
    accounts: int
    left: int
    override: Estimate = NOTHING
    score: Estimate = NOTHING
    gain: Estimate = NOTHING
    nearer: str = UNKNOWN


def band_score(band: str, *, reference_churn: float = USUAL_CHURN) -> float:
    """The score in the middle of a band. Raises ValueError for what is no band."""
    edges = health_score(np.array([0.0, *band_edges(reference_churn), 1.0]))
    at = BANDS.index(band)
    return float((edges[at] + edges[at + 1]) / 2.0)


def implied_risk(score: Floats) -> Floats:
    """The yearly risk of churn that a score from 0 to 100 stands for: `health_score` the other way round."""
    risk: Floats = np.interp(score, SCORE_AT[1][::-1], SCORE_AT[0][::-1])
    return risk


def judge_overrides(override: Floats, score: Floats, *, left: Bools, account: Ints) -> Judgement:
    """Both are risks (n) of the year after the override was set, as said on that day; `left` is what happened.

    The Brier score of each, and the difference of the two with its interval, in which the overrides of one account
    count as one witness. Under FEWEST_JUDGED nothing is said of which was nearer.
    """
    n, accounts = len(left), len(np.unique(account))
    if not n:
        return Judgement(0, 0, 0)
    gains = (score - left) ** 2 - (override - left) ** 2
    gain = to_estimate(float(gains.mean()), mean_interval(gains, group=account, level=LEVEL))
    return Judgement(
        n=n,
        accounts=accounts,
        left=int(left.sum()),
        override=to_estimate(brier_score(override, left), brier_interval(override, left, level=LEVEL)),
        score=to_estimate(brier_score(score, left), brier_interval(score, left, level=LEVEL)),
        gain=gain,
        nearer=_nearer(gain) if accounts >= FEWEST_JUDGED else UNKNOWN,
    )


def _nearer(gain: Estimate) -> str:
    if gain.lower is None or gain.upper is None:
        return UNKNOWN
    if gain.lower > 0:
        return OVERRIDE
    return SCORE if gain.upper < 0 else NEITHER
