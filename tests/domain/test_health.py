from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain import health
from app.domain.features import FeatureTable
from app.domain.health import (
    BANDS,
    annualised_risk,
    assess_health,
    dimension_weights,
    health_band,
    health_score,
    input_coverage,
    list_dimensions,
    list_drivers,
    yearly_risk,
)
from app.domain.survival import HazardModel, build_inputs, next_renewal_months, predict, take_rows
from tests.domain.reference_world import SPECS, fit_world, simulate_world, table_at


@pytest.fixture(scope="module")
def fitted() -> tuple[HazardModel, FeatureTable]:
    world = simulate_world(400, seed=21)
    return fit_world(world, tracked_from_month=36)[0], table_at(world, np.array([0]))


def logit(p: np.ndarray) -> np.ndarray:
    return np.log(p / (1 - p))


def test_the_score_is_a_fixed_map_of_the_risk() -> None:
    assert health_score(np.array([0, 0.05, 0.2, 0.5, 1])).tolist() == [100, 70, 40, 10, 0]
    assert health_score(np.array([0.025, 0.125, 0.35, 0.75])) == pytest.approx([85, 55, 25, 5])


def test_bands_lie_at_5_and_20_percent_and_move_with_the_companys_own_churn() -> None:
    risk = np.array([0.0, 0.049, 0.05, 0.19, 0.21, 1.0])
    assert [BANDS[i] for i in health_band(risk)] == ["healthy", "healthy", "watch", "watch", "at_risk", "at_risk"]
    shifted = health_band(np.array([0.09, 0.12, 0.35, 0.37]), reference_churn=0.2)  # odds 2.25 times: 10.6 and 36 %
    assert [BANDS[i] for i in shifted] == ["healthy", "watch", "watch", "at_risk"]
    with pytest.raises(ValueError, match="between 0 and 1"):
        health_band(risk, reference_churn=0.0)


@given(p=st.floats(0, 0.99), months=st.integers(12, 60))
def test_a_risk_is_brought_to_a_year(p: float, months: int) -> None:
    risk = annualised_risk(np.array([p]), np.array([months]))[0]
    assert (1 - risk) ** (months / 12) == pytest.approx(1 - p)
    assert annualised_risk(np.array([p]), np.array([12]))[0] == pytest.approx(p)


def test_the_risk_reaches_through_the_next_renewal(fitted: tuple[HazardModel, FeatureTable]) -> None:
    model, table = fitted
    long = replace(table, term_months=np.full(len(table.account), 24), renewal_on=table.landmark + 620)
    prediction = predict(model, long)
    assert (prediction.next_renewal_month == 21).all()
    expected = annualised_risk(prediction.churn_within(21), np.full(len(table.account), 21))
    assert assess_health(model, long).risk == pytest.approx(expected)
    monthly = table.term_months == 1
    own = assess_health(model, table)
    assert own.risk[monthly] == pytest.approx(predict(model, table).churn_within(12)[monthly])


def test_contributions_add_up_and_so_do_dimensions(fitted: tuple[HazardModel, FeatureTable]) -> None:
    result = assess_health(*fitted)
    total = logit(result.risk) - result.reference_logit
    assert np.abs(result.contributions.sum(axis=1) - total).max() < 1e-9
    assert np.abs(result.dimension_contributions.sum(axis=1) - total).max() < 1e-9
    assert result.dimensions == ("adoption", "commercial")
    assert [driver.name for driver in result.drivers] == [*(s.name for s in SPECS), "tenure", "contract", "notice"]


def test_eight_nodes_are_enough(fitted: tuple[HazardModel, FeatureTable], monkeypatch: pytest.MonkeyPatch) -> None:
    eight = assess_health(*fitted).contributions
    nodes, weights = np.polynomial.legendre.leggauss(120)
    monkeypatch.setattr(health, "_NODES", nodes)
    monkeypatch.setattr(health, "_WEIGHTS", weights)
    assert np.abs(assess_health(*fitted).contributions - eight).max() < 1e-5


def test_the_gradient_is_the_slope_of_the_logit(fitted: tuple[HazardModel, FeatureTable]) -> None:
    model, table = fitted
    inputs = build_inputs(model, table, months=60)
    horizon = np.clip(next_renewal_months(table), 12, 60)
    for is_longer in (False, True):
        path = health._Path(
            model, inputs, reference=health._reference_clock(model, inputs, is_longer=is_longer), horizon=horizon
        )
        for at in (0.0, 0.4, 1.0):
            slope = (path.logit(at + 1e-5) - path.logit(at - 1e-5)) / 2e-5
            assert path.gradient(at).sum(axis=1) == pytest.approx(slope, abs=1e-6)


def test_one_feature_moved_alone_explains_the_whole_difference(fitted: tuple[HazardModel, FeatureTable]) -> None:
    model, table = fitted
    monthly = take_rows(table, np.flatnonzero(table.term_months == 1)[:20])
    values = np.tile(model.feature_mean, (20, 1))
    at_mean = assess_health(model, replace(monthly, values=values.copy()))
    values[:, 0] = monthly.values[:, 0]
    moved = assess_health(model, replace(monthly, values=values))
    assert np.abs(moved.contributions[:, 1:5]).max() < 1e-12
    assert moved.contributions[:, 0] == pytest.approx(logit(moved.risk) - logit(at_mean.risk), rel=0.1, abs=0.02)
    assert (np.sign(moved.contributions[:, 0]) == np.sign(model.feature_mean[0] - values[:, 0])).all()


def test_an_average_account_has_nothing_to_explain_but_its_clock(fitted: tuple[HazardModel, FeatureTable]) -> None:
    model, table = fitted
    result = assess_health(model, replace(table, values=np.tile(model.feature_mean, (len(table.account), 1))))
    assert np.abs(result.contributions[:, : len(SPECS)]).max() < 1e-12


def test_a_missing_input_contributes_nothing_and_lowers_coverage(fitted: tuple[HazardModel, FeatureTable]) -> None:
    model, table = fitted
    values = table.values.copy()
    values[:, 0] = np.nan
    full, missing = assess_health(model, table), assess_health(model, replace(table, values=values))
    assert (missing.contributions[:, 0] == 0).all()
    assert not missing.known[:, 0].any()
    assert (missing.coverage < full.coverage).all()


def test_losing_an_input_lowers_coverage_by_its_share_of_the_dimension() -> None:
    values = np.ones((3, 5))
    values[1, :2] = np.nan
    values[2, :] = np.nan
    assert input_coverage(values, SPECS) == pytest.approx([1.0, (1 / 3 + 1) / 2, 0.0])
    assert input_coverage(np.empty((2, 0)), ()).tolist() == [0.0, 0.0]


def test_under_the_limit_the_score_is_withheld_but_not_the_probability(
    fitted: tuple[HazardModel, FeatureTable],
) -> None:
    model, table = fitted
    values = table.values.copy()
    values[0] = np.nan
    result = assess_health(model, replace(table, values=values))
    assert result.withheld[0]
    assert np.isnan(result.score[0])
    assert result.band[0] == -1
    assert np.isfinite(result.risk[0])
    assert not result.withheld[1:].any()
    adoption = result.dimensions.index("adoption")
    assert not result.dimension_known[0, adoption]  # unknown, not green
    assert result.dimension_known[1, adoption]


def test_weights_are_learned_from_many_churns_and_defaults_with_few() -> None:
    many = fit_world(simulate_world(3000, seed=1), tracked_from_month=30)[0]
    few = fit_world(simulate_world(100, seed=1, shift=-1.1), tracked_from_month=48)[0]
    assert all(driver.is_learned for driver in list_drivers(many) if driver.name in {"usage", "small", "contract"})
    assert not any(driver.is_learned for driver in list_drivers(few)[: len(SPECS)])
    assert list_drivers(few)[0].n_churns == few.n_churns
    assert list_drivers(many)[0].n_churns == many.n_churns > 500


def test_no_account_is_no_trouble(fitted: tuple[HazardModel, FeatureTable]) -> None:
    model, table = fitted
    assert assess_health(model, take_rows(table, np.arange(0))).contributions.shape == (0, 8)


def test_a_weight_multiplies_what_its_dimension_contributes(fitted: tuple[HazardModel, FeatureTable]) -> None:
    plain = assess_health(*fitted)
    weights = np.tile([2.0, 0.5], (len(plain.risk), 1))
    result = assess_health(*fitted, weights=weights)
    adoption, commercial = plain.dimension_contributions.T
    assert logit(result.risk) == pytest.approx(plain.reference_logit + 2.0 * adoption + 0.5 * commercial)
    assert result.score == pytest.approx(health_score(result.risk))
    assert (result.band == health_band(result.risk)).all()
    assert result.dimension_contributions == pytest.approx(plain.dimension_contributions * [2.0, 0.5])
    assert np.abs(result.contributions.sum(axis=1) - logit(result.risk) + result.reference_logit).max() < 1e-9
    assert (result.coverage == plain.coverage).all()


def test_weights_of_one_change_nothing_and_of_nought_leave_the_reference(
    fitted: tuple[HazardModel, FeatureTable],
) -> None:
    plain = assess_health(*fitted)
    ones = assess_health(*fitted, weights=np.ones((len(plain.risk), 2)))
    noughts = assess_health(*fitted, weights=np.zeros((len(plain.risk), 2)))
    assert ones.risk == pytest.approx(plain.risk, abs=1e-12)
    assert ones.contributions == pytest.approx(plain.contributions)
    assert logit(noughts.risk) == pytest.approx(plain.reference_logit)


def test_each_account_is_weighted_by_its_own_segment(fitted: tuple[HazardModel, FeatureTable]) -> None:
    plain = assess_health(*fitted)
    n = len(plain.risk)
    segments = ["enterprise" if row % 2 else None for row in range(n)]
    weights = dimension_weights({"enterprise": {"adoption": 3.0}}, segments=segments, dimensions=plain.dimensions)
    result = assess_health(*fitted, weights=weights)
    assert result.risk[0::2] == pytest.approx(plain.risk[0::2], abs=1e-12)
    adoption = plain.dimensions.index("adoption")
    moved = logit(result.risk) - logit(plain.risk)
    assert moved[1::2] == pytest.approx(2.0 * plain.dimension_contributions[1::2, adoption])


def test_weights_name_segments_and_the_empty_name_is_every_other() -> None:
    weights = {"": {"adoption": 2.0}, "small": {"commercial": 0.5}}
    found = dimension_weights(weights, segments=["small", "large", None], dimensions=("adoption", "commercial"))
    assert found.tolist() == [[1.0, 0.5], [2.0, 1.0], [2.0, 1.0]]
    assert dimension_weights({}, segments=["small"], dimensions=("adoption",)).tolist() == [[1.0]]
    assert dimension_weights(weights, segments=[], dimensions=("adoption", "support")).shape == (0, 2)


def test_dimensions_are_those_of_the_drivers(fitted: tuple[HazardModel, FeatureTable]) -> None:
    dimensions = list_dimensions(fitted[0])
    assert dimensions == tuple(dict.fromkeys(driver.dimension for driver in list_drivers(fitted[0])))
    assert dimensions == ("adoption", "commercial")


def with_notice(table: FeatureTable, *, row: int, cause: int) -> FeatureTable:
    leaves, why = table.leaves_on.copy(), table.leaves_for.copy()
    leaves[row], why[row] = table.landmark[row] + np.timedelta64(40, "D"), cause
    return replace(table, leaves_on=leaves, leaves_for=why)


@pytest.mark.parametrize("weighted", [False, True])
def test_who_gave_notice_is_at_risk_with_no_score_left_and_the_drivers_still_add_up(
    fitted: tuple[HazardModel, FeatureTable], weighted: bool
) -> None:
    model, table = fitted
    dimensions = list_dimensions(model)
    weights = {"": {"commercial": 0.0, "adoption": 1.5}} if weighted else {}
    factors = dimension_weights(weights, segments=[None] * len(table.account), dimensions=dimensions)
    plain = assess_health(model, table, weights=factors)
    told = with_notice(table, row=4, cause=0)
    found = assess_health(model, told, weights=factors, coverage_limit=1.1)
    assert (BANDS[found.band[4]], round(found.score[4], 4)) == ("at_risk", 0.0)
    assert found.withheld.sum() == len(table.account) - 1
    sums = found.reference_logit + found.contributions.sum(axis=1)
    assert np.abs(sums - logit(found.risk)).max() < 1e-9
    notice = [driver.name for driver in found.drivers].index("notice")
    assert np.flatnonzero(found.contributions[:, notice]).tolist() == [4]
    assert found.contributions[4, notice] > np.abs(found.contributions[4, :notice]).max()
    assert np.delete(found.contributions, notice, axis=1) == pytest.approx(plain.contributions[:, :notice])
    assert yearly_risk(model, told, weights=factors).tolist() == found.risk.tolist()
    assert np.delete(found.risk, 4) == pytest.approx(np.delete(plain.risk, 4))


def test_who_closes_down_has_the_health_that_a_decision_of_its_own_would_leave_it(
    fitted: tuple[HazardModel, FeatureTable],
) -> None:
    model, table = fitted
    closing = with_notice(table, row=4, cause=2)
    assert assess_health(model, closing).risk.tolist() == assess_health(model, table).risk.tolist()
    assert yearly_risk(model, closing).tolist() == yearly_risk(model, table).tolist()
