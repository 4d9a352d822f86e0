"""The curve of an account from its segment's Kaplan-Meier alone, where no hazard can be learned.

S(k | T) = S(T + k) / S(T) month by month; log S has Greenwood's variance, summed over the months
ahead. Each month counts one account more than were there, that leaves as often as the segment's do on
average: ten of whom none left are not said to stay for ever, nor is a segment without a record. Beyond
the last month M with 10 at risk the mean hazard of the 12 months up to it goes on falling as renewals
do, by g(t) / g(M) of the segment's shifted beta-geometric (app/domain/renewal_tail.py), whose
uncertainty widens the interval. For an account that is older than M itself it stays as it is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from app.domain.features import Floats
from app.domain.hazard_fit import DEFAULT_MONTHLY_CHURN
from app.domain.months import Ints
from app.domain.renewal_tail import DEFAULT_PRIOR, BetaGeometric, fit_beta_geometric

FEWEST_AT_RISK = 10
MONTHS_HELD = 12


@dataclass(frozen=True, slots=True, eq=False)
class MonthlyTable:
    """A life table: q(t), the share lost in month t of tenure, and the variance it adds to log S; t = 1..M."""

    hazard: Floats
    variance: Floats
    tail: BetaGeometric
    average: float  # hazard of a month: what is said of a segment without a record, M = 0

    @property
    def supported_months(self) -> int:
        return len(self.hazard)


def life_table(survival: Floats, at_risk: Ints) -> MonthlyTable:
    """From S(0..M) and the number at risk just before months 1..M, cut where fewer than 10 are left."""
    few = np.flatnonzero(at_risk < FEWEST_AT_RISK)
    months = int(few[0]) if len(few) else len(at_risk)
    n = at_risk[:months].astype(np.float64)
    lost = n * (1.0 - survival[1 : months + 1] / np.maximum(survival[:months], 1e-12))
    average = float((lost.sum() + DEFAULT_MONTHLY_CHURN) / (n.sum() + 1.0))
    hazard = (lost + average) / (n + 1.0)
    return MonthlyTable(
        hazard=hazard,
        variance=hazard / ((n + 1.0) * (1.0 - hazard)),
        tail=fit_beta_geometric(n, lost, prior=DEFAULT_PRIOR),
        average=average,
    )


def conditional_survival(
    tables: Sequence[MonthlyTable], *, table_of: Ints, tenure_months: Ints, months: int
) -> tuple[Floats, Floats, Ints]:
    """S and the standard deviation of log S (n x months) from each account's tenure on, and its supported months."""
    longest = int(tenure_months.max(initial=0)) + months
    hazards = np.array([_extended(table.hazard, longest, otherwise=table.average) for table in tables])
    variances = np.array(
        [_extended(table.variance, longest, otherwise=table.average / (1.0 - table.average)) for table in tables]
    )
    hazards, variances = hazards.reshape(len(tables), longest), variances.reshape(len(tables), longest)
    supported = np.array([table.supported_months for table in tables], dtype=np.int64)[table_of]
    at = (table_of[:, None], tenure_months[:, None] + np.arange(months)[None, :])
    ratio, slope = _falling(tables, table_of, tenure_months=tenure_months, months=months)
    hazard = hazards[at] * ratio
    by_tail = np.cumsum(hazard * slope / (1.0 - np.minimum(hazard, 1.0 - 1e-12)), axis=1)
    by_tail *= np.array([table.tail.log_sum_sd for table in tables])[table_of][:, None]
    survival = np.multiply.accumulate(1.0 - hazard, axis=1)
    sd = np.sqrt(np.cumsum(variances[at], axis=1) + by_tail**2)
    return survival, sd, np.clip(supported - tenure_months, 0, months)


def _falling(
    tables: Sequence[MonthlyTable], table_of: Ints, *, tenure_months: Ints, months: int
) -> tuple[Floats, Floats]:
    """g(t) / g(M) beyond each table's last month, else 1; and the derivative of its log by log(alpha + beta)."""
    total = np.array([table.tail.alpha + table.tail.beta for table in tables])[table_of][:, None]
    last = np.array([max(table.supported_months, 1) for table in tables])[table_of][:, None]
    month = np.maximum(tenure_months[:, None] + np.arange(1, months + 1), last)
    month = np.where(tenure_months[:, None] > last, last, month)
    at_last, then = total + last - 1.0, total + month - 1.0
    return at_last / then, total * (1.0 / at_last - 1.0 / then)


def _extended(values: Floats, length: int, *, otherwise: float) -> Floats:
    held = float(values[-MONTHS_HELD:].mean()) if len(values) else otherwise
    return np.append(values, np.full(max(0, length - len(values)), held))[:length]


def draw_exposure(exposure: Floats, log_sd: Floats, *, normal: Floats) -> Floats:
    """What -log R (n x months, not decreasing) may be, at standard normals that broadcast to it; same shape.

    Churns are counted, so that -log R is taken as a gamma variable: with k = (exposure / log_sd)^2, which is the
    number of churns that the curve rests on, shape k + 1/2 (Jeffreys) and scale exposure / k. Where nobody has left, a
    normal on log(-log R) would have everyone leave at once in every other draw; this has as many as those at risk
    allow. Quantiles by Wilson and Hilferty, The distribution of chi-square, PNAS 17 (1931): within 5 % of the gamma's
    from the median up, and below it 0 for small ones.
    """
    known = log_sd <= 1e-9 * exposure
    variance = np.where(known, 1.0, log_sd**2)
    shape = exposure**2 / variance + 0.5
    root = np.maximum(1.0 - 1.0 / (9.0 * shape) + normal / (3.0 * np.sqrt(shape)), 0.0)
    drawn = np.where(known, exposure, variance / np.maximum(exposure, 1e-300) * shape * root**3)
    return np.asarray(np.maximum.accumulate(drawn, axis=-1))


def counted_band(curve: Floats, log_sd: Floats, *, level: float) -> tuple[Floats, Floats]:
    """Lower and upper bound (n x months) of Kaplan-Meier's curves at `level`, e.g. .9, as `draw_exposure` has them."""
    exposure = -np.log(np.clip(curve, 1e-300, 1.0))
    quantile = np.full(exposure.shape, NormalDist().inv_cdf(0.5 + level / 2))
    furthest, nearest = (draw_exposure(exposure, log_sd, normal=z) for z in (quantile, -quantile))
    return np.exp(-furthest), np.maximum(np.exp(-nearest), curve)
