"""The shifted beta-geometric against published fits, another optimiser, and by pencil."""

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import betaln

from app.domain.features import Floats
from app.domain.hazard_clock import Clock
from app.domain.renewal_tail import (
    DEFAULT_PRIOR,
    BetaGeometric,
    NoBetaGeometricError,
    RenewalTail,
    ShapePrior,
    curve_numbers,
    fit_beta_geometric,
    fit_tail,
    renewal_numbers,
    tail_factor,
)
from app.domain.survival import predict, take_rows
from tests.domain.reference_world import fit_world, oracle_curves, simulate_world, table_at

FITTED_RENEWALS = 7  # of twelve: the rest is what the fit has to foresee


def counts(kept_percent: Floats) -> tuple[Floats, Floats]:
    """Due and lost at each renewal, of a thousand."""
    alive = 10.0 * kept_percent
    return alive[:-1], -np.diff(alive)


@pytest.mark.parametrize(
    ("series", "alpha", "beta", "at_twelve"),
    [("regular_pct", 0.704, 1.182, 0.170), ("high_end_pct", 0.668, 3.806, 0.378)],
)
def test_the_published_fits_come_back(
    series: str, alpha: float, beta: float, at_twelve: float, third_party_data: Callable[[str], Path]
) -> None:
    with third_party_data("sbg/fader_hardie_2007_retention.csv").open(newline="") as file:
        kept = np.array([float(row[series]) for row in csv.DictReader(file)])
    due, lost = counts(kept)
    found = fit_beta_geometric(due[:FITTED_RENEWALS], lost[:FITTED_RENEWALS])
    assert found.alpha == pytest.approx(alpha, abs=0.002)
    assert found.beta == pytest.approx(beta, abs=0.002)
    foreseen = found.survival(12)
    assert foreseen[-1] == pytest.approx(at_twelve, abs=0.002)
    error = 100 * foreseen[FITTED_RENEWALS:] - kept[FITTED_RENEWALS + 1 :]
    assert np.abs(error).mean() < 1.2  # points; .3 and 1.2
    constant = (kept[FITTED_RENEWALS] / 100) ** (np.arange(8, 13) / FITTED_RENEWALS)
    assert np.abs(error).mean() < np.abs(100 * constant - kept[FITTED_RENEWALS + 1 :]).mean() / 3


@settings(max_examples=20, deadline=None)
@given(alpha=st.floats(0.3, 5.0), first=st.floats(0.02, 0.5), prior=st.booleans())
def test_the_mode_is_the_one_that_another_optimiser_finds(alpha: float, first: float, prior: bool) -> None:
    shape = BetaGeometric(alpha, alpha * (1 - first) / first, 0.0)
    alive = 2_000 * np.concatenate([[1.0], shape.survival(24)])
    due, lost = alive[:-1], -np.diff(alive) * (np.linspace(0.8, 1.2, 24) if prior else 1.0)
    chosen = DEFAULT_PRIOR if prior else None

    def minus_log_posterior(point: Floats) -> float:
        a, b = np.exp(point)
        t = np.arange(1, 25)
        p_lost = betaln(a + 1, b + t - 1) - betaln(a, b + t - 1)  # g(t), by the beta function
        value = -(lost * p_lost + (due - lost) * np.log1p(-np.exp(p_lost))).sum()
        if chosen is not None:
            value += 0.5 * ((point[0] - chosen.log_alpha) / chosen.log_alpha_sd) ** 2
            value += 0.5 * ((point[0] - point[1] - chosen.logit_first) / chosen.logit_first_sd) ** 2
        return float(value)

    found = fit_beta_geometric(due, lost, prior=chosen)
    theirs = minimize(minus_log_posterior, np.log([1.0, 5.0]), method="Nelder-Mead", tol=1e-11)
    assert minus_log_posterior(np.log([found.alpha, found.beta])) <= theirs.fun + 1e-7
    assert np.log([found.alpha, found.beta]) == pytest.approx(theirs.x, abs=2e-3)


def test_the_curve_is_that_of_beta_distributed_accounts() -> None:
    """S(t) = B(alpha, beta + t) / B(alpha, beta); and simulated, for whoever distrusts both."""
    shape = BetaGeometric(0.8, 6.0, 0.0)
    t = np.arange(1, 31)
    assert shape.survival(30) == pytest.approx(np.exp(betaln(0.8, 6.0 + t) - betaln(0.8, 6.0)), rel=1e-12)
    lives = np.random.default_rng(1).beta(0.8, 6.0, 200_000)
    assert shape.survival(30) == pytest.approx(((1 - lives)[:, None] ** t).mean(axis=0), abs=0.004)


def test_the_stated_uncertainty_is_that_of_repeated_samples() -> None:
    """Late entry included: half of the accounts are seen from their sixth renewal on."""
    rng = np.random.default_rng(2)
    logs, stated = [], []
    for _ in range(300):
        chance = rng.beta(1.5, 20.0, 3_000)
        left_at = rng.geometric(chance)
        entered = np.where(rng.random(3_000) < 0.5, 0, 6)
        seen = left_at > entered
        t = np.arange(1, 37)
        due = ((left_at[seen, None] >= t) & (entered[seen, None] < t)).sum(axis=0).astype(float)
        lost = (left_at[seen, None] == t).sum(axis=0).astype(float)
        found = fit_beta_geometric(due, lost)
        logs.append(np.log(found.alpha + found.beta))
        stated.append(found.log_sum_sd)
    assert np.mean(logs) == pytest.approx(np.log(21.5), abs=0.06)
    assert np.std(logs) == pytest.approx(np.mean(stated), rel=0.2)


def test_without_a_renewal_the_prior_speaks_and_without_a_prior_nothing_does() -> None:
    nothing = np.zeros(1), np.zeros(1)
    found = fit_beta_geometric(*nothing, prior=DEFAULT_PRIOR)
    assert found.alpha == pytest.approx(1.5)
    assert found.alpha / (found.alpha + found.beta) == pytest.approx(1 / (1 + np.exp(3.0)))
    assert found.log_sum_sd > 1.0
    for due, lost in ((nothing), (np.full(12, 100.0), np.zeros(12))):
        with pytest.raises(NoBetaGeometricError):
            fit_beta_geometric(due, lost)
    assert fit_beta_geometric(np.full(12, 100.0), np.zeros(12), prior=DEFAULT_PRIOR).hazard(np.array([1])) < 0.01
    everyone = fit_beta_geometric(np.array([500.0]), np.array([500.0]), prior=DEFAULT_PRIOR)
    assert everyone.hazard(np.array([1])) > 0.95


@settings(max_examples=300, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    months=st.integers(1, 240),
    size=st.floats(0, 7),
    kind=st.sampled_from(("none", "all", "rising", "constant", "rare")),
    prior=st.tuples(st.floats(-5, 5), st.sampled_from((0.5, 1.0)), st.floats(-12, 4), st.sampled_from((1.0, 2.0))),
)
def test_with_a_prior_there_is_a_mode_whatever_was_counted(
    seed: int, months: int, size: float, kind: str, prior: tuple[float, float, float, float]
) -> None:
    rng = np.random.default_rng(seed)
    due = 10**size * rng.random(months) * (rng.random(months) < rng.random())
    rate = {
        "none": 0.0,
        "all": 1.0,
        "rising": np.clip(rng.random() * np.linspace(0.1, 3, months), 0, 1),
        "constant": 10 ** rng.uniform(-6, -1),
        "rare": rng.random(months) * (rng.random(months) < 0.1),
    }[kind]
    found = fit_beta_geometric(due, due * rate, prior=ShapePrior(*prior))
    assert found.alpha > 0
    assert found.beta > 0
    assert 0 < found.log_sum_sd < 100


def clock(tenure: list[list[int]], renews: list[list[float]], contract: list[float]) -> Clock:
    months = np.array(tenure)
    return Clock(months, np.array(renews), np.array(contract), np.zeros(months.shape), np.zeros(months.shape))


def test_a_renewal_is_a_month_of_a_monthly_contract_and_the_end_of_a_longer_term() -> None:
    found = renewal_numbers(
        clock([[0, 1, 2], [11, 12, 13]], [[0.0] * 3, [0.0, 1.0, 0.0]], [0.0, 1.0]), np.array([1, 12])
    )
    assert found.tolist() == [[1, 1, 2], [1, 1, 2]]


def test_the_tail_by_pencil() -> None:
    """c = 10; joined at month 2. Monthly: renewals 3, 4, 5, 6, so (10 + 3) / (10 + 4). Yearly: 1, 1, 1, 2."""
    tail = RenewalTail(np.array([[2.0, 4.0]]), np.array([[8.0, 6.0]]), np.array([[0.3, 0.4]]))
    both = clock([[3, 4, 5, 6], [10, 11, 12, 13], [3, 4, 5, 6]], [[0.0] * 4, [0, 0, 1.0, 0], [0.0] * 4], [0, 1.0, 0])
    found = tail_factor(
        tail,
        renewal_numbers(both, np.array([1, 12, 1])),
        curve=curve_numbers(np.zeros(3, dtype=np.int64), both),
        supported_months=np.array([2, 2, 2]),
        is_beyond=np.array([False, False, True]),
    )
    assert found.ratio[0] == pytest.approx([1, 1, 13 / 14, 13 / 15])
    assert found.ratio[1] == pytest.approx([1, 1, 1, 10 / 11])
    assert found.ratio[2].tolist() == [1, 1, 1, 1]
    assert found.slope[0] == pytest.approx([0, 0, 10 / 13 - 10 / 14, 10 / 13 - 10 / 15])
    assert found.log_sum_sd.tolist() == [0.3, 0.4, 0.3]
    assert found.ratio_for(np.full((3, 5), 10.0)) == pytest.approx(np.repeat(found.ratio[:, :, None], 5, axis=2))


def test_each_segment_has_its_own_tail_drawn_towards_the_company() -> None:
    """Twelve thousand monthly accounts: in group 1 all are alike, in group 2 half leave at once or never."""
    rng = np.random.default_rng(3)
    n, months = 12_000, 36
    group = np.arange(n) % 2 + 1
    chance = np.where(group == 1, 0.06, rng.beta(0.4, 6.0, n))
    left_at = rng.geometric(np.maximum(chance, 1e-9))
    month = np.arange(1, months + 1)
    weight = (left_at[:, None] >= month).astype(float)
    target = (left_at[:, None] == month).astype(float)
    made = clock([list(range(1, months + 1))] * n, [[0.0] * months] * n, [0.0] * n)

    def fit(rows: np.ndarray) -> RenewalTail:
        some = Clock(*(getattr(made, name)[rows] for name in Clock.__dataclass_fields__))
        renewal = renewal_numbers(some, np.ones(len(rows), dtype=int))
        return fit_tail(some, renewal, groups=(group[rows], 3), weight=weight[rows], target=target[rows])

    found = fit(np.arange(n))
    falls = (found.alpha + found.beta)[1:, 0]
    assert falls[0] > 10 * falls[1]
    few = fit(np.arange(40))
    assert np.ptp(np.log(few.alpha[:, 0])) < 0.5 * np.ptp(np.log(found.alpha[:, 0]))
    assert (few.log_sum_sd[:, 0] > found.log_sum_sd[:, 0]).all()
    assert found.alpha[:, 1] == pytest.approx(1.5)  # nobody has a longer contract


@pytest.mark.slow
def test_five_years_ahead_the_tail_is_nearer_to_the_oracle_than_hazards_that_are_held() -> None:
    """What is left after 60 months of what is left after 24, of a company whose truth is known: .535 on average."""
    shares = []
    for seed in range(6):
        world = simulate_world(3_000, seed=seed)
        model, _ = fit_world(world, tracked_from_month=30)
        table = table_at(world, np.array([0]))
        table = take_rows(table, np.random.default_rng(seed).choice(len(table.account), 400, replace=False))
        truth = oracle_curves(world, table.account, seed=50 + seed, paths=150, months=60)
        held = replace(model, tail_beta=model.tail_beta * 1e6)
        curves = truth, predict(model, table).survival, predict(held, table).survival
        shares.append([curve[:, 59].mean() / curve[:, 23].mean() for curve in curves])
    true, fitted, flat = np.mean(shares, axis=0)
    assert fitted == pytest.approx(true, abs=0.04)
    assert abs(fitted - true) < abs(flat - true)
