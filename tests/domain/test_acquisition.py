"""What winning an account costs, against what one is worth: by pencil, by property, and against simulated spending."""

import math

import numpy as np
import pytest

from app.domain.acquisition import (
    Estimate,
    Worth,
    acquisition_cost,
    cost_draws,
    estimate_cost,
    payback,
    payback_months,
    value_to_cost,
)

SURE = Worth(1_000.0, np.full(60, 40.0), np.full(200, 1_000.0), np.full((200, 60), 40.0))


def test_ltv_to_cac_by_pencil() -> None:
    """10,000 spent, 40 won: 250 each; 1,000 is four times that, and 40 a month pay it back in the seventh."""
    assert acquisition_cost(10_000, 40) == 250.0
    assert value_to_cost(SURE, spent=10_000, n_won=40, level=0.9).value == 4.0
    assert payback(SURE, spent=10_000, n_won=40, level=0.9).value == 7.0


def test_payback_is_the_month_by_whose_end_the_margin_covers_the_cost() -> None:
    margin = np.array([50.0, 30.0, 20.0])
    found = [float(payback_months(margin, np.array(cost))) for cost in (0.0, 50.0, 50.01, 100.0, 100.01)]
    assert found == [1.0, 1.0, 2.0, 3.0, math.inf]


def test_three_months_of_draws_by_pencil() -> None:
    margins = np.array([[10.0, 10.0, 10.0], [30.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    assert payback_months(margins, np.array([20.0, 20.0, 20.0])).tolist() == [2.0, 1.0, math.inf]


def test_without_anyone_won_there_is_no_cost_of_one() -> None:
    nothing = Estimate(None, None, None)
    assert acquisition_cost(500, 0) is None
    assert value_to_cost(SURE, spent=500, n_won=0, level=0.9) == nothing
    assert payback(SURE, spent=500, n_won=0, level=0.9) == nothing


def test_what_cost_nothing_has_no_ratio_and_is_paid_back_at_once() -> None:
    assert value_to_cost(SURE, spent=0, n_won=10, level=0.9).value is None
    assert payback(SURE, spent=0, n_won=10, level=0.9) == Estimate(1.0, 1.0, 1.0)


def test_a_payback_that_never_comes_is_none_and_its_bound_too() -> None:
    slow = Worth(100.0, np.full(60, 2.0), np.full(200, 100.0), np.repeat([[1.0] * 60, [4.0] * 60], 100, axis=0))
    found = payback(slow, spent=12_100, n_won=100, level=0.9)
    assert found.value is None
    assert found.lower is not None
    assert found.upper is None


def test_the_fewer_were_won_the_wider_the_interval_and_the_same_question_has_the_same_answer() -> None:
    widths = []
    for n in (3, 30, 300):
        found = estimate_cost(100.0 * n, n, level=0.9)
        assert found == estimate_cost(100.0 * n, n, level=0.9)
        assert found.lower is not None
        assert found.upper is not None
        assert found.lower < 100.0 < found.upper
        widths.append(found.upper - found.lower)
    assert widths == sorted(widths, reverse=True)


def test_the_interval_of_a_cost_covers_what_a_spend_wins_in_truth() -> None:
    """Spend that wins 8 on average, by chance: the 90 % interval holds the truth in 85 to 95 % of 400 years."""
    rng = np.random.default_rng(20_261_123)
    spent, true_cost = 8_000.0, 1_000.0
    inside = trials = 0
    for won in rng.poisson(spent / true_cost, 400).tolist():
        if not won:
            continue
        found = estimate_cost(spent, won, level=0.9)
        assert found.lower is not None
        assert found.upper is not None
        inside += found.lower <= true_cost <= found.upper
        trials += 1
    assert 0.85 <= inside / trials <= 0.95


def test_draws_of_the_cost_centre_on_it() -> None:
    assert np.median(cost_draws(5_000.0, 50, n_draws=4_000)) == pytest.approx(100.0, rel=0.02)
