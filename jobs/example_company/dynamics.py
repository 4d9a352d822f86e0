"""How the customers of the example company live: engagement, seats, renewals, leaving, buying more.

One function, `step`, moves any number of customers on by a calendar month. The company's history is
one such run; the truth about a customer is many, from where the history left off.

A customer's engagement is u = q + e: q its own for good, e an AR(1) by month. What is decided in a
month rests on the month before. A monthly contract can be left every month; an annual one at the end
of its term, and within it, at a small hazard, unless it is committed. One annual customer in four
decides the month before its renewal and says so: by an early notice, or by signing early.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

TERM_MONTHS = 12
NEVER = -(10**6)  # a month index before all others
ENGAGEMENT_CARRY, ENGAGEMENT_SD = 0.85, 0.7
DECIDES_EARLY = 0.25
UNDECIDED, STAYING, LEAVING = 0, 1, 2


@dataclass(slots=True)
class Customers:
    """One entry a customer; months are counted from the company's first. Changed in place by `step`."""

    quality: Floats
    is_small: Bools
    is_annual: Bools
    is_committed: Bools
    add_on_prices: Floats  # customers x add-ons, a month, in the reporting currency
    add_on_taste: Floats  # customers x add-ons: how much likelier than on average it is to buy each
    live: Bools
    joined: Ints  # month in which the present spell began
    onboards_late: Bools  # of the present spell
    renewal: Ints  # month in which the present term runs out; NEVER for monthly contracts
    decision: Ints
    engagement: Floats  # e
    people: Floats  # who would use the product if there were a seat for each
    seats: Ints
    seat_price: Floats  # a month, in the reporting currency
    price_rise: Floats  # of the next term, once it is signed
    add_ons: Bools  # customers x add-ons: owned

    @property
    def mrr(self) -> Floats:
        full: Floats = self.seats * self.seat_price + (self.add_ons * self.add_on_prices).sum(axis=1)
        return np.where(self.live, full, 0.0)

    def take(self, rows: Ints) -> "Customers":
        """A copy of the given customers, each as often as it is named."""
        return Customers(**{field.name: getattr(self, field.name)[rows].copy() for field in fields(self)})


@dataclass(frozen=True, slots=True)
class Moves:
    """What happened in one month, by customer."""

    left: Bools
    said_so: Bools  # of those who left: by notice, not by letting the term lapse
    told_early: Bools  # gave notice for the coming month's renewal
    signed_early: Bools  # signed the coming month's renewal
    renewed: Bools  # began a new term that was not signed early
    added_seats: Ints
    bought: Bools  # customers x add-ons


def step(customers: Customers, *, month: int, rng: np.random.Generator) -> Moves:
    """Move all customers on through calendar month `month`, decisions first, engagement after."""
    before = customers.quality + customers.engagement
    draw, early_draw, word_draw = rng.random((3, len(before)))
    at_renewal = draw < renewal_hazard(customers, before)
    due = customers.live & (customers.renewal == month)
    undecided = customers.decision == UNDECIDED
    early = customers.live & (customers.renewal == month + 1) & undecided & (early_draw < DECIDES_EARLY)
    left_at_term = due & ((customers.decision == LEAVING) | (undecided & at_renewal))
    renewed = due & ~left_at_term
    between = customers.live & ~due & undecided & ~early & (customers.joined < month)
    left_between = between & (draw < running_hazard(customers, before, month=month))
    said_so = left_between | (left_at_term & ((customers.decision == LEAVING) | (word_draw < 0.5)))
    left = left_at_term | left_between
    told_early, signed_early = early & at_renewal, early & ~at_renewal
    customers.live &= ~left
    rise = rng.choice([0.0, 0.03, 0.05], len(before), p=[0.6, 0.3, 0.1])
    decides = early | (due & undecided)
    customers.price_rise[decides] = rise[decides]
    _renew(customers, renewed, was_open=undecided, rng=rng)
    customers.decision[told_early] = LEAVING
    customers.decision[signed_early] = STAYING
    _drift(customers, rng)
    free = customers.live & (customers.joined < month) & ~due & (customers.renewal != month + 1)
    return Moves(
        left=left,
        said_so=said_so,
        told_early=told_early,
        signed_early=signed_early,
        renewed=renewed & undecided,
        added_seats=_add_seats(customers, free, rng=rng),
        bought=_buy_add_ons(customers, free, rng=rng),
    )


def renewal_hazard(customers: Customers, engagement: Floats) -> Floats:
    """Chance of leaving at the end of a term."""
    first_term_spoilt = customers.onboards_late & (customers.renewal - customers.joined <= TERM_MONTHS)
    return _expit(_logit(0.12) - 1.1 * _felt(engagement) + 0.35 * customers.is_small + 0.5 * first_term_spoilt)


def running_hazard(customers: Customers, engagement: Floats, *, month: int) -> Floats:
    """Chance of leaving in a month that is not the end of a term longer than a month."""
    tenure = month - customers.joined
    young, spoilt = tenure <= 3, customers.onboards_late & (tenure <= 6)
    felt = _felt(engagement)
    monthly = _logit(0.014) - 0.9 * felt + 0.35 * customers.is_small + 0.5 * young + 0.8 * spoilt
    annual = _logit(0.002) - 0.6 * felt + 0.35 * customers.is_small
    return np.where(customers.is_annual, ~customers.is_committed * _expit(annual), _expit(monthly))


def start_spells(customers: Customers, starting: Bools, *, month: int, rng: np.random.Generator) -> None:
    """Customers that sign for the first time, or again, in `month`."""
    n = int(starting.sum())
    onboards_late = rng.random(n) < np.where(customers.is_small[starting], 0.3, 0.4)
    customers.live |= starting
    customers.joined[starting] = month
    customers.onboards_late[starting] = onboards_late
    customers.renewal[starting] = np.where(customers.is_annual[starting], month + TERM_MONTHS, NEVER)
    customers.decision[starting] = UNDECIDED
    customers.engagement[starting] = rng.normal(0.0, ENGAGEMENT_SD, n) - 0.4 * onboards_late
    customers.seats[starting] = np.ceil(customers.people[starting] * rng.uniform(1.0, 1.35, n)).astype(np.int64)
    customers.add_ons[starting] = rng.random((n, customers.add_ons.shape[1])) < 0.1 * customers.add_on_taste[starting]


def _felt(engagement: Floats) -> Floats:
    """Disappointment weighs more than delight."""
    return np.where(engagement < 0, 1.1 * engagement, 0.9 * engagement)


def _renew(customers: Customers, renewed: Bools, *, was_open: Bools, rng: np.random.Generator) -> None:
    """A new term: often at a higher price; who had many empty seats, and did not sign early, gives some back."""
    n = len(renewed)
    wanted = np.maximum(np.ceil(customers.people * 1.1), 1).astype(np.int64)
    gives_back = was_open & (wanted < 0.75 * customers.seats) & (rng.random(n) < 0.5)
    customers.seat_price[renewed] *= 1.0 + customers.price_rise[renewed]
    customers.seats[renewed & gives_back] = wanted[renewed & gives_back]
    customers.renewal[renewed] += TERM_MONTHS
    customers.decision[renewed] = UNDECIDED


def _drift(customers: Customers, rng: np.random.Generator) -> None:
    noise, luck = rng.standard_normal((2, len(customers.live)))
    fresh = ENGAGEMENT_SD * np.sqrt(1.0 - ENGAGEMENT_CARRY**2)
    customers.engagement *= ENGAGEMENT_CARRY
    customers.engagement += fresh * noise
    u = customers.quality + customers.engagement
    customers.people *= np.exp(0.004 * u - 0.0025 + 0.02 * luck)


def _add_seats(customers: Customers, free: Bools, *, rng: np.random.Generator) -> Ints:
    """Who runs out of seats buys more, most within half a year."""
    pressure = _expit((customers.people / np.maximum(customers.seats, 1) - 0.95) / 0.03)
    buys = free & (rng.random(len(free)) < 0.25 * pressure)
    wanted = np.ceil(customers.people * rng.uniform(1.05, 1.2, len(free))).astype(np.int64)
    added: Ints = np.where(buys, np.maximum(wanted - customers.seats, 1), 0)
    customers.seats += added
    return added


def _buy_add_ons(customers: Customers, free: Bools, *, rng: np.random.Generator) -> Bools:
    u = customers.quality + customers.engagement
    chance = 0.003 * np.exp(0.5 * np.clip(u, -3.0, 3.0))[:, None] * customers.add_on_taste
    bought: Bools = free[:, None] & ~customers.add_ons & (rng.random(customers.add_ons.shape) < chance)
    customers.add_ons |= bought
    return bought


def _logit(p: float) -> float:
    return float(np.log(p / (1.0 - p)))


def _expit(x: Floats) -> Floats:
    result: Floats = 1.0 / (1.0 + np.exp(-x))
    return result
