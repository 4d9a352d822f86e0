"""What chance adds to a group's revenue: by pencil, by simulation, and beside draws of every account's fate."""

import numpy as np
import pytest

from app.domain.hazard_draws import Groups, group_draws
from app.domain.process_noise import process_covariances, realised_interval
from app.domain.survival import predict
from tests.domain.reference_world import fit_world, simulate_world, table_at


def everyone(weight: np.ndarray) -> Groups:
    return Groups(np.zeros(len(weight), dtype=np.int64), weight, 1)


def test_two_accounts_over_two_months_by_pencil() -> None:
    # R = (.9, .6) worth 10, (.5, .5) worth 2: month 1 has 100 x .09 + 4 x .25, between 100 (.6 - .54) + 4 (.5 - .25).
    retention = np.array([[0.9, 0.6], [0.5, 0.5]])
    found = process_covariances(np.arange(2), everyone(np.array([10.0, 2.0])), retention=retention)[0]
    assert found == pytest.approx(np.array([[10.0, 7.0], [7.0, 25.0]]))


def test_groups_are_apart_and_an_empty_one_has_no_chance() -> None:
    retention = np.array([[0.9, 0.6], [0.5, 0.5]])
    both = Groups(np.array([2, 0]), np.array([10.0, 2.0]), 3)
    found = process_covariances(np.arange(2), both, retention=retention)
    assert found[:, 0, 0] == pytest.approx([1.0, 0.0, 9.0])


def test_of_a_large_group_a_sample_tells_the_same() -> None:
    rng = np.random.default_rng(1)
    retention = np.cumprod(1 - rng.uniform(0, 0.05, (20_000, 24)), axis=1)
    weight = rng.lognormal(6, 1, 20_000)
    found = process_covariances(np.arange(20_000), everyone(weight), retention=retention)[0]
    exact = weight**2 @ (retention * (1 - retention))
    assert np.diag(found) == pytest.approx(exact, rel=0.1)


def test_the_interval_is_that_of_draws_in_which_every_account_lives_or_dies() -> None:
    world = simulate_world(400, seed=3, shift=-1.0)
    model, _ = fit_world(world, tracked_from_month=40)
    table = table_at(world, np.array([0]))
    groups = everyone(table.mrr)
    drawn = group_draws(model, table, groups=groups, seed=1, n_draws=2_000)
    covariance = process_covariances(table.account, groups, retention=predict(model, table).retention)[0]
    weights = 1.1 ** (-np.arange(1, 61) / 12)
    theirs = np.quantile(drawn.realised[:, 0] @ weights, [0.05, 0.95])
    mine = realised_interval(drawn.expected[:, 0] @ weights, float(weights @ covariance @ weights), level=0.9)
    assert mine == pytest.approx(theirs, rel=0.01)
    assert theirs[1] - theirs[0] > 1.1 * np.ptp(np.quantile(drawn.expected[:, 0] @ weights, [0.05, 0.95]))


def test_without_chance_the_interval_is_that_of_the_draws() -> None:
    draws = np.linspace(100.0, 200.0, 201)
    assert realised_interval(draws, 0.0, level=0.8) == pytest.approx((110.0, 190.0), abs=0.6)
    assert realised_interval(np.zeros(5), 0.0, level=0.9) == (0.0, 0.0)
    assert realised_interval(np.ones(5), 1e6, level=0.9)[0] == 0.0
