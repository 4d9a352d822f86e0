"""The health that somebody sets by hand, beside the calculated one: a part of an account's page."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from app.auth import may
from app.http import database, now
from app.queries.accounts import AccountRow
from app.queries.audit import name_actors
from app.queries.health_overrides import Override
from app.services.health import EXPIRED, LONGEST_OVERRIDE_DAYS, PAYING, UNDO_WITHIN
from app.web.expansion_words import actor_words
from app.web.formats import show_day, show_instant, show_number
from app.web.health import TONES
from app.web.moment import Moment
from app.web.texts import gettext as _
from app.web.words import BANDS, word

DAYS = {"usual": 30, "earliest": 1, "latest": LONGEST_OVERRIDE_DAYS}  # from today


@dataclass(frozen=True, slots=True)
class OverrideRow:
    text: str
    tone: str
    beside: str
    who: str
    when: str
    reason: str


@dataclass(frozen=True, slots=True)
class ByHandCard:
    """`current` is in force; `can_set` and `can_undo` say which forms there are."""

    current: OverrideRow | None
    past: tuple[OverrideRow, ...]
    bands: tuple[tuple[str, str], ...]
    can_set: bool
    can_undo: bool
    usual: str
    earliest: str
    latest: str


def describe_by_hand(row: AccountRow, overrides: Sequence[Override], *, moment: Moment) -> ByHandCard | None:
    """None where nothing was ever set, and nothing can be."""
    pays = row.status in PAYING
    if not (overrides or (pays and may("health:write"))):
        return None
    names = name_actors(database(), [actor for each in overrides for actor in (each.actor, each.ended_by) if actor])
    described = [_describe(each, names, moment=moment) for each in overrides]
    is_in_force = bool(overrides) and overrides[0].is_in_force(moment.today)
    day = {name: (moment.today + timedelta(days=n)).isoformat() for name, n in DAYS.items()}
    return ByHandCard(
        current=described[0] if is_in_force else None,
        past=tuple(described[1:] if is_in_force else described),
        bands=tuple((band, word(BANDS, band)) for band in TONES),
        can_set=pays and may("health:write"),
        can_undo=pays and may("health:write") and _can_undo(overrides, moment),
        **day,
    )


def _can_undo(overrides: Sequence[Override], moment: Moment) -> bool:
    if not overrides or overrides[0].expires_on <= moment.today:
        return False
    return now() - (overrides[0].ended_at or overrides[0].begins_at) <= UNDO_WITHIN


def _describe(row: Override, names: dict[str, str], *, moment: Moment) -> OverrideRow:
    zone = moment.settings.reporting_timezone
    if row.calculated is None:
        beside = _("no score was calculated")
    else:
        beside = _("%(score)s was calculated", score=show_number(row.calculated))
    return OverrideRow(
        text=_("%(word)s (%(score)s)", word=word(BANDS, row.band), score=show_number(row.score)),
        tone=TONES[row.band],
        beside=beside,
        who=actor_words(row.actor, name=names.get(row.actor)),
        when=_when(row, names, zone=zone),
        reason=row.reason if may("notes:read") else "",
    )


def _when(row: Override, names: dict[str, str], *, zone: str) -> str:
    begins = show_instant(row.begins_at, zone)
    if row.ended_at is None or row.ended_by in {None, EXPIRED}:
        return _("from %(instant)s, expires on %(day)s", instant=begins, day=show_day(row.expires_on))
    return _(
        "from %(instant)s, ended at %(end)s by %(who)s",
        instant=begins,
        end=show_instant(row.ended_at, zone),
        who=actor_words(str(row.ended_by), name=names.get(str(row.ended_by))),
    )
