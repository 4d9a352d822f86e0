"""The company's months one after the other: who was a customer on which days, in what state, and what was signed."""

from dataclasses import dataclass
from datetime import date

import numpy as np

from app.domain.fx import Rate, RateTable
from app.domain.months import add_months
from jobs.example_company.company import (
    REPORTING_CURRENCY,
    Profile,
    draw_customers,
    draw_profile,
    draw_rates,
)
from jobs.example_company.dynamics import NEVER, Bools, Customers, Floats, Ints, start_spells, step
from jobs.example_company.ledger import Ledger

RETURNS_A_MONTH = 0.012
GONE_FOR_MONTHS = 3  # before anybody comes back


@dataclass(frozen=True, slots=True)
class Diary:
    """The state in each month, accounts x months; a day is a day of the month."""

    engagement: Floats  # u = q + e
    people: Floats
    seats: Ints
    tenure: Ints  # months since the present spell began
    onboards_late: Bools
    first_day: Ints  # first and last day of the month as a customer; first > last: none
    last_day: Ints


@dataclass(frozen=True, slots=True)
class History:
    profile: Profile
    customers: Customers  # as the last month left them
    diary: Diary
    ledger: Ledger
    rates: tuple[Rate, ...]
    as_of: date


def live_through(seed: int, *, accounts: int, months: int, founded_on: date) -> History:
    """From the company's first month to the day before `as_of`, the first day of the month after the last."""
    rng = np.random.default_rng([seed, 0])
    as_of = add_months(founded_on, months)
    rates = draw_rates(rng, months=months, founded_on=founded_on)
    profile = draw_profile(rng, accounts=accounts, months=months, founded_on=founded_on)
    customers = draw_customers(rng, profile)
    table = RateTable(rates)
    usd_a_unit = {c: float(table.rate(c, REPORTING_CURRENCY, on=as_of)) for c in set(profile.currency)}
    ledger = Ledger(profile, usd_a_unit=usd_a_unit, rng=np.random.default_rng([seed, 1]))
    left_in = np.full(accounts, NEVER)
    pages = []
    for month in range(months):
        moves = step(customers, month=month, rng=rng)
        ledger.record_moves(customers, moves, month=month)
        left_in[moves.left] = month
        returns = (left_in > NEVER) & (month - left_in > GONE_FOR_MONTHS) & (rng.random(accounts) < RETURNS_A_MONTH)
        starting = (profile.first_month == month) | (returns & ~customers.live)
        start_spells(customers, starting, month=month, rng=rng)
        ledger.record_starts(customers, np.flatnonzero(starting).tolist(), month=month)
        pages.append(_write_page(customers, profile, month=month, starting=starting, left=moves.left))
    diary = Diary(*(np.stack(column, axis=1) for column in zip(*pages, strict=True)))
    return History(profile, customers, diary, ledger, rates, as_of)


def _write_page(
    customers: Customers, profile: Profile, *, month: int, starting: Bools, left: Bools
) -> tuple[Floats | Ints | Bools, ...]:
    """The columns of `Diary` for one month."""
    month_days = (add_months(profile.founded_on, month + 1) - add_months(profile.founded_on, month)).days
    here = customers.live | left
    return (
        customers.quality + customers.engagement,
        customers.people.copy(),
        customers.seats.copy(),
        month - customers.joined,
        customers.onboards_late.copy(),
        np.where(here, np.where(starting, profile.billing_day, 1), 1),
        np.where(here, np.where(left, profile.billing_day - 1, month_days), 0),
    )
