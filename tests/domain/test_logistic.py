"""The small logistic regression: by pencil, from what was put in, and where it could fail."""

from math import log

import numpy as np
import pytest

from app.domain.hazard_map import expit
from app.domain.logistic import RIDGE, fit_logistic


def test_one_column_of_two_values_gives_the_log_odds_and_their_ratio() -> None:
    column = np.repeat([0.0, 1.0], [400, 200])[:, None]
    outcome = np.concatenate([np.arange(400) < 100, np.arange(200) < 150])
    intercept, slope = fit_logistic(column, outcome)
    assert intercept == pytest.approx(log(100 / 300), abs=1e-4)
    assert slope == pytest.approx(log((150 / 50) / (100 / 300)), abs=1e-4)


def test_the_coefficients_that_made_the_outcomes_are_found() -> None:
    random = np.random.default_rng(3)
    columns = random.normal(size=(60_000, 3))
    put_in = np.array([-2.0, 0.5, -1.0, 0.0])
    outcome = random.random(60_000) < expit(put_in[0] + columns @ put_in[1:])
    assert fit_logistic(columns, outcome) == pytest.approx(put_in, abs=0.05)


def test_where_a_column_tells_all_the_maximum_still_exists() -> None:
    column = np.linspace(-1, 1, 100)[:, None]
    outcome = column[:, 0] > 0
    intercept, slope = fit_logistic(column, outcome)
    fitted = expit(intercept + slope * column[:, 0])
    gradient = column[:, 0] @ (outcome - fitted) - RIDGE * slope
    assert np.isfinite([intercept, slope]).all()
    assert gradient == pytest.approx(0.0, abs=1e-6)


@pytest.mark.parametrize("outcome", [np.zeros(4, bool), np.ones(4, bool)])
def test_outcomes_of_one_kind_say_nothing(outcome) -> None:
    with pytest.raises(ValueError, match="both kinds"):
        fit_logistic(np.arange(4.0)[:, None], outcome)
