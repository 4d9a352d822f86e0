"""A billing export beside the ledger: which charges belong to which contract lines, and what each is worth a year.

A charge is worth a year what a contract line of its amount and period would be (`annual_recurring_revenue`), so that
both sides are compared as ARR on one day: the lines in ARR on it with the recurring charges whose period covers it.
"""

from calendar import monthrange
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from functools import cached_property, lru_cache

from app.domain.contracts import DAYS_OF_A_YEAR, LineKind, annual_recurring_revenue, months_of_term
from app.domain.fx import RateTable
from app.domain.money import Money, MoneyError, convert
from app.domain.months import MONTHS_OF_A_YEAR

HALF = Fraction(1, 2)
_months_of = lru_cache(maxsize=10_000)(months_of_term)


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """A contract line as the ledger has it. `leaves_on` is the first day on which it is not in ARR; none: no such day.

    Of what does not recur `arr_minor` is 0 and `minor` what it was sold for.
    """

    key: int
    product: int
    kind: LineKind
    currency: str
    minor: int
    arr_minor: int
    starts_on: date
    stops_on: date | None
    leaves_on: date | None
    booked_on: date
    discount: Decimal | None = None  # of 1
    pauses: tuple[
        tuple[date, date | None], ...
    ] = ()  # the first day unpaid, and the first paid again (none: not known)

    def is_in_arr(self, day: date) -> bool:
        is_begun = self.kind is LineKind.RECURRING and self.starts_on <= day
        is_paused = any(first <= day and (until is None or day < until) for first, until in self.pauses)
        return is_begun and not is_paused and (self.leaves_on is None or day < self.leaves_on)

    @property
    def days_of_change(self) -> set[date]:
        """The days on which its ARR is another than on the day before."""
        days = {self.starts_on, self.leaves_on, *(day for pause in self.pauses for day in pause)}
        return {day for day in days if day is not None}

    def is_in_grace(self, day: date) -> bool:
        return self.is_in_arr(day) and self.stops_on is not None and self.stops_on <= day


@dataclass(frozen=True, slots=True)
class Charge:
    """A row of the export. `ends_on` is the last day of its period; `price_months` how many months the amount buys.

    `minor` is what was charged, `discount_minor` what had been taken off. `repeats` is the row that has the same id
    and says the same. `is_guess`: under an id that is not the account's own but looks like it.
    """

    row: int
    product: int | None
    kind: LineKind
    currency: str
    minor: int
    starts_on: date
    ends_on: date | None
    price_months: int | None = None
    discount_minor: int = 0
    repeats: int | None = None
    is_guess: bool = False

    def covers(self, day: date) -> bool:
        is_begun = self.kind is LineKind.RECURRING and self.starts_on <= day
        return is_begun and (self.ends_on is None or day <= self.ends_on)

    @property
    def times_a_year(self) -> Fraction:
        """How often its amount falls due in a year, exactly."""
        if self.price_months is not None:
            return Fraction(MONTHS_OF_A_YEAR, self.price_months)
        if self.ends_on is None:
            raise ValueError("a recurring charge has the end of its period, or the months that it pays for")
        months = _months_of(self.starts_on, self.ends_on)
        if months is not None:
            return Fraction(MONTHS_OF_A_YEAR, months)
        return Fraction(DAYS_OF_A_YEAR, (self.ends_on - self.starts_on).days + 1)

    def annual(self, minor: int) -> int:
        """An amount of this charge as a year's worth, rounded half-even once: as a contract line's is."""
        if self.price_months is None and self.ends_on is not None:
            months = _months_of(self.starts_on, self.ends_on)
            if months is not None:
                return annual_recurring_revenue(minor, self.starts_on, ends_on=None, price_months=months)
        return annual_recurring_revenue(minor, self.starts_on, ends_on=self.ends_on, price_months=self.price_months)


@dataclass(frozen=True, slots=True)
class Priced:
    """A charge with its worth a year in the currency of what it is compared with.

    `lowest` and `highest` are its worth at the rates there were since the lines were sold; without a conversion all
    are one.
    """

    charge: Charge
    annual: int
    undiscounted: int
    lowest: int
    highest: int

    @property
    def error(self) -> Fraction:
        """How far rounding can have moved its worth: half a minor unit each time it is charged, and for the year."""
        return self.charge.times_a_year / 2 + HALF


@dataclass(frozen=True)
class BillingItem:
    """Lines and charges that are taken to be the same thing, as of a day, in the lines' currency.

    Held are those in force on the day or within `window_days` of it. `sold_once` and `charged_once` are what does not
    recur on either side: of the whole account, to find what one side takes for recurring and the other does not.
    """

    as_of: date
    window_days: int
    currency: str
    lines: tuple[LedgerLine, ...]
    charges: tuple[Priced, ...]
    sold_once: tuple[LedgerLine, ...] = ()
    charged_once: tuple[Charge, ...] = ()
    is_converted: bool = field(default=False)

    @cached_property
    def in_arr(self) -> tuple[LedgerLine, ...]:
        return tuple(line for line in self.lines if line.is_in_arr(self.as_of))

    @cached_property
    def in_force(self) -> tuple[Priced, ...]:
        """The account's own charges of the day."""
        return tuple(each for each in self.charges if each.charge.covers(self.as_of) and not each.charge.is_guess)

    @cached_property
    def guesses(self) -> tuple[Priced, ...]:
        return tuple(
            each
            for each in self.charges
            if each.charge.covers(self.as_of) and each.charge.is_guess and each.charge.repeats is None
        )

    @cached_property
    def ledger(self) -> int:
        return sum(line.arr_minor for line in self.in_arr)

    @cached_property
    def other(self) -> int:
        return sum(each.annual for each in self.in_force)

    @property
    def difference(self) -> int:
        return self.other - self.ledger

    @cached_property
    def tolerance(self) -> int:
        return rounding_of(self.in_arr, (*self.in_force, *self.guesses))

    @property
    def theirs(self) -> tuple[int, ...]:
        return tuple(each.charge.row for each in self.in_force)

    @property
    def ours(self) -> tuple[int, ...]:
        return tuple(line.key for line in self.in_arr)


def rounding_of(lines: Sequence[LedgerLine], charges: Sequence[Priced]) -> int:
    """The most that rounding makes of the same price: a minor unit a line, and the errors of the charges.

    0 where one side has nothing: then there is nothing that could have been rounded differently.
    """
    if not lines or not charges:
        return 0
    return int(len(lines) + sum((each.error for each in charges), Fraction(0)))


def by_days_of_its_month(charge: Charge) -> int | None:
    """The yearly worth of a part of a month that was charged by the month's own days; None for any other period."""
    if charge.ends_on is None or charge.price_months is not None:
        return None
    days = (charge.ends_on - charge.starts_on).days + 1
    days_of_month = monthrange(charge.starts_on.year, charge.starts_on.month)[1]
    if days >= days_of_month:
        return None
    return round(Fraction(charge.minor * MONTHS_OF_A_YEAR * days_of_month, days))


@dataclass(frozen=True, slots=True)
class Sides:
    """One account: all its contract lines, and all charges under its ids or ids that look like one of them."""

    lines: Sequence[LedgerLine]
    charges: Sequence[Charge]


@dataclass(frozen=True, slots=True)
class Moment:
    """The day of the comparison, how many days one side may be ahead of the other, and the rates known."""

    as_of: date
    window_days: int
    rates: RateTable

    @property
    def first_on(self) -> date:
        return self.as_of - timedelta(days=self.window_days)

    @property
    def last_on(self) -> date:
        return self.as_of + timedelta(days=self.window_days)


Key = tuple[int | None, str]  # a product (None: all there are), and a currency


def match_sides(sides: Sides, moment: Moment) -> list[BillingItem]:
    """Which charges of an account are compared with which of its lines; every one near the day is in just one item.

    By product and currency. In a currency with a charge of a product that nobody knows, all products together. What
    then stands alone on both sides is put together if it is the same product in two currencies and there is a rate;
    or the same sum in one currency: sold under another name.
    """
    lines: dict[Key, list[LedgerLine]] = defaultdict(list)
    charges: dict[Key, list[Charge]] = defaultdict(list)
    near = [charge for charge in sides.charges if _is_charge_near(charge, moment)]
    pooled = {charge.currency for charge in near if charge.product is None}
    for line in sides.lines:
        if _is_line_near(line, moment):
            lines[None if line.currency in pooled else line.product, line.currency].append(line)
    for charge in near:
        charges[None if charge.currency in pooled else charge.product, charge.currency].append(charge)
    sold_once = tuple(line for line in sides.lines if line.kind is not LineKind.RECURRING)
    charged_once = tuple(charge for charge in sides.charges if charge.kind is not LineKind.RECURRING)
    items = {
        key: BillingItem(
            as_of=moment.as_of,
            window_days=moment.window_days,
            currency=key[1],
            lines=tuple(lines[key]),
            charges=tuple(_priced(charge) for charge in charges[key]),
            sold_once=sold_once,
            charged_once=charged_once,
        )
        for key in sorted({*lines, *charges}, key=lambda key: (key[1], key[0] or 0))
    }
    return _join(items, moment)


def _is_line_near(line: LedgerLine, moment: Moment) -> bool:
    has_left = line.leaves_on is not None and line.leaves_on <= moment.first_on
    return line.kind is LineKind.RECURRING and line.starts_on <= moment.last_on and not has_left


def _is_charge_near(charge: Charge, moment: Moment) -> bool:
    has_ended = charge.ends_on is not None and charge.ends_on < moment.first_on
    return charge.kind is LineKind.RECURRING and charge.starts_on <= moment.last_on and not has_ended


def _priced(charge: Charge) -> Priced:
    annual = charge.annual(charge.minor)
    before = charge.annual(charge.minor + charge.discount_minor) if charge.discount_minor else annual
    return Priced(charge, annual, before, annual, annual)


def _join(items: Mapping[Key, BillingItem], moment: Moment) -> list[BillingItem]:
    """Put together what stands alone on both sides, each at most once."""
    rest = dict(items)
    for charged in items.items():
        if charged[1].lines or not charged[1].charges:
            continue
        for sold in list(rest.items()):
            joined = None if sold[1].charges or not sold[1].lines else _joined(charged, sold, moment=moment)
            if joined is not None:
                rest[sold[0]] = joined
                del rest[charged[0]]
                break
    return list(rest.values())


Keyed = tuple[Key, BillingItem]


def _joined(charged: Keyed, sold: Keyed, *, moment: Moment) -> BillingItem | None:
    (product, own), (other, currency) = charged[0], sold[0]
    item, alone = charged[1], sold[1]
    if own == currency:
        both = replace(alone, charges=item.charges)
        return both if both.in_arr and both.in_force and abs(both.difference) <= both.tolerance else None
    if None not in {product, other} and product != other:
        return None
    sold_on = min(line.booked_on for line in alone.lines)
    try:
        charges = [_converted(each, currency, sold_on=sold_on, moment=moment) for each in item.charges]
    except MoneyError:  # no rate, or more than can be booked in that currency
        return None
    return replace(alone, charges=tuple(charges), is_converted=True)


def _converted(priced: Priced, currency: str, *, sold_on: date, moment: Moment) -> Priced:
    """At the rate of the day; `lowest` and `highest` at the rates from the sale to the day."""
    own = priced.charge.currency
    now = moment.rates.rate(own, currency, on=moment.as_of)
    seen = moment.rates.rates_between(own, currency, first_on=min(sold_on, moment.as_of), last_on=moment.as_of)

    def worth(minor: int, rate: Decimal) -> int:
        return convert(Money(minor, own), currency, rate=rate).minor

    ends = sorted((worth(priced.annual, min(seen)), worth(priced.annual, max(seen))))
    return Priced(priced.charge, worth(priced.annual, now), worth(priced.undiscounted, now), ends[0], ends[1])
