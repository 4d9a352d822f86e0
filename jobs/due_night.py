"""The night that is due, if one is: looked for often, made once."""

from dataclasses import dataclass
from datetime import date
from pkgutil import resolve_name

from app.db import reading
from app.queries.nights import NIGHTLY, find_due_night
from app.services.work_items import Item
from jobs.attempts import SetAside, attempt
from jobs.work import Work


@dataclass(frozen=True, slots=True)
class NightMade:
    """The day whose night was made, if one was due."""

    day: date | None = None
    is_published: bool = False


def make_due_night(work: Work) -> NightMade:
    """Make the newest night whose hour has come, unless it is made, or was set aside.

    One that was held back is made: it is not tried again before the next, or before a person asks.
    """
    with reading(work.engine) as session:
        day = find_due_night(session, now=work.clock())
    if day is None:
        return NightMade()
    try:
        with attempt(work, Item(NIGHTLY, day.isoformat())):
            # Only now: what fits takes seconds to import, and most looks end above.
            results = resolve_name("jobs.nightly:run_night")(work, day)
    except SetAside:
        return NightMade()
    return NightMade(day, results["publish"]["is_published"])
