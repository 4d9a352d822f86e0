"""What is kept of recurring revenue over a window, and what moved it. All sums are of integers in minor units.

Accounts are given as mappings to what they pay a year, `opening` at the end of t0 and `closing` at the end of t1; who
is missing from one has nothing. Less than nothing (a discount that outlived its line) is nothing here. What each figure
means is in definitions_revenue.py.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_EVEN, Context, Decimal
from enum import StrEnum
from fractions import Fraction

from app.domain.months import MONTHS_OF_A_YEAR

Arr = Mapping[int, int]
DIGITS = 6
NOBODY = "Nobody had recurring revenue at the beginning of the window."
NO_OPENING = "There was no recurring revenue at the beginning of the window."
NOTHING_DUE = "No renewal was due in the period."
NOTHING_LOST = "No recurring revenue was lost in the window."


class Category(StrEnum):
    NEW = "new"
    REACTIVATION = "reactivation"
    EXPANSION = "expansion"
    CONTRACTION = "contraction"
    CHURN = "churn"
    TRANSFER = "transfer"
    FX = "fx"


Moved = Mapping[Category, int]  # signed: churn and contraction are below zero


@dataclass(frozen=True, slots=True)
class Ratio:
    """numerator / denominator; of a denominator of 0 there is no value, and `reason` says why."""

    numerator: int
    denominator: int
    reason: str | None = None

    @property
    def value(self) -> Decimal | None:
        """Rounded half-even to six digits after the point; None where it is undefined."""
        if self.reason is not None:
            return None
        return _rounded(Fraction(self.numerator, self.denominator))


def net_revenue_retention(opening: Arr, closing: Arr, *, left: Collection[int]) -> Ratio:
    """nrr@1: sum of a1 / sum of a0 over those with a0 > 0; a1 = 0 for `left`, who had nothing on some day between."""
    return _of_cohort(opening, lambda account, _: 0 if account in left else _paid(closing, account))


def net_revenue_retention_with_reactivation(opening: Arr, closing: Arr) -> Ratio:
    """nrr_with_reactivation@1: as nrr@1, and whoever left and came back counts what they pay at t1."""
    return _of_cohort(opening, lambda account, _: _paid(closing, account))


def gross_revenue_retention(opening: Arr, closing: Arr, *, left: Collection[int]) -> Ratio:
    """grr@1: as nrr@1, each account at most at a0. Never above 1, and never above nrr@1."""
    return _of_cohort(opening, lambda account, a0: 0 if account in left else min(_paid(closing, account), a0))


def logo_retention(opening: Collection[int], closing: Collection[int]) -> Ratio:
    """logo_retention@1: of the accounts that pay at t0, the share that pays at t1."""
    cohort = set(opening)
    return Ratio(len(cohort & set(closing)), len(cohort), None if cohort else NOBODY)


def net_revenue_retention_of_movements(opening: int, moved: Moved) -> Ratio:
    """nrr_aggregate@1: 1 + (expansion + reactivation + contraction + churn) / opening, signed."""
    kept = (Category.EXPANSION, Category.REACTIVATION, Category.CONTRACTION, Category.CHURN)
    return _of_opening(opening, opening + _sum_of(moved, kept))


def gross_revenue_retention_of_movements(opening: int, moved: Moved) -> Ratio:
    """grr_aggregate@1: 1 + (contraction + churn) / opening, signed, and not below 0."""
    return _of_opening(opening, max(0, opening + _sum_of(moved, (Category.CONTRACTION, Category.CHURN))))


def renewal_rate(renewals: Iterable[tuple[int, int]]) -> Ratio:
    """renewal_rate@1: of pairs (due, renewed) in minor units, sum of min(renewed, due) / sum of due.

    Raises ValueError where less than nothing was due.
    """
    pairs = list(renewals)
    if any(due < 0 for due, _ in pairs):
        raise ValueError("what is due cannot be below zero")
    due = sum(due for due, _ in pairs)
    return Ratio(sum(max(0, min(renewed, due)) for due, renewed in pairs), due, None if due else NOTHING_DUE)


def quick_ratio(moved: Moved) -> Ratio:
    """quick_ratio@1: (new + reactivation + expansion) / what contraction and churn took away."""
    lost = -_sum_of(moved, (Category.CONTRACTION, Category.CHURN))
    won = _sum_of(moved, (Category.NEW, Category.REACTIVATION, Category.EXPANSION))
    return Ratio(won, lost, None if lost > 0 else NOTHING_LOST)


def committed_arr(arr: int, *, signed: int, notified: int) -> int:
    """carr@1: ARR + signed and not yet started - notified and not yet left, all in minor units of one currency."""
    return arr + signed - notified


def annual_churn(monthly: Decimal) -> Decimal:
    """annual_churn@1: 1 - (1 - c)^12 for a share c lost a month, exact but for a rounding at the 6th digit.

    Raises ValueError unless 0 <= c <= 1.
    """
    if not 0 <= monthly <= 1:
        raise ValueError("a share that is lost lies between 0 and 1")
    return _rounded(1 - (1 - Fraction(monthly)) ** MONTHS_OF_A_YEAR)


def net_movements(opening: Arr, closing: Arr, *, paid_before: Collection[int]) -> dict[Category, int]:
    """movements_net@1 of one currency: closing - opening of each account under one category, zeros left out.

    `paid_before`: accounts that had recurring revenue at any time before t0. Here less than nothing is what it is, so
    that the sum is that of the ledger.
    """
    found: dict[Category, int] = {}
    for account in sorted(set(opening) | set(closing)):
        before, after = opening.get(account, 0), closing.get(account, 0)
        if before != after:
            category = _net_category(before, after, has_paid=account in paid_before)
            found[category] = found.get(category, 0) + after - before
    return found


def left_between(opening: Mapping[tuple[int, str], int], steps: Iterable[tuple[int, date, str, int]]) -> set[int]:
    """The accounts that paid at t0 and had nothing, in any currency, at the end of some day since.

    `opening`: ARR at t0 by account and currency. `steps`: (account, day, currency, signed amount), in any order; all of
    an account's of the window, or none where it cannot have left.
    """
    standing: dict[int, dict[str, int]] = {}
    for (account, currency), amount in opening.items():
        standing.setdefault(account, {})[currency] = amount
    by_account: dict[int, list[tuple[date, str, int]]] = {}
    for account, day, currency, amount in steps:
        by_account.setdefault(account, []).append((day, currency, amount))
    paying = {account for account, amounts in standing.items() if _has_something(amounts)}
    return {account for account in paying & set(by_account) if _leaves(standing[account], by_account[account])}


def _leaves(standing: Mapping[str, int], steps: Iterable[tuple[date, str, int]]) -> bool:
    amounts, ordered = dict(standing), sorted(steps)
    for number, (day, currency, amount) in enumerate(ordered, start=1):
        amounts[currency] = amounts.get(currency, 0) + amount
        is_end_of_day = number == len(ordered) or ordered[number][0] != day
        if is_end_of_day and not _has_something(amounts):
            return True
    return False


def _has_something(amounts: Mapping[str, int]) -> bool:
    return any(amount > 0 for amount in amounts.values())


def _paid(arr: Arr, account: int) -> int:
    return max(0, arr.get(account, 0))


def _of_cohort(opening: Arr, kept: Callable[[int, int], int]) -> Ratio:
    cohort = {account: amount for account, amount in opening.items() if amount > 0}
    numerator = sum(kept(account, amount) for account, amount in cohort.items())
    return Ratio(numerator, sum(cohort.values()), None if cohort else NOBODY)


def _of_opening(opening: int, numerator: int) -> Ratio:
    return Ratio(numerator, opening, None if opening > 0 else NO_OPENING)


def _sum_of(moved: Moved, categories: Iterable[Category]) -> int:
    return sum(moved.get(category, 0) for category in categories)


def _net_category(before: int, after: int, *, has_paid: bool) -> Category:
    if before <= 0 < after:
        return Category.REACTIVATION if has_paid else Category.NEW
    if after <= 0 < before:
        return Category.CHURN
    return Category.EXPANSION if after > before else Category.CONTRACTION


def _rounded(exact: Fraction) -> Decimal:
    """Half-even, by whole numbers: no intermediate result is rounded."""
    scaled = round(exact * 10**DIGITS)
    return Decimal(scaled).scaleb(-DIGITS, Context(prec=60, rounding=ROUND_HALF_EVEN))
