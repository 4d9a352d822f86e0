import json
from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.features import FeatureTable, Spells
from app.domain.hazard_clock import boundaries_from
from app.domain.hazard_draws import Groups, group_draws
from app.domain.hazard_model import RENEWAL
from app.domain.survival import (
    FitOptions,
    HazardModel,
    band,
    decide_basis,
    fit_hazard,
    predict,
    take_rows,
)
from tests.domain.notices import nobody_leaves
from tests.domain.reference_world import (
    AS_OF,
    FITTED_AT,
    SPECS,
    World,
    fit_world,
    simulate_world,
    spells_of,
    table_at,
)

NEVER = 999


@pytest.fixture(scope="module")
def world() -> World:
    return simulate_world(400, seed=7)


@pytest.fixture(scope="module")
def training(world: World) -> FeatureTable:
    return table_at(world, np.arange(-24, 0))


@pytest.fixture(scope="module")
def spells(world: World) -> Spells:
    return spells_of(world, known_to_month=FITTED_AT)


@pytest.fixture(scope="module")
def today(world: World) -> FeatureTable:
    return table_at(world, np.array([0]))


OPTIONS = FitOptions(AS_OF, date(2022, 12, 1))


@pytest.fixture(scope="module")
def model(training: FeatureTable, spells: Spells) -> HazardModel:
    return fit_hazard(training, spells, specs=SPECS, options=OPTIONS)


def mean_hazard(model: HazardModel, table: FeatureTable) -> float:
    rows = np.flatnonzero(table.landmark == table.landmark.max())
    return float(predict(model, take_rows(table, rows)).hazard[:, :12].mean())


def test_curves_start_at_one_and_never_rise(model: HazardModel, today: FeatureTable) -> None:
    prediction = predict(model, today)
    assert prediction.survival.shape == (len(today.account), 60)
    assert (np.diff(prediction.survival, axis=1, prepend=1.0) <= 0).all()
    assert (prediction.survival > 0).all()
    assert prediction.survival == pytest.approx(np.cumprod(1 - prediction.hazard, axis=1))
    assert prediction.churn_within(3) == pytest.approx(1 - np.prod(1 - prediction.hazard[:, :3], axis=1))


def test_the_predictor_is_the_one_that_is_documented(model: HazardModel, today: FeatureTable, world: World) -> None:
    """One annual account, term by term, in plain arithmetic."""
    prediction = predict(model, today)
    i = int(np.flatnonzero(world.annual[today.account] & (prediction.next_renewal_month == 4))[0])
    z = (today.values[i] - model.feature_mean) / model.feature_sd
    theta = dict(zip(("one", "log", "renewal", "contract"), model.theta, strict=False))
    tenure = FITTED_AT + 4 - int(world.joined[today.account[i]])
    clock = model.theta[5:, 0] @ [tenure <= 3, 4 <= tenure <= 6, min(tenure, 60) / 12]
    eta = theta["one"][0] + theta["one"][1:] @ z + clock
    eta += np.log(4) * (theta["log"][0] + theta["log"][1:] @ z)
    eta += theta["renewal"][0] + theta["renewal"][1:] @ z + theta["contract"][0] + theta["contract"][1:] @ z
    assert prediction.hazard[i, 3] == pytest.approx(1 / (1 + np.exp(-eta)), rel=1e-12)
    assert theta["log"][4:].tolist() == [0.0, 0.0]  # small and log MRR do not vary with time


def test_json_returns_the_same_model_and_the_same_bytes(model: HazardModel, today: FeatureTable) -> None:
    copy = HazardModel.from_json(model.to_json())
    assert copy.to_json() == model.to_json()
    assert copy.sha256 == model.sha256
    assert predict(copy, today).survival.tobytes() == predict(model, today).survival.tobytes()
    assert copy.options == model.options
    assert copy.specs == model.specs


def test_json_that_is_no_such_model_is_refused(model: HazardModel) -> None:
    body = json.loads(model.to_json())
    for change in ({"version": 1}, {"mode": body["mode"][:-1]}, {"surprise": 1}, {"feature_sd": [1.0]}):
        with pytest.raises(ValueError, match="hazard model"):
            HazardModel.from_json(json.dumps(body | change))
    with pytest.raises(ValueError, match="hazard model"):
        HazardModel.from_json("[]")


def test_the_order_of_rows_changes_no_byte(training: FeatureTable, spells: Spells, model: HazardModel) -> None:
    order = np.random.default_rng(1).permutation(len(training.account))
    assert fit_hazard(take_rows(training, order), spells, specs=SPECS, options=OPTIONS).to_json() == model.to_json()


def test_what_happens_after_as_of_changes_no_byte(
    world: World, training: FeatureTable, today: FeatureTable, model: HazardModel
) -> None:
    later = spells_of(world, known_to_month=84)
    joined = {name: np.concatenate([getattr(training, name), getattr(today, name)]) for name in _columns(training)}
    known = replace(training, **joined)
    assert fit_hazard(known, later, specs=SPECS, options=OPTIONS).to_json() == model.to_json()


def _columns(table: FeatureTable) -> list[str]:
    return [name for name in table.__dataclass_fields__ if name != "names"]


@settings(max_examples=8, deadline=None)
@given(extra=st.integers(0, 10_000))
def test_another_churn_never_lowers_the_mean_predicted_churn(
    extra: int, training: FeatureTable, spells: Spells, model: HazardModel
) -> None:
    live = np.flatnonzero(np.isnat(spells.ended_on) & np.isin(spells.account, training.account))
    chosen = live[extra % len(live)]
    ended = spells.ended_on.copy()
    seen = training.landmark[training.account == chosen]
    ended[chosen] = seen.max() + np.timedelta64(5, "D")
    more = replace(spells, ended_on=ended, churned=spells.churned | (np.arange(len(ended)) == chosen))
    refitted = fit_hazard(training, more, specs=SPECS, options=OPTIONS)
    assert refitted.n_churns == model.n_churns + 1
    assert mean_hazard(refitted, training) >= mean_hazard(model, training)


@pytest.mark.parametrize("churns", [0, 1])
def test_with_no_or_one_churn_the_defaults_speak_and_the_basis_says_so(
    churns: int, training: FeatureTable, spells: Spells, today: FeatureTable
) -> None:
    events = np.flatnonzero(spells.churned & (spells.ended_on > np.datetime64("2023-06-01")))[:churns]
    churned = np.zeros(len(spells.churned), dtype=bool)
    churned[events] = True
    few = replace(spells, churned=churned, ended_on=np.where(churned, spells.ended_on, np.datetime64("NaT")))
    model = fit_hazard(training, few, specs=SPECS, options=OPTIONS)
    assert model.n_churns == churns
    assert decide_basis(model, few) == "prior"
    assert model.theta[0, 1] == pytest.approx(-0.45, abs=0.15)
    assert model.theta[RENEWAL, 0] > 2
    assert 0 < predict(model, today).churn_within(12).mean() < 0.05


def test_without_any_account_or_landmark_the_model_is_the_prior(training: FeatureTable, today: FeatureTable) -> None:
    nobody = Spells(*(np.zeros(0, dtype=kind) for kind in ("i8", "i8", "M8[D]", "M8[D]", "?", "i8")))
    model = fit_hazard(take_rows(training, np.arange(0)), nobody, specs=SPECS, options=OPTIONS)
    assert model.basis == "prior"
    assert model.mode == pytest.approx(model.prior_mean)
    assert model.last_supported_tenure == 0
    prediction = predict(model, today)
    assert np.isfinite(prediction.survival).all()
    assert (prediction.supported_months == 12).all()
    assert predict(model, take_rows(today, np.arange(0))).survival.shape == (0, 60)


def test_an_unknown_value_predicts_like_the_training_mean(model: HazardModel, today: FeatureTable) -> None:
    usage = np.where(np.arange(5) == 0, np.nan, today.values)
    at_mean = np.where(np.arange(5) == 0, model.feature_mean[0], today.values)
    missing, mean = predict(model, replace(today, values=usage)), predict(model, replace(today, values=at_mean))
    assert missing.survival == pytest.approx(mean.survival)


@pytest.mark.parametrize("value", [np.nan, 3.0])
def test_a_feature_that_is_constant_or_never_known_says_nothing(
    value: float, training: FeatureTable, spells: Spells, today: FeatureTable
) -> None:
    values = training.values.copy()
    values[:, 0] = value
    model = fit_hazard(replace(training, values=values), spells, specs=SPECS, options=OPTIONS)
    assert model.feature_sd[0] == 0
    moved = today.values.copy()
    moved[:, 0] += 5
    assert predict(model, replace(today, values=moved)).survival == pytest.approx(predict(model, today).survival)
    assert HazardModel.from_json(model.to_json()).feature_mean[0] == model.feature_mean[0]


def test_a_value_far_out_says_no_more_than_four_deviations(model: HazardModel, today: FeatureTable) -> None:
    def at(z: float) -> np.ndarray:
        values = today.values.copy()
        values[:, 0] = model.feature_mean[0] + z * model.feature_sd[0]
        return predict(model, replace(today, values=values)).survival

    assert at(400.0) == pytest.approx(at(4.0))


def test_revenue_is_kept_inside_a_committed_term_while_the_account_may_leave(
    model: HazardModel, today: FeatureTable
) -> None:
    until = boundaries_from(AS_OF, np.array([7]))[0]
    table = replace(today, committed_until=np.full(len(today.account), until))
    prediction = predict(model, table)
    assert (prediction.retention[:, :7] == 1.0).all()
    assert (prediction.log_retention_sd[:, :7] == 0.0).all()
    assert prediction.survival == pytest.approx(predict(model, today).survival)
    assert prediction.retention[:, 7:] == pytest.approx(prediction.survival[:, 7:] / prediction.survival[:, 6:7])


def test_beyond_the_support_hazards_fall_as_renewals_do_at_the_same_clock_position(
    model: HazardModel, today: FeatureTable, world: World
) -> None:
    prediction = predict(model, today)
    due_next = np.flatnonzero(prediction.next_renewal_month == 2)
    i = int(due_next[prediction.tenure_months[due_next] + 24 < model.last_supported_tenure][0])
    s = int(prediction.supported_months[i])
    assert s == 24
    c = model.tail_alpha[0, 1] + model.tail_beta[0, 1]
    passed = np.ceil((prediction.tenure_months[i] + np.arange(1, 61)) / 12) - 1  # a year's renewal ends it
    ratio = (c + passed[s - 1]) / (c + passed)
    renewal = np.isin(np.arange(1, 61) % 12, [2])
    later = np.arange(1, 61) > s
    for position in (later & ~renewal, later & renewal):
        held = prediction.hazard[i, position] / ratio[position]
        assert held == pytest.approx(np.full(len(held), held[0]), rel=1e-9)
    assert prediction.hazard[i, later & renewal][0] > 5 * prediction.hazard[i, later & ~renewal][0]
    assert prediction.hazard[i, later & renewal][-1] < prediction.hazard[i, later & renewal][0]
    assert ((prediction.supported_months >= 12) & (prediction.supported_months <= 24)).all()


def test_an_account_older_than_the_record_keeps_its_last_hazards(model: HazardModel, today: FeatureTable) -> None:
    old = replace(today, started_on=today.started_on - np.timedelta64(3650, "D"))
    prediction = predict(model, old)
    assert (prediction.supported_months == 12).all()
    monthly = today.term_months == 1
    assert np.ptp(prediction.hazard[monthly][:, 12:], axis=1).max() < 1e-15


def test_the_tail_widens_the_interval(model: HazardModel, today: FeatureTable) -> None:
    sure = replace(model, tail_log_sum_sd=np.zeros_like(model.tail_log_sum_sd))
    with_tail, without = predict(model, today), predict(sure, today)
    assert with_tail.survival.tobytes() == without.survival.tobytes()
    assert (with_tail.log_survival_sd[:, :12] == without.log_survival_sd[:, :12]).all()
    inside = with_tail.tenure_months < model.last_supported_tenure
    assert (with_tail.log_survival_sd[inside, -1] > without.log_survival_sd[inside, -1]).all()


def test_churn_by_the_next_renewal_is_unknown_for_monthly_contracts(model: HazardModel, today: FeatureTable) -> None:
    prediction = predict(model, today)
    monthly = today.term_months == 1
    risk = prediction.churn_by_next_renewal()
    assert np.isnan(risk[monthly]).all()
    i = int(np.flatnonzero(prediction.next_renewal_month == 5)[0])
    assert risk[i] == pytest.approx(1 - prediction.survival[i, 4])


def test_the_delta_method_agrees_with_draws_from_the_posterior(model: HazardModel, today: FeatureTable) -> None:
    some = take_rows(today, np.arange(12))
    prediction = predict(model, some)
    each = Groups(np.arange(12), np.ones(12), 12)
    curves = group_draws(model, some, groups=each, seed=3, n_draws=4000).expected
    spread = prediction.log_retention_sd / -np.log(prediction.retention)
    assert np.log(-np.log(curves)).std(axis=0) == pytest.approx(spread, rel=0.06)
    lower, upper = band(prediction.retention, prediction.log_retention_sd, level=0.9)
    inside = (lower <= curves) & (curves <= upper)
    assert inside.mean(axis=0) == pytest.approx(np.full((12, 60), 0.9), abs=0.035)


def test_a_band_holds_its_curve_and_widens_with_the_level() -> None:
    curve, sd = np.array([[0.99, 0.9, 0.5, 0.1]]), np.array([[0.005, 0.04, 0.3, 0.8]])
    narrow, wide = band(curve, sd, level=0.8), band(curve, sd, level=0.95)
    assert (wide[0] < narrow[0]).all()
    assert (narrow[0] < curve).all()
    assert (curve < narrow[1]).all()
    assert (narrow[1] < wide[1]).all()
    assert (wide[0] > 0).all()
    assert (wide[1] < 1).all()
    exposure = -np.log(0.9)  # by pencil: normal on log(-log S)
    assert narrow[0][0, 1] == pytest.approx(np.exp(-exposure * np.exp(1.2815516 * 0.04 / exposure)))
    certain = band(np.ones((1, 3)), np.zeros((1, 3)), level=0.9)
    assert certain[0].tolist() == certain[1].tolist() == [[1.0, 1.0, 1.0]]


@pytest.mark.parametrize("size", [13, 100, 501])
def test_however_accounts_are_cut_into_parts_their_draws_add_up_to_those_of_all(
    model: HazardModel, today: FeatureTable, size: int
) -> None:
    apart = replace(model, lasting_sd=0.4, lasting_memory=0.8)
    n = 520  # more than are worked on at once
    some = replace(take_rows(today, np.arange(n) % len(today.account)), account=np.arange(n))
    group = np.arange(n) % 3

    def draws(rows: np.ndarray) -> np.ndarray:
        groups = Groups(group[rows], some.mrr[rows], 3)
        made = group_draws(apart, take_rows(some, rows), groups=groups, seed=5, n_draws=20)
        return np.stack([made.expected, made.realised])

    whole = draws(np.arange(n))
    parts = [draws(np.arange(start, min(start + size, n))) for start in range(0, n, size)]
    assert sum(parts) == pytest.approx(whole, rel=1e-12)
    assert whole.shape == (2, 20, 3, 60)


def test_realised_draws_spread_more_than_expected_ones_around_the_same_mean(
    model: HazardModel, today: FeatureTable
) -> None:
    some = take_rows(today, np.arange(40))
    groups = Groups(np.zeros(40, dtype=np.int64), np.ones(40), 1)
    draws = group_draws(model, some, groups=groups, seed=5, n_draws=2000)
    assert draws.realised[:, 0, 11].mean() == pytest.approx(draws.expected[:, 0, 11].mean(), rel=0.01)
    assert draws.realised[:, 0, 11].std() > 1.5 * draws.expected[:, 0, 11].std()
    assert (draws.realised == np.round(draws.realised)).all()


def test_draws_scatter_about_the_fitted_curve_though_hazards_are_convex(
    model: HazardModel, today: FeatureTable
) -> None:
    unsure = replace(model, options=replace(model.options, posterior_scale=2.0))
    everyone = Groups(np.zeros(len(today.account), dtype=np.int64), np.ones(len(today.account)), 1)
    drawn = group_draws(unsure, today, groups=everyone, seed=2, n_draws=400).expected[:, 0].mean(axis=0)
    fitted = predict(unsure, today).retention.sum(axis=0)
    lost, expected_lost = len(today.account) - drawn, len(today.account) - fitted
    assert lost == pytest.approx(expected_lost, rel=0.04)


def test_churns_of_one_calendar_month_make_the_basis_the_segment(model: HazardModel, spells: Spells) -> None:
    assert decide_basis(model, spells) == "account"
    churned = spells.churned & (spells.ended_on >= np.datetime64(OPTIONS.tracked_from))
    same = np.where(churned, np.datetime64("2024-11-20"), spells.ended_on)
    assert decide_basis(model, replace(spells, ended_on=same)) == "segment"
    two = np.zeros(len(churned), dtype=bool)
    two[np.flatnonzero(churned)[:2]] = True
    assert decide_basis(model, replace(spells, ended_on=same, churned=two)) == "account"


def test_tables_that_do_not_fit_the_specs_are_refused(
    training: FeatureTable, spells: Spells, model: HazardModel
) -> None:
    with pytest.raises(ValueError, match="other columns"):
        fit_hazard(training, spells, specs=SPECS[:-1], options=OPTIONS)
    with pytest.raises(ValueError, match="landmarks of several"):
        predict(model, training)
    renamed = replace(training, names=("a", "b", "c", "d", "e"))
    with pytest.raises(ValueError, match="other columns"):
        predict(model, renamed)


def test_five_years_of_record_look_three_years_ahead() -> None:
    world = simulate_world(100, seed=3)
    assert fit_world(world, tracked_from_month=1)[0].horizon_months == 24
    assert fit_world(world, tracked_from_month=0)[0].horizon_months == 36


@pytest.mark.parametrize("as_of", [date(2024, 12, 1), date(2024, 12, 15), date(2024, 12, 31)])
@pytest.mark.parametrize("billed_on", [1, 15, 28])
def test_renewals_are_foreseen_in_their_month_whatever_the_day(as_of: date, billed_on: int) -> None:
    """Annual accounts that leave at renewal only: the month ahead names those due, and the clock never slips."""
    rng = np.random.default_rng(as_of.day * 100 + billed_on)
    n = 600
    month = np.datetime64("2019-01", "M") + rng.integers(0, 60, n)
    start = month.astype("datetime64[D]") + np.timedelta64(billed_on - 1, "D")
    years = rng.geometric(0.3, n)
    ended = (month + 12 * years).astype("datetime64[D]") + np.timedelta64(billed_on - 1, "D")
    known = ended <= np.datetime64(as_of)
    index = np.arange(n)
    last = np.where(known, ended, np.datetime64("NaT"))
    spells = Spells(index, np.ones(n, dtype=np.int64), start, last, known, np.full(n, -1))
    offsets = np.arange(-24, 1)
    landmarks = boundaries_from(as_of, offsets)
    account, at = np.nonzero((start[:, None] <= landmarks) & (landmarks < ended[:, None]))
    landmark = landmarks[at]
    passed = (landmark.astype("datetime64[M]") - start[account].astype("datetime64[M]")).astype(np.int64)
    day_passed = (landmark - landmark.astype("datetime64[M]").astype("datetime64[D]")).astype(np.int64) >= billed_on - 1
    terms = (passed - ~day_passed) // 12 + 1
    renewal = (start[account].astype("datetime64[M]") + 12 * terms).astype("datetime64[D]")
    renewal += np.timedelta64(billed_on - 1, "D")
    none = np.full(len(account), np.datetime64("NaT"), dtype="datetime64[D]")
    table = FeatureTable(account, account, landmark, start[account], np.full(len(account), 12), renewal, none,
                         *nobody_leaves(len(account)).values(), np.ones(len(account)), (),
                         np.empty((len(account), 0)))  # fmt: skip
    options = FitOptions(as_of, date(as_of.year - 2, as_of.month, as_of.day))
    model = fit_hazard(table, spells, specs=(), options=options)
    prediction = predict(model, take_rows(table, np.flatnonzero(at == len(offsets) - 1)))
    due = prediction.next_renewal_month[:, None] % 12 == np.arange(1, 13)[None, :] % 12
    assert prediction.hazard[:, :12][due].mean() == pytest.approx(0.3, abs=0.06)
    assert prediction.hazard[:, :12][~due].max() < 0.01
    alive = prediction.account
    for k in (1, 2, 3):
        first, last = boundaries_from(as_of, np.array([k - 1, k]))
        lost = (ended[alive] >= first) & (ended[alive] < last)
        assert not lost[prediction.next_renewal_month != k].any()
        assert lost.sum() == pytest.approx(prediction.hazard[:, k - 1].sum(), abs=3.5 * np.sqrt(lost.sum() + 1))
