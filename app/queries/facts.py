"""Everything the features are built from, as columns, as known at an instant.

Accounts without a recurring line are not in it: retention does not apply to them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from app.domain.causes import cause_codes
from app.domain.contracts import spells
from app.domain.features import (
    AttributeFacts,
    Facts,
    Floats,
    InvoiceFacts,
    LineFacts,
    MilestoneFacts,
    Spells,
    SurveyFacts,
    TicketFacts,
    TouchFacts,
    TrainingFacts,
    UsageFacts,
)
from app.domain.money import minor_digits
from app.domain.months import MONTHS_OF_A_YEAR, Days, Ints
from app.models.accounts import AccountVersion
from app.models.billing import Invoice
from app.models.success import AccountFact, Milestone, OnboardingPlan, SurveyAnswer, Ticket, Touch, Training
from app.models.usage import UsageDay, UsageMetric
from app.queries.columns import NAT, days_in_zone, fetch_columns, instants, iterate_columns, join_parts
from app.queries.contract_lines import KnownLine, RecurringLine, load_known_lines, load_recurring_lines
from app.queries.fx import load_rates
from app.queries.known import replacements, was_recorded
from app.queries.known_ends import tell_of_notices
from app.queries.settings import CompanySettings


@dataclass(frozen=True, slots=True)
class Known:
    """The moment a reading is of, and the company's settings then."""

    as_of: date
    known_at: datetime
    settings: CompanySettings

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.settings.reporting_timezone)


def load_facts(session: Session, known: Known, *, lines: Mapping[int, list[RecurringLine]] | None = None) -> Facts:
    """The facts of all accounts with recurring revenue that began by `as_of`; `lines` where they were read already."""
    if lines is None:
        lines = load_recurring_lines(session, known_at=known.known_at, grace_days=known.settings.grace_days)
    begun = {account: own for account, own in lines.items() if any(e.life.line.starts_on <= known.as_of for e in own)}
    accounts = _Index(np.array(sorted(begun), dtype=np.int64))
    segments, channels, attributes = _attributes(session, known, accounts=accounts)
    metrics = tuple(session.scalars(select(UsageMetric.name).order_by(UsageMetric.id)))
    return Facts(
        account_ids=accounts.ids,
        segments=segments,
        channels=channels,
        usage_metrics=metrics,
        spells=_spells(begun, accounts, as_of=known.as_of),
        lines=_lines(session, known, accounts=accounts, lines=begun),
        attributes=attributes,
        usage=_usage(session, known, accounts=accounts),
        milestones=_milestones(session, known, accounts=accounts),
        tickets=_tickets(session, known, accounts=accounts),
        surveys=_surveys(session, known, accounts=accounts),
        touches=_touches(session, known, accounts=accounts),
        trainings=_trainings(session, known, accounts=accounts),
        invoices=_invoices(session, known, accounts=accounts),
    )


class _Index:
    """Turns account ids into positions in the sorted list of accounts, dropping rows of other accounts."""

    def __init__(self, ids: Ints) -> None:
        self.ids = ids

    def positions(self, account_ids: NDArray[Any]) -> tuple[Ints, NDArray[np.bool_]]:
        if not len(self.ids) or not len(account_ids):
            return np.zeros(0, dtype=np.int64), np.zeros(len(account_ids), dtype=bool)
        wanted = account_ids.astype(np.int64)
        position = np.minimum(np.searchsorted(self.ids, wanted), len(self.ids) - 1)
        is_known = self.ids[position] == wanted
        return position[is_known], is_known

    def select(self, columns: Sequence[NDArray[Any]]) -> tuple[Ints, list[NDArray[Any]]]:
        """The positions of the first column's accounts, and the other columns, of the known accounts' rows."""
        position, is_known = self.positions(columns[0])
        return position, [column[is_known] for column in columns[1:]]


def _spells(lines: Mapping[int, list[RecurringLine]], accounts: _Index, *, as_of: date) -> Spells:
    found = [
        (position, spell)
        for position, account_id in enumerate(accounts.ids.tolist())
        for spell in spells([line.life for line in lines[account_id]], as_of)
    ]
    return Spells(
        account=np.array([position for position, _ in found], dtype=np.int64),
        number=np.array([spell.number for _, spell in found], dtype=np.int64),
        started_on=_days([spell.started_on for _, spell in found]),
        ended_on=_days([spell.ended_on for _, spell in found]),
        churned=np.array([spell.is_churned for _, spell in found], dtype=bool),
        cause=cause_codes([spell.cause for _, spell in found]),
    )


def _lines(session: Session, known: Known, *, accounts: _Index, lines: Mapping[int, list[RecurringLine]]) -> LineFacts:
    """The lines in force, and the versions that they replaced, each with the days on which it was what was known."""
    now = [line for account_id in accounts.ids.tolist() for line in lines[account_id]]
    every = tell_of_notices(session, load_known_lines(session, now, known_at=known.known_at), known_at=known.known_at)
    position, kept = accounts.positions(np.array([line.account_id for line in every]))
    own = [line for line, is_kept in zip(every, kept, strict=True) if is_kept]
    return LineFacts(
        account=position,
        starts_on=_days([line.starts_on for line in own]),
        stops_on=_days([line.stops_on for line in own]),
        term_months=np.array([line.term_months for line in own], dtype=np.int64),
        non_cancellable=np.array([line.non_cancellable for line in own], dtype=np.bool_),
        mrr=_mrr(session, known, lines=own),
        seats=np.array([np.nan if line.seats is None else float(line.seats) for line in own], dtype=np.float64),
        leaves_on=_days([line.leaves_on for line in own]),
        leaves_for=cause_codes([line.leaves_for for line in own]),
        available_on=days_in_zone(instants([line.available_at for line in own]), known.zone),
        replaced_on=days_in_zone(instants([line.replaced_at for line in own]), known.zone),
    )


def _mrr(session: Session, known: Known, *, lines: Sequence[KnownLine]) -> Floats:
    """A month's revenue of each line in the reporting currency, all at the rates of `as_of`: a rate is no behaviour."""
    rates = load_rates(session, known_at=known.known_at)
    quote = known.settings.reporting_currency
    per_minor = {
        currency: float(rates.rate(currency, quote, on=known.as_of)) / 10 ** minor_digits(currency)
        for currency in {line.currency for line in lines}
    }
    return np.array([e.arr_minor * per_minor[e.currency] / MONTHS_OF_A_YEAR for e in lines], dtype=np.float64)


def _attributes(
    session: Session, known: Known, *, accounts: _Index
) -> tuple[tuple[str, ...], tuple[str, ...], AttributeFacts]:
    rows = [
        row
        for row in session.execute(_attribute_versions(known.known_at))
        if row.replaced_at is None or row.replaced_at > row.available_at
    ]
    segments = tuple(sorted({row.segment for row in rows} - {None}))
    channels = tuple(sorted({row.channel for row in rows} - {None}))
    position, kept = accounts.positions(np.array([row.account_id for row in rows]))
    own = [row for row, is_kept in zip(rows, kept, strict=True) if is_kept]
    return (
        segments,
        channels,
        AttributeFacts(
            account=position,
            valid_from=_days([row.valid_from for row in own]),
            available_on=days_in_zone(instants([row.available_at for row in own]), known.zone),
            replaced_on=days_in_zone(instants([row.replaced_at for row in own]), known.zone),
            segment=_codes([row.segment for row in own], segments),
            channel=_codes([row.channel for row in own], channels),
        ),
    )


def _attribute_versions(known_at: datetime) -> Select[*tuple[Any, ...]]:
    """Every version, and since when a later one said otherwise of some of its days.

    What one leaves of another before and after its own days says the same, so it replaces nothing.
    """
    old, later = AccountVersion, aliased(AccountVersion)
    columns = (old.account_id, old.valid_from, old.available_at, old.segment, old.channel)
    says_otherwise = and_(
        old.superseded_change_id.is_not(None),
        later.account_id == old.account_id,
        later.id > old.id,
        was_recorded(later, known_at),
        or_(old.valid_to.is_(None), later.valid_from < old.valid_to),
        or_(later.valid_to.is_(None), later.valid_to > old.valid_from),
        or_(later.segment.is_distinct_from(old.segment), later.channel.is_distinct_from(old.channel)),
    )
    return (
        select(*columns, func.min(later.available_at).label("replaced_at"))
        .outerjoin(later, says_otherwise)
        .where(was_recorded(old, known_at))
        .group_by(old.id, *columns)
        .order_by(old.account_id, old.valid_from, old.id)
    )


def _usage(session: Session, known: Known, *, accounts: _Index) -> UsageFacts:
    day = UsageDay
    statement = select(
        day.account_id, day.day, day.available_on, day.metric_id, func.coalesce(day.feature_id, -1), day.amount
    ).where(day.apart_reason.is_(None), was_recorded(day, known.known_at))
    parts = []
    for columns in iterate_columns(session, statement, by=day.id):
        # Not asked of the database: SQLite would walk the index on account and day, three times as slow as all rows.
        past = columns[1] < np.datetime64(known.as_of, "D")
        position, kept = accounts.select([column[past] for column in columns])
        parts.append([position, *kept])
    position, days, available, metric, feature, amount = join_parts(parts)
    metric_ids = np.array(session.scalars(select(UsageMetric.id).order_by(UsageMetric.id)).all(), dtype=np.int64)
    return UsageFacts(
        account=position,
        day=days,
        available_on=available,
        metric=np.searchsorted(metric_ids, metric.astype(np.int64)),
        feature=feature.astype(np.int64),
        amount=amount.astype(np.float64),
    )


def _milestones(session: Session, known: Known, *, accounts: _Index) -> MilestoneFacts:
    step, later = Milestone, replacements(Milestone, Milestone.plan_id, Milestone.position, known_at=known.known_at)
    statement = (
        select(
            OnboardingPlan.account_id,
            step.due_on,
            step.done_on,
            step.available_at,
            step.done_available_at,
            later.c.replaced_at,
        )
        .join(OnboardingPlan, OnboardingPlan.id == step.plan_id)
        .outerjoin(later, later.c.id == step.id)
        .where(was_recorded(step, known.known_at))
    )
    columns = fetch_columns(session, statement, by=step.id)
    position, (due, done, available, done_available, replaced) = accounts.select(columns)
    return MilestoneFacts(
        account=position,
        due_on=due,
        done_on=done,
        available_on=days_in_zone(available, known.zone),
        done_available_on=days_in_zone(done_available, known.zone),
        replaced_on=days_in_zone(replaced, known.zone),
    )


def _account_facts(
    session: Session,
    known: Known,
    *,
    table: type[AccountFact] | type[Invoice],
    columns: Sequence[ColumnElement[Any] | InstrumentedAttribute[Any]],
    accounts: _Index,
) -> tuple[Ints, list[NDArray[Any]], dict[str, Days]]:
    """Of every version of the facts of a table: whose, the columns, and from when until when it was known."""
    later = replacements(table, table.system, table.external_id, known_at=known.known_at)
    statement = (
        select(table.account_id, *columns, table.available_at, later.c.replaced_at)
        .outerjoin(later, later.c.id == table.id)
        .where(was_recorded(table, known.known_at))
    )
    position, (*found, available, replaced) = accounts.select(fetch_columns(session, statement, by=table.id))
    available_on, replaced_on = days_in_zone(available, known.zone), days_in_zone(replaced, known.zone)
    return position, found, {"available_on": available_on, "replaced_on": replaced_on}


def _tickets(session: Session, known: Known, *, accounts: _Index) -> TicketFacts:
    columns = (Ticket.occurred_on, Ticket.is_escalated)
    position, found, spans = _account_facts(session, known, table=Ticket, columns=columns, accounts=accounts)
    opened, escalated = found
    return TicketFacts(position, opened, escalated.astype(bool), **spans)


def _surveys(session: Session, known: Known, *, accounts: _Index) -> SurveyFacts:
    columns = (SurveyAnswer.occurred_on, SurveyAnswer.kind == "nps", SurveyAnswer.score)
    position, found, spans = _account_facts(session, known, table=SurveyAnswer, columns=columns, accounts=accounts)
    answered, is_nps, score = found
    return SurveyFacts(position, answered, is_nps, score, **spans)


def _touches(session: Session, known: Known, *, accounts: _Index) -> TouchFacts:
    columns = (Touch.occurred_on,)
    position, found, spans = _account_facts(session, known, table=Touch, columns=columns, accounts=accounts)
    return TouchFacts(position, *found, **spans)


def _trainings(session: Session, known: Known, *, accounts: _Index) -> TrainingFacts:
    columns = (Training.occurred_on,)
    position, found, spans = _account_facts(session, known, table=Training, columns=columns, accounts=accounts)
    return TrainingFacts(position, *found, **spans)


def _invoices(session: Session, known: Known, *, accounts: _Index) -> InvoiceFacts:
    """Without credit notes: nobody is late with what is owed to them."""
    is_owed = func.coalesce(Invoice.amount_minor, 1) > 0
    columns = (Invoice.issued_on, Invoice.due_on, Invoice.paid_on, Invoice.paid_available_at, is_owed)
    position, found, spans = _account_facts(session, known, table=Invoice, columns=columns, accounts=accounts)
    *days, paid_available, owed = found
    days.append(days_in_zone(paid_available, known.zone))
    owed = owed.astype(bool)
    issued_on, due_on, paid_on, paid_available_on = (column[owed] for column in days)
    return InvoiceFacts(
        account=position[owed],
        issued_on=issued_on,
        due_on=due_on,
        paid_on=paid_on,
        paid_available_on=paid_available_on,
        **{name: column[owed] for name, column in spans.items()},
    )


def _days(values: Sequence[date | None]) -> Days:
    days: Days = np.array(
        [NAT if value is None else np.datetime64(value, "D") for value in values], dtype="datetime64[D]"
    )
    return days


def _codes(values: Sequence[str | None], levels: tuple[str, ...]) -> Ints:
    code = {level: number for number, level in enumerate(levels)}
    return np.array([-1 if value is None else code[value] for value in values], dtype=np.int64)
