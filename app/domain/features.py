"""Features of an account as of a landmark day, from what was available before that day.

Training and scoring call the same function. Facts come in as columns; `account` is always an
index into `Facts.account_ids`, a day is `datetime64[D]` in the reporting time zone, NaT is
"none". A fact counts at landmark L only if its own day and its `available_on` lie before L.
What a source corrects comes as several rows, one per version: `replaced_on` is the day on which a
later version became available (NaT for the newest), and a row counts no more after it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.domain.months import Days, Ints

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class FeatureSpec:
    """One column of the feature table, and what the hazard assumes of it before it has seen churn."""

    name: str
    unit: str
    dimension: str  # adoption, onboarding, support, sentiment, engagement, commercial
    meaning: str
    cadence_days: int | None  # older than this it is stale; None: it does not age
    is_time_varying: bool
    default_weight: float  # logit of the monthly hazard, a standard deviation of the feature
    default_sd: float = 0.2  # of the prior on that weight
    feed: str | None = None  # the kind of fact it is made of; None: contracts and attributes


@dataclass(frozen=True, slots=True)
class Spells:
    """One row per spell of an account: from its first live recurring line to its churn."""

    account: Ints
    number: Ints  # 1 for the first spell; a reactivation opens the next
    started_on: Days
    ended_on: Days  # churned_on (the first unpaid day) or, in grace, the first day after the term; NaT while live
    churned: Bools  # True: ended by churn. False with an end: censored there (in grace)
    cause: Ints  # of a churn, index into `causes.CAUSES`; -1: none, or nobody said


@dataclass(frozen=True, slots=True)
class LineFacts:
    """Recurring contract lines, one row per version.

    A line is live on L if starts_on <= L < stops_on. The term of a line is the agreed one, never
    the day on which it happened to stop: `starts_on + k * term_months` are its renewal days.
    """

    account: Ints
    starts_on: Days
    stops_on: Days  # first day no longer paid; NaT while it runs
    term_months: Ints  # 1: monthly, no renewal clock
    non_cancellable: Bools
    mrr: Floats  # a month, in the reporting currency
    seats: Floats  # NaN where the product is not sold by seat
    leaves_on: Days  # the first unpaid day by a notice that was known with this version; NaT: no notice ends it
    leaves_for: Ints  # of that notice, index into `causes.CAUSES`; -1: none
    available_on: Days
    replaced_on: Days


@dataclass(frozen=True, slots=True)
class UsageFacts:
    account: Ints
    day: Days
    available_on: Days
    metric: Ints  # index into Facts.usage_metrics: "activity" is a count, "active_people" distinct people of that day
    feature: Ints  # index of a product feature; -1 where the source does not say
    amount: Floats


@dataclass(frozen=True, slots=True)
class MilestoneFacts:
    account: Ints
    due_on: Days
    done_on: Days
    available_on: Days  # of the plan
    done_available_on: Days
    replaced_on: Days


@dataclass(frozen=True, slots=True)
class TicketFacts:
    account: Ints
    opened_on: Days
    escalated: Bools
    available_on: Days
    replaced_on: Days


@dataclass(frozen=True, slots=True)
class SurveyFacts:
    account: Ints
    answered_on: Days
    is_nps: Bools  # else CSAT
    score: Floats  # NPS 0 to 10, CSAT 1 to 5
    available_on: Days
    replaced_on: Days


@dataclass(frozen=True, slots=True)
class TouchFacts:
    account: Ints
    occurred_on: Days
    available_on: Days
    replaced_on: Days


@dataclass(frozen=True, slots=True)
class TrainingFacts:
    account: Ints
    occurred_on: Days
    available_on: Days
    replaced_on: Days


@dataclass(frozen=True, slots=True)
class InvoiceFacts:
    """Invoices; the last day of payment is `due_on`, and `paid_on` is NaT while nothing was paid."""

    account: Ints
    issued_on: Days
    due_on: Days
    paid_on: Days
    available_on: Days  # of the invoice
    paid_available_on: Days
    replaced_on: Days


@dataclass(frozen=True, slots=True)
class AttributeFacts:
    """Versions of the attributes that the model reads; the row in force at L is used."""

    account: Ints
    valid_from: Days
    available_on: Days
    replaced_on: Days
    segment: Ints  # index into Facts.segments; -1 unknown
    channel: Ints  # index into Facts.channels; -1 unknown


@dataclass(frozen=True, slots=True)
class Facts:
    account_ids: Ints  # sorted ascending
    segments: tuple[str, ...]
    channels: tuple[str, ...]
    usage_metrics: tuple[str, ...]
    spells: Spells
    lines: LineFacts
    attributes: AttributeFacts
    usage: UsageFacts
    milestones: MilestoneFacts
    tickets: TicketFacts
    surveys: SurveyFacts
    touches: TouchFacts
    trainings: TrainingFacts
    invoices: InvoiceFacts
    feeds: frozenset[str] | None = None  # the optional ones that the company has; None: those of which facts are here


@dataclass(frozen=True, slots=True)
class FeatureTable:
    """One row per (account, landmark) at which the account had a live spell; sorted by both.

    The columns before `values` are the contract clock and the money; `values` (n x p) are the
    features named in `names`, NaN where missing.
    """

    account: Ints
    spell: Ints  # row of Facts.spells
    landmark: Days
    started_on: Days
    term_months: Ints
    renewal_on: Days  # the first day after the terms signed so far; NaT where the term is one month
    committed_until: Days  # the first day outside a committed, non-cancellable term; NaT where none
    leaves_on: Days  # the account's first unpaid day by the notices known then; NaT while it goes on
    leaves_for: Ints  # why, index into `causes.CAUSES`; -1 while it goes on
    kept: Floats  # n x months ahead: the share of `mrr` that notices leave; n x 0 where it was not asked for
    mrr: Floats
    names: tuple[str, ...]
    values: Floats
