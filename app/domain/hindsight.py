"""What is known today of an earlier day, told apart from what has happened since.

A ticket that its source always sends a day later is no late data: on the earlier day its like was as little known
as it is now. So a fact is late only if it came later than its kind usually does, and is then taken to have come in
that usual time. Everything else stays as known as it was.
"""

from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np

from app.domain.features import Bools, Facts
from app.domain.months import Days, Ints

USUAL_SHARE = 0.8  # of the facts of a kind that come in their usual time
RECENT_DAYS = 90  # what is usual is read from the facts of so many days
_STRIDE = 2**22  # days, more than ten thousand years: an account's days never reach the next account's

# Kinds of fact by name in `Facts`, with the day each is about. A milestone has none: it is known with its plan.
_DAY = {
    "lines": "starts_on",
    "attributes": "valid_from",
    "usage": "day",
    "tickets": "opened_on",
    "surveys": "answered_on",
    "touches": "occurred_on",
    "trainings": "occurred_on",
    "invoices": "issued_on",
}


def know_in_hindsight(facts: Facts, *, known_on: date, like: Facts | None = None) -> Facts:
    """The same facts, but what came late by `known_on` as if it had come in the usual time of its kind.

    The features of an earlier day that are built from them differ from those of that day by late data alone:
    by facts of days before it that came later than four fifths of their kind do. What replaced an earlier version
    is news and counts from when it came; what became available on or after `known_on` is left as it is.
    What is usual is read from the facts `like` these where they are given, as of a part of the accounts.
    """
    today = np.datetime64(known_on, "D")
    told = {
        kind: _tell_in_time(getattr(facts, kind), day, today=today, like=getattr(like or facts, kind))
        for kind, day in _DAY.items()
    }
    return replace(facts, **told)


def usual_delay_days(delay_days: Ints) -> int:
    """The delay within which `USUAL_SHARE` of the facts come; 0 for those that come beforehand, or for none."""
    if not len(delay_days):
        return 0
    return max(0, int(np.quantile(delay_days, USUAL_SHARE, method="inverted_cdf")))


def _usual_delay(table: Any, day_name: str, *, today: np.datetime64) -> np.timedelta64:
    day: Days = getattr(table, day_name)
    available: Days = table.available_on
    recent = (available < today) & (day < today) & (day >= today - np.timedelta64(RECENT_DAYS, "D"))
    return np.timedelta64(usual_delay_days((available - day)[recent].astype(np.int64)), "D")


def _tell_in_time(table: Any, day_name: str, *, today: np.datetime64, like: Any) -> Any:
    day: Days = getattr(table, day_name)
    available: Days = table.available_on
    usual = _usual_delay(like, day_name, today=today)
    is_late = (available < today) & (available > day + usual)
    rows = np.flatnonzero(is_late)
    rows = rows[~_replaces_another(table, rows)]
    if not len(rows):
        return table
    told_on = available.copy()
    told_on[rows] = day[rows] + usual
    return replace(table, available_on=told_on)


def _replaces_another(table: Any, rows: Ints) -> Bools:
    """Whether a version of the same account ceased to hold on the very day on which the row became available."""
    if not hasattr(table, "replaced_on"):
        return np.zeros(len(rows), dtype=bool)
    old = ~np.isnat(table.replaced_on)
    return np.isin(_key(table.account, table.available_on)[rows], _key(table.account[old], table.replaced_on[old]))


def _key(account: Ints, day: Days) -> Ints:
    return account.astype(np.int64) * _STRIDE + day.astype(np.int64)
