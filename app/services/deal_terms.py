"""What a deal comes to: its amounts rounded, its lines' terms and yearly worth. Nothing is stored here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from app.domain.contracts import LineKind, annual_recurring_revenue, months_of_term
from app.domain.money import Money, MoneyError, exact_sum, round_to_money, spread
from app.domain.months import add_months
from integrations.files.rows import ClosedDeal, DealRow, LineRow

DAYS_OF_A_MONTH = 30.4375


class DealRefused(ValueError):
    """Why a deal cannot be recorded; `field` says where it shows, `line` at which of its lines (None: the deal)."""

    def __init__(self, field: str, reason: str, *, line: int | None = None) -> None:
        super().__init__(reason)
        self.field = field
        self.line = line


@dataclass(frozen=True, slots=True)
class LineTerms:
    """A line with its amount booked and its term settled."""

    row: LineRow
    amount: Money
    starts_on: date
    ends_on: date | None  # the last paid day; None: it renews until somebody ends it, or does not recur
    term_months: int | None
    arr_minor: int | None  # None for what does not recur

    @property
    def is_evergreen(self) -> bool:
        return self.ends_on is None and self.row.kind == LineKind.RECURRING


@dataclass(frozen=True, slots=True)
class DealTerms:
    deal: DealRow
    amount: Money | None
    exact: Decimal | None  # as the source has it
    lines: tuple[LineTerms, ...] = ()


def settle(closed: ClosedDeal) -> DealTerms:
    """Round a deal half-even once, spread that over its lines, and settle each line's term and ARR.

    The deal's own amount is what is booked; without one it is the sum of its lines. Where the two
    differ by more than rounding, the lines keep their own sum. Raises DealRefused for currencies
    that are mixed or missing, amounts beyond what can be booked, two lines of one key, a term that
    ends before it begins, and a won deal with lines of no account: nobody would owe its contract.
    """
    deal, lines = closed.deal, closed.lines
    if lines and deal.stage == "won" and deal.account is None:
        raise DealRefused("account", "a won deal with lines needs an account")
    currency = _currency(closed)
    keys = [line.key for line in lines]
    for position, line in enumerate(lines):
        if line.key in keys[:position]:
            raise DealRefused("key", f"the deal has two lines {line.key!r}; each needs its own key", line=position)
        _check_amount(line, currency, position=position)
    sum_of_lines = exact_sum([line.amount for line in lines])
    exact = deal.amount if deal.amount is not None else sum_of_lines if lines else None
    if exact is None:
        return DealTerms(deal, None, None)
    try:
        booked = round_to_money(exact, currency)
        total = booked if _is_same(booked, sum_of_lines) else round_to_money(sum_of_lines, currency)
        amounts = spread(total, [line.amount for line in lines]) if lines else []
    except MoneyError as error:
        raise DealRefused("amount", str(error)) from None
    settled = tuple(
        _line(deal, pair, position=position) for position, pair in enumerate(zip(lines, amounts, strict=True))
    )
    return DealTerms(deal, booked, exact, settled)


def _check_amount(line: LineRow, currency: str, *, position: int) -> None:
    try:
        round_to_money(line.amount, currency)
    except MoneyError as error:
        raise DealRefused("amount", str(error), line=position) from None


def _is_same(booked: Money, sum_of_lines: Decimal) -> bool:
    return round_to_money(sum_of_lines, booked.currency) == booked


def _currency(closed: ClosedDeal) -> str:
    given = {line.currency for line in closed.lines} | {closed.deal.currency}
    named = sorted(currency for currency in given if currency)
    if not named and (closed.lines or closed.deal.amount is not None):
        raise DealRefused("currency", "an amount needs a currency; set `currency` in the mapping")
    if len(named) > 1:
        raise DealRefused("currency", f"the deal mixes {' and '.join(named)}; a deal has one currency")
    return named[0] if named else ""


def _line(deal: DealRow, pair: tuple[LineRow, Money], *, position: int) -> LineTerms:
    row, amount = pair
    starts_on = row.starts_on or deal.closed_on
    if starts_on is None:
        raise DealRefused("starts_on", "the line has no first day, and its deal no day of closing", line=position)
    if row.ends_on is not None and row.ends_on < starts_on:
        reason = f"the term ends on {row.ends_on}, before it begins on {starts_on}"
        raise DealRefused("ends_on", reason, line=position)
    if row.kind != LineKind.RECURRING:
        return LineTerms(row, amount, starts_on, row.ends_on, None, None)
    ends_on = row.ends_on
    if ends_on is None and row.term_months is not None and not row.auto_renew:
        ends_on = add_months(starts_on, row.term_months) - timedelta(days=1)
    price_months = row.price_months or (row.term_months if ends_on is None else None)
    arr = annual_recurring_revenue(amount.minor, starts_on, ends_on=ends_on, price_months=price_months)
    return LineTerms(row, amount, starts_on, ends_on, _term_months(row, starts_on=starts_on, ends_on=ends_on), arr)


def _term_months(row: LineRow, *, starts_on: date, ends_on: date | None) -> int | None:
    """The agreed term; what is not whole months is the nearest number of them."""
    if row.term_months is not None:
        return row.term_months
    if ends_on is None:
        return row.price_months
    whole = months_of_term(starts_on, ends_on)
    return whole or max(1, round(((ends_on - starts_on).days + 1) / DAYS_OF_A_MONTH))


def longest_term(lines: Sequence[LineTerms]) -> int | None:
    return max((line.term_months for line in lines if line.term_months is not None), default=None)
