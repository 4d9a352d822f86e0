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
    ranks = _mid_ranks(score)[outcome]
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


def auc_interval(score: Floats, outcome: Bools, *, level: float) -> tuple[float, float]:
    """Interval of the AUC, normal with DeLong's variance; NaN where there are fewer than two of a kind.

    With mid-ranks among all (R) and among each one's own kind (r), the share of the others that one beats is
    (R - r) / number of others; the variance is that of the shares of each kind over its number, summed. Kept to [0, 1].
    """
    events, others = int(outcome.sum()), int((~outcome).sum())
    if min(events, others) < 2:
        return float("nan"), float("nan")
    ranks = _mid_ranks(score)
    beaten = (ranks[outcome] - _mid_ranks(score[outcome])) / others
    beating = (ranks[~outcome] - _mid_ranks(score[~outcome])) / events
    spread = NormalDist().inv_cdf(0.5 + level / 2) * float(
        np.sqrt(beaten.var(ddof=1) / events + beating.var(ddof=1) / others)
    )
    area = float(beaten.mean())
    return max(0.0, area - spread), min(1.0, area + spread)


def accuracy_interval(probability: Floats, outcome: Bools, *, reference: Floats, level: float) -> tuple[float, float]:
    """Interval of IPA = 1 - R, R the ratio of two mean squared errors over the same accounts (delta method).

    Var R = mean((d - R e)^2) / (n mean(e)^2), d and e the squared errors of the model and of the reference.
    """
    own, other = (probability - outcome) ** 2, (reference - outcome) ** 2
    ratio = float(own.mean() / other.mean())
    error = float(np.sqrt(np.mean((own - ratio * other) ** 2) / len(own)) / other.mean())
    spread = NormalDist().inv_cdf(0.5 + level / 2) * error
    return 1.0 - ratio - spread, 1.0 - ratio + spread


def share_interval(events: int, n: int, *, level: float) -> tuple[float, float]:
    """Wilson's interval of a share of n > 0, which keeps inside [0, 1] and has a width at none and at all."""
    z2 = NormalDist().inv_cdf(0.5 + level / 2) ** 2
    share = events / n
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    spread = np.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n))) / (1 + z2 / n)
    return max(0.0, float(middle - spread)), min(1.0, float(middle + spread))


def _mid_ranks(values: Floats) -> Floats:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Floats = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return ranks
