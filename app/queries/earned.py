"""What accounts have earned to date: gross margin from the ledger's lines, recurring or not."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.contracts import LineKind
from app.domain.earned import earned_otherwise, earned_recurring
from app.domain.fx import MissingRate, RateTable
from app.domain.money import Money
from app.domain.months import Days
from app.models.contracts import Contract, ContractLineVersion, ContractVersion
from app.models.contracts import ContractLine as LineRow
from app.models.deals import DealVersion
from app.models.settings import SettingVersion
from app.queries.columns import NAT
from app.queries.contract_lines import LinesByAccount, load_recurring_lines
from app.queries.facts import Known
from app.queries.fx import load_rates
from app.queries.known import Between, in_force, of_accounts
from app.queries.settings import CompanySettings

MARGIN = "gross_margin"


@dataclass(frozen=True, slots=True)
class MarginPeriod:
    """A gross margin, and the day from which it holds."""

    since: date
    margin: Decimal


@dataclass(slots=True)
class _Lines:
    """Lines of any accounts as columns."""

    account: list[int] = field(default_factory=list)
    currency: list[str] = field(default_factory=list)
    minor: list[int] = field(default_factory=list)  # ARR of what recurs, else the amount
    starts_on: list[date] = field(default_factory=list)
    ends_on: list[date | None] = field(default_factory=list)
    stops_on: list[date | None] = field(default_factory=list)

    def add(self, account: int, currency: str, *, minor: int, days: tuple[date, date | None, date | None]) -> None:
        self.account.append(account)
        self.currency.append(currency)
        self.minor.append(minor)
        self.starts_on.append(days[0])
        self.ends_on.append(days[1])
        self.stops_on.append(days[2])


def load_earned(
    session: Session,
    known: Known,
    *,
    lines: LinesByAccount | None = None,
    between: Between | None = None,
    gross_margin: Decimal | None = None,
) -> dict[int, int]:
    """Gross margin earned before `known.as_of` by account, in minor units of the reporting currency.

    Of all accounts with won lines, or of those between; `lines` are the recurring ones where they were read already.
    Margins are those in force at the time, or the one given, at the exchange rates of `as_of`. An account in a
    currency without a rate is left out.
    """
    if lines is None:
        grace_days = known.settings.grace_days
        lines = load_recurring_lines(session, known_at=known.known_at, grace_days=grace_days, between=between)
    recurring, others = _recurring(lines), _others(session, known, between=between)
    margins = _margins(session, known) if gross_margin is None else [MarginPeriod(date.min, gross_margin)]
    earned: dict[tuple[int, str], Decimal] = defaultdict(Decimal)
    for period, until in zip(margins, [*(later.since for later in margins[1:]), known.as_of], strict=True):
        for key, minor in _revenue_between(recurring, others, since=period.since, until=min(until, known.as_of)):
            earned[key] += minor * period.margin
    return _add_up(earned, load_rates(session, known_at=known.known_at), known=known)


def _recurring(lines: LinesByAccount) -> _Lines:
    found = _Lines()
    for account_id, own in lines.items():
        for each in own:
            line = each.life.line
            days = (line.starts_on, line.ends_on, each.life.stops_on)
            found.add(account_id, each.currency, minor=line.arr_minor, days=days)
    return found


def _others(session: Session, known: Known, *, between: Between | None) -> _Lines:
    """Won lines that do not recur: one-time, by use, trials that were paid for."""
    line, contract, deal = ContractLineVersion, ContractVersion, DealVersion
    statement = (
        select(line.account_id, line.currency, line.amount_minor, line.starts_on, line.ends_on)
        .join(LineRow, LineRow.id == line.contract_line_id)
        .join(Contract, Contract.id == LineRow.contract_id)
        .join(contract, (contract.contract_id == Contract.id) & in_force(contract, known.known_at))
        .join(deal, (deal.deal_id == Contract.deal_id) & in_force(deal, known.known_at))
        .where(
            in_force(line, known.known_at),
            line.kind != LineKind.RECURRING,
            line.amount_minor != 0,
            line.starts_on < known.as_of,
            deal.stage == "won",
            of_accounts(line.account_id, between),
        )
        .order_by(line.account_id, line.id)
    )
    found = _Lines()
    for own, currency, minor, starts_on, ends_on in session.execute(statement):
        found.add(own, currency, minor=minor, days=(starts_on, ends_on, None))
    return found


def _margins(session: Session, known: Known) -> list[MarginPeriod]:
    """The company's margins in order, the first from the beginning of time."""
    rows = session.execute(
        select(SettingVersion.valid_from, SettingVersion.value)
        .where(SettingVersion.name == MARGIN, in_force(SettingVersion, known.known_at))
        .where(SettingVersion.valid_from < known.as_of)
        .order_by(SettingVersion.valid_from)
    )
    first = MarginPeriod(date.min, CompanySettings().gross_margin)
    return [first, *(MarginPeriod(since, Decimal(str(value))) for since, value in rows)]


def _revenue_between(
    recurring: _Lines, others: _Lines, *, since: date, until: date
) -> Iterator[tuple[tuple[int, str], int]]:
    if until <= since:
        return
    for lines, earned in ((recurring, earned_recurring), (others, earned_otherwise)):
        starts_on, ends_on, stops_on = _days(lines.starts_on), _days(lines.ends_on), _days(lines.stops_on)
        to_end = earned(lines.minor, starts_on, ends_on=ends_on, until=np.fmin(np.datetime64(until, "D"), stops_on))
        before = [0] * len(to_end)
        if since > date.min:
            before = earned(lines.minor, starts_on, ends_on=ends_on, until=np.fmin(np.datetime64(since, "D"), stops_on))
        for account, currency, more, less in zip(lines.account, lines.currency, to_end, before, strict=True):
            yield (account, currency), more - less


def _add_up(earned: Mapping[tuple[int, str], Decimal], rates: RateTable, *, known: Known) -> dict[int, int]:
    quote = known.settings.reporting_currency
    total: dict[int, int] = defaultdict(int)
    unknown = set()
    for (account_id, currency), exact in earned.items():
        money = Money(int(exact.to_integral_value(ROUND_HALF_EVEN)), currency)
        try:
            total[account_id] += rates.convert(money, quote, on=known.as_of).minor
        except MissingRate:
            unknown.add(account_id)
    return {account_id: minor for account_id, minor in total.items() if account_id not in unknown}


def _days(values: Sequence[date | None]) -> Days:
    days: Days = np.array(
        [NAT if value is None else np.datetime64(value, "D") for value in values], dtype="datetime64[D]"
    )
    return days
