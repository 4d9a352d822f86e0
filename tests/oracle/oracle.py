"""What the ledger must hold after any history of a CRM: replayed from its beginning, from the documents alone.

Written from docs/import.md ("Terms and prices"), docs/crm.md ("A cancellation") and the words of the CRM's interface;
nothing of the product is used.
Slow and plain on purpose: fractions, dates counted by hand, no state kept between two questions.
"""

from calendar import monthrange
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from math import floor
from typing import NamedTuple

MINOR = {"USD": 100, "JPY": 1, "KWD": 1000}
LONGEST_TERM_MONTHS = 240


@dataclass(frozen=True)
class Sold:
    """A line as it stands in the CRM. `price_months`: what the amount buys, if not the whole term."""

    key: str
    product: str
    kind: str
    quantity: Decimal
    amount: Decimal
    starts_on: date | None = None
    ends_on: date | None = None
    term_months: int | None = None
    price_months: int | None = None
    auto_renew: bool = False


@dataclass(frozen=True)
class Told:
    """A deal was created, or made to be so. One that cancels says from when nothing is paid, and may name a deal."""

    deal: str
    company: str
    stage: str
    closed_on: date
    currency: str
    lines: tuple[Sold, ...]
    cancels_on: date | None = None
    cancels: str | None = None


@dataclass(frozen=True)
class Deleted:
    deal: str


@dataclass(frozen=True)
class Restored:
    deal: str


@dataclass(frozen=True)
class DealsMerged:
    """The other is no more; what it sold is the kept one's, or nothing."""

    kept: str
    other: str


@dataclass(frozen=True)
class CompaniesMerged:
    """The other lives on in the kept one, with all that it bought."""

    kept: str
    other: str


Event = Told | Deleted | Restored | DealsMerged | CompaniesMerged


class Line(NamedTuple):
    deal: str
    key: str
    account: str
    product: str
    kind: str
    starts_on: date
    ends_on: date | None
    quantity: Decimal
    amount_minor: int
    currency: str
    arr_minor: int | None


def lines_after(history: Sequence[Event]) -> set[Line]:
    """The contract lines that stand at the end of a history: those of won deals that are there."""
    deals: dict[str, Told] = {}
    hidden: set[str] = set()
    for event in history:
        if isinstance(event, Told):
            deals[event.deal] = event
        elif isinstance(event, Deleted):
            hidden.add(event.deal)
        elif isinstance(event, Restored):
            hidden.remove(event.deal)
        elif isinstance(event, DealsMerged):
            hidden.add(event.other)
    standing = [deal for name, deal in deals.items() if name not in hidden and deal.stage == "won"]
    agreed = {line for deal in standing for line in _lines(deal, _lives_on_in(deal.company, history))}
    stops: dict[Line, date] = {}
    for cancelling in standing:
        if cancelling.cancels_on is not None:
            account = _lives_on_in(cancelling.company, history)
            for line in _cancelled(cancelling, account, deals, agreed):
                stops[line] = min(stops.get(line, cancelling.cancels_on), cancelling.cancels_on)
    return {_stopped(line, stops.get(line)) for line in agreed}


def _cancelled(cancelling: Told, account: str, deals: Mapping[str, Told], agreed: Iterable[Line]) -> list[Line]:
    """What it ends of the deal that it names, else of each that was closed by then and runs on the first unpaid day."""
    stops_on = cancelling.cancels_on
    assert stops_on is not None
    if cancelling.cancels is not None:
        return _recurring_or_all([line for line in agreed if line.deal == cancelling.cancels])
    running = {
        line.deal
        for line in agreed
        if line.account == account
        and line.kind == "recurring"
        and line.starts_on < stops_on
        and (line.ends_on is None or line.ends_on >= stops_on)
        and deals[line.deal].closed_on <= cancelling.closed_on
    }
    return [line for line in agreed if line.deal in running and line.kind == "recurring"]


def _recurring_or_all(lines: list[Line]) -> list[Line]:
    return [line for line in lines if line.kind == "recurring"] or lines


def _stopped(line: Line, stops_on: date | None) -> Line:
    """It is paid to the day before, if it was agreed to be paid so long; what a year of it is worth stays."""
    if stops_on is None:
        return line
    last_paid_on = stops_on - timedelta(days=1)
    return line._replace(ends_on=last_paid_on if line.ends_on is None else min(line.ends_on, last_paid_on))


def _lives_on_in(company: str, history: Sequence[Event]) -> str:
    for event in history:
        if isinstance(event, CompaniesMerged) and event.other == company:
            return _lives_on_in(event.kept, history)
    return company


def _lines(deal: Told, account: str) -> list[Line]:
    if deal.cancels_on is not None:  # what cancels sells nothing
        return []
    amounts = _rounded([line.amount for line in deal.lines], MINOR[deal.currency])
    found = []
    for line, amount in zip(deal.lines, amounts, strict=True):
        starts_on = line.starts_on or deal.closed_on
        ends_on = _ends_on(line, starts_on)
        arr = _arr(line, amount, starts_on, ends_on) if line.kind == "recurring" else None
        bought = (account, line.product, line.kind, starts_on, ends_on, line.quantity, amount, deal.currency, arr)
        found.append(Line(deal.deal, line.key, *bought))
    return found


def _rounded(amounts: Sequence[Decimal], per_unit: int) -> list[int]:
    """The deal's sum rounded half-even once, spread by largest remainder, the earlier line first among equals."""
    exact = [Fraction(amount) * per_unit for amount in amounts]
    total = round(sum(exact, Fraction(0)))  # of a fraction, half-even
    parts = [floor(each) for each in exact]
    while sum(parts) < total:
        poorest = max(range(len(parts)), key=lambda i: (exact[i] - parts[i], -i))
        parts[poorest] += 1
        exact[poorest] = Fraction(parts[poorest] - 1)  # it had its share
    return parts


def _ends_on(line: Sold, starts_on: date) -> date | None:
    if line.ends_on is not None or line.kind != "recurring":
        return line.ends_on
    if line.term_months is None or line.auto_renew:
        return None
    return _months_later(starts_on, line.term_months) - timedelta(days=1)


def _arr(line: Sold, amount: int, starts_on: date, ends_on: date | None) -> int:
    """amount x 12 / months; of a term that is not whole months, amount x 365 / days."""
    if line.price_months is not None:
        return round(Fraction(amount * 12, line.price_months))
    if ends_on is None:
        assert line.term_months is not None, "a line until notice needs a price period"
        return round(Fraction(amount * 12, line.term_months))
    for months in range(1, LONGEST_TERM_MONTHS + 1):
        if _months_later(starts_on, months) - timedelta(days=1) == ends_on:
            return round(Fraction(amount * 12, months))
    return round(Fraction(amount * 365, (ends_on - starts_on).days + 1))


def _months_later(day: date, months: int) -> date:
    """The same day of a later month, or its last where it is shorter."""
    year, month = day.year, day.month
    for _ in range(months):
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
    return date(year, month, min(day.day, monthrange(year, month)[1]))
