"""The example company over twenty seeds: what is predicted against what is true, by the service's own functions.

`pytest -m slow -s tests/jobs/example_company/test_accuracy.py` shows the figures.
"""

import sys
from dataclasses import dataclass, replace

import numpy as np
import pytest

from app.domain.drift import segment_drift
from app.domain.feature_catalog import feature_specs
from app.domain.feature_table import build_features
from app.domain.hazard_draws import Groups, group_draws
from app.domain.ltv import LtvTerms, expansion_value, lifetime_value
from app.domain.months import whole_months_between
from app.domain.segment_curves import conditional_survival, life_table
from app.domain.survival import FitOptions, fit_hazard, predict, training_landmarks
from jobs.curves import estimate_curves, observe_spells
from jobs.example_company.facts import read_facts
from jobs.example_company.truth import foresee
from jobs.example_company.world import simulate

SEEDS = range(20)
HORIZONS = (12, 36, 60)
DISCOUNT = 0.10

pytestmark = pytest.mark.slow


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


def judge(seed):
    world = simulate(seed)
    facts, truth = read_facts(world), foresee(world, paths=200)
    tracked_from = min(facts.spells.started_on.tolist())
    landmarks = training_landmarks(world.as_of, tracked_from, n_accounts=len(facts.account_ids))
    options = FitOptions(as_of=world.as_of, tracked_from=tracked_from)
    model = fit_hazard(build_features(facts, landmarks), facts.spells, specs=feature_specs(facts), options=options)
    table = build_features(facts, np.array([world.as_of], dtype="datetime64[D]"))
    assert table.account.tolist() == truth.account.tolist()
    forecast = predict(model, table)
    predicted, true = forecast.churn_within(12), truth.churn_within(12)
    n = len(predicted)
    uncommitted = replace(table, committed_until=np.full(n, np.datetime64("NaT", "D")))  # draws of S, not of R
    everyone = Groups(group=np.zeros(n, dtype=np.int64), weight=np.ones(n), n_groups=1)
    draws = 1.0 - group_draws(model, uncommitted, groups=everyone, seed=seed).expected[:, 0, 11] / n
    segment = world.history.profile.segment
    drift = segment_drift(facts, segment=segment, n_segments=3, as_of=world.as_of, tracked_from=tracked_from)
    residual, total = {}, {}
    for horizon in HORIZONS:
        terms = LtvTerms(horizon_months=horizon, annual_discount_rate=DISCOUNT, gross_margin=0.80)
        value = lifetime_value(table.mrr, forecast.retention, terms=terms).sum()
        growth = expansion_value(table.mrr, forecast.retention, drift=drift[segment[table.account]], terms=terms).sum()
        without = truth.margin(horizon, annual_discount_rate=DISCOUNT, with_expansion=False).sum()
        with_growth = truth.margin(horizon, annual_discount_rate=DISCOUNT, with_expansion=True).sum()
        residual[horizon], total[horizon] = value / without - 1.0, (value + growth) / with_growth - 1.0
    return Outcome(
        seed=seed,
        accounts=n,
        churns=model.n_churns,
        predicted=float(predicted.mean()),
        true=float(true.mean()),
        interval=tuple(np.quantile(draws, [0.025, 0.975]).tolist()),
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


def test_the_true_mean_lies_in_its_interval_on_at_least_sixteen_of_twenty(outcomes):
    inside = sum(low <= o.true <= high for o in outcomes for low, high in [o.interval])
    show(f"the true mean inside its 95 % interval: {inside} of {len(outcomes)}")
    assert inside >= 16


def test_the_model_ranks_better_than_kaplan_meier_by_contract(outcomes):
    gains = [o.auc - o.auc_kaplan_meier for o in outcomes]
    show(f"AUC12 above Kaplan-Meier by contract: {mean(gains):.3f} on average, {sum(g > 0 for g in gains)} of 20")
    assert mean(gains) >= 0.08
    assert sum(gain > 0 for gain in gains) >= 18
    assert all(o.auc <= o.auc_truth + 0.005 for o in outcomes), "better than the truth: a leak"


def test_residual_value_over_three_years_is_unbiased(outcomes):
    bias = {horizon: mean([o.residual[horizon] for o in outcomes]) for horizon in HORIZONS}
    show(f"ltv_residual over the truth without expansion, in %: {percent(bias)}")
    assert abs(bias[36]) <= 0.03


def test_total_value_over_one_and_three_years_is_nearly_unbiased(outcomes):
    bias = {horizon: mean([o.total[horizon] for o in outcomes]) for horizon in HORIZONS}
    show(f"ltv_total over the truth with expansion, in %: {percent(bias)}")
    assert abs(bias[12]) <= 0.05
    assert abs(bias[36]) <= 0.05
