import math
from statistics import NormalDist

import numpy as np
import pytest
from lifelines.utils import concordance_index
from scipy.optimize import minimize
from scipy.stats import binomtest

from app.domain.calibration import (
    accuracy_interval,
    auc,
    auc_interval,
    brier_interval,
    brier_score,
    calibration_error_by_chance,
    calibration_error_interval,
    calibration_slope,
    calibration_slope_interval,
    exact_share_interval,
    expected_calibration_error,
    expected_over_observed,
    expected_over_observed_interval,
    index_of_prediction_accuracy,
    lift_interval,
    share_interval,
    top_events,
    top_lift,
)


@pytest.fixture(scope="module")
def made() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    p = np.round(rng.beta(1, 5, 4000), 2)  # with ties
    return p, rng.random(4000) < p


def test_auc_agrees_with_lifelines_concordance(made: tuple[np.ndarray, np.ndarray]) -> None:
    p, y = made
    time = np.where(y, 1.0, 2.0)
    assert auc(p, y) == pytest.approx(concordance_index(time, -p, np.ones(len(p))), abs=1e-12)


def test_auc_by_pencil() -> None:
    assert auc(np.array([0.1, 0.4, 0.4, 0.8]), np.array([False, False, True, True])) == 3.5 / 4
    assert math.isnan(auc(np.array([0.1, 0.4]), np.array([False, False])))


def test_brier_and_accuracy_by_pencil() -> None:
    p, y = np.array([0.2, 0.8, 0.5]), np.array([False, True, True])
    assert brier_score(p, y) == pytest.approx((0.04 + 0.04 + 0.25) / 3)
    reference = np.full(3, 2 / 3)
    assert index_of_prediction_accuracy(p, y, reference=reference) == pytest.approx(1 - 0.33 / (6 / 9))
    assert index_of_prediction_accuracy(reference, y, reference=reference) == 0.0


def test_expected_over_observed_and_its_interval() -> None:
    p, y = np.full(100, 0.3), np.arange(100) < 25
    assert expected_over_observed(p, y) == pytest.approx(1.2)
    exact = binomtest(int(y.sum()), len(y)).proportion_ci(method="exact")
    expected = p.sum() / len(y)
    assert expected_over_observed_interval(p, y, level=0.95) == pytest.approx(
        (expected / exact.high, expected / exact.low)
    )
    assert math.isnan(expected_over_observed(p, np.zeros(100, dtype=bool)))


@pytest.mark.parametrize(("events", "n"), [(0, 30), (1, 30), (2, 400), (5, 20_000), (700, 20_000), (30, 30)])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_the_exact_limits_of_a_share_are_those_of_another_program(events: int, n: int, level: float) -> None:
    found = binomtest(events, n).proportion_ci(confidence_level=level, method="exact")
    assert exact_share_interval(events, n, level=level) == pytest.approx((found.low, found.high), rel=1e-9)


def test_where_none_left_expected_over_observed_has_a_lower_bound_alone() -> None:
    """Of 100 of whom none left, 3.6 may have been to leave: 10 expected are 2.8 times too many at the least."""
    p, nobody = np.full(100, 0.1), np.zeros(100, dtype=bool)
    low, high = expected_over_observed_interval(p, nobody, level=0.95)
    assert low == pytest.approx(0.1 / (1 - 0.025**0.01))
    assert math.isinf(high)


@pytest.mark.parametrize("events", [1, 2, 5])
def test_the_interval_of_expected_over_observed_of_few_churns_holds_one_where_all_is_right(events: int) -> None:
    rng, p = np.random.default_rng(8), np.full(100, events / 100)
    held = [low <= 1 <= high for low, high in (
        expected_over_observed_interval(p, rng.random(100) < p, level=0.95) for _ in range(300)
    )]  # fmt: skip
    assert np.mean(held) >= 0.94


def test_the_slope_agrees_with_scipy(made: tuple[np.ndarray, np.ndarray]) -> None:
    p = np.clip(made[0], 0.005, 0.995) ** 1.5
    y = made[1]
    x = np.log(p / (1 - p))
    found = minimize(lambda b: float((np.logaddexp(0, b[0] + b[1] * x) - y * (b[0] + b[1] * x)).sum()), [0.0, 1.0])
    assert calibration_slope(p, y) == pytest.approx(found.x[1], abs=1e-4)


def test_the_slope_is_one_when_right_and_below_one_when_too_bold(made: tuple[np.ndarray, np.ndarray]) -> None:
    p, y = np.clip(made[0], 0.005, 0.995), made[1]
    assert calibration_slope(p, y) == pytest.approx(1.0, abs=0.1)
    bold = 1 / (1 + np.exp(-2 * np.log(p / (1 - p))))
    assert calibration_slope(bold, y) == pytest.approx(calibration_slope(p, y) / 2, abs=1e-6)


def test_a_slope_that_does_not_exist_is_unknown() -> None:
    y = np.arange(10) < 5
    assert math.isnan(calibration_slope(np.full(10, 0.3), y))
    assert math.isnan(calibration_slope(np.linspace(0.1, 0.9, 10), np.ones(10, dtype=bool)))
    assert math.isnan(calibration_slope(np.where(y, 0.9, 0.1), y))


def test_the_calibration_error_is_the_mean_gap_of_the_deciles() -> None:
    p = np.repeat([0.1, 0.5], 50)
    y = np.concatenate([np.arange(50) % 5 == 0, np.arange(50) % 2 == 0])  # 20 % and 50 %
    assert expected_calibration_error(p, y, bins=2) == pytest.approx(0.05)
    assert expected_calibration_error(p, y) == pytest.approx(0.05)


def test_the_lift_of_the_top_decile() -> None:
    p = np.linspace(0, 1, 100)
    y = p > 0.8
    assert top_lift(p, y) == pytest.approx(5.0)
    assert math.isnan(top_lift(p, np.zeros(100, dtype=bool)))


@pytest.mark.parametrize("left", [(0.8, 0.4), (0.8, 0.7), (0.8,), (0.0,)])
def test_the_interval_of_the_auc_ends_where_the_area_seen_is_two_errors_away(left: tuple[float, ...]) -> None:
    p = np.array([*left, 0.5, 0.3, 0.1])
    y = np.arange(len(p)) < len(left)
    seen, (low, high) = auc(p, y), auc_interval(p, y, level=0.95)
    for end in {low, high} - {0.0, 1.0, seen}:
        shape = 1 + (len(p) / 2 - 1) * ((1 - end) / (2 - end) + end / (1 + end))
        assert abs(seen - end) == pytest.approx(1.959964 * math.sqrt(end * (1 - end) * shape / (3 * len(left))))
    assert low <= seen <= high
    assert high - low > 0.4


def test_there_is_no_interval_of_the_auc_where_all_are_alike() -> None:
    assert all(map(math.isnan, auc_interval(np.arange(5.0), np.zeros(5, dtype=bool), level=0.95)))
    assert all(map(math.isnan, auc_interval(np.arange(5.0), np.ones(5, dtype=bool), level=0.95)))


@pytest.mark.parametrize("events", [1, 2, 3, 5, 50])
@pytest.mark.parametrize("true", [0.6, 0.9])
def test_the_interval_of_the_auc_of_few_churns_holds_the_truth(events: int, true: float) -> None:
    rng, held = np.random.default_rng(3), []
    apart = NormalDist().inv_cdf(true) * math.sqrt(2)
    y = np.arange(events + 150) < events
    for _ in range(200):
        low, high = auc_interval(rng.normal(apart * y, 1), y, level=0.95)
        held.append(low <= true <= high)
    assert np.mean(held) >= 0.91


def test_the_interval_of_the_auc_is_that_of_the_bootstrap(made: tuple[np.ndarray, np.ndarray]) -> None:
    p, y = made[0][:800], made[1][:800]
    rng = np.random.default_rng(9)
    drawn = [auc(p[rows], y[rows]) for rows in rng.integers(0, 800, (600, 800))]
    assert auc_interval(p, y, level=0.95) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.012)


def test_the_interval_of_the_accuracy_is_that_of_the_bootstrap(made: tuple[np.ndarray, np.ndarray]) -> None:
    p, y = made[0][:800], made[1][:800]
    flat = np.full(800, y.mean())
    rng = np.random.default_rng(9)
    drawn = [
        index_of_prediction_accuracy(p[rows], y[rows], reference=flat[rows])
        for rows in rng.integers(0, 800, (600, 800))
    ]
    found = accuracy_interval(p, y, reference=flat, level=0.95)
    assert found == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.015)
    assert accuracy_interval(flat, y, reference=flat, level=0.95) == pytest.approx((0.0, 0.0))


def test_the_interval_of_a_share_is_wilsons() -> None:
    found = binomtest(15, 100).proportion_ci(method="wilson")
    assert share_interval(15, 100, level=0.95) == pytest.approx((found.low, found.high), abs=1e-9)
    assert share_interval(0, 20, level=0.95) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert share_interval(20, 20, level=0.95) == pytest.approx((0.8389, 1.0), abs=1e-4)


def test_of_those_tied_at_the_edge_the_list_takes_what_chance_would() -> None:
    """The two best, one of them a churn; then three at .4 of which two left, for the last place: 2/3 of a churn."""
    score, left = np.array([0.9, 0.4, 0.8, 0.4, 0.4, 0.1]), np.array([True, True, False, True, False, True])
    assert top_events(score, left, size=3) == pytest.approx(1 + 2 / 3)
    for order in ([5, 4, 3, 2, 1, 0], [1, 0, 3, 2, 5, 4]):
        assert top_events(score[order], left[order], size=3) == pytest.approx(1 + 2 / 3)
    assert top_events(score, left, size=6) == 4


def _coverage(measure, interval, *, truth: float, n: int = 400, rounds: int = 200) -> float:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(8)
    inside = 0
    for _ in range(rounds):
        p = rng.beta(1.5, 5, n)
        y = rng.random(n) < p
        low, high = interval(p, y)
        assert low <= measure(p, y) <= high
        inside += low <= truth <= high
    return inside / rounds


def test_the_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    p = rng.beta(1.5, 5, 400_000)
    brier = float((p * (1 - p)).mean())
    top = np.sort(p)[-40_000:]
    assert 0.9 <= _coverage(brier_score, lambda p, y: brier_interval(p, y, level=0.95), truth=brier) <= 0.99
    slope = _coverage(calibration_slope, lambda p, y: calibration_slope_interval(p, y, level=0.95), truth=1.0)
    assert 0.9 <= slope <= 0.99

    def lift(p, y):  # type: ignore[no-untyped-def]
        return lift_interval(top_events(p, y, size=40), 40, events=int(y.sum()), n=400, level=0.95)

    assert 0.9 <= _coverage(top_lift, lift, truth=float(top.mean() / p.mean())) <= 0.99


def test_the_lift_interval_by_pencil() -> None:
    """8 of 20 on the list, 20 of 100 in all: lift 2; p = .4, q = .15, w = .2, m = .2.

    Var log = (2.5 - 1)^2 x .24 / 20 + (.8 / .2)^2 x .1275 / 80 = .027 + .0255.
    """
    low, high = lift_interval(8, 20, events=20, n=100, level=0.95)
    spread = 1.959964 * math.sqrt(0.0525)
    assert (low, high) == pytest.approx((2 * math.exp(-spread), 2 * math.exp(spread)), rel=1e-5)
    assert lift_interval(0, 20, events=20, n=100, level=0.95)[0] == 0
    assert math.isnan(lift_interval(0, 20, events=0, n=100, level=0.95)[0])


def test_the_slope_interval_agrees_with_the_curvature_that_scipy_finds(made: tuple[np.ndarray, np.ndarray]) -> None:
    p, y = made
    logit = np.log(np.clip(p, 1e-12, 1) / (1 - p))

    def loss(theta: np.ndarray) -> float:
        return float((np.logaddexp(0, theta[0] + theta[1] * logit) - y * (theta[0] + theta[1] * logit)).sum())

    found = minimize(loss, [0.0, 1.0], method="BFGS", options={"gtol": 1e-8})
    low, high = calibration_slope_interval(p, y, level=0.95)
    assert (high - low) / 2 == pytest.approx(1.959964 * math.sqrt(found.hess_inv[1, 1]), rel=0.05)


def test_a_right_forecast_shows_the_calibration_error_of_chance_and_a_wrong_one_more() -> None:
    rng = np.random.default_rng(6)
    above = covered = 0
    for _ in range(200):
        p = rng.beta(1.5, 5, 500)
        y = rng.random(500) < p
        above += expected_calibration_error(p, y) > calibration_error_by_chance(p, level=0.95)
        low, high = calibration_error_interval(p, y, level=0.95)
        assert 0 <= low <= expected_calibration_error(p, y) <= high
        covered += low <= 0.01
    assert 2 <= above <= 20
    assert covered > 150, "a right forecast has next to no error, and its interval mostly says so"
    p = rng.beta(1.5, 5, 5_000)
    y = rng.random(5_000) < p
    wrong = np.minimum(2 * p, 1)
    assert expected_calibration_error(wrong, y) > 3 * calibration_error_by_chance(wrong, level=0.95)
    low, high = calibration_error_interval(wrong, y, level=0.95)
    assert low < float(np.abs(wrong - p).mean()) < high
