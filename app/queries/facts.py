"""Everything the features are built from, as columns, as known at an instant.

Accounts without a recurring line are not in it: retention does not apply to them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Select, and_, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from app.domain.causes import cause_codes
from app.domain.contracts import spells
from app.domain.fact_tables import DATED, empty_table, join_tables, take_facts
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
from app.queries.columns import NAT, days_in_zone, instants, iterate_columns
from app.queries.contract_lines import KnownLine, RecurringLine, load_known_lines, load_recurring_lines
from app.queries.fx import load_rates
from app.queries.known import Between, of_accounts, replacements, was_recorded
from app.queries.known_ends import tell_of_notices
from app.queries.settings import CompanySettings


@dataclass(frozen=True, slots=True)
class Known:
    """The moment a reading is of, and the company's settings then."""

    as_of: date
    known_at: datetime
    settings: CompanySettings
    stale_feeds: tuple[str, ...] = ()  # now; none where an instant of knowledge was asked for

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.settings.reporting_timezone)


def load_facts(session: Session, known: Known, *, lines: Mapping[int, list[RecurringLine]] | None = None) -> Facts:
    """The facts of all accounts with recurring revenue that began by `as_of`; `lines` where they were read already."""
    if lines is None:
        lines = load_recurring_lines(session, known_at=known.known_at, grace_days=known.settings.grace_days)
    facts = load_contract_facts(session, known, levels=load_levels(session, known), lines=lines)
    dated = {
        name: join_tables(list(parts)) for name, parts in iterate_dated(session, known, account_ids=facts.account_ids)
    }
    return replace(facts, **dated)


@dataclass(frozen=True, slots=True)
class Levels:
    """What accounts can be told apart by: the names that any of their attributes ever had, and the metrics of usage."""

    segments: tuple[str, ...]
    channels: tuple[str, ...]
    usage_metrics: tuple[str, ...]


def load_levels(session: Session, known: Known) -> Levels:
    versions = _attribute_versions(known.known_at, between=None).subquery()
    stood = or_(versions.c.replaced_at.is_(None), versions.c.replaced_at > versions.c.available_at)
    rows = session.execute(select(versions.c.segment, versions.c.channel).where(stood).distinct()).all()
    return Levels(
        segments=tuple(sorted({row.segment for row in rows} - {None})),
        channels=tuple(sorted({row.channel for row in rows} - {None})),
        usage_metrics=tuple(session.scalars(select(UsageMetric.name).order_by(UsageMetric.id))),
    )


def load_contract_facts(
    session: Session,
    known: Known,
    *,
    levels: Levels,
    lines: Mapping[int, list[RecurringLine]],
    between: Between | None = None,
) -> Facts:
    """The facts of contracts and attributes of the accounts whose `lines` began by `as_of`, and nothing dated yet.

    `between` holds all these accounts, and spares reading of others.
    """
    begun = {account: own for account, own in lines.items() if any(e.life.line.starts_on <= known.as_of for e in own)}
    accounts = _Index(np.array(sorted(begun), dtype=np.int64))
    return Facts(
        account_ids=accounts.ids,
        segments=levels.segments,
        channels=levels.channels,
        usage_metrics=levels.usage_metrics,
        spells=_spells(begun, accounts, as_of=known.as_of),
        lines=_lines(session, known, accounts=accounts, lines=begun, between=between),
        attributes=_attributes(session, known, accounts=accounts, levels=levels, between=between),
        **{name: empty_table(table) for name, table in DATED.items()},
    )


def iterate_dated(session: Session, known: Known, *, account_ids: Ints) -> Iterator[tuple[str, Iterator[Any]]]:
    """Each kind of dated fact by its name in `Facts` with its parts, in the order of the table; at least one part.

    Accounts are numbered by their place in `account_ids`, sorted; facts of others are left out.
    """
    accounts = _Index(account_ids)
    read = (_usage, _milestones, _tickets, _surveys, _touches, _trainings, _invoices)
    for name, kind in zip(DATED, read, strict=True):
        yield name, kind(session, known, accounts=accounts)


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


def _lines(
    session: Session,
    known: Known,
    *,
    accounts: _Index,
    lines: Mapping[int, list[RecurringLine]],
    between: Between | None,
) -> LineFacts:
    """The lines in force, and the versions that they replaced, each with the days on which it was what was known."""
    now = [line for account_id in accounts.ids.tolist() for line in lines[account_id]]
    versions = load_known_lines(session, now, known_at=known.known_at, between=between)
    every = tell_of_notices(session, versions, known_at=known.known_at, between=between)
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
    session: Session, known: Known, *, accounts: _Index, levels: Levels, between: Between | None
) -> AttributeFacts:
    rows = [
        row
        for row in session.execute(_attribute_versions(known.known_at, between=between))
        if row.replaced_at is None or row.replaced_at > row.available_at
    ]
    position, kept = accounts.positions(np.array([row.account_id for row in rows]))
    own = [row for row, is_kept in zip(rows, kept, strict=True) if is_kept]
    return AttributeFacts(
        account=position,
        valid_from=_days([row.valid_from for row in own]),
        available_on=days_in_zone(instants([row.available_at for row in own]), known.zone),
        replaced_on=days_in_zone(instants([row.replaced_at for row in own]), known.zone),
        segment=_codes([row.segment for row in own], levels.segments),
        channel=_codes([row.channel for row in own], levels.channels),
    )


def _attribute_versions(known_at: datetime, *, between: Between | None) -> Select[*tuple[Any, ...]]:
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
        .where(was_recorded(old, known_at), of_accounts(old.account_id, between))
        .group_by(old.id, *columns)
        .order_by(old.account_id, old.valid_from, old.id)
    )


def _usage(session: Session, known: Known, *, accounts: _Index) -> Iterator[UsageFacts]:
    day = UsageDay
    statement = select(
        day.account_id, day.day, day.available_on, day.metric_id, func.coalesce(day.feature_id, -1), day.amount
    ).where(day.apart_reason.is_(None), was_recorded(day, known.known_at))
    metric_ids = np.array(session.scalars(select(UsageMetric.id).order_by(UsageMetric.id)).all(), dtype=np.int64)
    for columns in iterate_columns(session, statement, by=day.id):
        # Not asked of the database: SQLite would walk the index on account and day, three times as slow as all rows.
        past = columns[1] < np.datetime64(known.as_of, "D")
        position, (days, available, metric, feature, amount) = accounts.select([column[past] for column in columns])
        yield UsageFacts(
            account=position,
            day=days,
            available_on=available,
            metric=np.searchsorted(metric_ids, metric.astype(np.int64)),
            feature=feature.astype(np.int64),
            amount=amount.astype(np.float64),
        )


def _milestones(session: Session, known: Known, *, accounts: _Index) -> Iterator[MilestoneFacts]:
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
    for columns in iterate_columns(session, statement, by=step.id):
        position, (due, done, available, done_available, replaced) = accounts.select(columns)
        yield MilestoneFacts(
            account=position,
            due_on=due,
            done_on=done,
            available_on=days_in_zone(available, known.zone),
            done_available_on=days_in_zone(done_available, known.zone),
            replaced_on=days_in_zone(replaced, known.zone),
        )


Found = tuple[Ints, list[NDArray[Any]], dict[str, Days]]


def _account_facts(
    session: Session,
    known: Known,
    *,
    table: type[AccountFact] | type[Invoice],
    columns: Sequence[ColumnElement[Any] | InstrumentedAttribute[Any]],
    accounts: _Index,
) -> Iterator[Found]:
    """Of every version of the facts of a table: whose, the columns, and from when until when it was known."""
    later = replacements(table, table.system, table.external_id, known_at=known.known_at)
    statement = (
        select(table.account_id, *columns, table.available_at, later.c.replaced_at)
        .outerjoin(later, later.c.id == table.id)
        .where(was_recorded(table, known.known_at))
    )
    for part in iterate_columns(session, statement, by=table.id):
        position, (*found, available, replaced) = accounts.select(part)
        available_on, replaced_on = days_in_zone(available, known.zone), days_in_zone(replaced, known.zone)
        yield position, found, {"available_on": available_on, "replaced_on": replaced_on}


def _tickets(session: Session, known: Known, *, accounts: _Index) -> Iterator[TicketFacts]:
    columns = (Ticket.occurred_on, Ticket.is_escalated)
    parts = _account_facts(session, known, table=Ticket, columns=columns, accounts=accounts)
    for position, (opened, escalated), spans in parts:
        yield TicketFacts(position, opened, escalated.astype(bool), **spans)


def _surveys(session: Session, known: Known, *, accounts: _Index) -> Iterator[SurveyFacts]:
    columns = (SurveyAnswer.occurred_on, SurveyAnswer.kind == "nps", SurveyAnswer.score)
    parts = _account_facts(session, known, table=SurveyAnswer, columns=columns, accounts=accounts)
    for position, (answered, is_nps, score), spans in parts:
        yield SurveyFacts(position, answered, is_nps.astype(bool), score, **spans)


def _touches(session: Session, known: Known, *, accounts: _Index) -> Iterator[TouchFacts]:
    parts = _account_facts(session, known, table=Touch, columns=(Touch.occurred_on,), accounts=accounts)
    for position, found, spans in parts:
        yield TouchFacts(position, *found, **spans)


def _trainings(session: Session, known: Known, *, accounts: _Index) -> Iterator[TrainingFacts]:
    parts = _account_facts(session, known, table=Training, columns=(Training.occurred_on,), accounts=accounts)
    for position, found, spans in parts:
        yield TrainingFacts(position, *found, **spans)


def _invoices(session: Session, known: Known, *, accounts: _Index) -> Iterator[InvoiceFacts]:
    """Without credit notes: nobody is late with what is owed to them."""
    is_owed = func.coalesce(Invoice.amount_minor, 1) > 0
    columns = (Invoice.issued_on, Invoice.due_on, Invoice.paid_on, Invoice.paid_available_at, is_owed)
    for position, found, spans in _account_facts(session, known, table=Invoice, columns=columns, accounts=accounts):
        issued_on, due_on, paid_on, paid_available, owed = found
        bills = InvoiceFacts(
            account=position,
            issued_on=issued_on,
            due_on=due_on,
            paid_on=paid_on,
            paid_available_on=days_in_zone(paid_available, known.zone),
            **spans,
        )
        yield take_facts(bills, owed.astype(bool))


def _days(values: Sequence[date | None]) -> Days:
    days: Days = np.array(
        [NAT if value is None else np.datetime64(value, "D") for value in values], dtype="datetime64[D]"
    )
    return days


def _codes(values: Sequence[str | None], levels: tuple[str, ...]) -> Ints:
    code = {level: number for number, level in enumerate(levels)}
    return np.array([-1 if value is None else code[value] for value in values], dtype=np.int64)
