"""Months, quarters and years of the company's books.

Quarters and years follow the fiscal year and are named after the calendar year it begins in: with
a fiscal year from April, 2026-Q1 is April to June 2026, and 2026-Q4 January to March 2027.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from app.domain.months import add_months

_NAME = re.compile(r"(?P<year>[12][0-9]{3})(?:-(?:(?P<month>0[1-9]|1[0-2])|Q(?P<quarter>[1-4])))?", re.ASCII)


class Grain(StrEnum):
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


MONTHS_OF = {Grain.MONTH: 1, Grain.QUARTER: 3, Grain.YEAR: 12}


@dataclass(frozen=True, slots=True)
class Period:
    """Both days included."""

    name: str
    first_on: date
    last_on: date


def parse_period(name: str, *, fiscal_start_month: int) -> Period:
    """The period called 2026-03, 2026-Q1 or 2026; ValueError for any other name."""
    found = _NAME.fullmatch(name)
    if found is None:
        raise ValueError("a period is called like 2026-03, 2026-Q1 or 2026")
    year, month, quarter = int(found["year"]), found["month"], found["quarter"]
    if month:
        return _period(date(year, int(month), 1), Grain.MONTH, fiscal_start_month=fiscal_start_month)
    first_on = add_months(date(year, fiscal_start_month, 1), 3 * (int(quarter or 1) - 1))
    return _period(first_on, Grain.QUARTER if quarter else Grain.YEAR, fiscal_start_month=fiscal_start_month)


def split_into_periods(first_on: date, last_on: date, *, grain: Grain, fiscal_start_month: int) -> Iterator[Period]:
    """The periods that the days from `first_on` to `last_on` fall into, the outer ones cut to them."""
    months_in = (first_on.month - fiscal_start_month) % MONTHS_OF[grain]
    start = add_months(first_on.replace(day=1), -months_in)
    while start <= last_on:
        whole = _period(start, grain, fiscal_start_month=fiscal_start_month)
        yield Period(whole.name, max(whole.first_on, first_on), min(whole.last_on, last_on))
        start = add_months(start, MONTHS_OF[grain])


def _period(first_on: date, grain: Grain, *, fiscal_start_month: int) -> Period:
    last_on = add_months(first_on, MONTHS_OF[grain]) - timedelta(days=1)
    if grain is Grain.MONTH:
        return Period(f"{first_on:%Y-%m}", first_on, last_on)
    months_in = (first_on.month - fiscal_start_month) % 12
    year = add_months(first_on, -months_in).year
    return Period(f"{year}-Q{months_in // 3 + 1}" if grain is Grain.QUARTER else str(year), first_on, last_on)
