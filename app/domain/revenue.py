"""Bookings of a period and ARR as of a day, by group and currency.

Both only add integers up: amounts were rounded when they were recorded. Different currencies stay
apart unless a `Conversion` says at which stored rate they meet.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from itertools import groupby

from app.domain.contracts import LineLife, LineState, line_state
from app.domain.fx import RateTable
from app.domain.money import Money, spread


class FxBasis(StrEnum):
    """Whose day's rate turns an amount into the reporting currency."""

    BOOKED = "booked"  # the day the deal was closed
    CONSTANT = "constant"  # one day for all: the start of the comparison
    PERIOD_END = "period_end"  # the day asked about


@dataclass(frozen=True, slots=True)
class Conversion:
    """Into which currency, at which day's rate."""

    rates: RateTable
    currency: str
    basis: FxBasis
    constant_on: date | None = None  # for `constant` alone

    def __post_init__(self) -> None:
        if (self.basis is FxBasis.CONSTANT) != (self.constant_on is not None):
            raise ValueError("a constant rate, and only that, needs the day it is taken from")

    def convert(self, money: Money, *, booked_on: date, as_of: date) -> Money:
        """The money in the reporting currency; MissingRate where no rate covers the day."""
        return self.rates.convert(money, self.currency, on=self._day(booked_on, as_of))

    def convert_parts(self, parts: Sequence[Money], *, booked_on: date, as_of: date) -> list[Money]:
        """Parts of one amount, none empty: their sum is converted and rounded once, then spread over them."""
        whole = sum(parts[1:], parts[0])
        total = self.convert(whole, booked_on=booked_on, as_of=as_of)
        if len(parts) == 1:
            return [total]
        rate = self.rates.rate(whole.currency, self.currency, on=self._day(booked_on, as_of))
        return spread(total, [part.amount * rate for part in parts])

    def _day(self, booked_on: date, as_of: date) -> date:
        days = {FxBasis.BOOKED: booked_on, FxBasis.CONSTANT: self.constant_on, FxBasis.PERIOD_END: as_of}
        return days[self.basis] or as_of


@dataclass(frozen=True, slots=True)
class Booking:
    """A closed-won deal, or the part of it that belongs to one group (a product's line, say)."""

    group: str
    deal: int
    account: int
    closed_on: date
    amount: Money


@dataclass(frozen=True, slots=True)
class LineRevenue:
    """A contract line's ARR with what it is grouped and converted by."""

    group: str
    account: int
    currency: str
    booked_on: date
    life: LineLife


@dataclass(frozen=True, slots=True)
class GroupTotal:
    """One group in one currency. `in_grace` is the part of `amount` that is no longer paid."""

    group: str
    amount: Money
    accounts: int
    items: int  # deals, or lines
    in_grace: Money | None = None


def bookings_by_group(
    bookings: Iterable[Booking], *, first_on: date, last_on: date, conversion: Conversion | None = None
) -> list[GroupTotal]:
    """Closed-won amounts by close date, both days included, sorted by group and currency.

    The parts of a deal follow each other. Converted, a deal takes the rate of its close date, of the
    constant day, or of `last_on`; it is rounded once and that spread over its parts, so that every
    grouping has the same sum.
    """
    parts: dict[tuple[str, str], _Sum] = {}
    inside = (booking for booking in bookings if first_on <= booking.closed_on <= last_on)
    for deal, of_deal in groupby(inside, key=lambda booking: booking.deal):
        own = list(of_deal)
        amounts = [booking.amount for booking in own]
        if conversion:
            amounts = conversion.convert_parts(amounts, booked_on=own[0].closed_on, as_of=last_on)
        for booking, money in zip(own, amounts, strict=True):
            parts.setdefault((booking.group, money.currency), _Sum()).add(booking.account, money, item=deal)
    return [total.total(group, currency) for (group, currency), total in sorted(parts.items())]


def arr_by_group(
    lines: Iterable[LineRevenue], *, as_of: date, conversion: Conversion | None = None
) -> list[GroupTotal]:
    """ARR of the lines live or in grace on that day, sorted by group and currency.

    Converted, each line is rounded once, then added: all sums are of integers.
    """
    parts: dict[tuple[str, str], _Sum] = {}
    for number, line in enumerate(lines):
        state = line_state(line.life, as_of)
        if state not in (LineState.LIVE, LineState.IN_GRACE):
            continue
        money = Money(line.life.line.arr_minor, line.currency)
        if conversion:
            money = conversion.convert(money, booked_on=line.booked_on, as_of=as_of)
        part = parts.setdefault((line.group, money.currency), _Sum())
        part.add(line.account, money, item=number, in_grace=state is LineState.IN_GRACE)
    return [
        replace(part.total(group, currency), in_grace=Money(part.in_grace_minor, currency))
        for (group, currency), part in sorted(parts.items())
    ]


class _Sum:
    def __init__(self) -> None:
        self.minor = 0
        self.in_grace_minor = 0
        self.accounts: set[int] = set()
        self.items: set[int] = set()

    def add(self, account: int, money: Money, *, item: int, in_grace: bool = False) -> None:
        self.minor += money.minor
        self.in_grace_minor += money.minor if in_grace else 0
        self.accounts.add(account)
        self.items.add(item)

    def total(self, group: str, currency: str) -> GroupTotal:
        return GroupTotal(group, Money(self.minor, currency), len(self.accounts), len(self.items))
