import math

import numpy as np
import pytest
from lifelines.utils import concordance_index
from scipy.optimize import minimize
from scipy.stats import binomtest

from app.domain.calibration import (
    accuracy_interval,
    auc,
    auc_interval,
    brier_score,
    calibration_slope,
    expected_calibration_error,
    expected_over_observed,
    expected_over_observed_interval,
    index_of_prediction_accuracy,
    share_interval,
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
    low, high = expected_over_observed_interval(p, y, level=0.95)
    assert (low, high) == pytest.approx((1.2 / math.exp(1.959964 * 0.1732051), 1.2 * math.exp(1.959964 * 0.1732051)))
    assert math.isnan(expected_over_observed(p, np.zeros(100, dtype=bool)))
    assert all(map(math.isnan, expected_over_observed_interval(p, np.zeros(100, dtype=bool), level=0.9)))


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


def test_the_interval_of_the_auc_by_pencil() -> None:
    """Two who left (.8, .4), three who stayed (.5, .3, .1): the first beats all three, the second two of three."""
    p, y = np.array([0.8, 0.4, 0.5, 0.3, 0.1]), np.array([True, True, False, False, False])
    beaten, beating = np.array([1.0, 2 / 3]), np.array([0.5, 1.0, 1.0])
    spread = 1.959964 * math.sqrt(beaten.var(ddof=1) / 2 + beating.var(ddof=1) / 3)
    assert auc(p, y) == pytest.approx(5 / 6)
    assert auc_interval(p, y, level=0.95) == pytest.approx((5 / 6 - spread, 1.0))
    assert all(map(math.isnan, auc_interval(p, np.arange(5) < 1, level=0.95)))


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
