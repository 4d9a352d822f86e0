"""What a night knows of the live accounts: features, curves, health and drift, in the order of the feature table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.domain.causes import CAUSES, taken_as
from app.domain.drift import segment_drift
from app.domain.feature_holding import Held, count_as_unknown, hold_bad_news
from app.domain.feature_table import build_features
from app.domain.features import Bools, FeatureTable, Floats
from app.domain.hazard_draws import Groups
from app.domain.health import Health, assess_health, dimension_weights, list_dimensions, yearly_risk
from app.domain.kaplan_meier import SurvivalCurve
from app.domain.leaving import is_leaving
from app.domain.ltv import LtvTerms
from app.domain.months import MONTHS_OF_A_YEAR, Ints
from app.domain.survival import FORECAST_MONTHS, HazardModel
from jobs.curves import Observed, estimate_curves, observe_spells
from jobs.forecast import Forecast, draws_by_hazard, draws_by_segment, forecast_by_hazard, forecast_by_segment
from jobs.night import Night

SEGMENT = "segment"


@dataclass(frozen=True)
class Scoring:
    """`labels` are the accounts' groups by cut, `account_arr` the ARR of each account, in minor units.

    `product_arr` is the same by the SKU of what each account has.
    """

    night: Night
    basis: str
    model: HazardModel
    labels: dict[str, NDArray[Any]]
    account_arr: Ints
    product_arr: Sequence[Mapping[str, int]]
    table: FeatureTable = field(init=False)
    held: Bools = field(init=False)  # cells of the table that are what a silent feed last said

    def __post_init__(self) -> None:
        facts = self.night.facts
        table = build_features(facts, self.night.landmark, months_ahead=FORECAST_MONTHS)
        object.__setattr__(self, "table", table)
        held = Held(table, np.zeros(table.values.shape, dtype=bool))
        if self.basis != SEGMENT:
            held = hold_bad_news(facts, table, specs=self.model.specs, risk=self._yearly_risk)
        object.__setattr__(self, "table", held.table)
        object.__setattr__(self, "held", held.held)

    def _yearly_risk(self, table: FeatureTable) -> Floats:
        return yearly_risk(self.model, table, weights=self._dimension_weights())

    @cached_property
    def observed(self) -> Observed:
        return observe_spells(
            self.night.facts, as_of=self.night.run.as_of, tracked_from=self.night.known.settings.tracked_from
        )

    def curves(self, cut: str) -> dict[str, SurvivalCurve]:
        return estimate_curves(self.observed, self.labels[cut])

    @cached_property
    def forecast(self) -> Forecast:
        if self.basis != SEGMENT:
            return forecast_by_hazard(self.model, self.table)
        spells = self.night.facts.spells
        return forecast_by_segment(
            self.table,
            self.curves(SEGMENT),
            segment=self.labels[SEGMENT],
            as_of=self.night.run.as_of,
            churns=np.bincount(taken_as(spells.cause[spells.churned]), minlength=len(CAUSES)),
        )

    @cached_property
    def health(self) -> Health | None:
        """None where no hazard could be learned: then nothing tells one account of a segment from another."""
        if self.basis == SEGMENT:
            return None
        settings, limit = self.night.known.settings, float(self.night.known.settings.minimum_coverage)
        health = assess_health(
            self.model,
            self.table,
            reference_churn=float(settings.reference_churn),
            coverage_limit=limit,
            weights=self._dimension_weights(),
        )
        values, specs = self.table.values, self.model.specs
        return count_as_unknown(health, self.held, values=values, specs=specs, limit=limit)

    @property
    def segments(self) -> list[str]:
        """Of each row of the table."""
        names: list[str] = self.labels[SEGMENT][self.table.account].tolist()
        return names

    def _dimension_weights(self) -> Floats | None:
        weights = self.night.known.settings.health_weights
        if not weights:
            return None
        return dimension_weights(weights, segments=self.segments, dimensions=list_dimensions(self.model))

    @cached_property
    def mrr(self) -> Floats:
        """A month, in minor units of the reporting currency, one for each row of the table."""
        return self.account_arr[self.table.account] / MONTHS_OF_A_YEAR

    @cached_property
    def has_forecast(self) -> Bools:
        """By account: whether it has a row in the table."""
        found = np.zeros(len(self.account_arr), dtype=bool)
        found[self.table.account] = True
        return found

    @cached_property
    def account_drift(self) -> Floats:
        """The monthly drift of each account's segment."""
        names, segment = np.unique(self.labels[SEGMENT].astype(str), return_inverse=True)
        drift = segment_drift(
            self.night.facts,
            segment=segment,
            n_segments=len(names),
            as_of=self.night.run.as_of,
            tracked_from=self.model.options.tracked_from,
        )
        return drift[segment]

    @cached_property
    def drift(self) -> Floats:
        """The monthly drift of each row's segment; none of who has said that they leave."""
        return np.where(is_leaving(self.table), 0.0, self.account_drift[self.table.account])

    @property
    def terms(self) -> LtvTerms:
        settings = self.night.known.settings
        return LtvTerms(
            horizon_months=settings.ltv_horizon_months,
            annual_discount_rate=float(settings.annual_discount_rate),
            gross_margin=float(settings.gross_margin),
        )

    def draws(self, cuts: Sequence[Groups]) -> list[Floats]:
        if self.basis != SEGMENT:
            return draws_by_hazard(self.model, self.table, cuts=cuts, forecast=self.forecast)
        return draws_by_segment(self.forecast, cuts=cuts, segment=self.labels[SEGMENT][self.table.account])
