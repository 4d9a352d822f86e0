"""How far accounts stay apart from what their features tell: a spread among accounts, beside the posterior.

Many churns tell the coefficients well, and yet two accounts with the same features today need not be alike: what
sets them apart for good shows only later. It is seen in revisions, the logit of the hazard of a month as the features
tell it d months after landmark L, a month ahead, less what was forecast of that month at L:

    D(d) = logit h(month 1 after L + d) - logit h(month d + 1 after L)

less their regression on the features at L. What lasts comes back in every later revision, what passes is forgotten:

    cov(D(d), D(d')) = lasting^2 (1 - rho^d) (1 - rho^d') + passing^2 rho^(d' - d) (1 - rho^(2 d)),    d < d'

with rho what is left of a passing deviation after a month. Only the lasting part sets the probability of an account
apart; passing shocks have not happened yet, and the hazard of all holds them. D with itself (d = d') is left out, for
it holds the noise of a single month too. Differences that no feature ever shows cannot be found so, and hardly by any
means where an account leaves but once. To tell lasting from passing by covariances is usual for earnings: J. Abowd,
D. Card, On the covariance structure of earnings and hours changes, Econometrica 57 (1989).
"""

from dataclasses import dataclass

import numpy as np

from app.domain.features import Floats
from app.domain.months import Ints

LEADS_MONTHS = (3, 6, 9, 12, 15, 18, 21)
FEWEST_LEADS = 5  # over less than 15 months what lasts and what passes slowly look the same
FEWEST_ROWS_A_COLUMN = 10  # of the regression on the features
MEMORIES = np.arange(0.50, 0.975, 0.01)  # a month


@dataclass(frozen=True, slots=True)
class LastingSpread:
    """Standard deviation of an account's lasting deviation in the logit; `memory` is rho, a month."""

    sd: float
    memory: float

    def by_month(self, months: int) -> Floats:
        """The standard deviation in months 1..`months` ahead: 0 in the first, which today's features tell."""
        return np.asarray(self.sd * (1.0 - self.memory ** np.arange(months)), dtype=np.float64)


NO_SPREAD = LastingSpread(0.0, float(MEMORIES[0]))


@dataclass(frozen=True, slots=True, eq=False)
class Forecasts:
    """Of each case (a spell at a landmark), with those of a spell side by side and by landmark.

    `logit` (n x H) is that of the hazard in months 1..H after the landmark, `weight` how many cases each stands for.
    """

    logit: Floats
    features: Floats  # n x columns, with a constant
    spell: Ints
    landmark_month: Ints
    weight: Floats


def estimate_spread(forecasts: Forecasts) -> LastingSpread:
    """The lasting spread by least squares over all pairs of leads, weighted by the cases that have both.

    `NO_SPREAD` where less than 15 months of landmarks tell of it.
    """
    revisions = np.column_stack([_revisions(forecasts, lead) for lead in LEADS_MONTHS])
    known = np.isfinite(revisions)
    if known.any(axis=0).sum() < FEWEST_LEADS:
        return NO_SPREAD
    filled, counted = np.where(known, revisions, 0.0), known * forecasts.weight[:, None]
    count = counted.T @ known
    products = (filled * forecasts.weight[:, None]).T @ filled
    first, second = np.triu_indices(len(LEADS_MONTHS), 1)
    has_both = count[first, second] > 0
    first, second = first[has_both], second[has_both]
    weight = count[first, second]
    return _decompose(np.array(LEADS_MONTHS)[[first, second]], products[first, second] / weight, weight=weight)


def _revisions(forecasts: Forecasts, lead: int) -> Floats:
    """D of each case at a landmark `lead` months later, less its regression on the features; NaN where unknown."""
    n, horizon = forecasts.logit.shape
    residual = np.full(n, np.nan)
    key = forecasts.spell * (2 * np.abs(forecasts.landmark_month).max(initial=0) + lead + 1) + forecasts.landmark_month
    order = np.argsort(key, kind="stable")
    at = np.minimum(np.searchsorted(key, key + lead, sorter=order), n - 1)
    later = order[at] if n else order
    rows = np.flatnonzero(key[later] == key + lead)
    if lead >= horizon or len(rows) < FEWEST_ROWS_A_COLUMN * forecasts.features.shape[1]:
        return residual
    revision = forecasts.logit[later[rows], 0] - forecasts.logit[rows, lead]
    columns = forecasts.features[rows]
    weighted = columns.T * forecasts.weight[rows]
    inverse = np.linalg.pinv(weighted @ columns, rcond=1e-10, hermitian=True)  # some columns say nothing, or the same
    residual[rows] = revision - columns @ (inverse @ (weighted @ revision))
    return residual


def _decompose(leads: Ints, covariance: Floats, *, weight: Floats) -> LastingSpread:
    """Non-negative least squares for the two variances at each memory; the memory with the smallest error."""
    best, found = np.inf, NO_SPREAD
    for memory in MEMORIES:
        near, far = memory ** leads.astype(np.float64)
        parts = np.array([(1.0 - near) * (1.0 - far), far / near * (1.0 - near**2)])
        variances = _solve_non_negative((parts * weight) @ parts.T, (parts * weight) @ covariance)
        error = float((weight * (covariance - variances @ parts) ** 2).sum())
        if error < best:
            best, found = error, LastingSpread(float(np.sqrt(variances[0])), float(memory))
    return found


def _solve_non_negative(matrix: Floats, right: Floats) -> Floats:
    """The minimum of x'Mx / 2 - r'x over x >= 0, for two unknowns."""
    free = np.linalg.solve(matrix + 1e-12 * np.trace(matrix) * np.eye(2), right)
    if (free >= 0).all():
        return free
    alone = np.diag(np.maximum(right / np.diag(matrix), 0.0))
    gains: Floats = (alone * right).sum(axis=1)
    return np.asarray(alone[int(gains.argmax())])
