"""The curves of the accounts that are live, whatever they rest on: the hazard, or the segment's Kaplan-Meier."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.domain.features import FeatureTable, Floats
from app.domain.hazard_guards import find_broken_curves
from app.domain.kaplan_meier import SurvivalCurve
from app.domain.months import Ints, whole_months_between
from app.domain.segment_curves import conditional_survival, life_table
from app.domain.survival import FORECAST_MONTHS, Groups, HazardModel, band, group_draws, predict

N_DRAWS = 200
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
    n_broken: int  # curves that are none

    def bounds(self, name: str) -> tuple[Floats, Floats]:
        """Of `survival` or `retention`, at 90 %."""
        return band(getattr(self, name), getattr(self, f"log_{name}_sd"), level=LEVEL)


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
        n_broken=len(find_broken_curves(made)),
    )


def forecast_by_segment(
    table: FeatureTable, curves: Mapping[str, SurvivalCurve], *, segment: NDArray[Any], as_of: date
) -> Forecast:
    """Everyone's curve is that of their segment from their tenure on; `segment` is by account."""
    names = sorted(curves)
    tenure = whole_months_between(table.started_on, np.datetime64(as_of, "D") + np.zeros(1, dtype="timedelta64[D]"))
    survival, sd, supported = conditional_survival(
        [_life_table(curves[name]) for name in names],
        table_of=np.array([names.index(label) for label in segment[table.account]], dtype=np.int64),
        tenure_months=tenure,
        months=FORECAST_MONTHS,
    )
    return Forecast(
        survival=survival,
        retention=survival,
        log_survival_sd=sd,
        log_retention_sd=sd,
        supported_months=supported,
        tenure_months=tenure,
        renewal_churn=np.full(len(tenure), np.nan),
        n_broken=0,
    )


def _life_table(curve: SurvivalCurve) -> Any:
    months = np.arange(int(curve.last_month) + 1, dtype=np.float64)
    return life_table(curve.at(months), curve.at_risk(months[1:]))


def draws_by_hazard(model: HazardModel, table: FeatureTable, *, groups: Groups) -> Floats:
    """Joint posterior draws (draws x groups x months) of the groups' revenue."""
    return group_draws(model, table, groups=groups, seed=SEED, n_draws=N_DRAWS).expected


def draws_by_segment(forecast: Forecast, *, groups: Groups, segment: NDArray[Any]) -> Floats:
    """Joint draws where the curves are Kaplan-Meier's: accounts of one segment err together, segments do not."""
    labels, which = np.unique(segment.astype(str), return_inverse=True)
    normal = np.random.default_rng(SEED).standard_normal((N_DRAWS, len(labels)))
    exposure = np.maximum(-np.log(np.clip(forecast.retention, 1e-300, 1.0)), 1e-12)
    draws = np.zeros((N_DRAWS, groups.n_groups, FORECAST_MONTHS))
    members = (groups.group == np.arange(groups.n_groups)[:, None]) * groups.weight
    for number, deviation in enumerate(normal):
        z = deviation[which][:, None] * forecast.log_retention_sd
        draws[number] = members @ np.exp(-exposure * np.exp(z / exposure))
    return draws
