"""Churn as a landmark discrete-time hazard: fit, and prediction with intervals.

In month s after landmark L of an account with standardised features z and tenure t in that month

    logit h = a + f(t) + g log s + b'z + log s d'z + r (rho + c'z) + contract (kappa + e'z) + idle iota

f has steps for tenure 1-3 and 4-6 and a line up to 60 months; d is for time-varying features only;
r = 1 where a term of more than one month runs out in the month; contract = 1 where the term is longer
than one month; idle = 1 where a monthly contract has no first unpaid day in the month. One cause.
S(k) is the product of (1 - h) over months 1..k. Fitted by maximum a posteriori, so that a company with
few churns gets nearly the default weights and one with many its own.
"""

import math
from dataclasses import dataclass, fields, replace
from datetime import date
from statistics import NormalDist

import numpy as np

from app.domain.features import FeatureSpec, FeatureTable, Floats, Spells
from app.domain.hazard_clock import (
    Clock,
    build_clock,
    clock_columns,
    landmark_step_months,
    months_before,
    training_landmarks,
)
from app.domain.hazard_map import FitDidNotConvergeError, Prior, Problem, Scaling, expit, fit_posterior, scale_terms
from app.domain.hazard_model import CONTRACT, IDLE, ONE, RENEWAL, FitOptions, HazardModel, standardise, term_mask
from app.domain.hazard_rows import TrainingRows, build_training_rows, last_supported_tenure
from app.domain.months import Ints, whole_months_between

__all__ = [
    "FORECAST_MONTHS",
    "FitDidNotConvergeError",
    "FitOptions",
    "HazardModel",
    "Inputs",
    "Prediction",
    "band",
    "build_inputs",
    "clock_covariance",
    "decide_basis",
    "fit_hazard",
    "landmark_step_months",
    "log_curve_sd",
    "next_renewal_months",
    "predict",
    "row_chunks",
    "surviving",
    "take_rows",
    "training_landmarks",
]

FORECAST_MONTHS = 60
DEFAULT_MONTHLY_CHURN = 0.015
DEFAULT_LOGITS = {RENEWAL: 3.0, CONTRACT: -1.5, IDLE: -3.0}  # of the column itself, not standardised
DEFAULT_SD = 0.2
FIXED_SD = 1e-4  # of a coefficient that is to stay at its default
INTERCEPT_SD = 2.0  # worth about half a churn: with none at all the hazard stays above zero
FEWEST_CHURNS_FOR_SEGMENT = 3  # two in the same month may be chance
_CHUNK = 500  # rows: 60 months of them fit into the processor's cache


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """Curves of n accounts over months 1..60 after `as_of`; a row is a row of the table given.

    The standard deviations are of log S and log R over the posterior of the model's coefficients
    (delta method). Beyond `supported_months` the hazards are extrapolated.
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

    def churn_within(self, months: int) -> Floats:
        """P(churn within months 1..`months`)."""
        return 1.0 - self.survival[:, months - 1]

    def churn_by_next_renewal(self) -> Floats:
        """P(churn through the month of the account's next renewal); NaN without one within the forecast."""
        month = self.next_renewal_month
        known = (month > 0) & (month <= self.survival.shape[1])
        at = np.take_along_axis(self.survival, np.where(known, month - 1, 0)[:, None], axis=1)[:, 0]
        return np.where(known, 1.0 - at, np.nan)


def fit_hazard(
    table: FeatureTable, spells: Spells, *, specs: tuple[FeatureSpec, ...], options: FitOptions
) -> HazardModel:
    """The posterior mode and Laplace covariance of the hazard, from the rows of all landmarks.

    `table` holds the features at the landmarks (`training_landmarks`), `spells` all spells; rows at or
    after `as_of` or before `tracked_from` are left out. Any number of accounts and churns will do,
    none included: with 0 or 1 churn `basis` is `prior`. The order of rows does not matter.
    ValueError where names and specs differ or a landmark is off the grid; FitDidNotConvergeError.
    """
    if table.names != tuple(spec.name for spec in specs):
        raise ValueError("the feature table has other columns than the specs name")
    horizon = options.horizon_months or _default_horizon(options)
    rows = build_training_rows(
        table, spells, as_of=options.as_of, tracked_from=options.tracked_from, horizon_months=horizon
    )
    cases = take_rows(table, rows.table_row)
    clock = build_clock(cases, as_of=options.as_of, months=horizon)
    mean, sd = _feature_moments(cases.values, rows.weight.sum(axis=1))
    problem = Problem(
        phi=clock_columns(clock),
        z=standardise(cases.values, mean, sd=sd),
        target=(rows.event_month[:, None] == np.arange(1, horizon + 1)).astype(np.float64),
        weight=rows.weight,
        mask=term_mask(specs),
    )
    scaling = scale_terms(problem)
    prior = _prior(specs, scaling, defaults_only=options.defaults_only)
    posterior = fit_posterior(problem, scaling, prior=prior, start=_start(problem, prior))
    months = float(rows.weight.sum())
    return HazardModel(
        options=options,
        specs=specs,
        feature_mean=mean,
        feature_sd=sd,
        feature_churns=_feature_churns(cases.values, rows),
        clock_mean=np.einsum("nh,nha->a", rows.weight, problem.phi) / max(months, 1e-300),
        term_mean=scaling.mean,
        term_scale=scaling.scale,
        prior_mean=prior.mean,
        prior_sd=prior.sd,
        mode=posterior.mode,
        covariance=posterior.covariance,
        account_months=months,
        n_churns=rows.n_churns,
        n_steps=posterior.n_steps,
        horizon_months=horizon,
        last_supported_tenure=last_supported_tenure(rows, clock.tenure_months),
    )


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

    Beyond s* = max(12, min(H, last supported tenure - tenure)), never above H, log s and tenure are
    held at s* while the renewal clock runs on: the last hazards at the same clock position.
    ValueError where the table has other columns than the model, or landmarks of several days.
    """
    parts = [_predict_part(model, take_rows(table, rows), months=months) for rows in row_chunks(len(table.account))]
    joined = {
        field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Prediction)[1:]
    }
    return Prediction(as_of=parts[0].as_of, **joined)


def band(curve: Floats, log_sd: Floats, *, level: float) -> tuple[Floats, Floats]:
    """Lower and upper bound of survival curves (n x months) at `level`, e.g. .9.

    Normal on log(-log S), whose standard deviation is log_sd / |log S|; so inside [0, 1], and made
    non-increasing. Covers the uncertainty of the coefficients, not of one account's fate.
    """
    quantile = NormalDist().inv_cdf(0.5 + level / 2)
    exposure = -np.log(np.clip(curve, 1e-300, 1.0))
    spread = np.exp(quantile * log_sd / np.maximum(exposure, 1e-300))
    lower, upper = np.exp(-exposure * spread), np.exp(-exposure / spread)
    return np.minimum.accumulate(lower, axis=1), np.maximum.accumulate(upper[:, ::-1], axis=1)[:, ::-1]


def take_rows(table: FeatureTable, rows: Ints) -> FeatureTable:
    """The given rows of a feature table, in that order."""
    columns = {field.name: getattr(table, field.name)[rows] for field in fields(table) if field.name != "names"}
    return replace(table, **columns)


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """The two sides of the bilinear predictor for rows of a table at `as_of`."""

    clock: Clock
    phi: Floats
    z: Floats
    supported_months: Ints

    def hazard(self, theta: Floats) -> Floats:
        return expit(np.einsum("nka,na->nk", self.phi, self.z @ theta.T))


def build_inputs(model: HazardModel, table: FeatureTable, *, months: int) -> Inputs:
    """Clock columns and standardised features of the rows, held beyond their supported months."""
    if table.names != tuple(spec.name for spec in model.specs):
        raise ValueError("the feature table has other columns than the model")
    clock = build_clock(table, as_of=_common_landmark(model, table), months=months)
    longest = min(model.horizon_months, months)
    supported = np.clip(model.last_supported_tenure - clock.tenure_months[:, 0] + 1, min(12, longest), longest)
    return Inputs(
        clock=clock,
        phi=clock_columns(clock, held_from=supported),
        z=standardise(table.values, model.feature_mean, sd=model.feature_sd),
        supported_months=supported,
    )


def next_renewal_months(table: FeatureTable) -> Ints:
    """The forecast month in which each row's present term runs out; 0 where the contract is monthly."""
    longer = (table.term_months > 1) & ~np.isnat(table.renewal_on)
    due_on = np.where(longer, table.renewal_on, table.landmark)
    return np.where(longer, whole_months_between(table.landmark, due_on) + 1, 0)


def _predict_part(model: HazardModel, table: FeatureTable, *, months: int) -> Prediction:
    inputs = build_inputs(model, table, months=months)
    hazard = inputs.hazard(model.theta)
    covariance = clock_covariance(model, inputs.z)
    survival, survival_sd = surviving(hazard), log_curve_sd(hazard, inputs.phi, covariance=covariance)
    retention, retention_sd = survival.copy(), survival_sd.copy()
    bound = np.flatnonzero(inputs.clock.committed.any(axis=1))
    at_risk = hazard[bound] * (1.0 - inputs.clock.committed[bound])
    retention[bound] = surviving(at_risk)
    retention_sd[bound] = log_curve_sd(at_risk, inputs.phi[bound], covariance=covariance[bound])
    return Prediction(
        as_of=_common_landmark(model, table),
        account=table.account,
        hazard=hazard,
        survival=survival,
        retention=retention,
        log_survival_sd=survival_sd,
        log_retention_sd=retention_sd,
        supported_months=inputs.supported_months,
        next_renewal_month=next_renewal_months(table),
        tenure_months=whole_months_between(table.started_on, table.landmark),
    )


def surviving(hazard: Floats) -> Floats:
    surviving: Floats = np.multiply.accumulate(1.0 - hazard, axis=1)
    return surviving


def clock_covariance(model: HazardModel, z: Floats) -> Floats:
    """Per row, the covariance of Theta z (n x A x A)."""
    covariance = model.theta_covariance
    size = covariance.shape[0]
    result = np.empty((len(z), size, size))
    for a in range(size):
        for c in range(a + 1):
            result[:, a, c] = result[:, c, a] = ((z @ covariance[a, :, c, :]) * z).sum(axis=1)
    return result


def log_curve_sd(hazard: Floats, phi: Floats, *, covariance: Floats) -> Floats:
    """Delta method: the gradient of log S(k) by theta is minus the sum of h phi z' over months 1..k."""
    gathered = np.cumsum(hazard[:, :, None] * phi, axis=1)
    variance = ((gathered @ covariance) * gathered).sum(axis=2)
    sd: Floats = np.sqrt(np.maximum(variance, 0.0))
    return sd


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


def _default_horizon(options: FitOptions) -> int:
    return 36 if months_before(options.as_of, options.tracked_from) >= 60 else 24


def _feature_moments(values: Floats, weight: Floats) -> tuple[Floats, Floats]:
    """Weighted mean and standard deviation of the known values; both 0 where there is none, sd 0 if constant."""
    known = np.isfinite(values)
    weights = weight[:, None] * known
    total = np.maximum(weights.sum(axis=0), 1e-300)
    filled = np.where(known, values, 0.0)
    mean = (weights * filled).sum(axis=0) / total
    sd = np.sqrt((weights * np.where(known, filled - mean, 0.0) ** 2).sum(axis=0) / total)
    return mean, np.where(sd > 1e-9 * np.maximum(1.0, np.abs(mean)), sd, 0.0)


def _feature_churns(values: Floats, rows: TrainingRows) -> Ints:
    _, spell = np.unique(rows.spell, return_inverse=True)
    known = np.zeros((spell.max(initial=-1) + 1, values.shape[1]), dtype=bool)
    events = rows.event_month > 0
    np.logical_or.at(known, spell[events], np.isfinite(values[events]))
    churned = max(1, len(np.unique(spell[events])))
    churns: Ints = np.rint(known.sum(axis=0) * (rows.n_churns / churned)).astype(np.int64)
    return churns


def _prior(specs: tuple[FeatureSpec, ...], scaling: Scaling, *, defaults_only: bool) -> Prior:
    clock, feature = np.nonzero(term_mask(specs))
    mean = np.zeros(len(clock))
    sd = np.full(len(clock), DEFAULT_SD)
    mean[0], sd[0] = logit(DEFAULT_MONTHLY_CHURN), INTERCEPT_SD
    itself = (clock == ONE) & (feature > 0)
    mean[itself] = [spec.default_weight for spec in specs]
    sd[itself] = [spec.default_sd for spec in specs]
    for column, default in DEFAULT_LOGITS.items():
        term = (clock == column) & (feature == 0)
        mean[term] = default * scaling.scale[term]
    if defaults_only:
        sd[1:] = FIXED_SD
    return Prior(mean=mean, sd=sd)


def _start(problem: Problem, prior: Prior) -> Floats:
    start = prior.mean.copy()
    events, months = float((problem.weight * problem.target).sum()), float(problem.weight.sum())
    start[0] = logit((events + 0.5) / (months + 0.5 / DEFAULT_MONTHLY_CHURN))
    return start


def logit(p: float) -> float:
    return math.log(p / (1.0 - p))
