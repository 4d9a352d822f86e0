"""Draws of many groups at once, and of large groups by a sample."""

from dataclasses import replace

import numpy as np
import pytest

from app.domain import hazard_draws
from app.domain.feature_catalog import feature_specs
from app.domain.feature_table import build_features
from app.domain.features import FeatureTable
from app.domain.hazard_draws import Groups, expected_draws, group_draws, sample_accounts, sum_by_group
from app.domain.survival import FitOptions, HazardModel, fit_hazard, predict, take_rows, training_landmarks
from jobs.example_company.facts import read_facts
from jobs.example_company.world import simulate

SEED = 4


@pytest.fixture(scope="module")
def fitted() -> tuple[HazardModel, FeatureTable]:
    world = simulate(3)
    facts = read_facts(world)
    options = FitOptions(as_of=world.as_of, tracked_from=min(facts.spells.started_on.tolist()))
    landmarks = training_landmarks(options.as_of, options.tracked_from, n_accounts=len(facts.account_ids))
    model = fit_hazard(build_features(facts, landmarks), facts.spells, specs=feature_specs(facts), options=options)
    return model, build_features(facts, np.array([world.as_of], dtype="datetime64[D]"))


@pytest.fixture
def cuts(fitted: tuple[HazardModel, FeatureTable]) -> list[Groups]:
    table = fitted[1]
    size = len(table.account)
    return [Groups(np.zeros(size, dtype=np.int64), table.mrr, 1), Groups(np.arange(size) % 3, table.mrr, 3)]


def test_the_cuts_drawn_at_once_are_those_drawn_one_by_one(
    fitted: tuple[HazardModel, FeatureTable], cuts: list[Groups]
) -> None:
    model, table = fitted
    retention = predict(model, table).retention
    for cut, drawn in zip(cuts, expected_draws(model, table, cuts=cuts, retention=retention, seed=SEED), strict=True):
        alone = group_draws(model, table, groups=cut, seed=SEED).expected
        assert drawn == pytest.approx(alone, rel=1e-12)


def test_a_large_group_is_drawn_by_a_sample_that_keeps_its_mean_and_its_spread(
    fitted: tuple[HazardModel, FeatureTable], cuts: list[Groups], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, table = fitted
    retention = predict(model, table).retention
    whole = expected_draws(model, table, cuts=cuts, retention=retention, seed=SEED)
    monkeypatch.setattr(sample_accounts, "__kwdefaults__", {"fewest": 60})
    assert len(sample_accounts(table.account, cuts)[0]) < 0.9 * len(table.account)
    sampled = expected_draws(model, table, cuts=cuts, retention=retention, seed=SEED)
    for one, other in zip(whole, sampled, strict=True):
        assert other.mean(axis=0) == pytest.approx(one.mean(axis=0), rel=0.02)
        assert other[:, :, 11].std(axis=0) == pytest.approx(one[:, :, 11].std(axis=0), rel=0.25)


def test_a_small_group_inside_a_large_company_is_drawn_whole() -> None:
    account = np.arange(5_000)
    rare = (account % 100 == 0).astype(np.int64)
    cuts = [Groups(np.zeros(5_000, dtype=np.int64), np.ones(5_000), 1), Groups(rare, np.ones(5_000), 2)]
    rows, share = sample_accounts(account, cuts)
    assert set(np.flatnonzero(rare)) <= set(rows.tolist())
    assert (share[rare[rows] == 1] == 1.0).all()
    assert len(rows) == pytest.approx(50 + 300, rel=0.2)
    assert (1.0 / share).sum() == pytest.approx(5_000, rel=0.15), "the weights undo it"


def test_the_sample_does_not_hang_on_the_order_of_the_accounts() -> None:
    account = np.arange(3_000)
    order = np.random.default_rng(1).permutation(3_000)
    everyone = Groups(np.zeros(3_000, dtype=np.int64), np.ones(3_000), 1)
    rows = sample_accounts(account, [everyone])[0]
    shuffled = sample_accounts(account[order], [everyone])[0]
    assert sorted(order[shuffled].tolist()) == rows.tolist()
    assert len(rows) == pytest.approx(hazard_draws.FEWEST_DRAWN, rel=0.2)


def test_sums_by_group_are_those_by_pencil() -> None:
    groups = Groups(np.array([1, 0, 1]), np.array([1.0, 2.0, 3.0]), 3)
    assert sum_by_group(groups, np.array([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])).tolist() == [
        [4.0, 40.0],
        [10.0, 100.0],
        [0.0, 0.0],
    ]


def test_an_account_by_itself_is_drawn_as_far_apart_as_its_interval_says(
    fitted: tuple[HazardModel, FeatureTable],
) -> None:
    model, table = replace(fitted[0], lasting_sd=0.6, lasting_memory=0.8), take_rows(fitted[1], np.arange(6))
    each = Groups(np.arange(6), np.ones(6), 6)
    drawn = group_draws(model, table, groups=each, seed=SEED, n_draws=4_000).expected[:, :, 11]
    made = predict(model, table)
    expected = made.log_retention_sd[:, 11] / -np.log(made.retention[:, 11])
    assert np.log(-np.log(drawn)).std(axis=0) == pytest.approx(expected, rel=0.12)


def test_what_keeps_accounts_apart_hardly_moves_the_sum_of_many_and_is_the_same_in_every_cut(
    fitted: tuple[HazardModel, FeatureTable], cuts: list[Groups], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, table = fitted
    apart = replace(model, lasting_sd=0.6, lasting_memory=0.8)
    retention = predict(model, table).retention
    plain, wider = (expected_draws(m, table, cuts=cuts, retention=retention, seed=SEED) for m in (model, apart))
    assert wider[0][:, 0, 11].std() == pytest.approx(plain[0][:, 0, 11].std(), rel=0.1)
    assert wider[1].sum(axis=1) == pytest.approx(wider[0][:, 0], rel=1e-9)
    monkeypatch.setattr(sample_accounts, "__kwdefaults__", {"fewest": 60})
    sampled = expected_draws(apart, table, cuts=cuts, retention=retention, seed=SEED)
    assert sampled[0][:, 0, 11].std() == pytest.approx(wider[0][:, 0, 11].std(), rel=0.25)
