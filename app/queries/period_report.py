"""The report of a month from the stored movements, as known at an instant: closed, or as it would be closed now."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.closed_period import Booked, Bridge, Report, Retention, total_bridges
from app.domain.fx import MissingRate
from app.domain.money import Money
from app.domain.months import MONTHS_OF_A_YEAR, add_months
from app.domain.periods import Period
from app.domain.revenue_retention import Category, left_between, logo_retention
from app.models.products import Product
from app.queries.balances import (
    Balances,
    convert_balances,
    find_ratios,
    less_moved,
    load_steps,
    of_currency,
    paying,
)
from app.queries.facts import Known
from app.queries.fx import load_rates
from app.queries.ledger import load_rules
from app.queries.movements import MovementsAsked, MovementSum, load_arr_by_account, sum_movements
from app.queries.revenue import BookingsQuestion, FxChoice, load_bookings

ONE_DAY = timedelta(days=1)
SETTINGS = ("reporting_currency", "reporting_timezone", "fiscal_year_start_month", "grace_days")


def derive_report(session: Session, period: Period, *, known: Known) -> Report:
    """What the month's books say. `known.as_of` is the month's last day; `known.settings` are those in force on it."""
    window = add_months(period.last_on + ONE_DAY, -MONTHS_OF_A_YEAR) - ONE_DAY
    accounts = _load_accounts(session, period, known=known, window=window)
    bridges = _bridges(session, period, known=known)
    bookings = _bookings(session, period, known=known)
    return Report(
        period=period,
        known_at=known.known_at,
        settings={name: getattr(known.settings, name) for name in SETTINGS},
        bridges=(*total_bridges(bridges), *bridges),
        bookings=bookings,
        window=window,
        retentions=tuple(_retentions(session, accounts, known=known, window=window)),
        counts=_count(accounts) | {"deals": sum(each.deals for each in bookings if each.product is None)},
    )


# --- ARR and bookings ---


def _bridges(session: Session, period: Period, *, known: Known) -> list[Bridge]:
    """By product and currency, those that have ARR or moved."""
    skus = {row.id: row.sku for row in session.execute(select(Product.id, Product.sku))}
    before = MovementsAsked(known.known_at, period.first_on - ONE_DAY)
    inside = MovementsAsked(known.known_at, period.last_on, period.first_on)
    opening = {each.key: each.amount_minor for each in sum_movements(session, before, by=("product", "currency"))}
    moved: dict[Any, dict[Category, int]] = {}
    for each in sum_movements(session, inside, by=("product", "currency", "category")):
        product, currency, category = each.key
        moved.setdefault((product, currency), {})[Category(category)] = each.amount_minor
    keys = sorted(moved.keys() | {key for key, minor in opening.items() if minor}, key=lambda key: (skus[key[0]], key))
    return [
        Bridge(skus[product], currency, opening.get((product, currency), 0), moved.get((product, currency), {}))
        for product, currency in keys
    ]


def _bookings(session: Session, period: Period, *, known: Known) -> tuple[Booked, ...]:
    found: list[Booked] = []
    for group_by in ("all", "product"):
        question = BookingsQuestion(period=period.name, group_by=group_by, fx=FxChoice(is_off=True))
        totals = [each.total for each in load_bookings(session, question, known=known).groups]
        found += [
            Booked(None if group_by == "all" else total.group, total.amount.currency, total.amount.minor, total.items)
            for total in totals
        ]
    return tuple(found)


# --- Accounts ---


@dataclass(frozen=True, slots=True)
class _Accounts:
    """What each paid at the days that matter; a merged one is the account that it lives on in throughout."""

    at_window: Balances
    at_opening: Balances
    at_closing: Balances
    left: set[int]  # had nothing on some day of the window
    moved: Mapping[str, Mapping[Category, int]]  # in the window, by currency
    of_month: list[MovementSum]  # by account, currency and category


def _load_accounts(session: Session, period: Period, *, known: Known, window: date) -> _Accounts:
    """All movements are added up once, for the last day; the other two days are that less what moved since."""
    by = ("account", "currency", "category")
    inside = MovementsAsked(known.known_at, period.last_on, window + ONE_DAY)
    of_window = sum_movements(session, inside, by=by)
    of_month = sum_movements(session, replace(inside, first_on=period.first_on), by=by)
    at_closing = load_arr_by_account(session, known_at=known.known_at, as_of=period.last_on, through_merges=True)
    survivor = load_rules(session, known.known_at).survivor
    at_window, at_opening = (less_moved(at_closing, sums, survivor=survivor) for sums in (of_window, of_month))
    gone = {survivor(each.key[0]) for each in of_window if each.key[2] == Category.CHURN}
    own = sorted({each.key[0] for each in of_window if survivor(each.key[0]) in gone})
    left = left_between(at_window, load_steps(session, inside, own=own, survivor=survivor))
    return _Accounts(at_window, at_opening, at_closing, left, _by_currency(of_window), of_month)


def _by_currency(sums: list[MovementSum]) -> dict[str, dict[Category, int]]:
    moved: dict[str, dict[Category, int]] = {}
    for each in sums:
        _, currency, category = each.key
        own = moved.setdefault(currency, {})
        own[Category(category)] = own.get(Category(category), 0) + each.amount_minor
    return moved


def _count(accounts: _Accounts) -> dict[str, int]:
    own = (Category.NEW, Category.REACTIVATION, Category.CHURN)
    moved = {category: {each.key[0] for each in accounts.of_month if each.key[2] == category} for category in own}
    return {
        "accounts_at_opening": len(paying(accounts.at_opening)),
        "accounts_at_closing": len(paying(accounts.at_closing)),
        "movements": sum(each.movements for each in accounts.of_month),
        **{f"accounts_{category.value}": len(ids) for category, ids in moved.items()},
    }


# --- Retention ---


def _retentions(session: Session, accounts: _Accounts, *, known: Known, window: date) -> Iterator[Retention]:
    """All currencies together, then each for itself."""
    yield _retention_of_all(session, accounts, known=known, window=window)
    for currency in sorted(accounts.moved.keys() | {currency for _, currency in accounts.at_window}):
        opening, closing = (of_currency(each, currency) for each in (accounts.at_window, accounts.at_closing))
        yield Retention(
            currency, find_ratios(opening, closing, moved=accounts.moved.get(currency, {}), left=accounts.left)
        )


def _retention_of_all(session: Session, accounts: _Accounts, *, known: Known, window: date) -> Retention:
    rates, currency = load_rates(session, known_at=known.known_at), known.settings.reporting_currency
    logo = {"logo_retention@1": logo_retention(paying(accounts.at_window), paying(accounts.at_closing))}
    try:
        opening, closing = (
            convert_balances(each, rates, currency=currency, on=window)
            for each in (accounts.at_window, accounts.at_closing)
        )
        sums: dict[Category, int] = {}
        for own, by_category in accounts.moved.items():
            for category, minor in by_category.items():
                worth = rates.convert(Money(minor, own), currency, on=window).minor
                sums[category] = sums.get(category, 0) + worth
    except MissingRate as missing:
        return Retention(None, logo, f"Currencies cannot be added up: {missing}.")
    return Retention(None, find_ratios(opening, closing, moved=sums, left=accounts.left) | logo)
