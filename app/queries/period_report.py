"""The report of a month from the stored movements, as known at an instant: closed, or as it would be closed now."""

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any

from sqlalchemy import case, distinct, func, select
from sqlalchemy.orm import Session

from app.domain.closed_period import Booked, Bridge, Report, Retention, total_bridges
from app.domain.fx import MissingRate, RateTable
from app.domain.money import Money
from app.domain.months import MONTHS_OF_A_YEAR, add_months
from app.domain.periods import Period
from app.domain.revenue_retention import (
    Category,
    Ratio,
    gross_revenue_retention,
    gross_revenue_retention_of_movements,
    left_between,
    logo_retention,
    net_revenue_retention,
    net_revenue_retention_of_movements,
    net_revenue_retention_with_reactivation,
    quick_ratio,
)
from app.models.ledger import Movement
from app.models.products import Product
from app.queries.facts import Known
from app.queries.fx import load_rates
from app.queries.known import in_force
from app.queries.revenue import BookingsQuestion, FxChoice, load_bookings
from app.queries.survivors import load_survivors

OPENING = "opening"
ONE_DAY = timedelta(days=1)
SETTINGS = ("reporting_currency", "reporting_timezone", "fiscal_year_start_month", "grace_days")
BATCH = 500

ByAccount = dict[tuple[int, str], int]  # by account and currency
Steps = list[tuple[int, date, str, int]]


def derive_report(session: Session, period: Period, *, known: Known) -> Report:
    """What the month's books say. `known.as_of` is the month's last day; `known.settings` are those in force on it."""
    window = add_months(period.last_on + ONE_DAY, -MONTHS_OF_A_YEAR) - ONE_DAY
    accounts = _Accounts(session, period, known=known, window=window)
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
        counts=accounts.counts | {"deals": sum(each.deals for each in bookings if each.product is None)},
    )


# --- ARR and bookings ---


def _bridges(session: Session, period: Period, *, known: Known) -> list[Bridge]:
    """By product and currency, those that have ARR or moved."""
    part = case((Movement.moved_on < period.first_on, OPENING), else_=Movement.category)
    statement = (
        select(Product.sku, Movement.currency, part.label("part"), func.sum(Movement.amount_minor))
        .join(Product, Product.id == Movement.product_id)
        .where(in_force(Movement, known.known_at), Movement.moved_on <= period.last_on)
        .group_by(Product.sku, Movement.currency, part)
    )
    parts: dict[tuple[str, str], dict[str, int]] = {}
    for sku, currency, name, minor in session.execute(statement):
        parts.setdefault((sku, currency), {})[name] = int(minor)
    bridges = [
        Bridge(sku, currency, sums.pop(OPENING, 0), {Category(name): minor for name, minor in sums.items()})
        for (sku, currency), sums in sorted(parts.items())
    ]
    return [each for each in bridges if each.opening or each.moved]


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


class _Accounts:
    """What each account paid at the days that matter. Merged ones are the account that they live on in throughout."""

    def __init__(self, session: Session, period: Period, *, known: Known, window: date) -> None:
        self._session, self._period, self._known, self._window = session, period, known, window
        self._survivors = load_survivors(session, known_at=known.known_at)
        self.at_window: ByAccount = {}
        self.at_opening: ByAccount = {}
        self.at_closing: ByAccount = {}
        for account, currency, *sums in session.execute(self._sums()):
            for balances, minor in zip((self.at_window, self.at_opening, self.at_closing), sums, strict=True):
                if minor:
                    key = (self._survivors.get(account, account), currency)
                    balances[key] = balances.get(key, 0) + int(minor)
        self.left = left_between(self.at_window, self._steps())
        self.counts = self._count()

    def _sums(self) -> Any:
        def until(day: date) -> Any:
            return func.sum(case((Movement.moved_on <= day, Movement.amount_minor), else_=0))

        ends = (self._window, self._period.first_on - ONE_DAY, self._period.last_on)
        return (
            select(Movement.account_id, Movement.currency, *map(until, ends))
            .where(in_force(Movement, self._known.known_at), Movement.moved_on <= self._period.last_on)
            .group_by(Movement.account_id, Movement.currency)
        )

    def _steps(self) -> Steps:
        """All that moved in the window of the accounts that may have left in it: those with a churn."""
        row = Movement
        churned = self._in_window(select(row.account_id).distinct()).where(row.category == Category.CHURN.value)
        gone = {self._survivors.get(account, account) for account in self._session.scalars(churned)}
        own = sorted({*gone, *(old for old, kept in self._survivors.items() if kept in gone)})
        steps: Steps = []
        for start in range(0, len(own), BATCH):
            columns = select(row.account_id, row.moved_on, row.currency, row.amount_minor)
            some = self._in_window(columns).where(row.account_id.in_(own[start : start + BATCH]))
            for account, *step in self._session.execute(some):
                steps.append((self._survivors.get(account, account), *step))
        return steps

    def _in_window(self, statement: Any) -> Any:
        is_inside = (Movement.moved_on > self._window, Movement.moved_on <= self._period.last_on)
        return statement.where(in_force(Movement, self._known.known_at), *is_inside)

    def _count(self) -> dict[str, int]:
        row = Movement
        is_inside = (row.moved_on >= self._period.first_on, row.moved_on <= self._period.last_on)
        counts = func.count(distinct(row.account_id)), func.count()
        statement = select(row.category, *counts).where(in_force(row, self._known.known_at), *is_inside)
        found = {category: tuple(each) for category, *each in self._session.execute(statement.group_by(row.category))}
        own = (Category.NEW, Category.REACTIVATION, Category.CHURN)
        return {
            "accounts_at_opening": len(paying(self.at_opening)),
            "accounts_at_closing": len(paying(self.at_closing)),
            "movements": sum(movements for _, movements in found.values()),
            **{f"accounts_{category.value}": found.get(category.value, (0, 0))[0] for category in own},
        }


def paying(balances: Mapping[tuple[int, str], int]) -> set[int]:
    """The accounts with recurring revenue above zero in any currency."""
    return {account for (account, _), minor in balances.items() if minor > 0}


# --- Retention ---


def _retentions(session: Session, accounts: _Accounts, *, known: Known, window: date) -> Iterable[Retention]:
    """All currencies together, then each for itself."""
    row = Movement
    inside = (row.moved_on > window, row.moved_on <= known.as_of)
    statement = select(row.currency, row.category, func.sum(row.amount_minor)).where(
        in_force(row, known.known_at), *inside
    )
    moved: dict[str, dict[Category, int]] = {}
    for currency, category, minor in session.execute(statement.group_by(row.currency, row.category)):
        moved.setdefault(currency, {})[Category(category)] = int(minor)
    currencies = sorted(moved.keys() | {currency for _, currency in accounts.at_window})
    yield _retention_of_all(session, accounts, moved=moved, known=known, window=window)
    for currency in currencies:
        opening, closing = (_of_currency(each, currency) for each in (accounts.at_window, accounts.at_closing))
        yield Retention(currency, _ratios(opening, closing, moved=moved.get(currency, {}), left=accounts.left))


def _retention_of_all(
    session: Session, accounts: _Accounts, *, moved: Mapping[str, Mapping[Category, int]], known: Known, window: date
) -> Retention:
    rates, currency = load_rates(session, known_at=known.known_at), known.settings.reporting_currency
    logo = {"logo_retention@1": logo_retention(paying(accounts.at_window), paying(accounts.at_closing))}
    try:
        opening, closing = (
            _converted(each, rates, currency=currency, on=window) for each in (accounts.at_window, accounts.at_closing)
        )
        sums: dict[Category, int] = {}
        for own, by_category in moved.items():
            for category, minor in by_category.items():
                worth = rates.convert(Money(minor, own), currency, on=window).minor
                sums[category] = sums.get(category, 0) + worth
    except MissingRate as missing:
        return Retention(None, logo, f"Currencies cannot be added up: {missing}.")
    return Retention(None, _ratios(opening, closing, moved=sums, left=accounts.left) | logo)


def _ratios(
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


def _of_currency(balances: ByAccount, currency: str) -> dict[int, int]:
    return {account: minor for (account, own), minor in balances.items() if own == currency}


def _converted(balances: ByAccount, rates: RateTable, *, currency: str, on: date) -> dict[int, int]:
    """What each account pays in the reporting currency: each of its currencies converted and rounded once."""
    found: dict[int, int] = {}
    for (account, own), minor in balances.items():
        found[account] = found.get(account, 0) + rates.convert(Money(minor, own), currency, on=on).minor
    return found
