"""The example company over forty seeds: what is predicted against what is true, by the service's own functions.

`pytest -m slow -s tests/jobs/example_company/test_accuracy.py` shows the figures.
"""

import sys
from dataclasses import dataclass, replace

import numpy as np
import pytest

from app.domain.drift import segment_drift, survivor_growth
from app.domain.feature_catalog import feature_specs
from app.domain.feature_table import build_features
from app.domain.hazard_draws import Groups, group_draws
from app.domain.ltv import LtvTerms, expansion_value, formula_lifetime_value, lifetime_value
from app.domain.months import whole_months_between
from app.domain.segment_curves import conditional_survival, life_table
from app.domain.survival import FitOptions, band, fit_hazard, predict, training_landmarks
from jobs.curves import estimate_curves, observe_spells
from jobs.example_company.facts import read_facts
from jobs.example_company.truth import foresee
from jobs.example_company.world import simulate

SEEDS = range(40)
HORIZONS = (12, 36, 60)
DISCOUNT = 0.10
LEVEL = 0.90

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@dataclass(frozen=True)
class Outcome:
    seed: int
    accounts: int
    churns: int
    predicted: float  # mean 12-month churn
    true: float
    interval: tuple[float, float]
    auc: float
    auc_kaplan_meier: float
    auc_truth: float
    residual: dict[int, float]  # predicted over true, less 1, by horizon
    total: dict[int, float]
    is_covered: dict[str, bool]  # whether the 90 % interval holds the true 12-month retention: of accounts, of revenue
    accounts_covered: float  # the share of accounts whose 90 % interval holds their true S(12)
    formula: float  # over the true margin of 60 months, less 1
    tenths: np.ndarray  # predicted and true ltv_residual over 36 months, 2 x 10, by predicted value


def expected_auc(score, probability):
    """The AUC of `score` expected over the outcomes that the true probabilities give, ties half.

    sum over i, j of p_i (1 - p_j) [score_i > score_j], over the sum of p_i (1 - p_j), i and j different.
    """
    wins = (score[:, None] > score[None, :]) + 0.5 * (score[:, None] == score[None, :])
    weight = probability[:, None] * (1.0 - probability[None, :])
    np.fill_diagonal(weight, 0.0)
    return float((wins * weight).sum() / weight.sum())


def kaplan_meier_by_contract(facts, world, table):
    """12-month churn from the curve of all annual, or all monthly, accounts, from the account's tenure on."""
    contract = np.where(world.history.customers.is_annual, "annual", "monthly")
    observed = observe_spells(facts, as_of=world.as_of, tracked_from=None)
    curves = estimate_curves(observed, contract)
    tables = []
    for name in ("annual", "monthly"):
        months = np.arange(int(curves[name].last_month) + 1, dtype=np.float64)
        tables.append(life_table(curves[name].at(months), curves[name].at_risk(months[1:])))
    survival, *_ = conditional_survival(
        tables,
        table_of=(contract[table.account] == "monthly").astype(np.int64),
        tenure_months=whole_months_between(table.started_on, table.landmark),
        months=12,
    )
    return 1.0 - survival[:, -1]


def draw_retention(model, table, weight, *, seed):
    """Joint draws of the share that is still there after 12 months."""
    groups = Groups(group=np.zeros(len(weight), dtype=np.int64), weight=weight / weight.sum(), n_groups=1)
    return group_draws(model, table, groups=groups, seed=seed).expected[:, 0, 11]


def is_inside(draws, value):
    low, high = np.quantile(draws, [0.5 - LEVEL / 2, 0.5 + LEVEL / 2])
    return bool(low <= value <= high)


def judge(seed):
    world = simulate(seed)
    facts, truth = read_facts(world), foresee(world, paths=400)
    tracked_from = min(facts.spells.started_on.tolist())
    landmarks = training_landmarks(world.as_of, tracked_from, n_accounts=len(facts.account_ids))
    options = FitOptions(as_of=world.as_of, tracked_from=tracked_from)
    model = fit_hazard(build_features(facts, landmarks), facts.spells, specs=feature_specs(facts), options=options)
    table = build_features(facts, np.array([world.as_of], dtype="datetime64[D]"))
    assert table.account.tolist() == truth.account.tolist()
    forecast = predict(model, table)
    predicted, true = forecast.churn_within(12), truth.churn_within(12)
    n = len(predicted)
    weights = {"accounts": np.ones(n), "revenue": table.mrr}
    uncommitted = replace(table, committed_until=np.full(n, np.datetime64("NaT", "D")))  # draws of S, not of R
    draws = {what: draw_retention(model, uncommitted, weight, seed=seed) for what, weight in weights.items()}
    lower, upper = band(forecast.survival, forecast.log_survival_sd, level=LEVEL)
    own = (lower[:, 11] <= 1.0 - true) & (1.0 - true <= upper[:, 11])
    segment = world.history.profile.segment
    growth = survivor_growth(facts, as_of=world.as_of, tracked_from=tracked_from)
    drift = segment_drift(growth, segment=segment, n_segments=3)
    residual, total, tenths = {}, {}, np.empty((2, 10))
    for horizon in HORIZONS:
        terms = LtvTerms(horizon_months=horizon, annual_discount_rate=DISCOUNT, gross_margin=0.80)
        values = lifetime_value(table.mrr, forecast.retention, terms=terms)
        growth = expansion_value(table.mrr, forecast.retention, drift=drift[segment[table.account]], terms=terms).sum()
        true_values = truth.margin(horizon, annual_discount_rate=DISCOUNT, with_expansion=False)
        value, without = values.sum(), true_values.sum()
        if horizon == 36:
            parts = np.array_split(np.argsort(values, kind="stable"), 10)
            tenths = np.array([[each[rows].sum() for rows in parts] for each in (values, true_values)])
        with_growth = truth.margin(horizon, annual_discount_rate=DISCOUNT, with_expansion=True).sum()
        residual[horizon], total[horizon] = value / without - 1.0, (value + growth) / with_growth - 1.0
    churn = observe_spells(facts, as_of=world.as_of, tracked_from=None).recent_monthly_churn(
        np.ones(len(facts.spells.account), dtype=bool)
    )
    return Outcome(
        seed=seed,
        accounts=n,
        churns=model.n_churns,
        predicted=float(predicted.mean()),
        true=float(true.mean()),
        interval=tuple((1.0 - np.quantile(draws["accounts"], [0.975, 0.025])).tolist()),
        is_covered={what: is_inside(draws[what], np.average(1.0 - true, weights=weights[what])) for what in draws},
        accounts_covered=float(own.mean()),
        formula=n * formula_lifetime_value(table.mrr.mean(), churn, gross_margin=0.80) / without - 1.0,
        tenths=tenths,
        auc=expected_auc(predicted, true),
        auc_kaplan_meier=expected_auc(kaplan_meier_by_contract(facts, world, table), true),
        auc_truth=expected_auc(true, true),
        residual=residual,
        total=total,
    )


HEAD = "seed accounts churns expected  true  95 % interval    AUC12    KM truth  residual 12/36/60    total 12/36/60"


def show(text):
    sys.stdout.write(f"\n{text}")


def shown(o):
    biases = "  ".join(
        " ".join(f"{100 * part[horizon]:+5.1f}" for horizon in HORIZONS) for part in (o.residual, o.total)
    )
    low, high = o.interval
    counts = f"{o.seed:4d} {o.accounts:8d} {o.churns:6d} {o.predicted:8.3f} {o.true:5.3f} {low:.3f} to {high:.3f}"
    return f"{counts}  {o.auc:.3f} {o.auc_kaplan_meier:.3f} {o.auc_truth:.3f}  {biases}"


@pytest.fixture(scope="module")
def outcomes():
    judged = [judge(seed) for seed in SEEDS]
    show("\n".join([HEAD, *map(shown, judged)]))
    return judged


def mean(values):
    return sum(values) / len(values)


def percent(bias):
    return ", ".join(f"{months} months {100 * value:+.1f}" for months, value in bias.items())


def test_expected_churn_over_true_churn_is_near_one_in_the_pool(outcomes):
    ratio = sum(o.predicted * o.accounts for o in outcomes) / sum(o.true * o.accounts for o in outcomes)
    show(f"expected over true 12-month churn, pooled: {ratio:.3f}")
    assert 0.93 <= ratio <= 1.07


def test_the_true_mean_lies_in_its_interval_on_at_least_thirty_two_of_forty(outcomes):
    inside = sum(low <= o.true <= high for o in outcomes for low, high in [o.interval])
    show(f"the true mean inside its 95 % interval: {inside} of {len(outcomes)}")
    assert inside >= 32


def test_the_model_ranks_better_than_kaplan_meier_by_contract(outcomes):
    gains = [o.auc - o.auc_kaplan_meier for o in outcomes]
    show(f"AUC12 above Kaplan-Meier by contract: {mean(gains):.3f} on average, {sum(g > 0 for g in gains)} of 40")
    assert mean(gains) >= 0.08
    assert sum(gain > 0 for gain in gains) >= 36
    assert all(o.auc <= o.auc_truth + 0.005 for o in outcomes), "better than the truth: a leak"


@pytest.mark.parametrize("what", ["accounts", "revenue"])
def test_the_portfolios_interval_holds_its_retention_on_at_least_thirty_of_forty(outcomes, what):
    covered = sum(o.is_covered[what] for o in outcomes)
    show(f"the 90 % interval of the 12-month retention of {what} holds the truth: {covered} of {len(outcomes)}")
    assert covered >= 30


def test_accounts_intervals_hold_their_truth_about_as_often_as_they_say(outcomes):
    covered = mean([o.accounts_covered for o in outcomes])
    show(f"the 90 % intervals of accounts hold the truth: {100 * covered:.1f} %")
    assert 0.85 <= covered <= 0.95


def test_residual_value_is_right_for_each_tenth_of_accounts(outcomes):
    predicted, true = sum(o.tenths for o in outcomes)
    ratios = predicted / true
    show("ltv_residual over 36 months, predicted over true, by tenth: " + " ".join(f"{r:.3f}" for r in ratios))
    assert (np.abs(ratios - 1.0) <= 0.07).all()


def test_the_formula_that_other_tools_show_is_further_off(outcomes):
    formula, own = (
        mean([abs(bias) for bias in biases])
        for biases in zip(*((o.formula, o.residual[60]) for o in outcomes), strict=True)
    )
    show(f"mean error of 60 months, in %: ltv_formula {100 * formula:.1f}, ltv_residual {100 * own:.1f}")
    assert formula > 2 * own


def test_residual_value_over_three_years_is_unbiased(outcomes):
    bias = {horizon: mean([o.residual[horizon] for o in outcomes]) for horizon in HORIZONS}
    show(f"ltv_residual over the truth without expansion, in %: {percent(bias)}")
    assert abs(bias[36]) <= 0.03


def test_total_value_over_one_and_three_years_is_nearly_unbiased(outcomes):
    bias = {horizon: mean([o.total[horizon] for o in outcomes]) for horizon in HORIZONS}
    show(f"ltv_total over the truth with expansion, in %: {percent(bias)}")
    assert abs(bias[12]) <= 0.05
    assert abs(bias[36]) <= 0.05
