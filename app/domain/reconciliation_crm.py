"""What a CRM says its won deals are worth, beside what the ledger booked of them, line by line."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from app.domain.contracts import LineKind
from app.domain.money import minor_digits
from app.domain.reconciliation import Check, Found, Part, Position, Reason, Takes, explain


@dataclass(frozen=True, slots=True)
class BookedLine:
    """A line of a deal: what was booked of it, what it is worth a year (0: it does not recur), and before discount."""

    key: int
    kind: LineKind
    minor: int
    arr_minor: int
    undiscounted_minor: int


@dataclass(frozen=True, slots=True)
class BookedDeal:
    """A won deal. `exact` is the CRM's own amount in major units, as its text has it."""

    key: int
    account: int | None
    currency: str
    exact: Decimal
    lines: tuple[BookedLine, ...]

    @property
    def ledger(self) -> int:
        return sum(line.minor for line in self.lines)

    @property
    def other(self) -> int:
        return in_minor(Fraction(self.exact), self.currency)

    @property
    def difference(self) -> int:
        return self.other - self.ledger

    @property
    def tolerance(self) -> int:
        """A deal is rounded once, and that spread over its lines: rounding moves no minor unit in or out."""
        return 0

    @property
    def theirs(self) -> tuple[int, ...]:
        return (self.key,)

    @property
    def ours(self) -> tuple[int, ...]:
        return tuple(line.key for line in self.lines)

    @property
    def recurring(self) -> tuple[BookedLine, ...]:
        return tuple(line for line in self.lines if line.kind is LineKind.RECURRING)


def exact_minor(amount: Fraction, currency: str) -> Fraction:
    """An amount in major units as minor units, with all its digits."""
    scale: int = 10 ** minor_digits(currency)
    return amount * scale


def in_minor(amount: Fraction, currency: str) -> int:
    """An exact amount in major units, rounded half-even once."""
    return round(exact_minor(amount, currency))


def _no_lines(deal: BookedDeal, remaining: int) -> Iterator[Found]:
    if not deal.lines:
        yield Found(remaining, (deal.key,))


def _without_once(deal: BookedDeal, remaining: int) -> Iterator[Found]:
    """The CRM's amount is of what recurs alone."""
    once = [line for line in deal.lines if line.kind is not LineKind.RECURRING]
    if once and remaining == -sum(line.minor for line in once):
        yield Found(remaining, (deal.key,), tuple(line.key for line in once))


def _one_year(deal: BookedDeal, remaining: int) -> Iterator[Found]:
    """The CRM's amount is a year of the term, with or without what is sold once."""
    year = sum(line.arr_minor for line in deal.recurring)
    once = sum(line.minor for line in deal.lines if line.kind is not LineKind.RECURRING)
    if deal.recurring and deal.ledger + remaining in {year, year + once}:
        yield Found(remaining, (deal.key,), tuple(line.key for line in deal.recurring))


def _undiscounted(deal: BookedDeal, _remaining: int) -> Iterator[Found]:
    for line in deal.lines:
        if line.undiscounted_minor != line.minor:
            yield Found(line.undiscounted_minor - line.minor, (deal.key,), (line.key,))


R, ALL, PARTS = Reason, Takes.ALL, Takes.PARTS
CHECKS: tuple[Check[BookedDeal], ...] = (
    Check("no_lines", R.MISSING_IN_LEDGER, ALL, _no_lines, "The won deal has no lines in the ledger."),
    Check("without_once", R.ONE_TIME, ALL, _without_once, "The CRM's amount leaves out what is sold once."),
    Check("one_year", R.TIMING, ALL, _one_year, "The CRM's amount is one year of the term."),
    Check("undiscounted", R.DISCOUNT, PARTS, _undiscounted, "The CRM's amount is before the discount of the lines."),
)
ROUNDED = "rounded_by_deal"
ROUNDED_WORDS = "The ledger rounds each deal to the minor unit; the CRM's amounts add up unrounded."


def compare_deals(deals: Iterable[BookedDeal], *, account: int | None) -> list[Position]:
    """The won deals of an account on both sides, by currency: `other` is the exact sum of the CRM's amounts, rounded.

    The deals are rounded one by one in the ledger: what that makes of their sum is a part of its own.
    """
    by_currency: dict[str, list[BookedDeal]] = defaultdict(list)
    for deal in deals:
        by_currency[deal.currency].append(deal)
    return [_position(own, account=account, currency=currency) for currency, own in sorted(by_currency.items())]


def _position(deals: Sequence[BookedDeal], *, account: int | None, currency: str) -> Position:
    other = in_minor(sum((Fraction(deal.exact) for deal in deals), Fraction(0)), currency)
    parts = [part for deal in deals for part in explain(deal, CHECKS)]
    rounding = other - sum(deal.other for deal in deals)
    if rounding:
        finer = tuple(deal.key for deal in deals if exact_minor(Fraction(deal.exact), currency).denominator > 1)
        parts.append(Part(Reason.ROUNDING, ROUNDED, rounding, finer))
    ledger = sum(deal.ledger for deal in deals)
    return Position(account, None, currency, ledger, other, tuple(parts))
