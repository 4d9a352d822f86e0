"""What accounts paid at the two ends of a window and how they moved inside it: what ratios of retention are made of."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date

from sqlalchemy.orm import Session

from app.domain.fx import RateTable
from app.domain.money import Money
from app.domain.revenue_retention import (
    Category,
    Ratio,
    gross_revenue_retention,
    gross_revenue_retention_of_movements,
    logo_retention,
    net_revenue_retention,
    net_revenue_retention_of_movements,
    net_revenue_retention_with_reactivation,
    quick_ratio,
)
from app.queries.movements import MovementsAsked, MovementSum, load_movements

BATCH = 500

Balances = dict[tuple[int, str], int]  # by account and currency


def less_moved(balances: Balances, sums: Sequence[MovementSum], *, survivor: Callable[[int], int]) -> Balances:
    """What each had before it moved so; zeros left out."""
    found = dict(balances)
    for each in sums:
        key = (survivor(each.key[0]), each.key[1])
        found[key] = found.get(key, 0) - each.amount_minor
    return {key: minor for key, minor in found.items() if minor}


def load_steps(
    session: Session, inside: MovementsAsked, *, own: Sequence[int], survivor: Callable[[int], int]
) -> Iterator[tuple[int, date, str, int]]:
    """All that moved in the window of the accounts that may have left in it: those with a churn."""
    for start in range(0, len(own), BATCH):
        for each in load_movements(session, replace(inside, account_ids=own[start : start + BATCH])):
            yield survivor(each.account_id), each.moved_on, each.currency, each.amount_minor


def paying(balances: Mapping[tuple[int, str], int]) -> set[int]:
    """The accounts with recurring revenue above zero in any currency."""
    return {account for (account, _), minor in balances.items() if minor > 0}


def find_ratios(
    opening: Mapping[int, int], closing: Mapping[int, int], *, moved: Mapping[Category, int], left: set[int]
) -> dict[str, Ratio]:
    whole = sum(opening.values())
    paid, pays = ({account for account, minor in each.items() if minor > 0} for each in (opening, closing))
    return {
        "nrr@1": net_revenue_retention(opening, closing, left=left),
        "nrr_with_reactivation@1": net_revenue_retention_with_reactivation(opening, closing),
        "nrr_aggregate@1": net_revenue_retention_of_movements(whole, moved),
        "grr@1": gross_revenue_retention(opening, closing, left=left),
        "grr_aggregate@1": gross_revenue_retention_of_movements(whole, moved),
        "logo_retention@1": logo_retention(paid, pays),
        "quick_ratio@1": quick_ratio(moved),
    }


def of_currency(balances: Balances, currency: str) -> dict[int, int]:
    return {account: minor for (account, own), minor in balances.items() if own == currency}


def convert_balances(balances: Balances, rates: RateTable, *, currency: str, on: date) -> dict[int, int]:
    """What each account pays in the reporting currency: each of its currencies converted and rounded once."""
    found: dict[int, int] = {}
    for (account, own), minor in balances.items():
        found[account] = found.get(account, 0) + rates.convert(Money(minor, own), currency, on=on).minor
    return found
