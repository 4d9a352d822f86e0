"""A fitted hazard as a value: plain numbers, frozen, to and from JSON."""

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from datetime import date
from typing import Any

import numpy as np

from app.domain.causes import CAUSES
from app.domain.features import Bools, FeatureSpec, Floats
from app.domain.hazard_clock import CLOCK_COLUMNS
from app.domain.hazard_map import Scaling
from app.domain.lasting_spread import LastingSpread
from app.domain.months import Ints
from app.domain.renewal_tail import RenewalTail, count_groups

MODEL_VERSION = 3
LARGEST_Z = 4.0  # a feature further from its mean says no more than this
ONE, LOG_AHEAD, RENEWAL, CONTRACT, IDLE = (
    CLOCK_COLUMNS.index(name) for name in ("one", "log_ahead", "renewal", "contract", "idle")
)


@dataclass(frozen=True, slots=True)
class FitOptions:
    """`tracked_from`: the first day from which the company's churn record is complete.

    `defaults_only`: fit the intercept alone and keep every other coefficient at its default.
    """

    as_of: date
    tracked_from: date
    horizon_months: int | None = None  # None: 24, or 36 with five years of tracking
    posterior_scale: float = 1.0  # factor on the standard deviations of the posterior
    defaults_only: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class HazardModel:
    """A fitted hazard. Prior, mode and covariance are of the standardised terms (`Scaling`).

    `mode` is of the decision to leave and of every cause with too few churns for a fit of its own: `cause_shares` of
    its hazard are theirs. The causes in `own_causes` have a fit of their own; the hazard is the sum of all fits'.
    """

    options: FitOptions
    specs: tuple[FeatureSpec, ...]
    feature_mean: Floats
    feature_sd: Floats  # 0 where the feature was constant or never known: it then says nothing
    feature_churns: Ints  # churns of spells with the feature known at some landmark
    clock_mean: Floats  # of CLOCK_COLUMNS over the rows: the clock of the reference account
    term_mean: Floats
    term_scale: Floats
    prior_mean: Floats
    prior_sd: Floats
    mode: Floats
    covariance: Floats
    cause_shares: Floats  # by cause
    cause_churns: Ints  # by cause
    own_causes: Ints
    own_prior_mean: Floats  # own causes x terms; the standard deviations are `prior_sd`
    own_mode: Floats
    own_covariance: Floats
    tail_alpha: Floats  # of `RenewalTail`
    tail_beta: Floats
    tail_log_sum_sd: Floats
    lasting_sd: float  # of `LastingSpread`
    lasting_memory: float
    account_months: float
    n_steps: int
    horizon_months: int
    last_supported_tenure: int  # months

    @property
    def n_churns(self) -> int:
        return int(self.cause_churns.sum())

    @property
    def basis(self) -> str:
        """`prior` with 0 or 1 churn, or with the defaults only (to be shown with "not enough data"), else `account`."""
        return "prior" if self.n_churns < 2 or self.options.defaults_only else "account"

    @property
    def to_terms(self) -> Floats:
        return Scaling(self.term_mean, self.term_scale).matrix()

    @property
    def theta(self) -> Floats:
        """Coefficients of the terms themselves at the mode, clock columns x (1, standardised features)."""
        return self.place_terms(self.to_terms @ self.mode)

    @property
    def thetas(self) -> Floats:
        """`theta`, then that of each cause with a fit of its own (fits x A x B)."""
        return self.place_terms(self.modes @ self.to_terms.T)

    @property
    def modes(self) -> Floats:
        """The mode of each fit, the main one first (fits x terms)."""
        return np.concatenate([self.mode[None], self.own_mode])

    @property
    def covariances(self) -> Floats:
        """The covariance of each mode (fits x terms x terms); between fits there is none worth the name."""
        return np.concatenate([self.covariance[None], self.own_covariance])

    @property
    def fit_causes(self) -> Floats:
        """What share of each fit's hazard belongs to each cause (fits x causes)."""
        own = np.zeros((len(self.own_causes), len(CAUSES)))
        own[np.arange(len(own)), self.own_causes] = 1.0
        return np.concatenate([self.cause_shares[None], own])

    @property
    def tail(self) -> RenewalTail:
        return RenewalTail(self.tail_alpha, self.tail_beta, self.tail_log_sum_sd)

    @property
    def lasting(self) -> LastingSpread:
        return LastingSpread(self.lasting_sd, self.lasting_memory)

    def place_terms(self, coefficients: Floats) -> Floats:
        """Coefficients of the terms (..., terms) as matrices (..., A, B), zero outside the mask."""
        mask = term_mask(self.specs)
        theta = np.zeros((*coefficients.shape[:-1], *mask.shape))
        theta[..., mask] = coefficients
        return theta

    @property
    def theta_covariances(self) -> Floats:
        """Covariance of each of `thetas` (fits x A x B x A x B), zero outside the mask."""
        mask = term_mask(self.specs)
        to_terms = self.to_terms * self.options.posterior_scale
        covariances = self.covariances
        full = np.zeros((len(covariances), mask.size, mask.size))
        inside = np.flatnonzero(mask.ravel())
        full[:, inside[:, None], inside] = to_terms @ covariances @ to_terms.T
        return full.reshape(-1, *mask.shape, *mask.shape)

    def to_json(self) -> str:
        """The model as JSON text: same model, same bytes."""
        body: dict[str, Any] = {"version": MODEL_VERSION}
        for field in fields(self):
            value = getattr(self, field.name)
            body[field.name] = value.tolist() if isinstance(value, np.ndarray) else value
        body["options"] = asdict(self.options) | {
            "as_of": self.options.as_of.isoformat(),
            "tracked_from": self.options.tracked_from.isoformat(),
        }
        body["specs"] = [asdict(spec) for spec in self.specs]
        return json.dumps(body, sort_keys=True, allow_nan=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "HazardModel":
        """The model that `to_json` wrote. ValueError for another version or numbers that do not fit together."""
        body = json.loads(text)
        if not isinstance(body, dict) or body.pop("version", None) != MODEL_VERSION:
            raise ValueError(f"not a hazard model of version {MODEL_VERSION}")
        if set(body) != {field.name for field in fields(cls)}:
            raise ValueError("the hazard model has other fields than expected")
        options = body["options"]
        body["options"] = FitOptions(
            date.fromisoformat(options.pop("as_of")), date.fromisoformat(options.pop("tracked_from")), **options
        )
        body["specs"] = tuple(FeatureSpec(**spec) for spec in body["specs"])
        for name in _FLOAT_ARRAYS:
            body[name] = _frozen(np.array(body[name], dtype=np.float64))
        for name in _INT_ARRAYS:
            body[name] = _frozen(np.array(body[name], dtype=np.int64))
        terms = len(body["mode"])  # what is empty has lost its shape
        body["own_prior_mean"], body["own_mode"] = (body[n].reshape(-1, terms) for n in ("own_prior_mean", "own_mode"))
        body["own_covariance"] = body["own_covariance"].reshape(-1, terms, terms)
        model = cls(**body)
        _check_shapes(model)
        return model

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.to_json().encode()).hexdigest()


_FLOAT_ARRAYS = (
    *("feature_mean", "feature_sd", "clock_mean", "term_mean", "term_scale"),
    *("prior_mean", "prior_sd", "mode", "covariance", "cause_shares"),
    *("own_prior_mean", "own_mode", "own_covariance", "tail_alpha", "tail_beta", "tail_log_sum_sd"),
)
_INT_ARRAYS = ("feature_churns", "cause_churns", "own_causes")


def term_mask(specs: tuple[FeatureSpec, ...]) -> Bools:
    """Which clock column goes with which feature (A x (1 + p)): the terms of the predictor."""
    mask = np.zeros((len(CLOCK_COLUMNS), 1 + len(specs)), dtype=bool)
    mask[:, 0] = True
    mask[[ONE, RENEWAL, CONTRACT], :] = True
    mask[LOG_AHEAD, 1:] = [spec.is_time_varying for spec in specs]
    return mask


def standardise(values: Floats, mean: Floats, *, sd: Floats) -> Floats:
    """(1, z) of raw feature values (n x p); a missing value, or one of a silent feature (sd 0), is 0: the mean."""
    known = np.isfinite(values) & (sd > 0)
    centred = np.where(known, values, mean) - mean
    z = np.clip(centred / np.where(sd > 0, sd, 1.0), -LARGEST_Z, LARGEST_Z)
    return np.concatenate([np.ones((len(z), 1)), z], axis=1)


def _check_shapes(model: HazardModel) -> None:
    terms, p, own = int(term_mask(model.specs).sum()), len(model.specs), len(model.own_causes)
    shapes: dict[str, tuple[int, ...]] = {
        "feature_mean": (p,),
        "feature_sd": (p,),
        "feature_churns": (p,),
        "clock_mean": (len(CLOCK_COLUMNS),),
        "covariance": (terms, terms),
        "cause_shares": (len(CAUSES),),
        "cause_churns": (len(CAUSES),),
        "own_prior_mean": (own, terms),
        "own_mode": (own, terms),
        "own_covariance": (own, terms, terms),
    }
    shapes |= dict.fromkeys(("term_mean", "term_scale", "prior_mean", "prior_sd", "mode"), (terms,))
    shapes |= dict.fromkeys(("tail_alpha", "tail_beta", "tail_log_sum_sd"), (count_groups(model.specs), 2))
    for name, shape in shapes.items():
        value = getattr(model, name)
        if value.shape != shape or not np.isfinite(value).all():
            raise ValueError(f"the hazard model's {name} must be {shape} finite numbers")
    if not (0.0 <= model.lasting_sd < np.inf and 0.0 <= model.lasting_memory < 1.0):
        raise ValueError("the hazard model's lasting spread must be at least 0, and its memory from 0 to below 1")


def _frozen(array: Any) -> Any:
    array.flags.writeable = False
    return array
