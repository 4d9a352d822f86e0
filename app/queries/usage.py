"""What an account used, by day or by week, beside the seats it pays for."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.domain.contracts import LineState, line_state
from app.models.usage import UsageDay, UsageMetric
from app.queries.contract_lines import RecurringLine, load_recurring_lines

ONE_DAY = timedelta(days=1)


class Grain(StrEnum):
    DAY = "day"
    WEEK = "week"


@dataclass(frozen=True, slots=True)
class UsagePeriod:
    """A day, or the seven days from `starts_on`.

    `actions` is their sum, `people` the distinct people of the busiest day; None where the source
    does not record it. `seats` are those paid for on `starts_on`, None where none is sold by seat.
    """

    starts_on: date
    actions: float | None
    people: float | None
    seats: float | None


@dataclass(frozen=True, slots=True)
class Window:
    """The days from `since` to the day before `before`, of rows that were available before `known_on`."""

    since: date
    before: date
    known_on: date
    grain: Grain


def load_usage(session: Session, account_id: int, *, window: Window) -> tuple[UsagePeriod, ...]:
    """Usage of the account by day or by whole weeks counted back from `window.before`, the oldest first.

    It begins with the first day on which anything was recorded for the account: silence before it
    may be a feed that did not run, silence after it is a value. Seats are left out (`with_seats`).
    """
    amounts, first_on = _amounts(session, account_id, window=window)
    if first_on is None:
        return ()
    length = 7 if window.grain is Grain.WEEK else 1
    periods = _periods(max(window.since, first_on), window.before, days=length)
    return tuple(_sum_up(days, amounts) for days in periods)


def with_seats(
    session: Session, account_id: int, *, periods: Sequence[UsagePeriod], known_at: datetime, grace_days: int
) -> tuple[UsagePeriod, ...]:
    """The same periods with the seats that were paid for."""
    found = load_recurring_lines(session, known_at=known_at, grace_days=grace_days, account_ids=[account_id])
    lines = [line for line in found.get(account_id, []) if line.unit == "seat"]
    return tuple(
        UsagePeriod(period.starts_on, period.actions, period.people, _seats_on(lines, period.starts_on))
        for period in periods
    )


def _seats_on(lines: Sequence[RecurringLine], day: date) -> float | None:
    live = [line for line in lines if line_state(line.life, day) in (LineState.LIVE, LineState.IN_GRACE)]
    return float(sum(line.quantity for line in live)) if live else None


def _amounts(
    session: Session, account_id: int, *, window: Window
) -> tuple[Mapping[str, Mapping[date, float]], date | None]:
    rows = session.execute(
        select(UsageMetric.name, UsageDay.day, func.sum(UsageDay.amount))
        .join(UsageMetric, UsageMetric.id == UsageDay.metric_id)
        .where(
            UsageDay.account_id == account_id,
            UsageDay.day < window.before,
            UsageDay.available_on < window.known_on,
            UsageDay.apart_reason.is_(None),
        )
        .group_by(UsageMetric.name, UsageDay.day)
    )
    amounts: dict[str, dict[date, float]] = defaultdict(dict)
    first_on: date | None = None
    for metric, day, amount in rows:
        amounts[metric][day] = amount
        first_on = day if first_on is None else min(first_on, day)
    return amounts, first_on


def _periods(since: date, before: date, *, days: int) -> Iterator[list[date]]:
    """Runs of `days` days that end the day before `before`, the oldest first."""
    count = (before - since).days // days
    for number in range(count, 0, -1):
        start = before - timedelta(days=number * days)
        yield [start + ONE_DAY * day for day in range(days)]


def _sum_up(days: Sequence[date], amounts: Mapping[str, Mapping[date, float]]) -> UsagePeriod:
    actions, people = amounts.get("activity"), amounts.get("active_people")
    return UsagePeriod(
        starts_on=days[0],
        actions=None if actions is None else sum(actions.get(day, 0.0) for day in days),
        people=None if people is None else max(people.get(day, 0.0) for day in days),
        seats=None,
    )
