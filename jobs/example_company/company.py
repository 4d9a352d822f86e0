"""The example company's calendar, price list and customers before their first deal."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import numpy as np

from app.domain.fx import Rate
from app.domain.months import Days, Ints, add_months, add_months_to_days
from jobs.example_company import names
from jobs.example_company.dynamics import ENGAGEMENT_SD, NEVER, UNDECIDED, Customers

FOUNDED_ON = date(2021, 7, 1)
REPORTING_CURRENCY = "USD"
GROSS_MARGIN = 0.80
SEGMENTS = ("Small business", "Mid-market", "Enterprise")
CHANNELS = tuple(names.CAMPAIGNS)
MINOR_DIGITS = {"USD": 2, "EUR": 2, "JPY": 0}


@dataclass(frozen=True, slots=True)
class Product:
    sku: str
    name: str
    family: str
    unit: str  # seat, flat
    monthly_price_usd: float


PLANS = (
    Product("PLAN-TEAM", "Team", "Platform", "seat", 24.0),
    Product("PLAN-BUSINESS", "Business", "Platform", "seat", 38.0),
    Product("PLAN-ENTERPRISE", "Enterprise", "Platform", "seat", 52.0),
)
ADD_ONS = (
    Product("ADD-AUTOMATION", "Automation", "Automation", "flat", 45.0),
    Product("ADD-INSIGHTS", "Insights", "Insights", "flat", 60.0),
    Product("ADD-COMPLIANCE", "Compliance", "Compliance", "flat", 80.0),
)
_ADD_ON_SIZE = np.array([1.0, 4.0, 16.0])  # price by segment, of the list price
# By segment and add-on, about 1 on average: large companies have auditors.
_ADD_ON_TASTE = np.array([[1.1, 0.8, 0.5], [1.0, 1.3, 0.8], [0.7, 1.0, 3.2]])


@dataclass(frozen=True, slots=True)
class Profile:
    """What the CRM says of each account, and what it does not: one entry an account."""

    name: tuple[str, ...]
    country: tuple[str, ...]
    currency: tuple[str, ...]
    industry: tuple[str, ...]
    channel: Ints
    campaign: tuple[str, ...]
    owner: tuple[str, ...]
    csm: tuple[str, ...]
    employees: Ints
    segment: Ints
    first_month: Ints
    billing_day: Ints  # 2 to 28: on it a term begins, and what follows it is paid
    created_on: Days
    founded_on: date  # the first day of month 0

    def day_in(self, account: int, month: int) -> date:
        """The account's billing day in a month of the company."""
        return add_months(self.founded_on, month).replace(day=int(self.billing_day[account]))

    def months_of(self, days: Days) -> Ints:
        """The month of the company in which each day lies."""
        months: Ints = (days.astype("datetime64[M]") - np.datetime64(self.founded_on, "M")).astype(np.int64)
        return months


def draw_profile(rng: np.random.Generator, *, accounts: int, months: int, founded_on: date) -> Profile:
    """Accounts join ever faster; three in ten are Japanese and pay in yen."""
    segment = rng.choice(3, accounts, p=[0.5, 0.35, 0.15])
    currency = rng.choice(["USD", "EUR", "JPY"], accounts, p=[0.45, 0.25, 0.3]).tolist()
    country = [
        str(rng.choice({"USD": ["US", "US", "CA"], "EUR": ["DE", "FR", "NL", "IT"], "JPY": ["JP"]}[c]))
        for c in currency
    ]
    channel = rng.choice(len(CHANNELS), accounts, p=[0.35, 0.15, 0.15, 0.15, 0.2])
    first_month = np.sort(np.floor((months - 1) * rng.random(accounts) ** 0.65).astype(np.int64))
    billing_day = rng.integers(2, 29, accounts)
    start = add_months_to_days(np.full(accounts, np.datetime64(founded_on)), first_month)
    return Profile(
        name=_company_names(rng, currency),
        country=tuple(country),
        currency=tuple(currency),
        industry=tuple(rng.choice(names.INDUSTRIES, accounts).tolist()),
        channel=channel,
        campaign=tuple(str(rng.choice(names.CAMPAIGNS[CHANNELS[c]])) for c in channel),
        owner=tuple(rng.choice(names.OWNERS, accounts).tolist()),
        csm=tuple(rng.choice(names.CSMS, accounts).tolist()),
        employees=np.array([40, 400, 4000])[segment] * rng.integers(1, 5, accounts) // 2,
        segment=segment,
        first_month=first_month,
        billing_day=billing_day,
        created_on=start + (billing_day - 1 - rng.integers(20, 90, accounts)).astype("timedelta64[D]"),
        founded_on=founded_on,
    )


def draw_customers(rng: np.random.Generator, profile: Profile) -> Customers:
    """The customers before any has signed. Good referrals and partners bring better ones than search does."""
    n, segment = len(profile.segment), profile.segment
    by_channel = np.array([-0.15, 0.25, 0.1, 0.0, -0.05])
    quality = rng.normal(0.0, 0.6, n) + by_channel[profile.channel] + np.array([-0.05, 0.0, 0.15])[segment]
    is_annual = rng.random(n) < np.array([0.35, 0.65, 0.9])[segment]
    list_price = np.array([plan.monthly_price_usd for plan in PLANS])[segment]
    size = np.array([11.0, 42.0, 140.0])[segment]
    return Customers(
        quality=quality,
        is_small=segment == 0,
        is_annual=is_annual,
        is_committed=is_annual & (rng.random(n) < np.array([0.3, 0.5, 0.8])[segment]),
        add_on_prices=np.array([a.monthly_price_usd for a in ADD_ONS]) * _ADD_ON_SIZE[segment][:, None],
        add_on_taste=_ADD_ON_TASTE[segment],
        live=np.zeros(n, dtype=bool),
        joined=np.full(n, NEVER),
        onboards_late=np.zeros(n, dtype=bool),
        renewal=np.full(n, NEVER),
        decision=np.full(n, UNDECIDED),
        engagement=rng.normal(0.0, ENGAGEMENT_SD, n),
        people=np.maximum(size * np.exp(0.45 * rng.standard_normal(n)), 3.0),
        seats=np.zeros(n, dtype=np.int64),
        seat_price=list_price * rng.uniform(0.8, 1.0, n),
        price_rise=np.zeros(n),
        add_ons=np.zeros((n, len(ADD_ONS)), dtype=bool),
    )


def draw_rates(rng: np.random.Generator, *, months: int, founded_on: date) -> tuple[Rate, ...]:
    """A rate at the start of each month, from the one before the first, when deals were already signed."""
    rates = []
    for currency, first, sd, digits in (("EUR", 1.09, 0.012, 4), ("JPY", 0.0072, 0.018, 7)):
        path = first * np.exp(np.cumsum(sd * rng.standard_normal(months + 2)))
        for month, value in enumerate(path, start=-1):
            on = add_months(founded_on, month)
            rates.append(Rate(on, currency, REPORTING_CURRENCY, Decimal(f"{value:.{digits}f}")))
    return tuple(rates)


def minor_units(price: float, currency: str) -> int:
    return round(price * float(10 ** MINOR_DIGITS[currency]))


def _company_names(rng: np.random.Generator, currencies: list[str]) -> tuple[str, ...]:
    west = [f"{first} {second}" for first in names.WEST_FIRST for second in names.WEST_SECOND]
    japan = [f"{first}{second}" for first in names.JAPAN_FIRST for second in names.JAPAN_SECOND]
    stems = {"west": iter(rng.permutation(west).tolist()), "japan": iter(rng.permutation(japan).tolist())}
    made, seen = [], 0
    for currency in currencies:
        kind = "japan" if currency == "JPY" else "west"
        stem = next(stems[kind], None)
        if stem is None:  # more accounts than names: number them
            seen += 1
            stem = f"{west[seen % len(west)]} {seen}"
            kind = "west"
        if kind == "japan":
            made.append(f"株式会社{stem}" if rng.random() < 0.7 else f"{stem}合同会社")
        else:
            made.append(f"{stem} {rng.choice(names.WEST_FORM.get(currency, ('K.K.',)))}")
    return tuple(made)
