"""Companies that are small, one-sided or strange, given as customers and what they did, and read in as files."""

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from sqlalchemy import Engine

from app.domain.months import add_months
from integrations.files.mapping import load_mapping
from jobs.import_files import import_files
from jobs.import_run import Options

AS_OF = date(2026, 1, 1)
MAPPING = """
system = "billing"
kind = "billing"
currency = "EUR"

[backfill]
lag_days = 0

[company]
reporting_currency = "EUR"

[[files]]
name = "customers.csv"

[files.account]
id = "id"
segment = "segment"

[files.deal]
id = "id"
account = "id"
stage = { value = "won" }
type = { value = "new" }
closed_on = "start"

[files.line]
deal = "id"
product = { value = "Plan" }
kind = { value = "recurring" }
amount = "monthly"
starts_on = "start"
term_months = "term"
price_months = { value = 1 }
auto_renew = { value = true }

[files.churn]
where = { churned = "yes" }
id = "id"
account = "id"
deal = "id"
effective_on = "left"
given_on = "given"
cause = "cause"

[[files]]
name = "usage.csv"

[files.usage]
account = "id"
day = "day"
metric = { value = "activity" }
amount = "amount"

[[files]]
name = "tickets.csv"

[files.ticket]
id = "ticket"
account = "id"
opened_on = "day"
"""


@dataclass(frozen=True)
class Customer:
    """`uses`: what it does a week while it is one; None: it is not heard of."""

    start: date
    left: date | None = None
    term: int = 1
    monthly: str = "100.00"
    segment: str = "Small"
    cause: str = "voluntary"
    given: date | None = None  # when it said that it leaves; None: when it left
    uses: float | None = None
    tickets: int = 0


def began(months_ago: int, *, leaves_after: int | None = None, **more: object) -> Customer:
    """One that began so many months before `AS_OF`, and perhaps left after so many."""
    start = add_months(AS_OF, -months_ago)
    left = None if leaves_after is None else add_months(start, leaves_after)
    return Customer(start, left, **more)  # type: ignore[arg-type]


def record(engine: Engine, customers: Sequence[Customer], folder: Path) -> None:
    """Read them in, through the same door as any company."""
    tables = {
        "customers.csv": ("id,segment,start,left,churned,term,monthly,cause,given", _customers(customers)),
        "usage.csv": ("id,day,amount", _usage(customers)),
        "tickets.csv": ("ticket,id,day", _tickets(customers)),
    }
    paths = []
    for name, (header, rows) in tables.items():
        paths.append(folder / name)
        with paths[-1].open("w", newline="") as file:
            csv.writer(file).writerows([header.split(","), *rows])
    (folder / "billing.toml").write_text(MAPPING)
    report = import_files(engine, load_mapping(folder / "billing.toml"), paths=paths, options=Options())
    assert report.rejected == 0, list(report.lines())


def _customers(customers: Sequence[Customer]) -> Iterable[tuple[object, ...]]:
    for number, one in enumerate(customers):
        left = (one.left, "yes") if one.left else ("", "no")
        yield f"C{number}", one.segment, one.start, *left, one.term, one.monthly, one.cause, one.given or one.left or ""


def _usage(customers: Sequence[Customer]) -> Iterable[tuple[object, ...]]:
    for number, one in enumerate(customers):
        if one.uses is not None:
            day = one.start
            while day < min(one.left or AS_OF, AS_OF):
                yield f"C{number}", day, one.uses
                day += timedelta(days=7)


def _tickets(customers: Sequence[Customer]) -> Iterable[tuple[object, ...]]:
    for number, one in enumerate(customers):
        for n in range(one.tickets):
            yield f"T{number}-{n}", f"C{number}", min(one.left or AS_OF, AS_OF) - timedelta(days=7 * (n + 1))
