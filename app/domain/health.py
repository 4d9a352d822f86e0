"""Health: a fixed map of the churn probability, and exactly why it is what it is.

p* is the probability of voluntary churn, as if there were no other cause, over max(12 months, months
through the next renewal), annualised as 1 - (1 - p)^(12 / m), so that an account that dies early in a
24-month term does not show 100. Who has said that they decided to leave (app/domain/leaving.py) has a p* of nearly 1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.domain.causes import VOLUNTARY
from app.domain.features import Bools, FeatureSpec, FeatureTable, Floats
from app.domain.hazard_clock import CLOCK_COLUMNS
from app.domain.hazard_map import expit
from app.domain.hazard_model import CONTRACT, IDLE, ONE, RENEWAL, HazardModel, term_mask
from app.domain.leaving import is_leaving
from app.domain.months import Ints
from app.domain.survival import FORECAST_MONTHS, Inputs, build_inputs, next_renewal_months, row_chunks, take_rows

SCORE_AT = ((0.0, 0.05, 0.2, 0.5, 1.0), (100.0, 70.0, 40.0, 10.0, 0.0))
BANDS = ("healthy", "watch", "at_risk")
BAND_EDGES = (0.05, 0.20)
USUAL_CHURN = 0.10  # a year: the base for which the edges above are meant
COVERAGE_LIMIT = 0.3
CLOCK_DRIVERS = ("tenure", "contract")  # drivers beside the features, both of the commercial dimension
CLOCK_DIMENSION = "commercial"
NOTICE = "notice"  # the driver behind them: what a notice adds to the risk that was there without it
NOTICE_RISK = 1.0 - 1e-6  # a p* of 1 has no logit
_TENURE = [i for i, name in enumerate(CLOCK_COLUMNS) if name.startswith("tenure")]
_CONTRACT = [RENEWAL, CONTRACT, IDLE]
_NOTICE_LOGIT = float(np.log(NOTICE_RISK / (1.0 - NOTICE_RISK)))
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)


@dataclass(frozen=True, slots=True)
class Driver:
    """One cause of a score. `is_learned`: the company's churns decide its weight, else the default does."""

    name: str
    dimension: str
    is_learned: bool
    n_churns: int  # churns it was known for


@dataclass(frozen=True, slots=True, eq=False)
class Health:
    """Health of n accounts. Contributions are in the logit of p*, above the reference account; > 0 is risk."""

    risk: Floats  # p*, weighted where there are weights
    score: Floats  # 0 to 100; NaN where withheld
    band: Ints  # index into BANDS, -1 where withheld
    coverage: Floats  # 0 to 1
    withheld: Bools
    reference_logit: Floats
    drivers: tuple[Driver, ...]
    contributions: Floats  # n x drivers; rows add up to logit p* - reference_logit
    known: Bools  # n x drivers
    gave_notice: Bools  # and the account decides to leave: score and band say so whatever is known beside
    dimensions: tuple[str, ...]
    dimension_contributions: Floats  # n x dimensions
    dimension_known: Bools  # False: no data in the dimension, to be shown as unknown


def assess_health(
    model: HazardModel,
    table: FeatureTable,
    *,
    reference_churn: float = USUAL_CHURN,
    coverage_limit: float = COVERAGE_LIMIT,
    weights: Floats | None = None,
) -> Health:
    """Health of each row of `table`, all as of one landmark.

    `reference_churn`, the company's usual churn a year, moves the edges of the bands (in odds). Where
    `coverage` is under `coverage_limit` score and band are withheld. A missing input contributes 0.
    `weights` (n x dimensions, `dimension_weights`) multiply what each dimension contributes: logit p* is then
    the reference plus the sum of weight x contribution. None: as calculated, every weight 1. A notice is not
    weighted: its driver makes up what is missing to a p* of `NOTICE_RISK`, and nothing is withheld.
    """
    parts = [_explain(model, take_rows(table, rows)) for rows in row_chunks(len(table.account))]
    logit, reference, contributions = (np.concatenate([part[i] for part in parts]) for i in range(3))
    drivers, dimensions = list_drivers(model), list_dimensions(model)
    member = np.array([[driver.dimension == name for name in dimensions] for driver in drivers])
    if weights is not None:
        contributions *= weights @ member[:-1].T
        logit = reference + contributions.sum(axis=1)
    gave_notice = decides_to_leave(table)
    risk = np.where(gave_notice, NOTICE_RISK, expit(logit))
    contributions = np.column_stack([contributions, np.where(gave_notice, _NOTICE_LOGIT - logit, 0.0)])
    is_input = np.isfinite(table.values)
    known = np.pad(is_input, ((0, 0), (0, len(drivers) - is_input.shape[1])), constant_values=True)
    coverage = input_coverage(table.values, model.specs)
    withheld = (coverage < coverage_limit) & ~gave_notice
    return Health(
        risk=risk,
        score=np.where(withheld, np.nan, health_score(risk)),
        band=np.where(withheld, -1, health_band(risk, reference_churn=reference_churn)),
        coverage=coverage,
        withheld=withheld,
        reference_logit=reference,
        drivers=drivers,
        contributions=contributions,
        known=known,
        gave_notice=gave_notice,
        dimensions=dimensions,
        dimension_contributions=contributions @ member,
        dimension_known=(known @ member.astype(np.int64)) > 0,
    )


def yearly_risk(model: HazardModel, table: FeatureTable, *, weights: Floats | None = None) -> Floats:
    """p* of each row of `table` as `assess_health` finds it, and nothing else: why it is so takes most of the time."""
    if weights is not None:
        return assess_health(model, table, weights=weights).risk
    parts = []
    for rows in row_chunks(len(table.account)):
        part = take_rows(table, rows)
        inputs, horizon = _read_inputs(model, part)
        parts.append(_Path(model, inputs, reference=inputs.phi, horizon=horizon).logit(1.0))
    return np.where(decides_to_leave(table), NOTICE_RISK, expit(np.concatenate(parts)))


def decides_to_leave(table: FeatureTable) -> Bools:
    """Of each row, whether the account has given notice by its own decision; other causes are no matter of health."""
    decides: Bools = is_leaving(table) & (table.leaves_for == VOLUNTARY)
    return decides


def recall_notices(risk: Floats) -> dict[str, Any]:
    """The columns about notices of rows that a run has published this p* of; the day is no matter of health."""
    told = risk >= NOTICE_RISK
    return {
        "leaves_on": np.where(told, np.datetime64("1970-01-01", "D"), np.datetime64("NaT", "D")),
        "leaves_for": np.where(told, VOLUNTARY, -1),
        "kept": np.ones((len(risk), 0)),
    }


def annualised_risk(churn: Floats, months: Ints) -> Floats:
    """1 - (1 - p)^(12 / m) of a probability p over m months."""
    risk: Floats = -np.expm1(np.log1p(-churn) * 12.0 / months)
    return risk


def health_score(risk: Floats) -> Floats:
    """0, 5, 20, 50, 100 % of churn a year score 100, 70, 40, 10, 0, linear between."""
    return np.interp(risk, *SCORE_AT)


def health_band(risk: Floats, *, reference_churn: float = USUAL_CHURN) -> Ints:
    """Index into BANDS; the edges 5 and 20 % have their odds multiplied by those of `reference_churn` over 10 %."""
    edges = band_edges(reference_churn)
    return np.searchsorted(edges, risk, side="right").astype(np.int64)


def band_edges(reference_churn: float = USUAL_CHURN) -> tuple[float, float]:
    """The risk at which `watch` begins, and `at_risk`. Raises ValueError for a reference that is no probability."""
    if not 0.0 < reference_churn < 1.0:
        raise ValueError("the reference churn lies between 0 and 1")
    factor = _odds(reference_churn) / _odds(USUAL_CHURN)
    watch, at_risk = (edge * factor / (1.0 - edge + edge * factor) for edge in BAND_EDGES)
    return watch, at_risk


def input_coverage(values: Floats, specs: tuple[FeatureSpec, ...]) -> Floats:
    """The mean over dimensions of the share of its inputs that are known; each dimension counts alike."""
    known = np.isfinite(values)
    dimensions = dict.fromkeys(spec.dimension for spec in specs)
    shares = [known[:, [spec.dimension == name for spec in specs]].mean(axis=1) for name in dimensions]
    return np.mean(shares, axis=0) if shares else np.zeros(len(values))


def dimension_weights(
    weights: Mapping[str, Mapping[str, float]], *, segments: Sequence[str | None], dimensions: Sequence[str]
) -> Floats:
    """The weights of each account's segment (n x dimensions); "" stands for every segment that is not named.

    A dimension that is not named, and a segment where neither it nor "" is, weighs 1.
    """
    other = weights.get("", {})
    own = [weights.get(segment, other) if segment else other for segment in segments]
    return np.array([[each.get(name, 1.0) for name in dimensions] for each in own], dtype=np.float64).reshape(
        len(own), len(dimensions)
    )


def list_dimensions(model: HazardModel) -> tuple[str, ...]:
    """The dimensions of the model's drivers, in their order."""
    return tuple(dict.fromkeys([*(spec.dimension for spec in model.specs), CLOCK_DIMENSION]))


def list_drivers(model: HazardModel) -> tuple[Driver, ...]:
    """The features in their order, the clock, a notice. Learned: the data left under half of the prior variance."""
    clock, feature = np.nonzero(term_mask(model.specs))
    learned = np.diag(model.covariance) < 0.5 * model.prior_sd**2

    def main_term(row: int, column: int) -> bool:
        return bool(learned[(clock == row) & (feature == column)].all())

    features = [
        Driver(spec.name, spec.dimension, main_term(ONE, j + 1) and model.n_churns > 1, int(model.feature_churns[j]))
        for j, spec in enumerate(model.specs)
    ]
    rows = {"tenure": _TENURE[-1], "contract": RENEWAL}
    clocks = [
        Driver(name, CLOCK_DIMENSION, main_term(rows[name], 0) and model.n_churns > 1, model.n_churns)
        for name in CLOCK_DRIVERS
    ]
    return (*features, *clocks, Driver(NOTICE, CLOCK_DIMENSION, False, model.n_churns))


def _explain(model: HazardModel, table: FeatureTable) -> tuple[Floats, Floats, Floats]:
    """logit p*, that of the reference, and the Aumann-Shapley contributions between them.

    The reference has mean features and tenure; in its contract it is monthly or on a longer term, in the
    proportion of the company, and both count by it: a mean of renewal columns is the clock of no account.
    """
    inputs, horizon = _read_inputs(model, table)
    longer = float(model.clock_mean[CONTRACT])
    paths = [
        (weight, _Path(model, inputs, reference=_reference_clock(model, inputs, is_longer=is_longer), horizon=horizon))
        for is_longer, weight in ((False, 1.0 - longer), (True, longer))
        if weight > 0
    ]
    reference = sum(weight * path.logit(0.0) for weight, path in paths)
    contributions = sum(weight * path.contributions() for weight, path in paths)
    return paths[0][1].logit(1.0), np.asarray(reference), np.asarray(contributions)


def _read_inputs(model: HazardModel, table: FeatureTable) -> tuple[Inputs, Ints]:
    """What the hazards are made of, and over how many months p* is taken."""
    horizon = np.clip(next_renewal_months(table), 12, FORECAST_MONTHS)
    return build_inputs(model, table, months=int(horizon.max(initial=12))), horizon


def _reference_clock(model: HazardModel, inputs: Inputs, *, is_longer: bool) -> Floats:
    """Mean tenure and a monthly contract, or a longer one: the account's own, else a term of 12 months.

    The month ahead is no cause and stays as it is.
    """
    reference = inputs.phi.copy()
    reference[:, :, _TENURE] = model.clock_mean[_TENURE]
    if not is_longer:
        reference[:, :, [RENEWAL, CONTRACT]] = 0.0
        return reference
    monthly = inputs.clock.contract == 0
    reference[monthly, :, CONTRACT], reference[monthly, :, IDLE] = 1.0, 0.0
    reference[monthly, 11::12, RENEWAL] = 1.0
    return reference


@dataclass(frozen=True, slots=True, eq=False)
class _Path:
    """The straight line from the reference account (at 0) to each account (at 1)."""

    model: HazardModel
    inputs: Inputs
    reference: Floats
    horizon: Ints

    def contributions(self) -> Floats:
        """The integral of the gradient by 8 Gauss-Legendre nodes; what they miss, some 1e-7, is shared by size."""
        nodes = zip((_NODES + 1.0) / 2.0, _WEIGHTS / 2.0, strict=True)
        total = np.sum([weight * self.gradient(node) for node, weight in nodes], axis=0)
        left_over = self.logit(1.0) - self.logit(0.0) - total.sum(axis=1)
        size = np.abs(total)
        shared: Floats = total + left_over[:, None] * size / np.maximum(size.sum(axis=1, keepdims=True), 1e-300)
        return shared

    def logit(self, at: float) -> Floats:
        """logit p* at the point."""
        kept = self._log_kept(self._hazard(self._phi(at), self._z(at)))
        result: Floats = np.log(-np.expm1(kept)) - kept
        return result

    def gradient(self, at: float) -> Floats:
        """Derivative of logit p* along the line at the point, one column a driver (n x drivers).

        With log q the kept log survival, d logit p* = -d log q / (1 - q), and with h = w expit(eta), where w is the
        share that is voluntary times the tail's factor, d log S / d eta[k] = -h (1 - h / w) / (1 - h).
        """
        phi, z, theta = self._phi(at), self._z(at), self.model.theta
        hazard = self._hazard(phi, z)
        slope = 12.0 / self.horizon / -np.expm1(self._log_kept(hazard))
        pull = hazard * (1.0 - hazard / self._weight()) / (1.0 - hazard) * self._within() * slope[:, None]
        by_feature = (np.einsum("nk,nka->na", pull, phi) @ theta)[:, 1:] * self.inputs.z[:, 1:]
        moved = np.einsum("nk,nka->na", pull, self.inputs.phi - self.reference) * (z @ theta.T)
        by_clock = [moved[:, columns].sum(axis=1, keepdims=True) for columns in (_TENURE, _CONTRACT)]
        return np.concatenate([by_feature, *by_clock], axis=1)

    def _phi(self, at: float) -> Floats:
        return self.reference + at * (self.inputs.phi - self.reference)

    def _z(self, at: float) -> Floats:
        z = self.inputs.z * at
        z[:, 0] = 1.0
        return z

    def _within(self) -> Bools:
        return np.arange(1, self.inputs.phi.shape[1] + 1)[None, :] <= self.horizon[:, None]

    def _hazard(self, phi: Floats, z: Floats) -> Floats:
        hazard: Floats = self._weight() * expit(np.einsum("nka,na->nk", phi, z @ self.model.theta.T))
        return hazard

    def _weight(self) -> Floats:
        weight: Floats = self.inputs.tail.ratio * self.model.cause_shares[VOLUNTARY]
        return weight

    def _log_kept(self, hazard: Floats) -> Floats:
        """12 / m x log S(m): the log of the share kept a year."""
        log_kept: Floats = np.where(self._within(), np.log1p(-hazard), 0.0).sum(axis=1) * 12.0 / self.horizon
        return log_kept


def _odds(p: float) -> float:
    return p / (1.0 - p)
