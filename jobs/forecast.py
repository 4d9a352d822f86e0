"""The curves of the accounts that are live, whatever they rest on: the hazard, or the segment's Kaplan-Meier."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.domain.causes import CAUSES, HORIZONS_MONTHS, cause_shares
from app.domain.features import Bools, FeatureTable, Floats
from app.domain.hazard_draws import N_DRAWS, Groups
from app.domain.hazard_guards import find_broken_curves
from app.domain.kaplan_meier import SurvivalCurve
from app.domain.leaving import end_causes, end_retention, end_survival, is_leaving, without_doubt
from app.domain.months import Ints, whole_months_between
from app.domain.segment_curves import conditional_survival, counted_band, draw_exposure, life_table
from app.domain.survival import FORECAST_MONTHS, HazardModel, band, predict, row_chunks

SEED = 20_260_101
LEVEL = 0.90


@dataclass(frozen=True, slots=True, eq=False)
class Forecast:
    """Curves over the next 60 months, one row for each row of the feature table."""

    survival: Floats
    retention: Floats
    log_survival_sd: Floats
    log_retention_sd: Floats
    supported_months: Ints
    tenure_months: Ints
    renewal_churn: Floats  # NaN where there is no renewal ahead
    cause_probabilities: Floats  # n x `causes.HORIZONS_MONTHS` x `causes.CAUSES`
    is_counted: Bools  # n; the curve is Kaplan-Meier's
    n_broken: int  # curves that are none

    @property
    def differs(self) -> Bools:
        """Where retention is not survival."""
        return np.asarray((self.survival != self.retention).any(axis=1))

    def bounds(self) -> dict[str, tuple[Floats, Floats]]:
        """Of `survival` and of `retention`, at 90 %."""
        lower, upper = np.empty((2, *self.survival.shape))
        for rows in row_chunks(len(lower)):
            lower[rows], upper[rows] = self._band(self.survival, self.log_survival_sd, rows=rows)
        bounds, differs = {"survival": (lower, upper)}, np.flatnonzero(self.differs)
        lower, upper = lower.copy(), upper.copy()
        lower[differs], upper[differs] = self._band(self.retention, self.log_retention_sd, rows=differs)
        return bounds | {"retention": (lower, upper)}

    def _band(self, curve: Floats, log_sd: Floats, *, rows: Ints) -> tuple[Floats, Floats]:
        """Those rows are all of one kind: a forecast is by hazard, or by segment."""
        of = counted_band if self.is_counted[rows].all() else band
        return of(curve[rows], log_sd[rows], level=LEVEL)


def forecast_by_hazard(model: HazardModel, table: FeatureTable) -> Forecast:
    made = predict(model, table, months=FORECAST_MONTHS)
    return Forecast(
        survival=made.survival,
        retention=made.retention,
        log_survival_sd=made.log_survival_sd,
        log_retention_sd=made.log_retention_sd,
        supported_months=made.supported_months,
        tenure_months=made.tenure_months,
        renewal_churn=made.churn_by_next_renewal(),
        cause_probabilities=made.cause_probabilities,
        is_counted=np.zeros(len(made.survival), dtype=bool),
        n_broken=len(find_broken_curves(made)),
    )


def forecast_by_segment(
    table: FeatureTable,
    curves: Mapping[str, SurvivalCurve],
    *,
    segment: NDArray[Any],
    as_of: date,
    churns: Ints | None = None,
) -> Forecast:
    """Everyone's curve is that of their segment from their tenure on, but for a notice; `segment` is by row.

    `churns`, how many left for each cause, says what share of the probability is each one's.
    """
    names = sorted(curves)
    tenure = whole_months_between(table.started_on, np.datetime64(as_of, "D") + np.zeros(1, dtype="timedelta64[D]"))
    shares = cause_shares(np.zeros(len(CAUSES), dtype=np.int64) if churns is None else churns)
    survival, sd, supported = conditional_survival(
        [_life_table(curves[name]) for name in names],
        table_of=np.array([names.index(label) for label in segment], dtype=np.int64),
        tenure_months=tenure,
        months=FORECAST_MONTHS,
    )
    causes = (1.0 - survival[:, np.array(HORIZONS_MONTHS) - 1])[:, :, None] * shares
    return Forecast(
        survival=end_survival(survival, table),
        retention=end_retention(survival, table),
        log_survival_sd=without_doubt(sd, table),
        log_retention_sd=without_doubt(sd, table),
        supported_months=np.where(is_leaving(table), FORECAST_MONTHS, supported),
        tenure_months=tenure,
        renewal_churn=np.full(len(tenure), np.nan),
        cause_probabilities=end_causes(causes, table),
        is_counted=np.ones(len(tenure), dtype=bool),
        n_broken=0,
    )


def _life_table(curve: SurvivalCurve) -> Any:
    months = np.arange(int(curve.last_month) + 1, dtype=np.float64)
    return life_table(curve.at(months), curve.at_risk(months[1:]))


def join_forecasts(parts: Sequence[Forecast]) -> Forecast:
    """The forecasts of several tables as of one."""
    columns = [name for name in Forecast.__slots__ if name != "n_broken"]
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in columns}
    return Forecast(**joined, n_broken=sum(part.n_broken for part in parts))


def draws_by_segment(forecast: Forecast, *, cuts: Sequence[Groups], segment: NDArray[Any]) -> list[Floats]:
    """Joint draws where the curves are Kaplan-Meier's: accounts of one segment err together, segments do not.

    Accounts of one segment and tenure have one curve, unless one gave notice: each is drawn once, whoever has it.
    """
    labels, which = np.unique(segment.astype(str), return_inverse=True)
    normal = np.random.default_rng(SEED).standard_normal((N_DRAWS, len(labels)))
    alike = which * (int(forecast.tenure_months.max(initial=0)) + 1) + forecast.tenure_months
    alike = np.column_stack([alike, forecast.retention.sum(axis=1)])
    _, first, curve = np.unique(alike, axis=0, return_index=True, return_inverse=True)
    exposure = -np.log(np.clip(forecast.retention[first], 1e-300, 1.0))
    sd, deviation = forecast.log_retention_sd[first], normal[:, which[first]]
    members = [np.zeros((cut.n_groups, len(first))) for cut in cuts]
    for member, cut in zip(members, cuts, strict=True):
        np.add.at(member, (cut.group, curve), cut.weight)
    draws = [np.zeros((N_DRAWS, cut.n_groups, FORECAST_MONTHS)) for cut in cuts]
    for number in range(N_DRAWS):
        kept = np.exp(-draw_exposure(exposure, sd, normal=deviation[number][:, None]))
        for into, member in zip(draws, members, strict=True):
            into[number] = member @ kept
    return draws
