"""What it costs to win an account, against what one is worth: LTV to CAC, and payback.

How many accounts a spend wins is chance: n won are taken as Poisson, so that the rate a unit of money has the
posterior Gamma(n + 1/2) (Jeffreys' prior), and of few accounts little is claimed.
"""

import math
from dataclasses import dataclass

import numpy as np

from app.domain.features import Floats

_SEED = 20_260_102
_DRAWS = 200


def acquisition_cost(spent: float, n_won: int) -> float | None:
    """CAC: what was spent an account that was won; None where none was."""
    return spent / n_won if n_won else None


def cost_draws(spent: float, n_won: int, *, n_draws: int) -> Floats:
    """CAC in each draw: spent / Gamma(n_won + 1/2). The same question gives the same draws."""
    won = np.random.default_rng([_SEED, n_won]).gamma(n_won + 0.5, size=n_draws)
    draws: Floats = spent / won
    return draws


def payback_months(margin: Floats, cost: Floats) -> Floats:
    """The first month k by whose end the margin of months 1..k covers the cost; infinite where it never does.

    `margin` (... x months) is what is to be expected a month, undiscounted; `cost` (...) is to be covered.
    """
    covered = np.cumsum(margin, axis=-1) >= np.asarray(cost)[..., None]
    return np.where(covered.any(axis=-1), covered.argmax(axis=-1) + 1.0, math.inf)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its bounds; None: there is none, or it is infinite."""

    value: float | None
    lower: float | None
    upper: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Worth:
    """What one new account is worth: the discounted value, and the margin by month it is made of, undiscounted.

    Each with its joint draws: `value_draws` (draws), `margin_draws` (draws x months).
    """

    value: float
    margin: Floats
    value_draws: Floats
    margin_draws: Floats


def estimate_cost(spent: float, n_won: int, *, level: float) -> Estimate:
    """CAC with the central interval of its posterior at `level`, e.g. .9."""
    draws = cost_draws(spent, n_won, n_draws=_DRAWS)
    return _estimate(acquisition_cost(spent, n_won), draws, level=level)


def value_to_cost(worth: Worth, *, spent: float, n_won: int, level: float) -> Estimate:
    """LTV to CAC, draw by draw; nothing without a cost or an account won."""
    cost = acquisition_cost(spent, n_won)
    if not cost:
        return Estimate(None, None, None)
    draws = worth.value_draws / cost_draws(spent, n_won, n_draws=len(worth.value_draws))
    return _estimate(worth.value / cost, draws, level=level)


def payback(worth: Worth, *, spent: float, n_won: int, level: float) -> Estimate:
    """`payback_months` of CAC, draw by draw; nothing without an account won."""
    cost = acquisition_cost(spent, n_won)
    if cost is None:
        return Estimate(None, None, None)
    costs = cost_draws(spent, n_won, n_draws=len(worth.margin_draws))
    draws = payback_months(worth.margin_draws, costs)
    return _estimate(float(payback_months(worth.margin, np.array(cost))), draws, level=level)


def _estimate(value: float | None, draws: Floats, *, level: float) -> Estimate:
    """The central interval between values that were drawn, which may be infinite."""
    lower = float(np.quantile(draws, 0.5 - level / 2, method="lower"))
    upper = float(np.quantile(draws, 0.5 + level / 2, method="higher"))
    return Estimate(*(each if each is not None and math.isfinite(each) else None for each in (value, lower, upper)))
