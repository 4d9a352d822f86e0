"""What moved an account's health between two days: a part of its page."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from flask import request
from flask_babel import LazyString

from app.domain.health import NOTICE
from app.http import database
from app.queries.health_change import (
    NO_SCORE,
    NOT_RECORDED,
    WITHHELD,
    HealthMove,
    HealthThen,
    load_chain,
    load_health_move,
)
from app.web.drivers import driver_words, finding_words
from app.web.formats import show_day, show_number, show_points
from app.web.moment import Moment
from app.web.texts import gettext as _
from app.web.texts import lazy_gettext as _l
from app.web.words import BANDS, word

USUAL_DAYS = 30
TOP = 3  # drivers behind the move
LEAST = 0.02  # logit: a driver that moved by less is not behind it
HALF_BAR = 72.0  # of the parts' drawing, 144 wide

PART_WORDS: dict[str, tuple[LazyString, LazyString]] = {
    "behaviour": (_l("What the account did"), _l("use, tickets, answers, contacts and payments since")),
    "calendar": (_l("Time that passed"), _l("its age, and how near the renewal is")),
    "late_data": (_l("What was learned late"), _l("told only since, or by a feed that fell silent")),
    "model_refit": (_l("What the model learned"), _l("it is fitted anew each night, on all months so far")),
    "configuration": (_l("What was configured"), _l("the weights of the dimensions")),
    "override": (_l("What somebody set by hand"), _l("beyond what was calculated")),
}
REASONS: dict[str, LazyString] = {
    WITHHELD: _l("The score was withheld on one of the days, so there is none to compare."),
    NO_SCORE: _l("The account had no score of its own on one of the days."),
    NOT_RECORDED: _l("The nights between were made by an earlier version, which did not record what moved the score."),
}


@dataclass(frozen=True, slots=True)
class PartRow:
    name: str
    meaning: str
    points: str
    direction: str  # up: more risk, down: less, none
    start: float
    width: float


@dataclass(frozen=True, slots=True)
class BehindRow:
    now: str
    before: str


@dataclass(frozen=True, slots=True)
class ChangeCard:
    """`reason` says why there are no parts, where there are none; `since` and `until` are for the date fields."""

    since: str
    until: str
    earliest: str
    latest: str
    summary: str
    notes: tuple[str, ...]
    reason: str
    parts: tuple[PartRow, ...]
    behind: tuple[BehindRow, ...]


def describe_change(account_id: int, *, moment: Moment) -> ChangeCard | None:
    """None before the first night. The days are asked for by the address; what makes no sense is put right."""
    chain = load_chain(database())
    if not chain:
        return None
    first, last = chain[-1].as_of, max(moment.today, chain[0].as_of)
    until = min(max(_asked_day("until") or last, first), last)
    usual = max(until - timedelta(days=USUAL_DAYS), first)
    since = min(max(_asked_day("since") or usual, first), until)
    days = {"since": since, "until": until, "earliest": first, "latest": last}
    shown: dict[str, Any] = {name: day.isoformat() for name, day in days.items()}
    if len(chain) == 1:
        reason = _("There is one night so far. From the second on, this says what moved the score between any two.")
        return ChangeCard(**shown, summary="", notes=(), reason=reason, parts=(), behind=())
    move = load_health_move(database(), account_id, from_on=since, to_on=until)
    return ChangeCard(
        **shown,
        summary=_summary(move),
        notes=tuple(_notes(move)),
        reason=str(REASONS[move.why_none]) if move.why_none else "",
        parts=tuple(_part_rows(move.parts or {})),
        behind=tuple(_behind(move)),
    )


def _asked_day(name: str) -> date | None:
    try:
        return date.fromisoformat(request.args.get(name, ""))
    except ValueError:
        return None


def _summary(move: HealthMove) -> str:
    if move.parts is None:
        return ""
    return _(
        "From %(then)s on %(day)s to %(now)s on %(other)s: %(points)s points.",
        then=show_number(move.earlier.shown, digits=1),
        day=show_day(move.earlier.as_of),
        now=show_number(move.later.shown, digits=1),
        other=show_day(move.later.as_of),
        points=show_points(sum(move.parts.values())),
    )


def _notes(move: HealthMove) -> Iterator[str]:
    for end in (move.earlier, move.later):
        if end.override is not None:
            yield _override_note(end)


def _override_note(end: HealthThen) -> str:
    return _(
        "On %(day)s somebody had set %(set)s (%(word)s); %(calculated)s was calculated.",
        day=show_day(end.on),
        set=show_number(end.override),
        word=word(BANDS, end.override_band),
        calculated=show_number(end.health, digits=1),
    )


def _part_rows(parts: Mapping[str, float]) -> Iterator[PartRow]:
    """In points of health: what lowers the score raises the risk, and points the way that it does among the drivers."""
    scale = max((abs(points) for points in parts.values()), default=0.0) or 1.0
    for name, points in parts.items():
        text, meaning = PART_WORDS[name]
        width = round(HALF_BAR * abs(points) / scale, 1)
        direction = "none" if width == 0 else "up" if points < 0 else "down"
        start = HALF_BAR if points > 0 else HALF_BAR - width
        yield PartRow(str(text), str(meaning), show_points(points), direction, start, width)


def _behind(move: HealthMove) -> Iterator[BehindRow]:
    """The inputs that are others now and whose contribution moved most."""
    moved = [
        each
        for each in move.drivers
        if abs(each["moved"]) > LEAST and (each["earlier_value"] != each["later_value"] or each["name"] == NOTICE)
    ]
    for each in moved[:TOP]:
        if each["name"] == NOTICE:
            yield BehindRow(driver_words(NOTICE) if each["moved"] > 0 else _("Notice taken back"), "")
            continue
        then, now = (_finding(each["name"], each[end]) for end in ("earlier_value", "later_value"))
        yield BehindRow(now, _("before: %(finding)s", finding=then))


def _finding(name: str, value: float | None) -> str:
    if value is None:
        return _("%(input)s: unknown", input=driver_words(name))
    return finding_words(name, value)
