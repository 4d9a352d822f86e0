"""The hazard against a company whose truth is known, at full size and with eight churns.

`pytest -s tests/domain/test_reference_world.py` shows the figures.
"""

import numpy as np
import pytest

from app.domain.calibration import auc, brier_score, expected_over_observed
from app.domain.hazard_draws import Groups, group_draws
from app.domain.kaplan_meier import estimate_survival
from app.domain.survival import band
from tests.domain.reference_world import FITTED_AT, Scored, score_world
from tests.measured import show


def kaplan_meier_by_tenure(scored: Scored, *, tracked_from_month: int, months: int) -> np.ndarray:
    """P(churn within `months`) from the marginal curve with entry, given the tenure at the fit."""
    world = scored.world
    end = np.minimum(world.churned_in, FITTED_AT)
    entry = np.maximum(0, tracked_from_month - world.joined)
    duration = end - world.joined
    seen = duration > entry
    churned = (world.churned_in <= FITTED_AT)[seen]
    curve = estimate_survival(duration[seen].astype(float), churned, entry_months=entry[seen].astype(float))
    tenure = (FITTED_AT - world.joined[scored.table.account]).astype(float)
    later = np.minimum(tenure + months, curve.last_month)
    return 1.0 - curve.at(later) / curve.at(np.minimum(tenure, curve.last_month))


@pytest.fixture(scope="module")
def large() -> list[Scored]:
    return [score_world(3000, seed=seed, shift=0.0, tracked_from_month=30, paths=300) for seed in range(8)]


@pytest.fixture(scope="module")
def small() -> list[Scored]:
    return [score_world(100, seed=1000 + s, shift=-1.1, tracked_from_month=48, paths=300) for s in range(100)]


def pooled(parts: list[np.ndarray]) -> np.ndarray:
    return np.concatenate(parts)


@pytest.mark.slow
def test_a_large_company_is_ranked_nearly_as_well_as_by_the_oracle(large: list[Scored]) -> None:
    got = np.mean([auc(s.prediction.churn_within(12), s.churned_within(12)) for s in large])
    best = np.mean([auc(1 - s.truth[:, 11], s.churned_within(12)) for s in large])
    show("AUC12, oracle", f"{got:.4f}, {best:.4f}", "oracle - .025")
    assert got >= best - 0.025
    assert 0.66 < best < 0.71


@pytest.mark.slow
def test_a_large_company_reaches_three_quarters_of_the_oracles_accuracy(large: list[Scored]) -> None:
    y = pooled([s.churned_within(12) for s in large])
    reference = pooled([kaplan_meier_by_tenure(s, tracked_from_month=30, months=12) for s in large])
    base = brier_score(reference, y)
    got = 1 - brier_score(pooled([s.prediction.churn_within(12) for s in large]), y) / base
    best = 1 - brier_score(pooled([1 - s.truth[:, 11] for s in large]), y) / base
    show("IPA12, oracle, share", f"{got:.4f}, {best:.4f}, {got / best:.3f}", "at least .75 of it")
    assert got >= 0.75 * best
    assert 0.07 < best < 0.12


@pytest.mark.slow
@pytest.mark.parametrize("months", [12, 24])
def test_a_large_company_loses_as_many_as_expected(large: list[Scored], months: int) -> None:
    expected = pooled([s.prediction.churn_within(months) for s in large])
    found = expected_over_observed(expected, pooled([s.churned_within(months) for s in large]))
    show(f"expected over observed, {months} months", found, ".93 to 1.07")
    assert 0.93 <= found <= 1.07


@pytest.mark.slow
def test_a_large_companys_value_over_two_years_is_unbiased(large: list[Scored]) -> None:
    bias = []
    for s in large:
        mrr = s.table.mrr
        paid = np.minimum(s.world.churned_in[s.table.account] - FITTED_AT - 1, 24)
        bias.append((mrr @ s.prediction.retention[:, :24].sum(axis=1)) / (mrr @ paid) - 1)
    show("LTV24, mean bias", float(np.mean(bias)), "at most .015")
    assert abs(np.mean(bias)) <= 0.015


@pytest.mark.slow
def test_the_clock_tells_which_annual_accounts_are_due(large: list[Scored]) -> None:
    ranked = [auc(s.prediction.hazard[s.annual, 0], s.churned_within(1)[s.annual]) for s in large]
    due = [s.prediction.next_renewal_month == 1 for s in large]
    expected = sum(s.prediction.hazard[d, 0].sum() for s, d in zip(large, due, strict=True))
    observed = sum(s.churned_within(1)[d].sum() for s, d in zip(large, due, strict=True))
    show("annual accounts, AUC1", float(np.mean(ranked)), "at least .88")
    show("of those due, expected over observed in one month", expected / observed, ".85 to 1.25")
    assert np.mean(ranked) >= 0.88
    assert 0.85 <= expected / observed <= 1.25


@pytest.mark.slow
def test_eight_churns_are_nearer_to_the_truth_than_the_base_rate(small: list[Scored]) -> None:
    error, base_error = [], []
    for s in small:
        rate = s.model.n_churns / s.model.account_months
        truth = 1 - s.truth[:, 11]
        error.append((s.prediction.churn_within(12) - truth) ** 2)
        base_error.append((1 - (1 - rate) ** 12 - truth) ** 2)
    ranked = [auc(s.prediction.churn_within(12), s.churned_within(12)) for s in small]
    found, base = np.sqrt(pooled(error).mean()), np.sqrt(pooled(base_error).mean())
    show("RMSE of P(12), that of the base rate, ratio", f"{found:.4f}, {base:.4f}, {found / base:.3f}", "at most .97")
    show("mean AUC12", float(np.nanmean(ranked)), "at least .60")
    assert found <= 0.97 * base
    assert np.nanmean(ranked) >= 0.60
    assert 6 <= np.mean([s.model.n_churns for s in small]) <= 10


@pytest.mark.slow
@pytest.mark.parametrize("annual", [True, False])
def test_eight_churns_are_calibrated_for_each_contract(small: list[Scored], annual: bool) -> None:
    expected = sum(s.prediction.churn_within(12)[s.annual == annual].sum() for s in small)
    truth = sum((1 - s.truth[s.annual == annual, 11]).sum() for s in small)
    show(f"expected over the oracle's, {'annual' if annual else 'monthly'}", expected / truth, ".85 to 1.15")
    assert 0.85 <= expected / truth <= 1.15


@pytest.mark.slow
def test_eight_churns_are_calibrated_for_those_due_next_month(small: list[Scored]) -> None:
    due = [s.prediction.next_renewal_month == 1 for s in small]
    expected = sum(s.prediction.hazard[d, 0].sum() for s, d in zip(small, due, strict=True))
    truth = sum((1 - s.truth[d, 0]).sum() for s, d in zip(small, due, strict=True))
    show("expected over the oracle's, due next month", expected / truth, ".7 to 1.3")
    assert 0.7 <= expected / truth <= 1.3


@pytest.mark.slow
def test_intervals_cover_accounts_and_the_portfolio() -> None:
    covered, inside = [], []
    for seed in range(100):
        s = score_world(400, seed=5000 + seed, shift=-1.1, tracked_from_month=48, paths=200)
        lower, upper = band(s.prediction.survival, s.prediction.log_survival_sd, level=0.9)
        covered.append(np.mean((lower[:, 11] <= s.truth[:, 11]) & (s.truth[:, 11] <= upper[:, 11])))
        whole = Groups(np.zeros(len(s.table.account), dtype=np.int64), s.table.mrr, 1)
        draws = group_draws(s.model, s.table, groups=whole, seed=seed).realised[:, 0, :24].sum(axis=1)
        paid = np.minimum(s.world.churned_in[s.table.account] - FITTED_AT - 1, 24)
        low, high = np.quantile(draws, [0.05, 0.95])
        inside.append(low <= s.table.mrr @ paid <= high)
    show("accounts' S(12) in their 90 % interval", float(np.mean(covered)), "at least .75")
    show("24-month revenue in its 90 % interval", float(np.mean(inside)), ".82 to .96")
    assert np.mean(covered) >= 0.75
    assert 0.82 <= np.mean(inside) <= 0.96
