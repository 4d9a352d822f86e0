"""What the customers' state leaves in the product, the help desk, the surveys and the calendar.

Nothing here looks ahead: a day's signals come from the state of its own month.
"""

from dataclasses import dataclass

import numpy as np

from app.domain.months import Days
from jobs.example_company.dynamics import Bools, Ints
from jobs.example_company.history import History

FEATURES = ("reports", "approvals", "imports", "api")
MILESTONES = (("Kick-off", 7), ("Data imported", 21), ("Team trained", 35), ("Live", 60), ("First review", 90))
TOUCH_KINDS = ("call", "meeting", "mail", "review")
TOPICS = ("Reports for beginners", "Approvals in practice", "Importing data", "First steps with the API")  # by feature
ONE_DAY = np.timedelta64(1, "D")
NAT = np.datetime64("NaT", "D")


@dataclass(frozen=True, slots=True)
class Usage:
    """Rows of the product's daily export: people active, or actions in one feature."""

    account: Ints
    day: Days
    feature: Ints  # index into FEATURES; -1: the row counts active people
    amount: Ints


@dataclass(frozen=True, slots=True)
class Milestones:
    account: Ints
    deal: Ints
    position: Ints
    planned_on: Days
    due_on: Days
    done_on: Days  # NaT: still open


@dataclass(frozen=True, slots=True)
class Tickets:
    account: Ints
    opened_on: Days
    closed_on: Days  # NaT: still open
    is_escalated: Bools


@dataclass(frozen=True, slots=True)
class Surveys:
    account: Ints
    answered_on: Days
    is_nps: Bools
    score: Ints


@dataclass(frozen=True, slots=True)
class Touches:
    account: Ints
    occurred_on: Days
    kind: Ints  # index into TOUCH_KINDS


@dataclass(frozen=True, slots=True)
class Trainings:
    account: Ints
    occurred_on: Days
    feature: Ints  # index into FEATURES: what was taught
    attendees: Ints


@dataclass(frozen=True, slots=True)
class AccountDays:
    """Every day of every customer; `cell` is the place in the diary's flattened arrays."""

    account: Ints
    day: Days
    cell: Ints


def lay_out_days(history: History) -> AccountDays:
    diary = history.diary
    accounts, months = diary.seats.shape
    length = np.maximum(diary.last_day - diary.first_day + 1, 0).ravel()
    cell = np.repeat(np.arange(accounts * months), length)
    within = np.arange(len(cell)) - np.repeat(np.cumsum(length) - length, length)
    origin = np.datetime64(history.profile.founded_on, "M") + np.arange(months)
    day = origin[cell % months].astype("datetime64[D]") + (diary.first_day.ravel()[cell] - 1 + within)
    return AccountDays(cell // months, day.astype("datetime64[D]"), cell)


def draw_usage(history: History, days: AccountDays, *, rng: np.random.Generator) -> Usage:
    """Each account has its own habits: which features it takes to, and how much it does for its size."""
    diary, cell = history.diary, days.cell
    accounts = len(history.profile.segment)
    u, tenure = diary.engagement.ravel()[cell], diary.tenure.ravel()[cell]
    late = diary.onboards_late.ravel()[cell] & (tenure < 3)
    ramp = np.array([0.55, 0.8, 1.0])[np.minimum(tenure, 2)] * np.where(late, 0.7, 1.0)
    busy = np.where(np.is_busday(days.day), 1.0, 0.01)
    able = np.minimum(np.rint(diary.people.ravel()[cell]), diary.seats.ravel()[cell]).astype(np.int64)
    active = rng.binomial(able, np.clip(ramp * busy / (1.0 + np.exp(-0.3 - 0.8 * u)), 0.0, 1.0))
    taste = rng.dirichlet([2.0, 1.2, 0.8, 0.5], accounts)
    zeal = np.exp(0.2 * rng.standard_normal(accounts))
    actions = (0.18 * zeal[days.account] * active**0.75 * np.exp(0.35 * u))[:, None] * taste[days.account]
    counts = rng.poisson(actions)
    amounts = np.column_stack([active, counts])
    row, column = np.nonzero(amounts)
    return Usage(
        account=days.account[row],
        day=days.day[row],
        feature=column - 1,
        amount=amounts[row, column],
    )


def draw_milestones(history: History, rng: np.random.Generator) -> Milestones:
    """A plan for each first deal of a spell. A late one slips more with every step; a lost customer's stays open."""
    diary = history.diary
    starts = [deal for deal in history.ledger.deals if deal.type == "new"]
    account = np.array([deal.account for deal in starts], dtype=np.int64)
    began = np.array([deal.lines[0].starts_on for deal in starts], dtype="datetime64[D]")
    ended = np.array([deal.lines[0].ends_on or NAT for deal in starts], dtype="datetime64[D]")
    due_days = np.array([days for _, days in MILESTONES])
    late = diary.onboards_late[account, history.profile.months_of(began)]
    slip = np.where(late, rng.gamma(3.0, 6.0, len(starts)), 0.0)[:, None] * np.arange(1, 6) / 3
    delay = np.rint(slip + rng.normal(-1.0, 2.0, (len(starts), len(due_days)))).astype(np.int64)
    due_on = began[:, None] + due_days
    done_on = np.maximum(due_on + delay, began[:, None] + 1)
    never = (done_on >= np.datetime64(history.as_of)) | (done_on > ended[:, None])
    return Milestones(
        account=np.repeat(account, len(due_days)),
        deal=np.repeat([deal.number for deal in starts], len(due_days)),
        position=np.tile(np.arange(1, len(due_days) + 1), len(starts)),
        planned_on=np.repeat(began, len(due_days)),
        due_on=due_on.ravel(),
        done_on=np.where(never, NAT, done_on).ravel(),
    )


def draw_tickets(history: History, days: AccountDays, *, rng: np.random.Generator) -> Tickets:
    u, people = history.diary.engagement.ravel()[days.cell], history.diary.people.ravel()[days.cell]
    a_day = 0.004 * np.sqrt(people) * np.exp(-0.4 * u) * np.where(np.is_busday(days.day), 1.0, 0.1)
    row = np.flatnonzero(rng.random(len(u)) < a_day)
    opened_on = days.day[row]
    closed_on = opened_on + (1 + rng.geometric(0.25, len(row)))
    return Tickets(
        account=days.account[row],
        opened_on=opened_on,
        closed_on=np.where(closed_on < np.datetime64(history.as_of), closed_on, NAT),
        is_escalated=rng.random(len(row)) < 0.12 * np.exp(-0.5 * u[row]),
    )


def draw_surveys(history: History, days: AccountDays, *, tickets: Tickets, rng: np.random.Generator) -> Surveys:
    """A recommendation question about twice a year, of which half are answered; a rating after some tickets."""
    u, seniority = history.diary.engagement.ravel()[days.cell], history.diary.tenure.ravel()[days.cell]
    asked = np.flatnonzero((rng.random(len(u)) < 1 / 260) & (seniority >= 2) & np.is_busday(days.day))
    nps = np.clip(np.rint(7.3 + 1.5 * u[asked] + 1.5 * rng.standard_normal(len(asked))), 0, 10)
    rated = np.flatnonzero(~np.isnat(tickets.closed_on) & (rng.random(len(tickets.account)) < 0.3))
    month = history.profile.months_of(tickets.closed_on[rated])
    felt = history.diary.engagement[tickets.account[rated], month] - 0.6 * tickets.is_escalated[rated]
    csat = np.clip(np.rint(4.0 + 0.5 * felt + 0.8 * rng.standard_normal(len(rated))), 1, 5)
    return Surveys(
        account=np.concatenate([days.account[asked], tickets.account[rated]]),
        answered_on=np.concatenate([days.day[asked], tickets.closed_on[rated]]),
        is_nps=np.arange(len(asked) + len(rated)) < len(asked),
        score=np.concatenate([nps, csat]).astype(np.int64),
    )


def draw_touches(history: History, days: AccountDays, *, rng: np.random.Generator) -> Touches:
    """Large accounts are called on more often; nobody knows yet who needs it most."""
    a_day = np.array([1 / 60, 1 / 30, 1 / 14])[history.profile.segment][days.account] * np.is_busday(days.day)
    row = np.flatnonzero(rng.random(len(a_day)) < a_day)
    return Touches(days.account[row], days.day[row], rng.choice(len(TOUCH_KINDS), len(row), p=[0.35, 0.2, 0.35, 0.1]))


def draw_trainings(history: History, days: AccountDays, *, rng: np.random.Generator) -> Trainings:
    """Most often in the first quarter, later about once a year; who likes the product comes more often."""
    diary, cell = history.diary, days.cell
    is_new = diary.tenure.ravel()[cell] < 3
    a_day = np.where(is_new, 1 / 50, 1 / 260) * np.exp(0.3 * diary.engagement.ravel()[cell]) * np.is_busday(days.day)
    row = np.flatnonzero(rng.random(len(a_day)) < a_day)
    people = diary.people.ravel()[cell[row]]
    return Trainings(
        account=days.account[row],
        occurred_on=days.day[row],
        feature=rng.choice(len(FEATURES), len(row), p=[0.4, 0.3, 0.2, 0.1]),
        attendees=1 + rng.poisson(0.15 * people),
    )
