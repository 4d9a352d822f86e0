"""Usage of an account on its page."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from zoneinfo import ZoneInfo

from flask import request, url_for

from app.http import database
from app.queries.usage import Grain, UsagePeriod, Window, load_usage, with_seats
from app.web.formats import show_day, show_number, show_percent
from app.web.moment import Moment
from app.web.texts import gettext as _

REACH = {Grain.DAY: timedelta(days=91), Grain.WEEK: timedelta(weeks=53)}


@dataclass(frozen=True, slots=True)
class UsageRow:
    day: str
    iso_day: str
    actions: float | None
    actions_text: str
    people: float | None
    people_text: str
    seats: float | None
    seats_text: str


@dataclass(frozen=True, slots=True)
class GrainChoice:
    word: str
    url: str
    is_current: bool


@dataclass(frozen=True, slots=True)
class UsageCard:
    grain: str
    choices: tuple[GrainChoice, ...]
    rows: tuple[UsageRow, ...]
    has_people: bool
    has_seats: bool
    summary: str


def describe_usage(account_id: int, *, moment: Moment) -> UsageCard:
    """The last year by week, or three months by day, as the address asks."""
    grain = Grain.DAY if request.args.get("by") == "day" else Grain.WEEK
    known_on = moment.known_at.astimezone(ZoneInfo(moment.settings.reporting_timezone)).date() + timedelta(days=1)
    window = Window(since=moment.as_of - REACH[grain], before=moment.as_of, known_on=known_on, grain=grain)
    periods = load_usage(database(), account_id, window=window)
    periods = with_seats(
        database(), account_id, periods=periods, known_at=moment.known_at, grace_days=moment.settings.grace_days
    )
    return UsageCard(
        grain=grain.value,
        choices=tuple(_choices(account_id, grain)),
        rows=tuple(_describe_period(period) for period in periods),
        has_people=any(period.people is not None for period in periods),
        has_seats=any(period.seats is not None for period in periods),
        summary=_summary(periods),
    )


def _choices(account_id: int, grain: Grain) -> list[GrainChoice]:
    words = {Grain.DAY: _("By day"), Grain.WEEK: _("By week")}
    return [
        GrainChoice(
            words[one], url_for("web.account", account_id=account_id, by=one.value, _anchor="usage"), one is grain
        )
        for one in (Grain.WEEK, Grain.DAY)
    ]


def _describe_period(period: UsagePeriod) -> UsageRow:
    return UsageRow(
        day=show_day(period.starts_on),
        iso_day=period.starts_on.isoformat(),
        actions=period.actions,
        actions_text=show_number(period.actions),
        people=period.people,
        people_text=show_number(period.people),
        seats=period.seats,
        seats_text=show_number(period.seats),
    )


def _summary(periods: Sequence[UsagePeriod]) -> str:
    """The last period in a sentence."""
    if not periods:
        return ""
    last = periods[-1]
    if last.people is None or not last.seats:
        return _("%(actions)s actions lately", actions=show_number(last.actions))
    return _(
        "%(people)s of %(seats)s seats in use lately (%(share)s)",
        people=show_number(last.people),
        seats=show_number(last.seats),
        share=show_percent(last.people / last.seats, digits=0),
    )
