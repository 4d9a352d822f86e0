"""A small logistic regression: a handful of columns, any number of rows."""

import numpy as np

from app.domain.features import Bools, Floats
from app.domain.hazard_map import expit

MOST_STEPS = 50
RIDGE = 1e-3  # of a coefficient squared: a maximum exists also where one column tells all


def fit_logistic(columns: Floats, outcome: Bools) -> Floats:
    """Intercept and coefficients of `columns` (n x k): the highest log likelihood less RIDGE / 2 x each squared.

    Newton with step-halving; the intercept is not shrunk. Rows n > 0, outcomes of both kinds, else ValueError.
    """
    if not outcome.any() or outcome.all():
        raise ValueError("a logistic regression needs outcomes of both kinds")
    design = np.column_stack([np.ones(len(columns)), columns])
    ridge = np.full(design.shape[1], RIDGE)
    ridge[0] = 0.0
    share = float(outcome.mean())
    found = np.zeros(design.shape[1])
    found[0] = np.log(share / (1.0 - share))
    loss = _loss(design, outcome, at=found, ridge=ridge)
    for _ in range(MOST_STEPS):
        fitted = expit(design @ found)
        gradient = design.T @ (outcome - fitted) - ridge * found
        information = design.T @ (design * (fitted * (1.0 - fitted))[:, None]) + np.diag(ridge)
        step = np.linalg.solve(information, gradient)
        while (candidate := _loss(design, outcome, at=found + step, ridge=ridge)) > loss + 1e-12 and np.abs(
            step
        ).max() > 1e-12:
            step /= 2
        found, loss = found + step, candidate
        if np.abs(step).max() < 1e-10:
            break
    return found


def _loss(design: Floats, outcome: Bools, *, at: Floats, ridge: Floats) -> float:
    eta = design @ at
    return float((np.logaddexp(0.0, eta) - outcome * eta).sum() + 0.5 * (ridge * at**2).sum())
