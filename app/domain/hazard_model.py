"""A fitted hazard as a value: plain numbers, frozen, to and from JSON."""

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from datetime import date
from typing import Any

import numpy as np

from app.domain.features import Bools, FeatureSpec, Floats
from app.domain.hazard_clock import CLOCK_COLUMNS
from app.domain.hazard_map import Scaling
from app.domain.months import Ints

MODEL_VERSION = 1
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
    """A fitted hazard. Prior, mode and covariance are of the standardised terms (`Scaling`)."""

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
    account_months: float
    n_churns: int
    n_steps: int
    horizon_months: int
    last_supported_tenure: int  # months

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

    def place_terms(self, coefficients: Floats) -> Floats:
        """Coefficients of the terms (..., terms) as matrices (..., A, B), zero outside the mask."""
        mask = term_mask(self.specs)
        theta = np.zeros((*coefficients.shape[:-1], *mask.shape))
        theta[..., mask] = coefficients
        return theta

    @property
    def theta_covariance(self) -> Floats:
        """Covariance of theta, A x B x A x B, zero outside the mask."""
        mask = term_mask(self.specs)
        to_terms = self.to_terms * self.options.posterior_scale
        full = np.zeros((mask.size, mask.size))
        full[np.ix_(mask.ravel(), mask.ravel())] = to_terms @ self.covariance @ to_terms.T
        return full.reshape(mask.shape * 2)

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
        body["feature_churns"] = _frozen(np.array(body["feature_churns"], dtype=np.int64))
        model = cls(**body)
        _check_shapes(model)
        return model

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.to_json().encode()).hexdigest()


_FLOAT_ARRAYS = (
    *("feature_mean", "feature_sd", "clock_mean", "term_mean", "term_scale"),
    *("prior_mean", "prior_sd", "mode", "covariance"),
)


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
    terms, p = int(term_mask(model.specs).sum()), len(model.specs)
    shapes = dict.fromkeys(("term_mean", "term_scale", "prior_mean", "prior_sd", "mode"), (terms,)) | {
        "feature_mean": (p,),
        "feature_sd": (p,),
        "feature_churns": (p,),
        "clock_mean": (len(CLOCK_COLUMNS),),
        "covariance": (terms, terms),
    }
    for name, shape in shapes.items():
        value = getattr(model, name)
        if value.shape != shape or not np.isfinite(value).all():
            raise ValueError(f"the hazard model's {name} must be {shape} finite numbers")


def _frozen(array: Any) -> Any:
    array.flags.writeable = False
    return array
