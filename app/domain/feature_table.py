"""The one feature function, for training and for scoring alike."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from app.domain.feature_catalog import (
    FEATURES,
    INVOICES,
    MILESTONES,
    SURVEYS,
    TICKETS,
    TOUCHES,
    TRAININGS,
    feature_specs,
    level_names,
)
from app.domain.feature_clock import read_clock
from app.domain.feature_company import CSAT, NPS, Company, join_companies, observe_company
from app.domain.feature_rows import Rows, lay_rows, months_before
from app.domain.feature_usage import measure_peers, usage_columns
from app.domain.feature_windows import NEVER, Marks, lay_marks
from app.domain.features import (
    AttributeFacts,
    Bools,
    Facts,
    FeatureSpec,
    FeatureTable,
    Floats,
    InvoiceFacts,
    MilestoneFacts,
    SurveyFacts,
    TicketFacts,
    TouchFacts,
    TrainingFacts,
)
from app.domain.months import Days, Ints

_SUPPORT_DAYS = np.timedelta64(90, "D")
_LONGEST_WITHOUT_CONTACT_DAYS = 180
_LONGEST_OVERDUE_DAYS = 90
_Versions = MilestoneFacts | TicketFacts | SurveyFacts | TouchFacts | TrainingFacts | InvoiceFacts


def build_features(
    facts: Facts,
    landmarks: Days,
    *,
    catalog: tuple[FeatureSpec, ...] = FEATURES,
    company: Company | None = None,
    months_ahead: int = 0,
) -> FeatureTable:
    """Features of every account at every landmark at which it was a customer, from what was known by then.

    A row exists where a spell is live (`started_on <= L < ended_on`) and a live line of the
    account is known (`available_on < L`): an account in grace, or one whose contract was recorded
    only later, has none. A fact counts at L only if its own day and its `available_on` lie before
    L; a contract line or an attribute is in force from its first day on, L included, if it was
    known before L. Of several versions of a fact the one known then counts. What became available
    on or after L changes no byte of L's rows, and the order of the facts changes none at all.

    Columns are `feature_specs(facts, catalog)`. NaN: the feed was absent (before its first day, or
    silent over all accounts for longer than its cadence), or the account has no such fact (no
    seats, no answer, no plan). 0: the feed was there and nothing happened. Usage counts from the
    start of the spell, by days of exposure, so that a young account is not taken for an idle one;
    under a week of exposure it is NaN. `kept` goes `months_ahead`. Landmarks may come in any order. Cost is linear
    in facts and in spells x landmarks. Raises ValueError for a catalog entry that is not known here.

    `company`, observed at these landmarks or more, is what is known of all accounts where `facts` are of a part of
    them: the features of an account are then the same whoever else is in its part.
    """
    grid: Days = np.unique(landmarks.astype("datetime64[D]"))
    clock = read_clock(facts.lines, grid, months_ahead=months_ahead)
    rows = lay_rows(
        facts.spells, grid, clock=clock, company=company.at(grid) if company else observe_company(facts, grid)
    )
    mrr = clock.mrr[rows.clock_row]
    columns = {
        **usage_columns(facts, rows),
        **_onboarding_columns(facts, rows),
        **_ticket_columns(facts, rows),
        **_survey_columns(facts, rows),
        "days_since_contact": _days_since_contact(facts, rows),
        "trainings_12m": _recent_trainings(facts, rows),
        "overdue_days": _overdue_days(facts, rows),
        "log_mrr": np.log1p(mrr),
        "returned": (facts.spells.number[rows.spell] > 1).astype(np.float64),
        **_level_columns(facts, rows),
    }
    names = tuple(spec.name for spec in feature_specs(facts, catalog))
    if unknown := sorted(set(names) - set(columns)):
        raise ValueError(f"no such feature: {', '.join(unknown)}")
    values = np.empty((len(mrr), len(names)))
    for number, name in enumerate(names):
        values[:, number] = columns.pop(name)
    return FeatureTable(
        account=rows.account,
        spell=rows.spell,
        landmark=rows.landmark,
        started_on=rows.started_on,
        term_months=clock.term_months[rows.clock_row],
        renewal_on=clock.renewal_on[rows.clock_row],
        committed_until=clock.committed_until[rows.clock_row],
        leaves_on=clock.leaves_on[rows.clock_row],
        leaves_for=clock.leaves_for[rows.clock_row],
        kept=clock.kept[rows.clock_row],
        mrr=mrr,
        names=names,
        values=values,
    )


def describe_company(parts: Iterable[Facts], landmarks: Days, *, panel: Facts) -> Company:
    """What the features at these landmarks are held against: observed of all `parts`, usage measured on the panel."""
    grid: Days = np.unique(landmarks.astype("datetime64[D]"))
    company = join_companies(observe_company(part, grid) for part in parts)
    rows = lay_rows(panel.spells, grid, clock=read_clock(panel.lines, grid), company=company)
    return replace(company, mean_level=measure_peers(panel, rows))


def _onboarding_columns(facts: Facts, rows: Rows) -> dict[str, Floats]:
    """A plan whose milestones are all older than a year says 0: its time is over."""
    plan = facts.milestones
    known_on = np.maximum(plan.available_on, plan.done_available_on)
    year = months_before(rows.grid, 12)
    planned = _lay(facts, rows, table=plan, day=plan.available_on, available_on=plan.available_on)

    def count(known: Days, kept: Bools) -> Floats:
        marks = _lay(facts, rows, table=plan, day=plan.due_on, available_on=known).only(kept)
        return marks.counts(year)[rows.account, rows.at]

    has_plan = rows.is_fresh(MILESTONES) & (planned.last_days() > NEVER)[rows.account, rows.at]
    due = count(plan.available_on, np.ones(len(plan.account), dtype=bool))
    missed = due - count(known_on, plan.done_on <= plan.due_on)
    still_open = due - count(np.maximum(known_on, plan.done_on), ~np.isnat(plan.done_on))
    return {
        "onboarding_late": np.where(has_plan, missed / np.maximum(due, 1.0), np.nan),
        "onboarding_overdue": np.where(has_plan, still_open / np.maximum(due, 1.0), np.nan),
    }


def _ticket_columns(facts: Facts, rows: Rows) -> dict[str, Floats]:
    tickets, since = facts.tickets, rows.grid - _SUPPORT_DAYS
    marks = _lay(facts, rows, table=tickets, day=tickets.opened_on, available_on=tickets.available_on)
    start = np.maximum(since[rows.at], rows.started_on).astype(np.int64)
    covered = rows.is_fresh(TICKETS) & (rows.company.first[TICKETS][rows.at] <= start)
    opened = marks.counts(since)[rows.account, rows.at]
    escalated = marks.only(tickets.escalated).counts(since)[rows.account, rows.at]
    return {
        "tickets_90d": np.where(covered, opened, np.nan),
        "escalations_90d": np.where(covered, escalated, np.nan),
    }


def _survey_columns(facts: Facts, rows: Rows) -> dict[str, Floats]:
    surveys = facts.surveys
    marks = _lay(facts, rows, table=surveys, day=surveys.answered_on, available_on=surveys.available_on)
    in_use = rows.is_fresh(SURVEYS)
    oldest = months_before(rows.grid, 12).astype(np.int64)[rows.at]
    columns: dict[str, Floats] = {}
    for name, kept in ((NPS, surveys.is_nps), (CSAT, ~surveys.is_nps)):
        answers = marks.only(kept)
        asked = in_use & (rows.company.last[name] > NEVER)[rows.at]
        answered = asked & (answers.last_days()[rows.account, rows.at] >= oldest)
        latest = answers.means_on_last_days(surveys.score[kept])[rows.account, rows.at]
        columns[name] = np.where(answered, latest, np.nan)
        columns[f"{name}_missing"] = np.where(asked, ~answered, np.nan)
    return columns


def _days_since_contact(facts: Facts, rows: Rows) -> Floats:
    touches = facts.touches
    marks = _lay(facts, rows, table=touches, day=touches.occurred_on, available_on=touches.available_on)
    in_use = rows.is_fresh(TOUCHES)
    start = np.maximum(rows.started_on.astype(np.int64), rows.company.first[TOUCHES][rows.at])
    last = np.maximum(marks.last_days()[rows.account, rows.at], start)
    days = np.minimum(rows.landmark.astype(np.int64) - last, _LONGEST_WITHOUT_CONTACT_DAYS)
    return np.where(in_use, days.astype(np.float64), np.nan)


def _recent_trainings(facts: Facts, rows: Rows) -> Floats:
    trainings, since = facts.trainings, months_before(rows.grid, 12)
    marks = _lay(facts, rows, table=trainings, day=trainings.occurred_on, available_on=trainings.available_on)
    start = np.maximum(since[rows.at], rows.started_on).astype(np.int64)
    covered = rows.is_fresh(TRAININGS) & (rows.company.first[TRAININGS][rows.at] <= start)
    return np.where(covered, marks.counts(since)[rows.account, rows.at], np.nan)


def _overdue_days(facts: Facts, rows: Rows) -> Floats:
    """An invoice is open until its payment is known; an account that was never sent one has none to be late with."""
    bills = facts.invoices
    paid_known_on = np.maximum(bills.paid_on, bills.paid_available_on)
    issued = _lay(facts, rows, table=bills, day=bills.issued_on, available_on=bills.available_on)
    is_open = lay_marks(
        rows.grid, bills.account, groups=len(facts.account_ids), day=bills.due_on, available_on=bills.available_on
    ).until(np.fmin(bills.replaced_on, paid_known_on))
    is_billed = rows.is_fresh(INVOICES) & ((issued.last_days() > NEVER)[rows.account, rows.at])
    due_on = is_open.first_days(months_before(rows.grid, 12))[rows.account, rows.at]
    days = np.clip(rows.landmark.astype(np.int64) - due_on, 0, _LONGEST_OVERDUE_DAYS)
    return np.where(is_billed, days.astype(np.float64), np.nan)


def _level_columns(facts: Facts, rows: Rows) -> dict[str, Floats]:
    version = _attributes_in_force(facts.attributes, rows, accounts=len(facts.account_ids))
    columns: dict[str, Floats] = {}
    for kind, levels, held in (
        ("segment", facts.segments, facts.attributes.segment),
        ("channel", facts.channels, facts.attributes.channel),
    ):
        level = np.append(held, -1)[version]
        for index, name in enumerate(level_names(kind, levels)):
            columns[name] = np.where(level >= 0, (level == index).astype(np.float64), np.nan)
    return columns


def _attributes_in_force(versions: AttributeFacts, rows: Rows, *, accounts: int) -> Ints:
    """Row of the version with the latest (valid_from, available_on) in force and known, -1 if none."""
    first = np.maximum(
        np.searchsorted(rows.grid, versions.valid_from),
        np.searchsorted(rows.grid, versions.available_on, side="right"),
    )
    marks = Marks(rows.grid, versions.account, accounts, versions.valid_from, first, first).until(versions.replaced_on)
    order = np.lexsort((versions.channel, versions.segment, versions.available_on, versions.valid_from))
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return np.append(order, -1)[marks.largest(rank, none=-1)[rows.account, rows.at]]


def _lay(facts: Facts, rows: Rows, *, table: _Versions, day: Days, available_on: Days) -> Marks:
    marks = lay_marks(rows.grid, table.account, groups=len(facts.account_ids), day=day, available_on=available_on)
    return marks.until(table.replaced_on)
