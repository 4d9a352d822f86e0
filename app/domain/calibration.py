"""How well predicted probabilities agree with what happened. Everyone's outcome is known (0 or 1)."""

from statistics import NormalDist

import numpy as np

from app.domain.features import Bools, Floats
from app.domain.months import Ints

NONE = (float("nan"), float("nan"))
SEED = 20_260_101  # of the resamples: the same forecast gets the same interval
RESAMPLES = 2_000


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


def brier_interval(probability: Floats, outcome: Bools, *, level: float) -> tuple[float, float]:
    """Normal interval of the mean squared difference, kept at 0 and above; NaN for a single account."""
    if len(probability) < 2:
        return NONE
    errors = (probability - outcome) ** 2
    spread = NormalDist().inv_cdf(0.5 + level / 2) * float(errors.std(ddof=1) / np.sqrt(len(errors)))
    return max(0.0, float(errors.mean()) - spread), float(errors.mean()) + spread


def mean_interval(values: Floats, *, group: Ints, level: float) -> tuple[float, float]:
    """Normal interval of a mean, where values of one group depend on each other; NaN for a single group.

    The variance of the mean is g / (g - 1) x sum over g groups of (sum of the deviations)^2 / n^2 (Liang and Zeger).
    """
    names, at = np.unique(group, return_inverse=True)
    groups = len(names)
    if groups < 2:
        return NONE
    mean = float(values.mean())
    sums = np.bincount(at, weights=values - mean)
    error = np.sqrt(groups / (groups - 1) * float((sums**2).sum())) / len(values)
    spread = NormalDist().inv_cdf(0.5 + level / 2) * float(error)
    return mean - spread, mean + spread


def index_of_prediction_accuracy(probability: Floats, outcome: Bools, *, reference: Floats) -> float:
    """IPA = 1 - Brier / Brier of the reference probabilities; 0 is no better than the reference."""
    return 1.0 - brier_score(probability, outcome) / brier_score(reference, outcome)


def expected_over_observed(probability: Floats, outcome: Bools) -> float:
    """Expected over observed events; NaN where none was observed."""
    observed = int(outcome.sum())
    return float(probability.sum()) / observed if observed else float("nan")


def expected_over_observed_interval(probability: Floats, outcome: Bools, *, level: float) -> tuple[float, float]:
    """Interval of E/O: expected over the exact limits (Clopper and Pearson) of how many were to leave.

    Where none was observed it has a lower bound and no upper one (infinite); NaN without an account.
    """
    n, expected = len(outcome), float(probability.sum())
    if not n:
        return NONE
    low, high = exact_share_interval(int(outcome.sum()), n, level=level)
    return expected / (n * high), expected / (n * low) if low else float("inf")


def exact_share_interval(events: int, n: int, *, level: float) -> tuple[float, float]:
    """Clopper and Pearson's limits of a share of n > 0: as many or more, or fewer, have P = (1 - level) / 2 there."""
    tail = (1.0 - level) / 2.0
    low = 0.0 if events == 0 else _share_with_tail(events - 1, n, tail=1.0 - tail)
    return low, 1.0 if events == n else _share_with_tail(events, n, tail=tail)


def _share_with_tail(events: int, n: int, *, tail: float) -> float:
    """The share p with P(X <= `events`) = `tail` for X binomial of n and p, `events` < n; by halving."""
    k = np.arange(1, events + 1)
    ways = np.concatenate([[0.0], np.cumsum(np.log((n - k + 1) / k))])
    gone = np.arange(events + 1)
    low, high = 0.0, 1.0
    for _ in range(60):
        p = (low + high) / 2.0
        if np.exp(ways + gone * np.log(p) + (n - gone) * np.log1p(-p)).sum() > tail:
            low = p
        else:
            high = p
    return (low + high) / 2.0


def calibration_slope(probability: Floats, outcome: Bools) -> float:
    """Slope of a logistic regression of the outcome on the logit of the probability; 1 is right, below 1 too bold.

    Newton, as the maximum is unique; NaN where it does not exist (one kind of outcome, separation, or all
    probabilities equal). Probabilities of 0 and 1 are moved inside by 1e-12.
    """
    return _fit_slope(probability, outcome)[0]


def calibration_slope_interval(probability: Floats, outcome: Bools, *, level: float) -> tuple[float, float]:
    """Wald's interval of the calibration slope, from the information at the maximum; NaN where there is none."""
    slope, error = _fit_slope(probability, outcome)
    spread = NormalDist().inv_cdf(0.5 + level / 2) * error
    return slope - spread, slope + spread


def _fit_slope(probability: Floats, outcome: Bools) -> tuple[float, float]:
    """The slope and its standard error."""
    p = np.clip(probability, 1e-12, 1.0 - 1e-12)
    design = np.column_stack([np.ones(len(p)), np.log(p / (1.0 - p))])
    if np.ptp(design[:, 1]) == 0 or outcome.all() or not outcome.any():
        return NONE
    coefficients = np.array([0.0, 1.0])
    for _ in range(50):
        fitted = 0.5 * (1.0 + np.tanh(0.5 * (design @ coefficients)))
        information = design.T @ (design * (fitted * (1.0 - fitted))[:, None])
        if np.linalg.cond(information) > 1e14:
            return NONE
        step = np.linalg.solve(information, design.T @ (outcome - fitted))
        coefficients = coefficients + step * min(1.0, 2.0 / np.abs(step).max())
        if np.abs(step).max() < 1e-10:
            return float(coefficients[1]), float(np.sqrt(np.linalg.inv(information)[1, 1]))
    return NONE


def expected_calibration_error(probability: Floats, outcome: Bools, *, bins: int = 10) -> float:
    """Mean over accounts of |mean probability - event rate| of their decile of probability."""
    n, forecast, observed = _deciles(probability, outcome, bins=bins)
    return float((np.abs(n * forecast - observed)).sum() / n.sum())


def calibration_error_interval(
    probability: Floats, outcome: Bools, *, level: float, bins: int = 10
) -> tuple[float, float]:
    """Interval of the expected calibration error: basic bootstrap of the events of each decile (binomial).

    An error of absolute gaps is above 0 by chance alone, and a sample of a sample is so twice over: the basic
    bootstrap, 2 x error - quantile, takes that off again. Kept at 0 and above, and around the error itself.
    """
    n, forecast, observed = _deciles(probability, outcome, bins=bins)
    error = float(np.abs(n * forecast - observed).sum() / n.sum())
    again = np.random.default_rng(SEED).binomial(n.astype(np.int64), observed / n, size=(RESAMPLES, len(n)))
    errors = np.abs(n * forecast - again).sum(axis=1) / n.sum()
    low, high = np.quantile(errors, [0.5 - level / 2, 0.5 + level / 2])
    return max(0.0, min(error, 2 * error - float(high))), max(error, 2 * error - float(low))


def calibration_error_by_chance(probability: Floats, *, level: float, bins: int = 10) -> float:
    """The expected calibration error that a forecast that is right stays below with probability `level`.

    Each decile's events are drawn as a binomial of its mean probability.
    """
    n, forecast, _ = _deciles(probability, np.zeros(len(probability), dtype=bool), bins=bins)
    drawn = np.random.default_rng(SEED).binomial(n.astype(np.int64), forecast, size=(RESAMPLES, len(n)))
    return float(np.quantile(np.abs(n * forecast - drawn).sum(axis=1) / n.sum(), level))


def _deciles(probability: Floats, outcome: Bools, *, bins: int) -> tuple[Floats, Floats, Floats]:
    """Number, mean probability and events of each decile of probability that is not empty."""
    order = np.argsort(probability, kind="stable")
    groups = [group for group in np.array_split(order, bins) if len(group)]
    n = np.array([len(group) for group in groups], dtype=np.float64)
    forecast = np.array([probability[group].mean() for group in groups])
    return n, forecast, np.array([outcome[group].sum() for group in groups], dtype=np.float64)


def top_lift(probability: Floats, outcome: Bools, *, share: float = 0.1) -> float:
    """Event rate among the `share` with the highest probability, over the event rate of all; NaN without events."""
    if not outcome.any():
        return float("nan")
    size = max(1, round(share * len(probability)))
    return top_events(probability, outcome, size=size) / size / float(outcome.mean())


def top_events(score: Floats, outcome: Bools, *, size: int) -> float:
    """Events among the `size` highest scores; of those tied at the edge, as many as chance would take. 1 <= size <= n.

    So the order of the rows has no say, and a score that is the same for all finds what chance finds.
    """
    edge = np.partition(score, -size)[-size]
    above, at = score > edge, score == edge
    taken = (size - int(above.sum())) / int(at.sum())
    return float(outcome[above].sum() + taken * outcome[at].sum())


def lift_interval(hits: float, size: int, *, events: int, n: int, level: float) -> tuple[float, float]:
    """Interval of the rate `hits` / `size` of a part over the rate `events` / `n` of all, normal on its logarithm.

    With p and q the rates of the part and of the rest, w = size / n and m = w p + (1 - w) q the rate of all,
    Var log(p / m) = (1/p - w/m)^2 p (1 - p) / size + ((1 - w)/m)^2 q (1 - q) / (n - size) (delta method).
    NaN without an event; where the part has none, from 0 to Wilson's bound of its rate over that of all.
    """
    if not events:
        return NONE
    mean = events / n
    if not hits:
        return 0.0, share_interval(0, size, level=level)[1] / mean
    rate, rest, weight = hits / size, (events - hits) / max(n - size, 1), size / n
    variance = (1 / rate - weight / mean) ** 2 * rate * (1 - rate) / size
    variance += ((1 - weight) / mean) ** 2 * rest * (1 - rest) / max(n - size, 1)
    spread = NormalDist().inv_cdf(0.5 + level / 2) * np.sqrt(variance)
    lift = rate / mean
    return float(lift * np.exp(-spread)), float(lift * np.exp(spread))


def auc_interval(score: Floats, outcome: Bools, *, level: float) -> tuple[float, float]:
    """Newcombe's score interval of the AUC; NaN where one kind is absent.

    All areas A that the one seen is no further from than z standard errors of A itself, of variance
    A (1 - A) (1 + N ((1 - A) / (2 - A) + A / (1 + A))) / (events x others), N = (events + others) / 2 - 1. So, as
    Wilson's of a share, it has a width also where both that left were rated above all who stayed. R. Newcombe,
    Confidence intervals for an effect size measure based on the Mann-Whitney statistic, part 2, Statistics in Medicine
    25 (2006), method 5.
    """
    events, others = int(outcome.sum()), int((~outcome).sum())
    if min(events, others) == 0:
        return NONE
    quantile, area = NormalDist().inv_cdf(0.5 + level / 2), auc(score, outcome)

    def find_furthest(towards: float) -> float:
        inside, outside = area, towards
        for _ in range(60):
            a = (inside + outside) / 2.0
            shape = 1.0 + ((events + others) / 2.0 - 1.0) * ((1.0 - a) / (2.0 - a) + a / (1.0 + a))
            if (area - a) ** 2 <= quantile**2 * a * (1.0 - a) * shape / (events * others):
                inside = a
            else:
                outside = a
        return inside

    return find_furthest(0.0), find_furthest(1.0)


def accuracy_interval(probability: Floats, outcome: Bools, *, reference: Floats, level: float) -> tuple[float, float]:
    """Interval of IPA = 1 - R, R the ratio of two mean squared errors over the same accounts (delta method).

    Var R = mean((d - R e)^2) / (n mean(e)^2), d and e the squared errors of the model and of the reference.
    """
    own, other = (probability - outcome) ** 2, (reference - outcome) ** 2
    ratio = float(own.mean() / other.mean())
    error = float(np.sqrt(np.mean((own - ratio * other) ** 2) / len(own)) / other.mean())
    spread = NormalDist().inv_cdf(0.5 + level / 2) * error
    return 1.0 - ratio - spread, 1.0 - ratio + spread


def share_interval(events: float, n: int, *, level: float) -> tuple[float, float]:
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
