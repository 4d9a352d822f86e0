"""Renewals that are due in a period: what was due, what was renewed, and what waits."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from app.domain.fx import MissingRate, RateTable
from app.domain.money import Money
from app.domain.periods import Grain, Period, split_into_periods
from app.domain.renewals import Renewal, RenewalTotals, Terms, renewals, sum_renewals
from app.errors import Conflict, TooLarge
from app.models.accounts import AccountVersion
from app.models.contracts import ContractLineVersion
from app.queries.bridges import named_period
from app.queries.contract_lines import RecurringLine, load_recurring_lines
from app.queries.facts import Known
from app.queries.fx import load_rates
from app.queries.groups import ALL
from app.queries.known import in_force
from app.queries.line_groups import LineGroups, valid_now

MOST_LINES = 250_000


@dataclass(frozen=True, slots=True)
class RenewalsQuestion:
    """`period` None is the fiscal year of the day, `currency` None the reporting one; `grain` None is one sum."""

    period: str | None = None
    grain: Grain | None = None
    group_by: str = ALL
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class GroupRenewals:
    period: Period
    group: str
    label: str
    totals: RenewalTotals
    accounts: int


@dataclass(frozen=True, slots=True)
class DueLine:
    """A renewal with whose it is and of what; amounts in the currency that was asked for."""

    renewal: Renewal
    account_id: int
    account: str
    line: RecurringLine


@dataclass(frozen=True, slots=True)
class Due:
    """The renewals of a period, oldest first."""

    currency: str
    period: Period
    lines: tuple[DueLine, ...]


def load_due(session: Session, period: str | None, *, known: Known, currency: str | None = None) -> Due:
    """The lines that come up in a period, by day, account and line, converted at the rate of `known.as_of`.

    Raises Invalid for a period with no such name, TooLarge beyond 250,000 lines, Conflict where a rate is missing.
    """
    named = named_period(period, known=known)
    if session.scalar(select(ContractLineVersion.id).offset(MOST_LINES).limit(1)) is not None:
        raise TooLarge(f"There are more than {MOST_LINES:,} lines; renewals are worked out of fewer.")
    by_account = load_recurring_lines(session, known_at=known.known_at, grace_days=known.settings.grace_days)
    agreed, names = _agreed_ends(session, known), _names(session, known)
    money = _Converted(
        load_rates(session, known_at=known.known_at), currency or known.settings.reporting_currency, known.as_of
    )
    found = [
        DueLine(money.of(each, line.currency), account_id, names.get(account_id, str(account_id)), line)
        for account_id, lines in by_account.items()
        for each, line in _of_account(lines, agreed, named=named, as_of=known.as_of)
    ]
    found.sort(key=lambda each: (each.renewal.due_on, each.account_id, each.renewal.line))
    return Due(money.currency, named, tuple(found))


def load_renewals(session: Session, question: RenewalsQuestion, *, known: Known) -> tuple[str, list[GroupRenewals]]:
    """The currency, and the sums of the period or of its parts, by group; as `load_due`."""
    due = load_due(session, question.period, known=known, currency=question.currency)
    groups = LineGroups(session, question.group_by, known=known)
    parts = [due.period]
    if question.grain is not None:
        start_month = known.settings.fiscal_year_start_month
        first_on, last_on = due.period.first_on, due.period.last_on
        parts = list(split_into_periods(first_on, last_on, grain=question.grain, fiscal_start_month=start_month))
    return due.currency, [each for part in parts for each in _sums(part, due.lines, groups=groups)]


def _sums(part: Period, lines: Sequence[DueLine], *, groups: LineGroups) -> Iterator[GroupRenewals]:
    by_group: dict[str, list[DueLine]] = {}
    for each in lines:
        if part.first_on <= each.renewal.due_on <= part.last_on:
            by_group.setdefault(groups.group_of(each.line), []).append(each)
    for group, own in sorted(by_group.items()):
        totals = sum_renewals([each.renewal for each in own])
        yield GroupRenewals(
            part, group, groups.labels.get(group, group), totals, len({each.account_id for each in own})
        )


def _of_account(
    lines: Sequence[RecurringLine], agreed: Mapping[int, date | None], *, named: Period, as_of: date
) -> Iterator[tuple[Renewal, RecurringLine]]:
    by_key = {line.life.line.key: line for line in lines}
    terms = Terms({key: line.term_months or 1 for key, line in by_key.items()}, agreed)
    lives = [line.life for line in lines]
    for each in renewals(lives, terms=terms, first_on=named.first_on, last_on=named.last_on, as_of=as_of):
        yield each, by_key[each.line]


def _agreed_ends(session: Session, known: Known) -> dict[int, date | None]:
    """By line, the last day that was agreed, of those that ended on another."""
    line = ContractLineVersion
    other = or_(line.agreed_ends_on != line.ends_on, and_(line.agreed_ends_on.is_(None), line.ends_on.is_not(None)))
    statement = select(line.contract_line_id, line.agreed_ends_on).where(
        in_force(line, known.known_at), line.kind == "recurring", other
    )
    return dict(session.execute(statement).all())


def _names(session: Session, known: Known) -> dict[int, str]:
    account = AccountVersion
    return dict(session.execute(select(account.account_id, account.name).where(valid_now(account, known))).all())


@dataclass(frozen=True, slots=True)
class _Converted:
    """Each amount once, at one day's rate."""

    rates: RateTable
    currency: str
    on: date

    def of(self, renewal: Renewal, currency: str) -> Renewal:
        if currency == self.currency:
            return renewal
        try:
            due, renewed = (
                self.rates.convert(Money(minor, currency), self.currency, on=self.on).minor
                for minor in (renewal.due_minor, renewal.renewed_minor)
            )
        except MissingRate as missing:
            raise Conflict(f"This cannot be converted: {missing}.") from None
        return replace(renewal, due_minor=due, renewed_minor=renewed)
