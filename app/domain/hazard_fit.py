"""The fit of the hazard: rows, prior, posterior mode, by cause, and the tail beyond what was observed.

The prior is centred on the default weights, so that a company with few churns gets nearly these and one with
many its own. Causes are fitted one by one on the same rows, a churn for another cause being a month without:
their sum is the hazard. Their errors are taken to be independent, which they are but for products of hazards.
"""

import math
from dataclasses import replace
from typing import Any

import numpy as np

from app.domain.causes import CAUSES, FEWEST_EVENTS, VOLUNTARY, cause_shares
from app.domain.features import Bools, FeatureSpec, FeatureTable, Floats, Spells
from app.domain.hazard_clock import Clock, build_clock, clock_columns, landmark_offsets, months_before
from app.domain.hazard_map import (
    Posterior,
    Prior,
    Problem,
    Sample,
    Scaling,
    fit_posterior,
    scale_terms,
    sum_hazards,
    widen_for_sampling,
)
from app.domain.hazard_model import CONTRACT, IDLE, ONE, RENEWAL, FitOptions, HazardModel, standardise, term_mask
from app.domain.hazard_rows import TrainingRows, build_training_rows, last_supported_tenure, take_rows, weigh_up
from app.domain.lasting_spread import Forecasts, LastingSpread, estimate_spread
from app.domain.months import Ints
from app.domain.prior_scale import scale_prior
from app.domain.renewal_tail import count_groups, fit_tail, renewal_numbers, tail_groups

DEFAULT_MONTHLY_CHURN = 0.015
DEFAULT_LOGITS = {RENEWAL: 3.0, CONTRACT: -1.5, IDLE: -3.0}  # of the column itself, not standardised
DEFAULT_SD = 0.2
FIXED_SD = 1e-4  # of a coefficient that is to stay at its default
INTERCEPT_SD = 2.0  # worth about half a churn: with none at all the hazard stays above zero


def fit_hazard(
    table: FeatureTable,
    spells: Spells,
    *,
    specs: tuple[FeatureSpec, ...],
    options: FitOptions,
    drawn: Floats | None = None,
) -> HazardModel:
    """The posterior modes and Laplace covariances of the hazard, from the rows of all landmarks.

    `table` holds the features at the landmarks (`training_landmarks`), `spells` all spells; rows at or
    after `as_of` or before `tracked_from` are left out. Any number of accounts and churns will do,
    none included: with 0 or 1 churn `basis` is `prior`. The order of rows does not matter. `drawn`, by
    account, is the probability with which it was drawn from all of its kind, that with a churn or without.
    ValueError where names and specs differ or a landmark is off the grid; FitDidNotConvergeError.
    """
    if table.names != tuple(spec.name for spec in specs):
        raise ValueError("the feature table has other columns than the specs name")
    horizon = options.horizon_months or _default_horizon(options)
    rows = build_training_rows(
        table, spells, as_of=options.as_of, tracked_from=options.tracked_from, horizon_months=horizon
    )
    cases = take_rows(table, rows.table_row)
    rows = rows if drawn is None else weigh_up(rows, drawn[cases.account])
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
    months = float(rows.weight.sum())
    model = HazardModel(
        options=options,
        specs=specs,
        feature_mean=mean,
        feature_sd=sd,
        feature_churns=_feature_churns(cases.values, rows),
        clock_mean=np.einsum("nh,nha->a", rows.weight, problem.phi) / max(months, 1e-300),
        term_mean=scaling.mean,
        term_scale=scaling.scale,
        cause_churns=rows.churns,
        account_months=months,
        horizon_months=horizon,
        last_supported_tenure=last_supported_tenure(rows, clock.tenure_months),
        **_fit_causes(problem, scaling, rows=rows, prior=_prior(specs, scaling, options=options)),
        **_fit_tail(problem, clock, cases=cases, specs=specs),
        lasting_sd=0.0,
        lasting_memory=0.0,
    )
    spread = _estimate_spread(model, problem, rows=rows, cases=cases)
    return replace(model, lasting_sd=spread.sd, lasting_memory=spread.memory)


def _estimate_spread(model: HazardModel, problem: Problem, *, rows: TrainingRows, cases: FeatureTable) -> LastingSpread:
    hazard = sum_hazards(problem, model.thetas)
    return estimate_spread(
        Forecasts(
            logit=np.log(hazard / (1.0 - hazard)),
            features=np.column_stack([problem.z, cases.term_months > 1]),
            spell=rows.spell,
            landmark_month=landmark_offsets(model.options.as_of, cases.landmark),
            weight=1.0 / rows.share,
        )
    )


def _fit_causes(problem: Problem, scaling: Scaling, *, rows: TrainingRows, prior: Prior) -> dict[str, Any]:
    """One fit of what is decided, together with the causes of few churns; one of each other cause.

    What foretells a decision to leave need not foretell a card that fails: those begin with no default weight of a
    feature, and with the defaults of the clock.
    """
    has_own = (rows.churns >= FEWEST_EVENTS) & (np.arange(len(CAUSES)) != VOLUNTARY)
    own = np.flatnonzero(has_own)
    clock, feature = np.nonzero(problem.mask)
    neutral = Prior(np.where((clock == ONE) & (feature > 0), 0.0, prior.mean), prior.sd)
    main = _fit_one(problem, scaling, rows=rows, prior=prior, is_event=~has_own[rows.cause])
    others = [_fit_one(problem, scaling, rows=rows, prior=neutral, is_event=rows.cause == cause) for cause in own]
    terms = len(prior.mean)
    return {
        "prior_mean": prior.mean,
        "prior_sd": prior.sd,
        "mode": main.mode,
        "covariance": main.covariance,
        "n_steps": main.n_steps,
        "cause_shares": cause_shares(np.where(has_own, 0, rows.churns)),
        "own_causes": own,
        "own_prior_mean": np.tile(neutral.mean, (len(own), 1)),
        "own_mode": np.array([one.mode for one in others]).reshape(-1, terms),
        "own_covariance": np.array([one.covariance for one in others]).reshape(-1, terms, terms),
    }


def _fit_one(problem: Problem, scaling: Scaling, *, rows: TrainingRows, prior: Prior, is_event: Bools) -> Posterior:
    """The posterior with only the churns of the cases where `is_event`, as sure as the sample of spells allows.

    How tight the priors on products of a feature with the clock are, the data say; those on the features themselves
    stay, as what few accounts of much money do would be lost with them.
    """
    own = replace(problem, target=problem.target * is_event[:, None])
    found = fit_posterior(own, scaling, prior=prior, start=_start(own, prior))
    clock, feature = np.nonzero(problem.mask)
    told = scale_prior(found, prior, groups=((clock != ONE) & (feature > 0),))
    found = fit_posterior(own, scaling, prior=told, start=found.mode)
    sample = Sample(rows.spell, rows.share)
    return replace(found, covariance=widen_for_sampling(found, own, scaling=scaling, sample=sample))


def _fit_tail(problem: Problem, clock: Clock, *, cases: FeatureTable, specs: tuple[FeatureSpec, ...]) -> dict[str, Any]:
    tail = fit_tail(
        clock,
        renewal_numbers(clock, cases.term_months),
        groups=(tail_groups(cases, specs), count_groups(specs)),
        weight=problem.weight,
        target=problem.target,
    )
    return {"tail_alpha": tail.alpha, "tail_beta": tail.beta, "tail_log_sum_sd": tail.log_sum_sd}


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


def _prior(specs: tuple[FeatureSpec, ...], scaling: Scaling, *, options: FitOptions) -> Prior:
    clock, feature = np.nonzero(term_mask(specs))
    mean = np.zeros(len(clock))
    sd = np.full(len(clock), DEFAULT_SD)
    sd[0] = INTERCEPT_SD
    itself = (clock == ONE) & (feature > 0)
    mean[itself] = [spec.default_weight for spec in specs]
    sd[itself] = [spec.default_sd for spec in specs]
    for column, default in DEFAULT_LOGITS.items():
        term = (clock == column) & (feature == 0)
        mean[term] = default * scaling.scale[term]
    mean[0] = logit(DEFAULT_MONTHLY_CHURN) + float(mean[1:] @ (scaling.mean / scaling.scale)[1:])
    if options.defaults_only:
        sd[1:] = FIXED_SD
    return Prior(mean=mean, sd=sd)


def _start(problem: Problem, prior: Prior) -> Floats:
    start = prior.mean.copy()
    events, months = float((problem.weight * problem.target).sum()), float(problem.weight.sum())
    start[0] = logit((events + 0.5) / (months + 0.5 / DEFAULT_MONTHLY_CHURN))
    return start


def logit(p: float) -> float:
    return math.log(p / (1.0 - p))
