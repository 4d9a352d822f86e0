"""What a night knows of the live accounts: of the company as a whole, and then of a part of them at a time."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from app.domain.causes import CAUSES, taken_as
from app.domain.drift import SurvivorGrowth, segment_drift, survivor_growth
from app.domain.feature_holding import Held, count_as_unknown, hold_bad_news
from app.domain.feature_table import build_features
from app.domain.features import Bools, FeatureTable, Floats
from app.domain.health import Health, assess_health, dimension_weights, list_dimensions, yearly_risk
from app.domain.kaplan_meier import SurvivalCurve
from app.domain.leaving import is_leaving
from app.domain.ltv import LtvTerms
from app.domain.months import MONTHS_OF_A_YEAR, Ints
from app.domain.survival import FORECAST_MONTHS, HazardModel
from jobs.curves import Observed, estimate_curves, observe_spells
from jobs.forecast import Forecast, forecast_by_hazard, forecast_by_segment
from jobs.ledger import Page
from jobs.night import Night, Part

SEGMENT = "segment"


@dataclass(frozen=True)
class Scoring:
    """The model of a night, and what is asked of the company as a whole.

    Accounts are numbered as in `night.everyone`; `live` are those that have a row in a feature table, in order.
    """

    night: Night
    basis: str
    model: HazardModel

    @property
    def page(self) -> Page:
        return self.night.ledger.page

    @cached_property
    def account_arr(self) -> Ints:
        return self.page.account_arr

    @cached_property
    def live(self) -> Ints:
        return np.flatnonzero(self.page.is_live)

    @cached_property
    def mrr(self) -> Floats:
        """A month, in minor units of the reporting currency, of each live account."""
        return self.account_arr[self.live] / MONTHS_OF_A_YEAR

    @cached_property
    def observed(self) -> Observed:
        tracked_from = self.night.known.settings.tracked_from
        return observe_spells(self.night.everyone, as_of=self.night.run.as_of, tracked_from=tracked_from)

    def curves(self, cut: str) -> dict[str, SurvivalCurve]:
        return estimate_curves(self.observed, self.page.labels[cut])

    @cached_property
    def segment_curves(self) -> dict[str, SurvivalCurve]:
        return self.curves(SEGMENT)

    @cached_property
    def account_drift(self) -> Floats:
        """The monthly drift of each account's segment."""
        segments, days = self.page.labels[SEGMENT], (self.night.run.as_of, self.model.options.tracked_from)
        grown = [
            (part.first, survivor_growth(part.facts, as_of=days[0], tracked_from=days[1]))
            for part in self.night.parts(("spells", "lines"))
        ]
        growth = SurvivorGrowth(
            np.concatenate([first + each.account for first, each in grown]),
            np.concatenate([each.log_change for _, each in grown]),
        )
        drift = segment_drift(growth, segment=segments.code, n_segments=len(segments.names))
        return drift[segments.code]

    @property
    def terms(self) -> LtvTerms:
        settings = self.night.known.settings
        return LtvTerms(
            horizon_months=settings.ltv_horizon_months,
            annual_discount_rate=float(settings.annual_discount_rate),
            gross_margin=float(settings.gross_margin),
        )

    def parts(self) -> Iterator["ScoredPart"]:
        for part in self.night.parts():
            yield ScoredPart(self, part)

    def forecast(self, table: FeatureTable) -> Forecast:
        """The curves of the rows of a table; its accounts are numbered among all."""
        if self.basis != SEGMENT:
            return forecast_by_hazard(self.model, table)
        spells = self.night.everyone.spells
        return forecast_by_segment(
            table,
            self.segment_curves,
            segment=self.page.labels[SEGMENT][table.account],
            as_of=self.night.run.as_of,
            churns=np.bincount(taken_as(spells.cause[spells.churned]), minlength=len(CAUSES)),
        )


@dataclass(frozen=True)
class ScoredPart:
    """The live accounts of a part, in the order of its feature table, whose accounts are numbered among all."""

    scoring: Scoring
    part: Part
    table: FeatureTable = field(init=False)
    held: Bools = field(init=False)  # cells of the table that are what a silent feed last said

    def __post_init__(self) -> None:
        night, facts, model = self.scoring.night, self.part.facts, self.scoring.model
        company = night.company_at(night.landmark)
        table = build_features(facts, night.landmark, months_ahead=FORECAST_MONTHS, company=company)
        held = Held(table, np.zeros(table.values.shape, dtype=bool))
        if self.scoring.basis != SEGMENT:
            held = hold_bad_news(facts, table, specs=model.specs, risk=self._yearly_risk, company_at=night.company_at)
        object.__setattr__(self, "table", replace(held.table, account=held.table.account + self.part.first))
        object.__setattr__(self, "held", held.held)

    def _yearly_risk(self, table: FeatureTable) -> Floats:
        accounts = table.account + self.part.first
        return yearly_risk(self.scoring.model, table, weights=self._dimension_weights(self._segments_of(accounts)))

    @property
    def account_ids(self) -> Ints:
        """Of each row."""
        ids: Ints = self.scoring.night.everyone.account_ids[self.table.account]
        return ids

    @cached_property
    def forecast(self) -> Forecast:
        return self.scoring.forecast(self.table)

    @cached_property
    def health(self) -> Health | None:
        """None where no hazard could be learned: then nothing tells one account of a segment from another."""
        if self.scoring.basis == SEGMENT:
            return None
        settings, limit = self.scoring.night.known.settings, float(self.scoring.night.known.settings.minimum_coverage)
        health = assess_health(
            self.scoring.model,
            self.table,
            reference_churn=float(settings.reference_churn),
            coverage_limit=limit,
            weights=self._dimension_weights(self.segments),
        )
        values, specs = self.table.values, self.scoring.model.specs
        return count_as_unknown(health, self.held, values=values, specs=specs, limit=limit)

    @property
    def segments(self) -> list[str]:
        """Of each row."""
        return self._segments_of(self.table.account)

    def _segments_of(self, accounts: Ints) -> list[str]:
        names: list[str] = self.scoring.page.labels[SEGMENT][accounts].tolist()
        return names

    def _dimension_weights(self, segments: list[str]) -> Floats | None:
        weights = self.scoring.night.known.settings.health_weights
        if not weights:
            return None
        return dimension_weights(weights, segments=segments, dimensions=list_dimensions(self.scoring.model))

    @property
    def mrr(self) -> Floats:
        """A month, in minor units of the reporting currency, of each row."""
        return self.scoring.account_arr[self.table.account] / MONTHS_OF_A_YEAR

    @property
    def drift(self) -> Floats:
        """The monthly drift of each row's segment; none of who has said that they leave."""
        return np.where(is_leaving(self.table), 0.0, self.scoring.account_drift[self.table.account])
