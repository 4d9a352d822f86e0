"""How tight the priors on a hazard's coefficients are, told by the data themselves (empirical Bayes).

A company's product decides how many of its features say anything. One standard deviation for all would be too loose
where there are thirty that mostly say the same, and too tight where three say it all. So the priors' standard
deviations of a group of coefficients are multiplied by a factor. The factors of a grid are averaged (the variances,
that is), each weighed by how probable it makes what happened, its Laplace evidence

    log p(y | factors) = log p(y, mode | factors) + k/2 log 2 pi - 1/2 log det Hessian,

with the likelihood taken as quadratic about the mode under the widest priors, so that the data are passed through once
for all factors (MacKay 1992, "Bayesian interpolation").
"""

from itertools import product

import numpy as np

from app.domain.features import Bools, Floats
from app.domain.hazard_map import Posterior, Prior

FACTORS = (1.0, 0.5, 0.25, 0.1)


def scale_prior(posterior: Posterior, prior: Prior, *, groups: tuple[Bools, ...]) -> Prior:
    """The prior with its standard deviations averaged over the factors of each group of coefficients.

    `posterior` is the one found under `prior`, its covariance that of the likelihood and the prior alone.
    """
    likelihood = np.asarray(np.linalg.inv(posterior.covariance) - np.diag(prior.sd**-2.0), dtype=np.float64)
    away = posterior.mode - prior.mean
    slope = away / prior.sd**2  # of the log likelihood at the mode, where the prior holds it in balance
    scaled = [_scale(prior.sd, factors, groups=groups) for factors in product(FACTORS, repeat=len(groups))]
    evidence = np.array([_log_evidence(likelihood, slope, away=away, sd=sd) for sd in scaled])
    weight = np.exp(evidence - evidence.max())
    return Prior(prior.mean, np.sqrt(weight @ np.square(scaled) / weight.sum()))


def _scale(sd: Floats, factors: tuple[float, ...], *, groups: tuple[Bools, ...]) -> Floats:
    scaled = sd.copy()
    for factor, group in zip(factors, groups, strict=True):
        scaled[group] *= factor
    return scaled


def _log_evidence(likelihood: Floats, slope: Floats, *, away: Floats, sd: Floats) -> float:
    """But for a constant. `likelihood` is minus the Hessian of its logarithm, at a mode that is `away` of the prior."""
    tight = sd**-2.0
    hessian = likelihood + np.diag(tight)
    step = np.linalg.solve(hessian, slope - tight * away)
    at_mode = slope @ step - 0.5 * step @ likelihood @ step - 0.5 * ((away + step) ** 2 * tight).sum()
    return float(at_mode) - float(np.log(sd).sum()) - 0.5 * float(np.linalg.slogdet(hessian)[1])
