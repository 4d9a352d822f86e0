"""The hazard against programs that were not written here, on the same rows."""

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from lifelines import AalenJohansenFitter, WeibullAFTFitter

from app.domain.features import FeatureTable, Floats, Spells
from app.domain.hazard_clock import CLOCK_COLUMNS, build_clock, clock_columns
from app.domain.hazard_map import Prior, Problem, fit_posterior, scale_terms
from app.domain.hazard_model import IDLE, standardise, term_mask
from app.domain.hazard_rows import build_training_rows
from app.domain.survival import fit_hazard, predict, predict_incidence, take_rows
from tests.domain.reference_world import AS_OF, FITTED_AT, SPECS, simulate_world, spells_of, table_at
from tests.domain.test_hazard_fit import OPTIONS, TRACKED_FROM, company
from tests.domain.test_hazard_fit import SPECS as TWO_SPECS

HORIZON = 12


def problem_of_a_world() -> Problem:
    """Rows as the fit makes them: landmarks, weights, renewals, contracts and fading signals."""
    world = simulate_world(900, seed=11)
    table, spells = table_at(world, np.arange(-24, 0, 3)), spells_of(world, known_to_month=FITTED_AT)
    rows = build_training_rows(table, spells, as_of=AS_OF, tracked_from=TRACKED_FROM, horizon_months=HORIZON)
    cases = take_rows(table, rows.table_row)
    mean, sd = np.nanmean(cases.values, axis=0), np.nanstd(cases.values, axis=0)
    mask = term_mask(SPECS)
    mask[IDLE] = False  # every monthly contract of this world has something due in every month
    return Problem(
        phi=clock_columns(build_clock(cases, as_of=AS_OF, months=HORIZON)),
        z=standardise(cases.values, mean, sd=sd),
        target=(rows.event_month[:, None] == np.arange(1, HORIZON + 1)).astype(np.float64),
        weight=rows.weight,
        mask=mask,
    )


def as_rows(problem: Problem) -> tuple[Floats, Floats, Floats]:
    """One row a case and month at risk: its terms, whether it is a churn, and its weight."""
    clock, feature = np.nonzero(problem.mask)
    case, month = np.nonzero(problem.weight > 0)
    design = problem.phi[case, month][:, clock] * problem.z[case][:, feature]
    return design, problem.target[case, month], problem.weight[case, month]


def test_without_a_prior_the_coefficients_are_those_of_statsmodels() -> None:
    problem = problem_of_a_world()
    design, target, weight = as_rows(problem)
    scaling = scale_terms(problem)
    terms = design.shape[1]
    flat = Prior(np.zeros(terms), np.full(terms, 1e5))
    start = np.zeros(terms)
    start[0] = -3.0
    found = fit_posterior(problem, scaling, prior=flat, start=start)
    theirs = sm.GLM(target, design, family=sm.families.Binomial(), freq_weights=weight).fit(tol=1e-12, maxiter=100)
    assert target.sum() > 600
    assert terms == len(CLOCK_COLUMNS) - 1 + 3 * len(SPECS) + 3
    assert scaling.matrix() @ found.mode == pytest.approx(theirs.params, abs=1e-4)
    covariance = scaling.matrix() @ found.covariance @ scaling.matrix().T
    assert np.sqrt(np.diag(covariance)) == pytest.approx(theirs.bse, rel=1e-4)


@pytest.fixture(scope="module")
def young() -> tuple[FeatureTable, Spells]:
    table, spells, _ = company(5_000, seed=8)
    return table, spells


def lives(spells: Spells) -> tuple[Floats, Floats]:
    """Months until each left, in the middle of its month, and for which cause (0: still there after 24)."""
    months = (spells.ended_on - spells.started_on).astype(float) / 30.44
    left = np.where(spells.churned, np.ceil(months) - 0.5, 24.0)
    return left, np.where(spells.churned, spells.cause + 1, 0)


def test_who_began_is_kept_as_a_weibull_model_keeps_them(young: tuple[FeatureTable, Spells]) -> None:
    """lifelines' accelerated failure time, which knows nothing of months, landmarks or priors."""
    table, spells = young
    one_cause = replace(spells, cause=np.full_like(spells.cause, -1))
    model = fit_hazard(table, one_cause, specs=TWO_SPECS, options=OPTIONS)
    begun = take_rows(table, np.flatnonzero(table.landmark == np.datetime64(TRACKED_FROM)))
    left, cause = lives(spells)
    frame = pd.DataFrame({"usage": begun.values[:, 0], "card": begun.values[:, 1], "left": left, "churned": cause > 0})
    fitter = WeibullAFTFitter().fit(frame, "left", "churned")
    theirs = fitter.predict_survival_function(frame, times=[3.0, 6.0, 12.0]).to_numpy().T
    ours = predict(model, begun, months=12).survival[:, [2, 5, 11]]
    assert ours.mean(axis=0) == pytest.approx(theirs.mean(axis=0), abs=0.012)
    order = np.argsort(theirs[:, 2])
    for fifth in np.array_split(order, 5):
        assert ours[fifth].mean(axis=0) == pytest.approx(theirs[fifth].mean(axis=0), abs=0.035)
    assert np.corrcoef(ours[:, 2], theirs[:, 2])[0, 1] > 0.97


def test_the_mean_incidence_by_cause_is_that_of_aalen_johansen(young: tuple[FeatureTable, Spells]) -> None:
    table, spells = young
    model = fit_hazard(table, spells, specs=TWO_SPECS, options=OPTIONS)
    begun = take_rows(table, np.flatnonzero(table.landmark == np.datetime64(TRACKED_FROM)))
    ours = predict_incidence(model, begun, months=12).mean(axis=0)
    left, cause = lives(spells)
    for code in (1, 2):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it sets churns of the same month a little apart
            fitter = AalenJohansenFitter(calculate_variance=False, seed=1).fit(left, cause, code)
        theirs = [fitter.cumulative_density_.iloc[:, 0].loc[:month].iloc[-1] for month in (3, 6, 12)]
        assert ours[[2, 5, 11], code - 1] == pytest.approx(theirs, abs=0.012)
