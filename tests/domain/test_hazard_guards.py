from dataclasses import replace

import numpy as np
import pytest

from app.domain.features import FeatureTable
from app.domain.hazard_guards import SurvivalGap, compare_with_kaplan_meier, find_broken_curves, pool_gaps
from app.domain.kaplan_meier import estimate_survival
from app.domain.survival import HazardModel, predict, take_rows
from tests.domain.reference_world import FITTED_AT, World, fit_world, simulate_world, spells_of, table_at


@pytest.fixture(scope="module")
def fitted() -> tuple[World, HazardModel, FeatureTable]:
    world = simulate_world(800, seed=12)
    return (world, *fit_world(world, tracked_from_month=30))


def test_sound_curves_are_not_broken(fitted: tuple[World, HazardModel, FeatureTable]) -> None:
    world, model, _ = fitted
    assert len(find_broken_curves(predict(model, table_at(world, np.array([0]))))) == 0


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.1, 1.1])
def test_a_broken_curve_is_found(fitted: tuple[World, HazardModel, FeatureTable], value: float) -> None:
    world, model, _ = fitted
    prediction = predict(model, table_at(world, np.array([0])))
    for name in ("hazard", "survival", "retention"):
        curve = getattr(prediction, name).copy()
        curve[3, 30] = value
        assert find_broken_curves(replace(prediction, **{name: curve})).tolist() == [3]


def test_a_curve_that_rises_is_found(fitted: tuple[World, HazardModel, FeatureTable]) -> None:
    world, model, _ = fitted
    prediction = predict(model, table_at(world, np.array([0])))
    curve = prediction.survival.copy()
    curve[5, 20] = curve[5, 18]
    assert find_broken_curves(replace(prediction, survival=curve)).tolist() == [5]


def test_a_good_fit_agrees_with_kaplan_meier_in_each_quintile(fitted: tuple[World, HazardModel, FeatureTable]) -> None:
    world, model, training = fitted
    gaps = compare_with_kaplan_meier(model, training, spells=spells_of(world, known_to_month=FITTED_AT))
    assert len(gaps) == 5
    assert pool_gaps(gaps).is_acceptable
    assert [gap.predicted for gap in gaps] == sorted((gap.predicted for gap in gaps), reverse=True)


def test_the_observed_curve_agrees_with_lifelines(fitted: tuple[World, HazardModel, FeatureTable]) -> None:
    world, model, training = fitted
    gaps = compare_with_kaplan_meier(model, training, spells=spells_of(world, known_to_month=FITTED_AT))
    year_ago = table_at(world, np.array([-12]))
    low = np.lexsort((year_ago.account, -predict(model, year_ago, months=12).survival[:, -1]))[: gaps[0].n_accounts]
    left = world.churned_in[year_ago.account[low]] - (FITTED_AT - 12)
    curve = estimate_survival(np.minimum(left, 12).astype(float), left <= 12)
    assert gaps[0].observed == pytest.approx(curve.at(np.array([12.0]))[0])


def test_a_fit_that_is_off_is_told(fitted: tuple[World, HazardModel, FeatureTable]) -> None:
    world, model, training = fitted
    mode = model.mode.copy()
    mode[0] += 1.5
    spells = spells_of(world, known_to_month=FITTED_AT)
    gaps = compare_with_kaplan_meier(replace(model, mode=mode), training, spells=spells)
    assert not pool_gaps(gaps).is_acceptable


def test_the_gap_allows_five_points_or_two_and_a_half_errors() -> None:
    assert SurvivalGap(50, 0.90, 0.86, 0.001).is_acceptable
    assert not SurvivalGap(50, 0.90, 0.84, 0.001).is_acceptable
    assert SurvivalGap(50, 0.90, 0.84, 0.03).is_acceptable


def test_groups_are_pooled_by_their_number_of_accounts() -> None:
    pooled = pool_gaps((SurvivalGap(30, 0.9, 0.8, 0.04), SurvivalGap(10, 0.5, 0.7, 0.08)))
    assert (pooled.n_accounts, pooled.predicted, pooled.observed) == pytest.approx((40, 0.8, 0.775))
    assert pooled.standard_error == pytest.approx(np.hypot(30 * 0.04, 10 * 0.08) / 40)
    with pytest.raises(ValueError, match="no group"):
        pool_gaps(())


def test_a_short_record_is_compared_over_what_it_has(fitted: tuple[World, HazardModel, FeatureTable]) -> None:
    world, model, _ = fitted
    spells = spells_of(world, known_to_month=FITTED_AT)
    recent = table_at(world, np.array([-3]))
    gaps = compare_with_kaplan_meier(model, recent, spells=spells)
    assert sum(gap.n_accounts for gap in gaps) == len(recent.account)
    assert all(gap.is_acceptable and gap.observed > 0.6 for gap in gaps)
    today = table_at(world, np.array([0]))
    assert compare_with_kaplan_meier(model, today, spells=spells) == ()
    assert compare_with_kaplan_meier(model, take_rows(today, np.arange(0)), spells=spells) == ()
