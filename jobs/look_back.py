"""Forecasts of the past, on what was available then: what was learned, the default weights, and rules of thumb."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import date
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.domain.backtest import (
    STILL_THERE,
    View,
    is_undecided,
    judge_forecast,
    judge_order,
    months_until_churn,
    rewind_spells,
)
from app.domain.baselines import (
    DEFAULTS,
    EQUAL_POINTS,
    KAPLAN_MEIER,
    LEARNED,
    RENEWAL,
    USAGE_TREND,
    equal_points,
    renewal_nearness,
    usage_fall,
)
from app.domain.feature_catalog import feature_specs
from app.domain.features import Facts, FeatureTable, Floats
from app.domain.gate import Year
from app.domain.leaving import is_leaving
from app.domain.months import MONTHS_OF_A_YEAR, Ints, add_months
from app.domain.survival import FitOptions, HazardModel, fit_hazard, predict, take_rows, training_landmarks
from jobs.curves import estimate_curves, observe_spells
from jobs.forecast import forecast_by_segment

MOST_MISSED = 10
USAGE_MONTHS = 3
TERM, MONTHLY = "term", "monthly"


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """What happened (`facts`), and the features at every landmark of every origin."""

    facts: Facts
    table: FeatureTable
    tracked_from: date
    grace_days: int

    def landmarks(self, origin: date) -> NDArray[np.datetime64]:
        return training_landmarks(origin, min(self.tracked_from, origin), n_accounts=len(self.facts.account_ids))

    def rows_at(self, origin: date) -> FeatureTable:
        return take_rows(self.table, np.flatnonzero(self.table.landmark == np.datetime64(origin, "D")))


@dataclass(frozen=True, eq=False)
class LookBack:
    """Who was alive at the origin, what each way said of them then, and what became of them.

    `month` is the month of leaving after the origin (1, 2, ...), or `STILL_THERE`. Those whose renewal within the
    year is still open are left out, and those who had given notice by then: no model is asked about them.
    """

    past: Past
    then: Facts  # as known at the origin
    learned: HazardModel
    defaults: HazardModel
    scored: FeatureTable
    month: Ints
    undecided: int

    @property
    def origin(self) -> date:
        return self.learned.options.as_of

    @cached_property
    def forecasts(self) -> dict[str, Floats]:
        """The probability to leave within months 1..12, by way."""
        made = {LEARNED: self.learned, DEFAULTS: self.defaults}
        survival = {way: predict(model, self.scored, months=MONTHS_OF_A_YEAR).survival for way, model in made.items()}
        return {way: 1.0 - curve for way, curve in survival.items()} | {KAPLAN_MEIER: self._by_contract()}

    @cached_property
    def year(self) -> Year:
        learned, defaults, reference = (self.forecasts[way][:, -1] for way in (LEARNED, DEFAULTS, KAPLAN_MEIER))
        account = self.then.account_ids[self.scored.account]
        return Year(account, learned, defaults, reference, left=self.month <= MONTHS_OF_A_YEAR)

    def reports(self, *, capacity: int) -> dict[str, dict[str, Any]]:
        """What is stored of each way."""
        labels = {"contract": self._contracts(), "segment": self._segments()}
        view = View(capacity=capacity, labels={by: names for by, names in labels.items() if len(set(names)) > 1})
        month = np.where(self.month > MONTHS_OF_A_YEAR, STILL_THERE, self.month)
        reference = self.forecasts[KAPLAN_MEIER][:, -1]
        found = {
            way: judge_forecast(forecast, month, reference=reference, undecided=self.undecided, view=view)
            for way, forecast in self.forecasts.items()
            if np.isfinite(forecast).all()
        }
        for way, score in self._orders().items():
            found[way] = judge_order(score[:, None], month, undecided=self.undecided, view=view)
        reports = {way: asdict(report) for way, report in found.items()}
        for way, model in ((LEARNED, self.learned), (DEFAULTS, self.defaults)):
            reports[way] |= {"learned_from_churns": model.n_churns, **self._find_missed(way)}
        return reports

    def _orders(self) -> dict[str, Floats]:
        before = self.past.rows_at(add_months(self.origin, -USAGE_MONTHS))
        return {
            USAGE_TREND: usage_fall(self.scored, before),
            RENEWAL: renewal_nearness(self.scored),
            EQUAL_POINTS: equal_points(self.scored),
        }

    def _by_contract(self) -> Floats:
        """What one would say without a model: Kaplan-Meier of monthly and of longer contracts, from each one's age on.

        NaN where no account of some kind was under observation for a month.
        """
        then, origin = self.then, self.origin
        known = self.past.table.landmark <= np.datetime64(origin, "D")
        kind: NDArray[Any] = np.full(len(then.account_ids), MONTHLY, dtype=object)
        longer = self.past.table.term_months[known] > 1  # rows go by landmark: the last one stays
        kind[self.past.table.account[known]] = np.where(longer, TERM, MONTHLY)
        begun = then.spells.started_on < np.datetime64(origin)
        columns = ("account", "number", "started_on", "ended_on", "churned", "cause")
        spells = replace(then.spells, **{name: getattr(then.spells, name)[begun] for name in columns})
        tracked_from = self.learned.options.tracked_from
        observed = observe_spells(replace(then, spells=spells), as_of=origin, tracked_from=tracked_from)
        curves = estimate_curves(observed, kind)
        if not set(kind[self.scored.account]) <= set(curves):
            return np.full((len(self.scored.account), MONTHS_OF_A_YEAR), np.nan)
        made = forecast_by_segment(self.scored, curves, segment=kind[self.scored.account], as_of=origin)
        return 1.0 - made.survival[:, :MONTHS_OF_A_YEAR]

    def _contracts(self) -> list[str]:
        return [TERM if months > 1 else MONTHLY for months in self.scored.term_months.tolist()]

    def _segments(self) -> list[str]:
        """The segment known at the origin; empty where none was, or where the company has but one."""
        names = [name.partition(": ")[2] for name in self.scored.names if name.startswith("segment: ")]
        columns = [number for number, name in enumerate(self.scored.names) if name.startswith("segment: ")]
        is_in = np.nan_to_num(self.scored.values[:, columns]) > 0
        at = np.where(is_in.any(axis=1), is_in.argmax(axis=1) if columns else 0, len(names))
        return [[*names, ""][each] for each in at.tolist()]

    def _find_missed(self, way: str) -> dict[str, Any]:
        """Those that left although half of all accounts or more had been rated riskier, the safest first."""
        probability, facts = self.forecasts[way][:, -1], self.past.facts
        order = np.argsort(probability, kind="stable")
        left = [(rank, n) for rank, n in enumerate(order[: len(order) // 2], start=1) if self.year.left[n]]
        ended_on = facts.spells.ended_on[self.scored.spell]
        return {
            "n_missed": len(left),
            "missed": [
                {
                    "account_id": int(self.year.account[n]),
                    "probability": float(probability[n]),
                    "rank": rank,
                    "churned_on": ended_on[n].item().isoformat(),
                }
                for rank, n in left[:MOST_MISSED]
            ],
        }


def look_back(past: Past, origin: date) -> LookBack | str:
    """The look back from `origin`; or why there is none: too_young, nobody.

    FitDidNotConvergeError where the fit of then fails.
    """
    landmarks = past.landmarks(origin)
    if not len(landmarks):
        return "too_young"
    then = replace(past.facts, spells=rewind_spells(past.facts.spells, origin=origin, grace_days=past.grace_days))
    at_origin = past.rows_at(origin)
    at_origin = take_rows(at_origin, np.flatnonzero(~is_leaving(at_origin)))
    spell = at_origin.spell
    undecided = is_undecided(past.facts.spells, spell, before=add_months(origin, MONTHS_OF_A_YEAR))
    if undecided.all():
        return "nobody"
    table = take_rows(past.table, np.flatnonzero(np.isin(past.table.landmark, landmarks)))
    options = FitOptions(origin, past.tracked_from)
    return LookBack(
        past=past,
        then=then,
        learned=_fit(then, table, options=options),
        defaults=_fit(then, table, options=replace(options, defaults_only=True)),
        scored=take_rows(at_origin, np.flatnonzero(~undecided)),
        month=months_until_churn(past.facts.spells, spell, origin=origin)[~undecided],
        undecided=int(undecided.sum()),
    )


def _fit(then: Facts, table: FeatureTable, *, options: FitOptions) -> HazardModel:
    return fit_hazard(table, then.spells, specs=feature_specs(then), options=options)


def stored_rows(look_backs: Mapping[date, LookBack], *, capacity: int) -> Iterator[dict[str, Any]]:
    """A row of `backtests` for each origin and way."""
    for origin, each in look_backs.items():
        for way, report in each.reports(capacity=capacity).items():
            yield {"kind": "churn", "origin": origin, "way": way, "report": report}
