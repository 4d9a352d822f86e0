"""What the score looks at: every input with its meaning, its feed, how fresh it is and what its weight rests on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from flask import render_template
from flask.typing import ResponseReturnValue

from app.auth import requires
from app.queries.model_inputs import ModelInput, read_model_inputs
from app.web.drivers import driver_words, weight_words
from app.web.formats import NONE, show_day, show_percent
from app.web.input_words import FEEDS, MEANINGS, UNITS
from app.web.moment import Moment, advise, describe_freshness, load_moment
from app.web.texts import gettext as _
from app.web.texts import ngettext
from app.web.words import DIMENSIONS, word


@dataclass(frozen=True, slots=True)
class InputRow:
    name: str
    meaning: str
    unit: str
    state: str
    tone: str
    last: str
    cadence: str
    known: str
    weight: str


@dataclass(frozen=True, slots=True)
class DimensionCard:
    name: str
    title: str
    rows: tuple[InputRow, ...]


@requires("accounts:read")
def show_model_inputs() -> ResponseReturnValue:
    moment = load_moment()
    inputs = read_model_inputs(moment.report)
    return render_template(
        "model_inputs.html",
        fresh=describe_freshness(moment),
        advice=advise(moment),
        cards=_cards(inputs, moment),
        stale=_name_stale(inputs),
    )


def _cards(inputs: Sequence[ModelInput], moment: Moment) -> list[DimensionCard]:
    found = dict.fromkeys(each.dimension for each in inputs)
    return [
        DimensionCard(
            name,
            word(DIMENSIONS, name),
            tuple(_describe(each, as_of=moment.as_of) for each in inputs if each.dimension == name),
        )
        for name in found
    ]


def _describe(each: ModelInput, *, as_of: date) -> InputRow:
    state, tone = _state(each)
    days = each.cadence_days
    return InputRow(
        name=_name(each.name),
        meaning=word(MEANINGS, each.name),
        unit=word(UNITS, each.unit),
        state=state,
        tone=tone,
        last=_last(each, as_of=as_of),
        cadence=ngettext("something at least every %(num)s day", "something at least every %(num)s days", days)
        if days
        else "",
        known=show_percent(each.known_share, digits=0),
        weight=NONE if each.churns is None else weight_words(is_learned=each.is_learned, churns=each.churns),
    )


def _name(name: str) -> str:
    return {"segment": _("Segment"), "channel": _("Acquisition channel")}.get(name) or driver_words(name)


def _state(each: ModelInput) -> tuple[str, str]:
    if each.feed is None:
        return _("does not age"), "none"
    if each.last_on is None:
        return _("no data"), "none"
    return (_("Fresh"), "good") if each.is_fresh else (_("Stale"), "risk")


def _last(each: ModelInput, *, as_of: date) -> str:
    if each.last_on is None:
        return ""
    days = (as_of - each.last_on).days
    ago = ngettext("%(num)s day before", "%(num)s days before", days)
    return _(
        "%(feed)s: last on %(day)s, %(ago)s", feed=word(FEEDS, each.feed or ""), day=show_day(each.last_on), ago=ago
    )


def _name_stale(inputs: Sequence[ModelInput]) -> str:
    """The feeds that have fallen silent, which is what a reader has to know first."""
    stale = dict.fromkeys(each.feed for each in inputs if each.feed and each.last_on and not each.is_fresh)
    if not stale:
        return ""
    names = _(", ").join(word(FEEDS, feed) for feed in stale)
    return _(
        "Silent for longer than expected: %(names)s. What comes from there counts as unknown for every account, and "
        "coverage is lower. Good news from there no longer counts; bad news stays as it was last known.",
        names=names,
    )
