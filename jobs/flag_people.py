"""How many people of each account were active, in windows of 30 days before a day."""

from datetime import date

import numpy as np

from app.domain.expansion_seats import WINDOWS, windows_of
from app.domain.features import Facts, Floats
from app.domain.months import Days

PEOPLE = "active_people"


def busiest_days(facts: Facts, *, as_of: date) -> tuple[Floats, np.datetime64, np.datetime64]:
    """accounts x windows: people on the busiest day, 0 where nobody was; and the feed's first and last day."""
    usage, today = facts.usage, np.datetime64(as_of)
    people = np.zeros((len(facts.account_ids), WINDOWS))
    nothing = np.datetime64("NaT", "D")
    if PEOPLE not in facts.usage_metrics:
        return people, nothing, nothing
    own = (usage.metric == facts.usage_metrics.index(PEOPLE)) & (usage.day < today) & (usage.available_on < today)
    day = usage.day[own]
    if not len(day):
        return people, nothing, nothing
    first_day, last_day = day.min(), day.max()
    window = windows_of(day, as_of=as_of)
    recent = window >= 0
    span = int((today - first_day).astype(np.int64)) + 1
    cell = usage.account[own][recent] * span + (day[recent] - first_day).astype(np.int64)
    cells, where = np.unique(cell, return_inverse=True)
    a_day = np.bincount(where, usage.amount[own][recent], len(cells))  # a late event is a row of its own
    on: Days = first_day + (cells % span).astype("timedelta64[D]")
    np.maximum.at(people, (cells // span, windows_of(on, as_of=as_of)), a_day)
    return people, first_day, last_day
