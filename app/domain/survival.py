"""Churn as a landmark discrete-time hazard: prediction with intervals; `fit_hazard` is its fit.

In month s after landmark L of an account with standardised features z and tenure t in that month

    logit h = a + f(t) + g log s + b'z + log s d'z + r (rho + c'z) + contract (kappa + e'z) + idle iota

f has steps for tenure 1-3 and 4-6 and a line up to 60 months; d is for time-varying features only;
r = 1 where a term of more than one month runs out in the month; contract = 1 where the term is longer
than one month; idle = 1 where a monthly contract has no first unpaid day in the month. Where causes of
churn have fits of their own, h is the sum of theirs. S(k) is the product of (1 - h) over months 1..k.

Beyond s* = max(12, min(H, last supported tenure - tenure)), never above H, log s and tenure are held at s*
while the renewal clock runs on, and h falls as renewals do (app/domain/renewal_tail.py).
"""

from dataclasses import dataclass, fields
from datetime import date
from statistics import NormalDist

import numpy as np

from app.domain.causes import HORIZONS_MONTHS, cumulative_incidence
from app.domain.features import FeatureTable, Floats, Spells
from app.domain.hazard_clock import (
    Clock,
    build_clock,
    clock_columns,
    landmark_step_months,
    months_before,
    training_landmarks,
)
from app.domain.hazard_fit import fit_hazard
from app.domain.hazard_map import FitDidNotConvergeError, expit
from app.domain.hazard_model import FitOptions, HazardModel, standardise
from app.domain.hazard_rows import take_rows
from app.domain.leaving import (
    end_causes,
    end_hazard,
    end_retention,
    end_survival,
    is_leaving,
    without_doubt,
)
from app.domain.months import Ints, whole_months_between
from app.domain.renewal_tail import TailFactor, curve_numbers, renewal_numbers, tail_factor, tail_groups

__all__ = [
    "FORECAST_MONTHS",
    "FitDidNotConvergeError",
    "FitOptions",
    "HazardModel",
    "Inputs",
    "Prediction",
    "band",
    "build_inputs",
    "decide_basis",
    "fit_hazard",
    "landmark_step_months",
    "log_curve_sd",
    "next_renewal_months",
    "predict",
    "predict_incidence",
    "row_chunks",
    "surviving",
    "take_rows",
    "training_landmarks",
]

FORECAST_MONTHS = 60
FEWEST_CHURNS_FOR_SEGMENT = 3  # two in the same month may be chance
LARGEST_HAZARD = 1.0 - 1e-9  # of the causes together
_CHUNK = 500  # rows: 60 months of them fit into the processor's cache


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """Curves of n accounts over months 1..60 after `as_of`; a row is a row of the table given.

    The standard deviations are of log S and log R (delta method) over the posterior of the model's coefficients
    and over what sets accounts apart beside their features (app/domain/lasting_spread.py). Beyond
    `supported_months` the hazards are extrapolated.
    """

    as_of: date  # the landmark of the table
    account: Ints
    hazard: Floats
    survival: Floats  # S, of the account
    retention: Floats  # R, of its revenue: skips the hazard inside a committed, non-cancellable term
    log_survival_sd: Floats
    log_retention_sd: Floats
    supported_months: Ints
    next_renewal_month: Ints  # the forecast month in which the present term runs out; 0: none (monthly)
    tenure_months: Ints  # at as_of
    cause_probabilities: Floats  # n x HORIZONS_MONTHS x CAUSES; NaN for a horizon beyond the months predicted

    def churn_within(self, months: int) -> Floats:
        """P(churn within months 1..`months`)."""
        return 1.0 - self.survival[:, months - 1]

    def churn_by_next_renewal(self) -> Floats:
        """P(churn through the month of the account's next renewal); NaN without one within the forecast."""
        month = self.next_renewal_month
        known = (month > 0) & (month <= self.survival.shape[1])
        at = np.take_along_axis(self.survival, np.where(known, month - 1, 0)[:, None], axis=1)[:, 0]
        return np.where(known, 1.0 - at, np.nan)


def decide_basis(model: HazardModel, spells: Spells) -> str:
    """What the figures of a company may rest on.

    `prior` with 0 or 1 churn among the rows: the default weights, to be shown with "not enough data".
    `segment` where all of three or more churns lie in one calendar month of a longer record: no hazard
    can be learned over time from them, Kaplan-Meier by segment is shown instead. Else `account`.
    """
    options = model.options
    tracked, as_of = np.datetime64(options.tracked_from), np.datetime64(options.as_of)
    ends = spells.ended_on[spells.churned & (spells.ended_on >= tracked) & (spells.ended_on <= as_of)]
    one_month = len(np.unique(ends.astype("datetime64[M]"))) == 1
    if len(ends) >= FEWEST_CHURNS_FOR_SEGMENT and one_month and months_before(options.as_of, options.tracked_from) > 1:
        return "segment"
    return model.basis


def predict(model: HazardModel, table: FeatureTable, *, months: int = FORECAST_MONTHS) -> Prediction:
    """S, R and their standard deviations for each row of `table`, whose landmarks are all `as_of`.

    An account that has given notice follows that and no hazard (app/domain/leaving.py).
    ValueError where the table has other columns than the model, or landmarks of several days.
    """
    parts = [_predict_part(model, take_rows(table, rows), months=months) for rows in row_chunks(len(table.account))]
    joined = {
        field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Prediction)[1:]
    }
    return Prediction(as_of=parts[0].as_of, **joined)


def predict_incidence(model: HazardModel, table: FeatureTable, *, months: int = FORECAST_MONTHS) -> Floats:
    """F_c(k), the probability to have left by month k for cause c (n x months x `CAUSES`); S is 1 less their sum."""
    parts = [build_inputs(model, take_rows(table, rows), months=months) for rows in row_chunks(len(table.account))]
    return np.concatenate([_incidence(model, inputs.hazards(model)) for inputs in parts])


def band(curve: Floats, log_sd: Floats, *, level: float) -> tuple[Floats, Floats]:
    """Lower and upper bound of survival curves (n x months) at `level`, e.g. .9.

    Normal on log(-log S), whose standard deviation is log_sd / |log S|; so inside [0, 1], and made
    non-increasing. Covers how unsure the account's probability is, not its fate.
    """
    quantile = NormalDist().inv_cdf(0.5 + level / 2)
    exposure = -np.log(np.clip(curve, 1e-300, 1.0))
    spread = np.exp(quantile * log_sd / np.maximum(exposure, 1e-300))
    lower, upper = np.exp(-exposure * spread), np.exp(-exposure / spread)
    return np.minimum.accumulate(lower, axis=1), np.maximum.accumulate(upper[:, ::-1], axis=1)[:, ::-1]


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """The two sides of the bilinear predictor for rows of a table at `as_of`, and the tail beyond their support."""

    clock: Clock
    phi: Floats
    z: Floats
    supported_months: Ints
    tail: TailFactor

    def hazard(self, theta: Floats) -> Floats:
        """That of one fit, by its coefficients."""
        return self.tail.ratio * expit(np.einsum("nka,na->nk", self.phi, self.z @ theta.T))

    def hazards(self, model: HazardModel) -> Floats:
        """Those of all fits (fits x n x months); their sum stays below 1."""
        hazards = np.array([self.hazard(theta) for theta in model.thetas])
        hazards *= np.minimum(1.0, LARGEST_HAZARD / np.maximum(hazards.sum(axis=0), 1e-300))
        return hazards


def build_inputs(model: HazardModel, table: FeatureTable, *, months: int) -> Inputs:
    """Clock columns and standardised features of the rows, held beyond their supported months."""
    if table.names != tuple(spec.name for spec in model.specs):
        raise ValueError("the feature table has other columns than the model")
    clock = build_clock(table, as_of=_common_landmark(model, table), months=months)
    longest = min(model.horizon_months, months)
    left = model.last_supported_tenure - clock.tenure_months[:, 0] + 1
    supported = np.clip(left, min(12, longest), longest)
    return Inputs(
        clock=clock,
        phi=clock_columns(clock, held_from=supported),
        z=standardise(table.values, model.feature_mean, sd=model.feature_sd),
        supported_months=supported,
        tail=tail_factor(
            model.tail,
            renewal_numbers(clock, table.term_months),
            curve=curve_numbers(tail_groups(table, model.specs), clock),
            supported_months=supported,
            is_beyond=left <= 0,
        ),
    )


def next_renewal_months(table: FeatureTable) -> Ints:
    """The forecast month in which each row's present term runs out; 0 where the contract is monthly."""
    longer = (table.term_months > 1) & ~np.isnat(table.renewal_on)
    due_on = np.where(longer, table.renewal_on, table.landmark)
    return np.where(longer, whole_months_between(table.landmark, due_on) + 1, 0)


def _predict_part(model: HazardModel, table: FeatureTable, *, months: int) -> Prediction:
    inputs = build_inputs(model, table, months=months)
    hazards = inputs.hazards(model)
    hazard = hazards.sum(axis=0)
    survival, survival_sd = surviving(hazard), log_curve_sd(model, inputs, hazards=hazards)
    retention, retention_sd = survival.copy(), survival_sd.copy()
    bound = np.flatnonzero(inputs.clock.committed.any(axis=1))
    if len(bound):
        own = build_inputs(model, take_rows(table, bound), months=months)
        at_risk = hazards[:, bound] * (1.0 - own.clock.committed)
        retention[bound] = surviving(at_risk.sum(axis=0))
        retention_sd[bound] = log_curve_sd(model, own, hazards=at_risk)
    return Prediction(
        as_of=_common_landmark(model, table),
        account=table.account,
        hazard=end_hazard(hazard, table),
        survival=end_survival(survival, table),
        retention=end_retention(retention, table),
        log_survival_sd=without_doubt(survival_sd, table),
        log_retention_sd=without_doubt(retention_sd, table),
        supported_months=np.where(is_leaving(table), months, inputs.supported_months),
        next_renewal_month=next_renewal_months(table),
        tenure_months=whole_months_between(table.started_on, table.landmark),
        cause_probabilities=end_causes(_cause_probabilities(model, hazards), table),
    )


def _cause_probabilities(model: HazardModel, hazards: Floats) -> Floats:
    months = hazards.shape[2]
    incidence = _incidence(model, hazards[:, :, : max(HORIZONS_MONTHS)])
    at = [min(horizon, months) - 1 for horizon in HORIZONS_MONTHS]
    is_within = np.array(HORIZONS_MONTHS) <= months
    return np.where(is_within[None, :, None], incidence[:, at], np.nan)


def _incidence(model: HazardModel, hazards: Floats) -> Floats:
    return cumulative_incidence(np.einsum("fnk,fc->nkc", hazards, model.fit_causes))


def surviving(hazard: Floats) -> Floats:
    surviving: Floats = np.multiply.accumulate(1.0 - hazard, axis=1)
    return surviving


def log_curve_sd(model: HazardModel, inputs: Inputs, *, hazards: Floats) -> Floats:
    """Standard deviation of log S(k), n x months: the delta method over all fits, the tail and the lasting spread.

    `hazards` (fits x n x months) may be 0 where revenue is committed. With p the logistic hazard of a fit, ratio
    the tail's and h the sum of ratio p over fits, d log(1 - h) = -ratio p (1 - p) / (1 - h) d eta.
    """
    tail = inputs.tail
    odds = hazards / (1.0 - hazards.sum(axis=0))
    by_tail = np.cumsum(odds.sum(axis=0) * tail.slope, axis=1) * tail.log_sum_sd[:, None]
    variance = (model.options.posterior_scale * by_tail) ** 2
    pulls = odds * (1.0 - hazards / tail.ratio)
    variance += np.cumsum(pulls.sum(axis=0) * model.lasting.by_month(hazards.shape[2]), axis=1) ** 2
    for pull, covariance in zip(pulls, model.theta_covariances, strict=True):
        gathered = np.cumsum(pull[:, :, None] * inputs.phi, axis=1)
        variance += ((gathered @ _clock_covariance(covariance, inputs.z)) * gathered).sum(axis=2)
    sd: Floats = np.sqrt(np.maximum(variance, 0.0))
    return sd


def _clock_covariance(covariance: Floats, z: Floats) -> Floats:
    """Per row, the covariance of Theta z (n x A x A)."""
    size = covariance.shape[0]
    result = np.empty((len(z), size, size))
    for a in range(size):
        for c in range(a + 1):
            result[:, a, c] = result[:, c, a] = ((z @ covariance[a, :, c, :]) * z).sum(axis=1)
    return result


def _common_landmark(model: HazardModel, table: FeatureTable) -> date:
    if not len(table.landmark):
        return model.options.as_of
    if np.any(table.landmark != table.landmark[0]):
        raise ValueError("a prediction is made as of one day; the table has landmarks of several")
    landmark: date = table.landmark[0].item()
    return landmark


def row_chunks(n: int) -> list[Ints]:
    """The row numbers of n rows in parts small enough to be worked on at once; one empty part for n = 0."""
    return [np.arange(start, min(start + _CHUNK, n)) for start in range(0, max(1, n), _CHUNK)]
