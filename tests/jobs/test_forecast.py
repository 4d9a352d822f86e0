"""Forecasts where the curves are Kaplan-Meier's: draws of groups where next to nobody has left."""

import numpy as np
import pytest

from app.domain.hazard_draws import Groups
from app.domain.segment_curves import conditional_survival, counted_band, life_table
from jobs.forecast import LEVEL, Forecast, draws_by_segment

YEAR = 11


def forecast(churns: int, *, accounts: int = 30) -> Forecast:
    """Of `accounts` at tenure 0; as many were seen for two years, and `churns` of them left, one a month."""
    at_risk = accounts - np.minimum(np.arange(24), churns)
    survival = np.append(1.0, np.cumprod(1.0 - (np.arange(24) < churns) / at_risk))
    tenure = np.zeros(accounts, dtype=np.int64)
    curve, sd, supported = conditional_survival(
        [life_table(survival, at_risk)], table_of=tenure, tenure_months=tenure, months=60
    )
    return Forecast(
        survival=curve,
        retention=curve,
        log_survival_sd=sd,
        log_retention_sd=sd,
        supported_months=supported,
        tenure_months=tenure,
        renewal_churn=np.full(accounts, np.nan),
        cause_probabilities=np.zeros((accounts, 4, 3)),
        is_counted=np.ones(accounts, dtype=bool),
        n_broken=0,
    )


def draw(made: Forecast) -> np.ndarray:
    n = len(made.survival)
    everyone = Groups(np.zeros(n, dtype=np.int64), np.full(n, 1.0 / n), 1)
    return draws_by_segment(made, cuts=[everyone], segment=np.full(n, "all"))[0][:, 0]


@pytest.mark.parametrize("churns", [0, 1, 2, 5, 20])
def test_draws_of_a_segment_lie_about_its_curve_and_never_lose_all_where_few_left(churns: int) -> None:
    made = forecast(churns)
    drawn = draw(made)
    assert ((drawn >= 0) & (drawn <= 1)).all()
    assert (np.diff(drawn, axis=1) <= 1e-12).all()
    lost = 1 - drawn[:, YEAR]
    assert np.quantile(lost, 0.95) <= (churns + 1.645 * np.sqrt(churns + 0.5) + 3) / len(made.survival)
    lower, upper = counted_band(made.survival[:1], made.log_survival_sd[:1], level=LEVEL)
    assert np.quantile(drawn[:, YEAR], [0.05, 0.95]) == pytest.approx([lower[0, YEAR], upper[0, YEAR]], abs=0.02)


def test_the_bounds_of_each_account_are_those_that_counts_allow() -> None:
    made = forecast(0)
    lower, upper = made.bounds()["retention"]
    assert (lower[:, YEAR] > 0.9).all()
    assert (lower <= made.retention).all()
    assert (made.retention <= upper).all()
