"""What it costs to win an account, against what one is worth: LTV to CAC, and payback.

How many accounts a spend wins is chance: n won are taken as Poisson, so that the rate a unit of money has the
posterior Gamma(n + 1/2) (Jeffreys' prior), and of few accounts little is claimed.
"""

import math

import numpy as np

from app.domain.features import Floats

_SEED = 20_260_102


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


def whole_interval(values: Floats, *, level: float) -> tuple[float, float]:
    """The central interval of draws that may be infinite, between values that were drawn."""
    lower = np.quantile(values, 0.5 - level / 2, method="lower")
    upper = np.quantile(values, 0.5 + level / 2, method="higher")
    return float(lower), float(upper)
