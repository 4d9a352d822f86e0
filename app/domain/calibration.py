"""How well predicted probabilities agree with what happened. Everyone's outcome is known (0 or 1)."""

from statistics import NormalDist

import numpy as np

from app.domain.features import Bools, Floats


def auc(score: Floats, outcome: Bools) -> float:
    """P(score of one with the event > score of one without), ties half; NaN where one kind is absent.

    The Mann-Whitney statistic from mid-ranks.
    """
    n, events = len(score), int(outcome.sum())
    if events in {0, n}:
        return float("nan")
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    mid_rank = np.cumsum(counts) - (counts - 1) / 2
    ranks = mid_rank[inverse][outcome]
    return float((ranks.sum() - events * (events + 1) / 2) / (events * (n - events)))


def brier_score(probability: Floats, outcome: Bools) -> float:
    """Mean squared difference of probability and outcome."""
    return float(np.mean((probability - outcome) ** 2))


def index_of_prediction_accuracy(probability: Floats, outcome: Bools, *, reference: Floats) -> float:
    """IPA = 1 - Brier / Brier of the reference probabilities; 0 is no better than the reference."""
    return 1.0 - brier_score(probability, outcome) / brier_score(reference, outcome)


def expected_over_observed(probability: Floats, outcome: Bools) -> float:
    """Expected over observed events; NaN where none was observed."""
    observed = int(outcome.sum())
    return float(probability.sum()) / observed if observed else float("nan")


def expected_over_observed_interval(probability: Floats, outcome: Bools, *, level: float) -> tuple[float, float]:
    """Interval of E/O, normal on its logarithm with variance (1 - mean outcome) / observed; NaN where none."""
    ratio, observed = expected_over_observed(probability, outcome), int(outcome.sum())
    if not observed:
        return float("nan"), float("nan")
    spread = NormalDist().inv_cdf(0.5 + level / 2) * np.sqrt((1.0 - observed / len(outcome)) / observed)
    return float(ratio * np.exp(-spread)), float(ratio * np.exp(spread))


def calibration_slope(probability: Floats, outcome: Bools) -> float:
    """Slope of a logistic regression of the outcome on the logit of the probability; 1 is right, below 1 too bold.

    Newton, as the maximum is unique; NaN where it does not exist (one kind of outcome, separation, or all
    probabilities equal). Probabilities of 0 and 1 are moved inside by 1e-12.
    """
    p = np.clip(probability, 1e-12, 1.0 - 1e-12)
    design = np.column_stack([np.ones(len(p)), np.log(p / (1.0 - p))])
    if np.ptp(design[:, 1]) == 0 or outcome.all() or not outcome.any():
        return float("nan")
    coefficients = np.array([0.0, 1.0])
    for _ in range(50):
        fitted = 0.5 * (1.0 + np.tanh(0.5 * (design @ coefficients)))
        information = design.T @ (design * (fitted * (1.0 - fitted))[:, None])
        if np.linalg.cond(information) > 1e14:
            return float("nan")
        step = np.linalg.solve(information, design.T @ (outcome - fitted))
        coefficients = coefficients + step * min(1.0, 2.0 / np.abs(step).max())
        if np.abs(step).max() < 1e-10:
            return float(coefficients[1])
    return float("nan")


def expected_calibration_error(probability: Floats, outcome: Bools, *, bins: int = 10) -> float:
    """Mean over accounts of |mean probability - event rate| of their decile of probability."""
    order = np.argsort(probability, kind="stable")
    groups = [group for group in np.array_split(order, bins) if len(group)]
    gaps = [len(group) * abs(float(probability[group].mean() - outcome[group].mean())) for group in groups]
    return sum(gaps) / len(order)


def top_lift(probability: Floats, outcome: Bools, *, share: float = 0.1) -> float:
    """Event rate among the `share` with the highest probability, over the event rate of all; NaN without events."""
    top = np.argsort(-probability, kind="stable")[: max(1, round(share * len(probability)))]
    return float(outcome[top].mean() / outcome.mean()) if outcome.any() else float("nan")
