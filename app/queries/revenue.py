"""Bookings of a period and ARR as of a day, as known at an instant, from the rows themselves."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, Select, String, and_, cast, func, join, literal, select
from sqlalchemy.orm import Session

from app.domain.fx import MissingRate
from app.domain.money import Money
from app.domain.movements import is_in_arr
from app.domain.periods import Grain, Period, parse_period, split_into_periods
from app.domain.revenue import (
    Booking,
    Conversion,
    FxBasis,
    GroupTotal,
    LineRevenue,
    arr_by_group,
    bookings_by_group,
)
from app.errors import Conflict, Invalid, TooLarge
from app.models.accounts import AccountVersion
from app.models.contracts import Contract, ContractLine, ContractLineVersion
from app.models.deals import DealVersion
from app.models.products import Product, ProductVersion
from app.queries.contract_lines import load_arr_lines
from app.queries.facts import Known
from app.queries.fx import load_rates
from app.queries.groups import ALL, UNKNOWN
from app.queries.known import in_force
from app.queries.ledger import load_grace, load_pauses_of_lines
from app.queries.line_groups import CURRENCY, LineGroups, valid_now

MOST_ROWS = 250_000


@dataclass(frozen=True, slots=True)
class FxChoice:
    """Into which currency (None: the reporting one), at which day's rate (None: the question's usual one).

    `is_off` leaves every amount in its own currency.
    """

    currency: str | None = None
    basis: FxBasis | None = None
    constant_on: date | None = None
    is_off: bool = False


AS_USUAL = FxChoice()


@dataclass(frozen=True, slots=True)
class BookingsQuestion:
    """`period` None is everything up to the day; `grain` None is one sum over it."""

    period: str | None = None
    grain: Grain | None = None
    group_by: str = ALL
    fx: FxChoice = AS_USUAL


@dataclass(frozen=True, slots=True)
class Converted:
    """`currency` None: amounts stand in their own currencies, and `reason` says why."""

    currency: str | None
    basis: FxBasis | None = None
    constant_on: date | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class GroupRevenue:
    """A group's total in one currency. `label` is the group in words where its key is not."""

    total: GroupTotal
    label: str
    period: Period | None = None


@dataclass(frozen=True, slots=True)
class Revenue:
    known: Known
    converted: Converted
    groups: list[GroupRevenue]


Totals = Callable[[Conversion | None], list[tuple[Period | None, GroupTotal]]]


def load_bookings(session: Session, question: BookingsQuestion, *, known: Known) -> Revenue:
    """Closed-won amounts by close date, up to `known.as_of`, sorted by period, group and currency.

    Raises Invalid for a period with no such name, TooLarge beyond 250,000 rows, Conflict where a
    conversion was asked for that no stored rate allows.
    """
    named = _named_period(question.period, known=known)
    rows = session.execute(_booking_rows(question.group_by, known=known, named=named).limit(MOST_ROWS + 1)).all()
    if len(rows) > MOST_ROWS:
        raise TooLarge(f"That is more than {MOST_ROWS:,} deals or lines; ask for a shorter period.")
    bookings = list(_bookings(rows))
    periods = _periods(question, named=named, bookings=bookings, known=known)

    def totals(conversion: Conversion | None) -> list[tuple[Period | None, GroupTotal]]:
        return [(period, total) for period in periods for total in _booked_in(period, bookings, conversion=conversion)]

    first_on = periods[0].first_on if periods else known.as_of
    usual = FxChoice(basis=FxBasis.BOOKED, constant_on=first_on)
    labels = {row.group: row.label for row in rows}
    return _answer(totals, _Conversions(session, known, question.fx, usual), labels=labels)


def load_arr(session: Session, group_by: str, *, known: Known, fx: FxChoice = AS_USUAL) -> Revenue:
    """ARR of the lines that are live or in grace on `known.as_of`, and not paused, sorted by group and currency.

    What the movements up to that day sum to. Discounts sold as lines count.

    Raises TooLarge beyond 250,000 lines, and Conflict as `load_bookings` does.
    """
    if session.scalar(select(ContractLineVersion.id).offset(MOST_ROWS).limit(1)) is not None:
        raise TooLarge(f"There are more than {MOST_ROWS:,} lines; take the ARR of the published run from /ltv/summary.")
    by_account = load_arr_lines(session, known_at=known.known_at, grace_days=load_grace(session, known.known_at))
    pauses = load_pauses_of_lines(session, known.known_at)
    every = (line for own in by_account.values() for line in own)
    lines = [line for line in every if is_in_arr(line.life, pauses.get(line.life.line.key, ()), day=known.as_of)]
    names = LineGroups(session, group_by, known=known)
    revenues = [
        LineRevenue(names.group_of(line), line.account_id, line.currency, line.booked_on, line.life) for line in lines
    ]

    def totals(conversion: Conversion | None) -> list[tuple[Period | None, GroupTotal]]:
        return [(None, total) for total in arr_by_group(revenues, as_of=known.as_of, conversion=conversion)]

    if group_by == CURRENCY:
        fx = FxChoice(is_off=True)
    return _answer(totals, _Conversions(session, known, fx, FxChoice(basis=FxBasis.PERIOD_END)), labels=names.labels)


# --- Periods ---


def _named_period(name: str | None, *, known: Known) -> Period | None:
    if name is None:
        return None
    try:
        return parse_period(name, fiscal_start_month=known.settings.fiscal_year_start_month)
    except ValueError as error:
        raise Invalid(f"There is no period {name!r}: {error}.", {"period": [str(error)]}) from None


def _periods(
    question: BookingsQuestion, *, named: Period | None, bookings: Sequence[Booking], known: Known
) -> list[Period]:
    """The parts of the question, from the first booking on where it names no period."""
    if not bookings:
        return []
    first_on = named.first_on if named else bookings[0].closed_on
    last_on = min(named.last_on, known.as_of) if named else known.as_of
    if question.grain is None:
        return [Period(named.name if named else ALL, first_on, last_on)]
    start_month = known.settings.fiscal_year_start_month
    return list(split_into_periods(first_on, last_on, grain=question.grain, fiscal_start_month=start_month))


def _booked_in(period: Period, bookings: Sequence[Booking], *, conversion: Conversion | None) -> list[GroupTotal]:
    """`bookings` are sorted by day, so that a period is a slice."""
    start = bisect_left(bookings, period.first_on, key=lambda booking: booking.closed_on)
    end = bisect_right(bookings, period.last_on, key=lambda booking: booking.closed_on)
    return bookings_by_group(
        bookings[start:end], first_on=period.first_on, last_on=period.last_on, conversion=conversion
    )


# --- Conversion ---


@dataclass(frozen=True, slots=True)
class _Conversions:
    """What was asked for, and what is usual where it was not."""

    session: Session
    known: Known
    asked: FxChoice
    usual: FxChoice

    @property
    def currency(self) -> str:
        return self.asked.currency or self.known.settings.reporting_currency

    @property
    def is_insisted_on(self) -> bool:
        return self.asked.currency is not None or self.asked.basis is not None

    def load(self) -> Conversion:
        basis = self.asked.basis or self.usual.basis or FxBasis.PERIOD_END
        constant_on = self.asked.constant_on or self.usual.constant_on
        if basis is FxBasis.CONSTANT and constant_on is None:
            said = "A constant rate needs its day: send fx_on=YYYY-MM-DD, the start of your comparison."
            raise Invalid(said, {"fx_on": [said]})
        rates = load_rates(self.session, known_at=self.known.known_at)
        return Conversion(rates, self.currency, basis, constant_on if basis is FxBasis.CONSTANT else None)


def _answer(totals: Totals, conversions: _Conversions, *, labels: dict[str, str]) -> Revenue:
    """Convert where there is anything to convert; where a rate is missing, convert nothing or say so."""
    found = totals(None)
    converted = Converted(conversions.currency)
    if conversions.asked.is_off:
        converted = Converted(None, reason="No conversion was asked for.")
    elif {total.amount.currency for _, total in found} - {conversions.currency}:
        try:
            conversion = conversions.load()
            converted = Converted(conversion.currency, conversion.basis, conversion.constant_on)
            found = totals(conversion)
        except MissingRate as missing:
            if conversions.is_insisted_on:
                raise Conflict(f"This cannot be converted: {missing}.") from None
            converted = Converted(None, reason=f"Each amount is in its own currency: {missing}.")
    groups = [GroupRevenue(total, labels.get(total.group, total.group), period) for period, total in found]
    return Revenue(conversions.known, converted, groups)


# --- Rows ---


def _bookings(rows: Iterable[Any]) -> Iterator[Booking]:
    """The parts of each deal in turn; what its lines leave of its amount is of no known product."""
    for deal, of_deal in groupby(rows, key=lambda row: row.deal_id):
        own = list(of_deal)
        last = own[-1]
        parts = [(row.group, row.minor) for row in own]
        rest = last.whole - sum(minor for _, minor in parts)
        for group, minor in [*parts, (UNKNOWN, rest)] if rest else parts:
            yield Booking(group, deal, last.account_id or 0, last.closed_on, Money(minor, last.currency))


def _booking_rows(group_by: str, *, known: Known, named: Period | None) -> Select[*tuple[Any, ...]]:
    """Won deals, or their lines: group, label and `minor`, with the deal and its `whole` amount."""
    deal, account, product = DealVersion, AccountVersion, ProductVersion
    minor: Any = deal.amount_minor
    columns: dict[str, tuple[ColumnElement[Any], ColumnElement[Any]]] = {
        "all": (literal(ALL), literal(ALL)),
        "account": (func.coalesce(cast(deal.account_id, String), UNKNOWN), func.coalesce(account.name, UNKNOWN)),
        "channel": (func.coalesce(account.channel, UNKNOWN), func.coalesce(account.channel, UNKNOWN)),
        "product": (func.coalesce(Product.sku, UNKNOWN), func.coalesce(product.name, Product.sku, UNKNOWN)),
    }
    order: tuple[Any, ...] = (deal.closed_on, deal.deal_id)
    if group_by == "product":
        minor = func.coalesce(ContractLineVersion.amount_minor, deal.amount_minor)
        order = (*order, ContractLine.id)
    group, label = columns[group_by]
    statement = select(
        *(group.label("group"), label.label("label"), minor.label("minor"), deal.amount_minor.label("whole")),
        *(deal.deal_id, deal.account_id, deal.closed_on, deal.currency),
    )
    if group_by in {"account", "channel"}:
        statement = statement.outerjoin(account, and_(account.account_id == deal.account_id, valid_now(account, known)))
    if group_by == "product":
        statement = _with_lines(statement, known=known)
    statement = statement.where(
        in_force(deal, known.known_at),
        deal.stage == "won",
        deal.amount_minor.is_not(None),
        deal.closed_on <= (min(named.last_on, known.as_of) if named else known.as_of),
    )
    if named is not None:
        statement = statement.where(deal.closed_on >= named.first_on)
    return statement.order_by(*order)


def _with_lines(statement: Select[*tuple[Any, ...]], *, known: Known) -> Select[*tuple[Any, ...]]:
    """A deal without lines that this moment knows stays, as one of no known product."""
    line, product = ContractLineVersion, ProductVersion
    is_known = and_(line.contract_line_id == ContractLine.id, in_force(line, known.known_at))
    return (
        statement.outerjoin(Contract, Contract.deal_id == DealVersion.deal_id)
        .outerjoin(join(ContractLine, line, is_known), ContractLine.contract_id == Contract.id)
        .outerjoin(Product, Product.id == line.product_id)
        .outerjoin(product, and_(product.product_id == Product.id, valid_now(product, known)))
    )
