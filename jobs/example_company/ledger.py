"""The deals, contract lines and notices that the customers' moves leave in the CRM."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np

from app.domain.months import add_months
from jobs.example_company.company import ADD_ONS, PLANS, Product, Profile, minor_units
from jobs.example_company.dynamics import TERM_MONTHS, Customers, Moves

ONE_DAY = timedelta(days=1)
REASONS = {
    "voluntary": ("Too little use", "Price", "Missing features", "Moved to a competitor"),
    "payment_failure": ("Card declined",),
    "closed": ("Acquired", "Business closed"),
}
Sold = tuple[Product, int, float]  # product, quantity, price of one a month in the reporting currency


@dataclass(frozen=True, slots=True)
class Line:
    product: Product
    quantity: int
    unit_price_minor: int  # a month
    price_months: int  # how many months the amount buys
    starts_on: date
    ends_on: date | None  # the last paid day as known now; None: it runs from month to month
    term_months: int  # as agreed, whenever it did end

    @property
    def amount_minor(self) -> int:
        return self.quantity * self.unit_price_minor * self.price_months

    def cut(self, last_on: date) -> "Line":
        runs_beyond = self.starts_on <= last_on and (self.ends_on is None or self.ends_on > last_on)
        return replace(self, ends_on=last_on) if runs_beyond else self


@dataclass(frozen=True, slots=True)
class Deal:
    number: int
    account: int
    type: str  # new, renewal, expansion
    stage: str  # won, lost
    opened_on: date
    closed_on: date
    renewal_of: int | None  # number of the deal
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Notice:
    account: int
    given_on: date
    effective_on: date  # the first unpaid day
    cause: str
    reason: str


class Ledger:
    """Grows month by month. `deals` are in the order of their numbers, which is that of the months."""

    def __init__(self, profile: Profile, *, usd_a_unit: dict[str, float], rng: np.random.Generator) -> None:
        self.deals: list[Deal] = []
        self.notices: list[Notice] = []
        self._profile = profile
        self._usd_a_unit = usd_a_unit
        self._rng = rng
        self._deals_of: dict[int, list[int]] = defaultdict(list)
        self._latest_term: dict[int, int] = {}  # the deal that an account's next renewal renews
        self._told: set[int] = set()

    def record_starts(self, customers: Customers, accounts: Sequence[int], *, month: int) -> None:
        for account in accounts:
            starts_on = self._profile.day_in(account, month)
            term = TERM_MONTHS if customers.is_annual[account] else 1
            lines = self._lines(account, self._whole(customers, account), starts_on=starts_on, term=term)
            closed_on = starts_on - self._days(1, 14)
            self._latest_term[account] = self._add(account, "new", closed_on=closed_on, lines=lines)

    def record_moves(self, customers: Customers, moves: Moves, *, month: int) -> None:
        """What one month left in the CRM; `customers` are as the month left them."""
        first_on = add_months(self._profile.founded_on, month)
        for account in np.flatnonzero(moves.told_early).tolist():
            effective_on = self._profile.day_in(account, month + 1)
            self._give_notice(account, given_on=first_on + self._days(0, 27), effective_on=effective_on)
        for account in np.flatnonzero(moves.signed_early).tolist():
            closed_on, starts_on = first_on + self._days(0, 27), self._profile.day_in(account, month + 1)
            rise = 1.0 + float(customers.price_rise[account])  # agreed, and in force from the new term on
            self._renew(customers, account, starts_on=starts_on, closed_on=closed_on, rise=rise)
        for account in np.flatnonzero(moves.renewed).tolist():
            starts_on = self._profile.day_in(account, month)
            self._renew(customers, account, starts_on=starts_on, closed_on=self._shortly_before(starts_on))
        for account in np.flatnonzero(moves.left).tolist():
            self._leave(account, self._profile.day_in(account, month), said_so=bool(moves.said_so[account]))
        for account in np.flatnonzero((moves.added_seats > 0) | moves.bought.any(axis=1)).tolist():
            self._expand(customers, account, moves=moves, month=month)

    def _renew(
        self, customers: Customers, account: int, *, starts_on: date, closed_on: date, rise: float = 1.0
    ) -> None:
        sold = self._whole(customers, account, rise=rise)
        lines = self._lines(account, sold, starts_on=starts_on, term=TERM_MONTHS)
        self._latest_term[account] = self._add(account, "renewal", closed_on=closed_on, lines=lines)

    def _expand(self, customers: Customers, account: int, *, moves: Moves, month: int) -> None:
        """More seats and add-ons run out with the term they are added to."""
        starts_on = self._profile.day_in(account, month)
        quantities = [int(moves.added_seats[account]), *moves.bought[account].astype(int).tolist()]
        whole = self._offers(customers, account)
        sold = [(product, quantity, price) for (product, price), quantity in zip(whole, quantities, strict=True)]
        term = int(customers.renewal[account]) - month if customers.is_annual[account] else 1
        lines = self._lines(account, sold, starts_on=starts_on, term=term, is_open=not customers.is_annual[account])
        self._add(account, "expansion", closed_on=self._shortly_before(starts_on), lines=lines)

    def _leave(self, account: int, left_on: date, *, said_so: bool) -> None:
        for number in self._deals_of[account]:
            lines = tuple(line.cut(left_on - ONE_DAY) for line in self.deals[number].lines)
            self.deals[number] = replace(self.deals[number], lines=lines)
        if not said_so:
            self._add(account, "renewal", closed_on=left_on, lines=())
        elif account not in self._told:
            self._give_notice(account, given_on=self._shortly_before(left_on), effective_on=left_on)
        self._told.discard(account)

    def _give_notice(self, account: int, *, given_on: date, effective_on: date) -> None:
        cause = str(self._rng.choice(["voluntary", "payment_failure", "closed"], p=[0.85, 0.1, 0.05]))
        self.notices.append(Notice(account, given_on, effective_on, cause, str(self._rng.choice(REASONS[cause]))))
        self._told.add(account)

    def _add(self, account: int, kind: str, *, closed_on: date, lines: tuple[Line, ...]) -> int:
        number, stage = len(self.deals), "won" if lines else "lost"
        renewal_of = self._latest_term.get(account) if kind == "renewal" else None
        opened_on = closed_on - self._days(10, 70)
        self.deals.append(Deal(number, account, kind, stage, opened_on, closed_on, renewal_of, lines))
        self._deals_of[account].append(number)
        return number

    def _offers(self, customers: Customers, account: int) -> list[tuple[Product, float]]:
        prices = [float(customers.seat_price[account]), *customers.add_on_prices[account].tolist()]
        return list(zip((PLANS[self._profile.segment[account]], *ADD_ONS), prices, strict=True))

    def _whole(self, customers: Customers, account: int, *, rise: float = 1.0) -> list[Sold]:
        quantities = [int(customers.seats[account]), *customers.add_ons[account].astype(int).tolist()]
        rises = [rise, *(1.0 for _ in ADD_ONS)]
        offers = zip(self._offers(customers, account), quantities, rises, strict=True)
        return [(product, quantity, price * own_rise) for (product, price), quantity, own_rise in offers]

    def _lines(
        self, account: int, sold: Sequence[Sold], *, starts_on: date, term: int, is_open: bool | None = None
    ) -> tuple[Line, ...]:
        currency = self._profile.currency[account]
        runs_on = term == 1 if is_open is None else is_open
        ends_on = None if runs_on else add_months(starts_on, term) - ONE_DAY
        return tuple(
            Line(
                product=product,
                quantity=quantity,
                unit_price_minor=minor_units(price / self._usd_a_unit[currency], currency),
                price_months=term,
                starts_on=starts_on,
                ends_on=ends_on,
                term_months=term,
            )
            for product, quantity, price in sold
            if quantity
        )

    def _shortly_before(self, day: date) -> date:
        """A day of the same month, the day itself left out."""
        return day - self._days(1, min(day.day - 1, 12))

    def _days(self, least: int, most: int) -> timedelta:
        return timedelta(days=int(self._rng.integers(least, most + 1)))
