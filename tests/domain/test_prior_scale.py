"""How tight a prior is, told by what happened: against the exact evidence of a normal mean, and on made-up churn."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import norm

from app.domain.hazard_map import Posterior, Prior, Problem, Scaling, fit_posterior
from app.domain.prior_scale import FACTORS, scale_prior


def normal_posterior(observed, noise, prior):
    """Of independent normal means, each seen once with that noise: the likelihood is a parabola, so nothing is lost."""
    precision = noise**-2.0 + prior.sd**-2.0
    mode = (observed * noise**-2.0 + prior.mean * prior.sd**-2.0) / precision
    return Posterior(mode, np.diag(1 / precision), 1)


def test_the_factors_are_weighed_by_the_exact_evidence_of_normal_means():
    prior = Prior(np.array([0.1, -0.45, 0.0, 0.0]), np.array([2.0, 0.3, 0.2, 0.2]))
    observed, noise = np.array([0.4, -0.3, 0.21, -0.02]), np.array([0.1, 0.1, 0.05, 0.08])
    groups = (np.array([False, True, True, False]), np.array([False, False, False, True]))
    weights, variances = [], []
    for first, second in product(FACTORS, repeat=2):
        sd = prior.sd * np.array([1.0, first, first, second])
        weights.append(np.exp(norm.logpdf(observed, prior.mean, np.hypot(sd, noise)).sum()))
        variances.append(sd**2)
    by_hand = np.sqrt(np.average(variances, axis=0, weights=weights))
    found = scale_prior(normal_posterior(observed, noise, prior), prior, groups=groups)
    assert found.sd == pytest.approx(by_hand, rel=1e-9)
    assert found.mean.tolist() == prior.mean.tolist()
    assert found.sd[0] == 2.0, "what is in no group keeps its own"


def test_without_data_every_factor_is_as_probable():
    prior = Prior(np.zeros(3), np.array([2.0, 0.2, 0.3]))
    nothing = Posterior(np.zeros(3), np.diag(prior.sd**2), 1)
    found = scale_prior(nothing, prior, groups=(np.array([False, True, True]),))
    assert found.sd == pytest.approx(prior.sd * [1, *[np.sqrt(np.mean(np.square(FACTORS)))] * 2])


def churn(weights, *, seed, rows=4000):
    """Rows of a month each, that end with a probability by features of which those with a weight matter."""
    rng = np.random.default_rng(seed)
    z = np.column_stack([np.ones(rows), rng.standard_normal((rows, len(weights)))])
    p = 1 / (1 + np.exp(3.0 - z[:, 1:] @ weights))
    target = (rng.random(rows) < p).astype(float)[:, None]
    return Problem(np.ones((rows, 1, 1)), z, target, np.ones((rows, 1)), np.ones((1, 1 + len(weights)), dtype=bool))


@pytest.mark.parametrize("seed", range(3))
def test_features_that_say_nothing_are_held_tighter_than_features_that_do(seed):
    size = 30
    prior = Prior(np.zeros(1 + size), np.array([2.0, *[0.2] * size]))
    scaling = Scaling(np.zeros(1 + size), np.ones(1 + size))
    found = {}
    for name, weights in {"nothing": np.zeros(size), "much": np.tile([0.3, -0.3], size // 2)}.items():
        fit = fit_posterior(churn(weights, seed=seed), scaling, prior=prior, start=np.zeros(1 + size))
        found[name] = scale_prior(fit, prior, groups=(np.arange(1 + size) > 0,)).sd[1]
    assert found["nothing"] < 0.1
    assert found["much"] > 0.19
