"""What sales promised to an account: a part of its page; and what is overdue, a part of Today."""

from collections.abc import Sequence
from dataclasses import dataclass

from flask import url_for

from app.auth import may
from app.http import database
from app.queries.audit import name_actors
from app.queries.promises import DealPromised, OverduePromise, list_promises, load_overdue_promises
from app.web.expansion_words import actor_words
from app.web.formats import show_day, show_instant
from app.web.moment import Moment
from app.web.texts import gettext as _
from app.web.texts import lazy_gettext as _l
from app.web.texts import ngettext
from app.web.words import Words, word

MOST_OVERDUE = 6
OVERDUE = "overdue"
KINDS: Words = {
    "goal": _l("Goal"),
    "date": _l("Date"),
    "stakeholder": _l("Stakeholder"),
    "note": _l("Note"),
}
STATES: Words = {
    "open": _l("Open"),
    OVERDUE: _l("Overdue"),
    "kept": _l("Kept"),
    "broken": _l("Broken"),
    "dropped": _l("Dropped"),
}
TONES = {"open": "none", OVERDUE: "risk", "kept": "good", "broken": "risk", "dropped": "none"}


@dataclass(frozen=True, slots=True)
class PromiseRow:
    id: int
    text: str
    about: str
    state: str
    tone: str
    is_open: bool
    said: tuple[str, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class PromiseCard:
    rows: tuple[PromiseRow, ...]
    done_text: str
    can_move: bool


@dataclass(frozen=True, slots=True)
class OverdueRow:
    url: str
    account: str
    text: str
    about: str
    late: str


@dataclass(frozen=True, slots=True)
class OverdueCard:
    rows: tuple[OverdueRow, ...]
    more: str


def describe_promises(account_id: int, *, moment: Moment) -> PromiseCard:
    promises = list_promises(database(), account_id)
    names = name_actors(database(), [step.actor for each in promises for step in each.steps])
    rows = tuple(_describe(each, names, moment=moment) for each in promises)
    is_open = sum(row.is_open for row in rows)
    text = ngettext("%(num)s open", "%(num)s open", is_open) if rows else ""
    return PromiseCard(rows, text, may("health:write"))


def _describe(promise: DealPromised, names: dict[str, str], *, moment: Moment) -> PromiseRow:
    state = OVERDUE if promise.is_overdue(moment.today) else promise.state
    shows_notes, zone = may("notes:read"), moment.settings.reporting_timezone
    last = promise.steps[0] if promise.steps else None
    return PromiseRow(
        id=promise.id,
        text=promise.text if shows_notes else word(KINDS, promise.kind),
        about=_about(promise.kind, promise.deal, due=show_day(promise.due_on) if promise.due_on else ""),
        state=word(STATES, state),
        tone=TONES[state],
        is_open=promise.state == "open",
        said=tuple(
            f"{_('opened again') if step.state == 'open' else word(STATES, step.state)} · "
            f"{actor_words(step.actor, name=names.get(step.actor))} · {show_instant(step.moved_at, zone)}"
            for step in promise.steps
        ),
        reason=(last.reason or "") if last and shows_notes else "",
    )


def _about(kind: str, deal: str | None, *, due: str) -> str:
    parts = [word(KINDS, kind), _("from the deal %(deal)s", deal=deal) if deal else ""]
    return " · ".join(part for part in (*parts, _("due %(due)s", due=due) if due else "") if part)


def describe_overdue(csm: Sequence[int], *, moment: Moment) -> OverdueCard:
    """The promises whose day has passed, the longest overdue first."""
    found = load_overdue_promises(database(), csm=csm, today=moment.today, limit=MOST_OVERDUE)
    left = found.count - len(found.rows)
    more = ngettext("and %(num)s more", "and %(num)s more", left) if left else ""
    return OverdueCard(tuple(_describe_overdue(row, moment) for row in found.rows), more)


def _describe_overdue(row: OverduePromise, moment: Moment) -> OverdueRow:
    return OverdueRow(
        url=url_for("web.account", account_id=row.account_id, _anchor="promises"),
        account=row.account,
        text=row.text if may("notes:read") else word(KINDS, row.kind),
        about=_about(row.kind, row.deal, due=show_day(row.due_on)),
        late=ngettext("%(num)s day", "%(num)s days", (moment.today - row.due_on).days),
    )
