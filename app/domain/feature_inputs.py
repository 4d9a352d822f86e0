"""What the score looks at, and whether it was there: each input with its feed, its last fact and for how many known."""

from dataclasses import dataclass
from datetime import date

import numpy as np

from app.domain.feature_catalog import (
    CADENCE_DAYS,
    FEATURES,
    INVOICES,
    MILESTONES,
    SURVEYS,
    TICKETS,
    TOUCHES,
    TRAININGS,
    USAGE,
    feature_specs,
)
from app.domain.feature_windows import NEVER
from app.domain.features import Facts, FeatureTable
from app.domain.months import Days

ACTIVITY = "activity"
_NAT = np.datetime64("NaT", "D")


@dataclass(frozen=True, slots=True)
class Input:
    """An input of the score as of a day. `last_on`: of its feed, over all accounts; None: it has no feed, or no fact.

    `is_fresh`: no older than its cadence. `known_share` is of the accounts that were scored.
    """

    name: str
    unit: str
    dimension: str
    meaning: str
    feed: str | None
    cadence_days: int | None
    last_on: date | None
    is_fresh: bool
    known_share: float


def describe_inputs(facts: Facts, table: FeatureTable, *, as_of: date) -> tuple[Input, ...]:
    """Every input there can be, in the order of the catalog; `table` holds the features as of that one day.

    One of a feed that the company never sent is known for nobody and named all the same, as what it could send.
    """
    column = {name: number for number, name in enumerate(table.names)}
    known = np.isfinite(table.values).mean(axis=0) if len(table.values) else np.zeros(len(table.names))
    last = {feed: last_fact_on(facts, feed, as_of=as_of) for feed in CADENCE_DAYS}
    catalog = (*FEATURES, *(spec for spec in feature_specs(facts) if spec.name not in {each.name for each in FEATURES}))
    return tuple(
        Input(
            name=spec.name,
            unit=spec.unit,
            dimension=spec.dimension,
            meaning=spec.meaning,
            feed=spec.feed,
            cadence_days=spec.cadence_days,
            last_on=(last_on := last[spec.feed] if spec.feed else None),
            is_fresh=spec.feed is None or is_fresh(spec.feed, last_on, as_of=as_of),
            known_share=float(known[column[spec.name]]) if spec.name in column else 0.0,
        )
        for spec in catalog
    )


def is_fresh(feed: str, last_on: date | None, *, as_of: date) -> bool:
    """Whether the feed's last fact is no older than its cadence."""
    return last_on is not None and (as_of - last_on).days <= CADENCE_DAYS[feed]


def last_fact_on(facts: Facts, feed: str, *, as_of: date, metric: str | None = None) -> date | None:
    """The last day before `as_of` of a fact of the feed, of any account, that was known before `as_of`.

    Of usage, of the `metric` alone: activity, unless another is named.
    """
    day = np.datetime64(as_of, "D")
    last = max(
        int(np.max(days.view(np.int64), initial=NEVER, where=(days < day) & (known < day)))
        for days, known in _days(facts, feed, metric=metric or ACTIVITY)
    )
    return None if last == NEVER else date.fromisoformat(str(np.datetime64(last, "D")))


def _days(facts: Facts, feed: str, *, metric: str) -> tuple[tuple[Days, Days], ...]:
    """Each kind of day by which the feed is heard of, with since when it is known."""
    plan, bills, usage = facts.milestones, facts.invoices, facts.usage
    if feed == USAGE:
        number = facts.usage_metrics.index(metric) if metric in facts.usage_metrics else -1
        return ((np.where(usage.metric == number, usage.day, _NAT), usage.available_on),)
    return {
        MILESTONES: (
            (plan.available_on, plan.available_on),
            (plan.done_on, np.maximum(plan.available_on, plan.done_available_on)),
        ),
        TICKETS: ((facts.tickets.opened_on, facts.tickets.available_on),),
        SURVEYS: ((facts.surveys.answered_on, facts.surveys.available_on),),
        TOUCHES: ((facts.touches.occurred_on, facts.touches.available_on),),
        TRAININGS: ((facts.trainings.occurred_on, facts.trainings.available_on),),
        INVOICES: (
            (bills.issued_on, bills.available_on),
            (bills.paid_on, np.maximum(bills.available_on, bills.paid_available_on)),
        ),
    }[feed]
