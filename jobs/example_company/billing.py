"""What the customers were billed, and when they paid.

Whether a bill is paid in time rests on the state of the month in which it is sent, as every other signal does:
an unpaid one says how little a customer cares, and nothing of what was decided since.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np

from app.domain.months import Days, add_months
from jobs.example_company.dynamics import Ints
from jobs.example_company.history import History
from jobs.example_company.ledger import Line

NAT = np.datetime64("NaT", "D")
MONTHLY_TERMS_DAYS, YEARLY_TERMS_DAYS = 14, 30


@dataclass(frozen=True, slots=True)
class Invoices:
    account: Ints
    issued_on: Days
    due_on: Days
    paid_on: Days  # NaT: not yet
    amount_minor: Ints


def draw_invoices(history: History, rng: np.random.Generator) -> Invoices:
    """A bill for each term at its start, for each month where the contract runs by the month."""
    bills = sorted(_add_up(history).items())
    account = np.array([account for (account, _), _ in bills], dtype=np.int64)
    issued_on = np.array([day for (_, day), _ in bills], dtype="datetime64[D]")
    terms_days = np.where(history.customers.is_annual[account], YEARLY_TERMS_DAYS, MONTHLY_TERMS_DAYS)
    due_on = issued_on + terms_days
    u = history.diary.engagement[account, history.profile.months_of(issued_on)]
    is_late = rng.random(len(bills)) < 1.0 / (1.0 + np.exp(1.4 + 0.8 * u))
    late_days = 1 + np.rint(rng.gamma(1.5, 20.0, len(bills))).astype(np.int64)
    early_days = np.rint(terms_days * rng.beta(1.5, 3.0, len(bills))).astype(np.int64)
    paid_on = due_on + np.where(is_late, late_days, -early_days)
    return Invoices(
        account=account,
        issued_on=issued_on,
        due_on=due_on,
        paid_on=np.where(paid_on < np.datetime64(history.as_of), paid_on, NAT),
        amount_minor=np.array([amount for _, amount in bills], dtype=np.int64),
    )


def _add_up(history: History) -> dict[tuple[int, date], int]:
    """By account and day of billing, what falls due together."""
    amounts: dict[tuple[int, date], int] = defaultdict(int)
    for deal in history.ledger.deals:
        for line in deal.lines:
            for day in _billed_on(line, as_of=history.as_of):
                amounts[deal.account, day] += line.amount_minor
    return amounts


def _billed_on(line: Line, *, as_of: date) -> Iterator[date]:
    """Each day on which a price falls due: only the first, unless the line runs from month to month."""
    number = 0
    day = line.starts_on
    while day < as_of and (line.ends_on is None or day <= line.ends_on):
        yield day
        if line.term_months > 1:
            return
        number += 1
        day = add_months(line.starts_on, number * line.price_months)
