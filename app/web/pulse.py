"""How people feel about an account: a part of its page."""

from dataclasses import dataclass

from flask_babel import LazyString

from app.auth import may
from app.http import database
from app.queries.audit import name_actors
from app.queries.pulses import list_pulses
from app.web.expansion_words import actor_words
from app.web.formats import show_instant
from app.web.moment import Moment
from app.web.texts import lazy_gettext as _l

VALUES: dict[int, tuple[LazyString, str]] = {
    5: (_l("5, very good"), "good"),
    4: (_l("4, good"), "good"),
    3: (_l("3, so-so"), "none"),
    2: (_l("2, bad"), "watch"),
    1: (_l("1, very bad"), "risk"),
}


@dataclass(frozen=True, slots=True)
class PulseRow:
    text: str
    tone: str
    who: str
    when: str
    note: str


@dataclass(frozen=True, slots=True)
class PulseCard:
    rows: tuple[PulseRow, ...]
    choices: tuple[tuple[int, str], ...]
    can_give: bool


def describe_pulses(account_id: int, *, moment: Moment) -> PulseCard:
    pulses = list_pulses(database(), account_id)
    names = name_actors(database(), [each.actor for each in pulses])
    zone, shows_notes = moment.settings.reporting_timezone, may("notes:read")
    rows = [
        PulseRow(
            text=str(VALUES[each.value][0]),
            tone=VALUES[each.value][1],
            who=actor_words(each.actor, name=names.get(each.actor)),
            when=show_instant(each.given_at, zone),
            note=(each.note or "") if shows_notes else "",
        )
        for each in pulses
    ]
    return PulseCard(tuple(rows), tuple((n, str(text)) for n, (text, _tone) in VALUES.items()), may("health:write"))
