"""Lifetime value: what the revenue of an account is worth from today on.

The curves are forecasts, so these are floats; facts about money stay integers elsewhere. A month's
money counts at its end: month k is discounted by (1 + d)^(k / 12).
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from app.domain.features import Floats
from app.domain.months import Ints

DRIFT_PRIOR_ACCOUNTS = 30.0  # k0: a segment of as many survivors counts half
LARGEST_DRIFT = 0.02  # a month, up or down
DRIFT_MONTHS = 12  # nobody grows for ever: frozen after


@dataclass(frozen=True, slots=True)
class LtvTerms:
    """H months, annual discount rate d and gross margin m. ValueError outside their ranges."""

    horizon_months: int = 60
    annual_discount_rate: float = 0.10
    gross_margin: float = 0.80

    def __post_init__(self) -> None:
        if self.horizon_months < 1:
            raise ValueError("the horizon of a lifetime value is at least one month")
        if not 0.0 <= self.annual_discount_rate < 10.0:
            raise ValueError("the annual discount rate lies between 0 (none) and 10 (1000 %)")
        if not 0.0 <= self.gross_margin <= 1.0:
            raise ValueError("the gross margin lies between 0 and 1")


def month_weights(terms: LtvTerms, *, months: int) -> Floats:
    """m / (1 + d)^(k / 12) for k = 1..months, 0 beyond the horizon. ValueError for a horizon beyond `months`."""
    if terms.horizon_months > months:
        raise ValueError(f"the forecast has {months} months, the horizon is {terms.horizon_months}")
    k = np.arange(1, months + 1)
    weights: Floats = terms.gross_margin * (1.0 + terms.annual_discount_rate) ** (-k / 12.0)
    return np.where(k <= terms.horizon_months, weights, 0.0)


def lifetime_value(mrr: Floats, retention: Floats, *, terms: LtvTerms) -> Floats:
    """Residual value, sum over k = 1..H of m x MRR x R(k) / (1 + d)^(k / 12).

    `mrr` (n) a month in one currency, `retention` (n x months) is R; the result (n) is in that currency.
    With the lower and upper curves of `survival.band` it gives an interval for one account, a little
    wide, since it takes all months to err together; a group's interval comes from `draws_value`.
    """
    value: Floats = mrr * (retention @ month_weights(terms, months=retention.shape[1]))
    return value


def expansion_value(mrr: Floats, retention: Floats, *, drift: Floats, terms: LtvTerms) -> Floats:
    """The same sum with MRR x (exp(mu x min(k, 12)) - 1): what growth, or shrinking, of survivors adds.

    `drift` (n) is mu a month, of the account's segment.
    """
    k = np.minimum(np.arange(1, retention.shape[1] + 1), DRIFT_MONTHS)
    growth = np.expm1(drift[:, None] * k[None, :])
    value: Floats = mrr * ((retention * growth) @ month_weights(terms, months=retention.shape[1]))
    return value


def expansion_drift(log_change: Floats, months: Floats, *, segment: Ints, n_segments: int) -> Floats:
    """Monthly drift mu of each segment, from accounts that survived.

    `log_change` is log(MRR at the end / MRR at the start) over `months` observed months, one row an
    account. mu = n / (n + 30) x (sum of changes / sum of months), cut at 2 % a month either way; 0 for a
    segment without survivors.
    """
    n = np.bincount(segment, minlength=n_segments)
    total = np.bincount(segment, weights=log_change, minlength=n_segments)
    time = np.bincount(segment, weights=months, minlength=n_segments)
    mean = total / np.where(time > 0, time, 1.0)
    return np.clip(n / (n + DRIFT_PRIOR_ACCOUNTS) * mean, -LARGEST_DRIFT, LARGEST_DRIFT)


def extrapolated_share(retention: Floats, supported_months: Ints, *, terms: LtvTerms) -> Floats:
    """The share (n) of the residual value that lies in months beyond `supported_months`; 0 for a value of 0."""
    parts = retention * month_weights(terms, months=retention.shape[1])
    beyond = np.arange(1, retention.shape[1] + 1)[None, :] > supported_months[:, None]
    total = parts.sum(axis=1)
    share: Floats = np.where(beyond, parts, 0.0).sum(axis=1) / np.where(total > 0, total, 1.0)
    return share


def draws_value(draws: Floats, *, terms: LtvTerms) -> Floats:
    """Lifetime value of groups in each joint draw: `draws` is draws x groups x months of money, before margin."""
    value: Floats = draws @ month_weights(terms, months=draws.shape[2])
    return value


def draws_interval(values: Floats, *, level: float) -> tuple[Floats, Floats]:
    """The central interval of joint draws (draws x ...) at `level`, e.g. .9."""
    lower, upper = np.quantile(values, [0.5 - level / 2, 0.5 + level / 2], axis=0)
    return lower, upper


def monthly_logo_churn(n_churned: int, account_months: float) -> float | None:
    """Churned accounts over account-months at risk; None where nothing was at risk."""
    return n_churned / account_months if account_months > 0 else None


def formula_lifetime_value(monthly_arpa: float, monthly_churn: float | None, *, gross_margin: float) -> float | None:
    """ARPA x m / churn, what other tools show; None at zero churn, where it says infinity."""
    return monthly_arpa * gross_margin / monthly_churn if monthly_churn else None


def bounds_at(estimate: Floats, bound: Floats, *, stored_level: float, level: float) -> Floats:
    """A bound of a curve at another level than it was stored at.

    Bounds are normal on log(-log R) (`survival.band`): with q = log bound / log estimate, the bound at `level` is
    estimate^(q^(z(level) / z(stored_level))). Where the estimate is 1 the bound stays as it is.
    """
    power = _normal_quantile(level) / _normal_quantile(stored_level)
    exposure, bounded = (-np.log(np.clip(curve, 1e-300, 1.0)) for curve in (estimate, bound))
    ratio = np.divide(bounded, exposure, out=np.ones_like(exposure), where=exposure > 0)
    return np.where(exposure > 0, np.exp(-exposure * ratio**power), bound)


def _normal_quantile(level: float) -> float:
    return NormalDist().inv_cdf(0.5 + level / 2)
