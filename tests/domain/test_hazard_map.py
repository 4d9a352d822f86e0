import numpy as np
import pytest
from scipy.optimize import minimize

from app.domain import hazard_map
from app.domain.hazard_map import FitDidNotConvergeError, Posterior, Prior, Problem, fit_posterior, scale_terms


def make_problem(seed: int = 0, *, n: int = 300, months: int = 5) -> Problem:
    rng = np.random.default_rng(seed)
    phi = np.stack([np.ones((n, months)), rng.normal(size=(n, months)), rng.random((n, months)) < 0.2], axis=2)
    z = np.column_stack([np.ones(n), rng.normal(size=(n, 2))])
    mask = np.array([[True, True, True], [True, False, False], [True, False, True]])
    eta = -2 + 0.5 * z[:, 1, None] + phi[:, :, 1] * 0.3 + phi[:, :, 2] * (1 - 0.4 * z[:, 2, None])
    target = (rng.random((n, months)) < 1 / (1 + np.exp(-eta))).astype(float)
    return Problem(phi, z, target, rng.random((n, months)), mask)


def flat_terms(problem: Problem) -> np.ndarray:
    clock, feature = np.nonzero(problem.mask)
    return (problem.phi[:, :, clock] * problem.z[:, None, feature]).reshape(-1, len(clock))


def fit(problem: Problem, *, sd: float = 0.5) -> tuple[Posterior, Prior]:
    size = int(problem.mask.sum())
    prior = Prior(np.linspace(-0.2, 0.2, size), np.full(size, sd))
    return fit_posterior(problem, scale_terms(problem), prior=prior, start=prior.mean), prior


def test_terms_are_standardised_over_the_weighted_rows() -> None:
    problem = make_problem()
    scaling, terms, weight = scale_terms(problem), flat_terms(problem), problem.weight.ravel()
    mean = np.average(terms, axis=0, weights=weight)
    sd = np.sqrt(np.average((terms - mean) ** 2, axis=0, weights=weight))
    assert scaling.mean.tolist() == pytest.approx([0, 0, 0, mean[3], mean[4], mean[5]])
    assert scaling.scale.tolist() == pytest.approx([1, 1, 1, sd[3], sd[4], 1.0])  # the last is feature x clock


def test_the_mode_and_covariance_agree_with_scipy() -> None:
    problem = make_problem()
    posterior, prior = fit(problem)
    terms = flat_terms(problem) @ scale_terms(problem).matrix()
    y, w = problem.target.ravel(), problem.weight.ravel()

    def loss(coefficients: np.ndarray) -> float:
        eta = terms @ coefficients
        away = (coefficients - prior.mean) / prior.sd
        return float((w * (np.logaddexp(0, eta) - y * eta)).sum() + away @ away / 2)

    found = minimize(loss, np.zeros(len(prior.mean)), method="BFGS", options={"gtol": 1e-7}, jac="3-point")
    assert posterior.mode == pytest.approx(found.x, abs=1e-6)
    p = 1 / (1 + np.exp(-(terms @ posterior.mode)))
    curvature = terms.T @ (terms * (w * p * (1 - p))[:, None]) + np.diag(prior.sd**-2)
    assert posterior.covariance == pytest.approx(np.linalg.inv(curvature), rel=1e-8)


def test_a_start_far_away_reaches_the_same_mode() -> None:
    problem = make_problem()
    posterior, prior = fit(problem)
    far = fit_posterior(problem, scale_terms(problem), prior=prior, start=np.full(6, 8.0))
    assert far.mode == pytest.approx(posterior.mode, abs=1e-9)


def test_without_rows_the_posterior_is_the_prior() -> None:
    problem = make_problem()
    empty = Problem(problem.phi[:0], problem.z[:0], problem.target[:0], problem.weight[:0], problem.mask)
    posterior, prior = fit(empty)
    assert posterior.mode == pytest.approx(prior.mean)
    assert np.diag(posterior.covariance) == pytest.approx(prior.sd**2)


def test_parts_of_the_rows_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _ = fit(make_problem())
    monkeypatch.setattr(hazard_map, "_CHUNK", 7)
    parts, _ = fit(make_problem())
    assert parts.mode == pytest.approx(whole.mode, abs=1e-12)


def test_a_fit_that_does_not_converge_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hazard_map, "MOST_STEPS", 1)
    with pytest.raises(FitDidNotConvergeError, match="not converged after 1"):
        fit(make_problem())
