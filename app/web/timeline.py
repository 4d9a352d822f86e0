"""The timeline of an account on its page."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime

from flask import request, url_for

from app.errors import Invalid
from app.http import database
from app.queries.timeline import Entry, Kind, Part, Position, load_timeline, without_notes
from app.web.formats import show_day, show_money, show_number
from app.web.texts import gettext as _
from app.web.texts import ngettext
from app.web.words import CAUSES, DEAL_STAGES, DEAL_TYPES, ENTRY_KINDS, PRIORITIES, TOUCHES, word

PAGE = 15
LONGEST_NUMBER = 15  # digits that every database's key holds


@dataclass(frozen=True, slots=True)
class EntryRow:
    kind: str
    day: str
    iso_day: str
    title: str
    about: str
    text: str | None


@dataclass(frozen=True, slots=True)
class Choice:
    name: str
    word: str
    url: str
    is_current: bool


@dataclass(frozen=True, slots=True)
class TimelineCard:
    rows: tuple[EntryRow, ...]
    choices: tuple[Choice, ...]
    older_url: str | None
    newest_url: str | None
    is_filtered: bool


def describe_timeline(account_id: int, *, known_at: datetime, with_notes: bool) -> TimelineCard:
    """A page of the timeline as the address asks for it: `kind` filters, `before` says where it goes on.

    Without notes it says what happened when, and neither what was written nor with whom.
    """
    kind, after = _asked_kind(), _asked_position()
    kinds = (kind,) if kind else tuple(Kind)
    found = load_timeline(database(), account_id, known_at=known_at, part=Part(kinds, after, PAGE + 1))
    shown = found[:PAGE]
    has_more = len(found) > PAGE
    return TimelineCard(
        rows=tuple(_describe_entry(entry if with_notes else without_notes(entry)) for entry in shown),
        choices=tuple(_choices(account_id, kind)),
        older_url=_address(account_id, kind, before=_position_text(shown[-1])) if has_more else None,
        newest_url=_address(account_id, kind) if after else None,
        is_filtered=kind is not None,
    )


def _asked_kind() -> Kind | None:
    name = request.args.get("kind", "")
    return Kind(name) if name in list(Kind) else None


def _asked_position() -> Position | None:
    text = request.args.get("before", "")
    if not text:
        return None
    try:
        day, kind, number = text.split("~")
        position = date.fromisoformat(day), Kind(kind).value, int(number)
    except ValueError:
        position = None
    if position is None or len(number) > LONGEST_NUMBER:
        raise Invalid("The address of this part of the timeline is damaged.")
    return position


def _position_text(entry: Entry) -> str:
    return f"{entry.occurred_on.isoformat()}~{entry.kind}~{entry.entry_id}"


def _address(account_id: int, kind: Kind | None, *, before: str | None = None) -> str:
    kind_name = kind.value if kind else None
    return url_for("web.account", account_id=account_id, kind=kind_name, before=before, _anchor="timeline")


def _choices(account_id: int, chosen: Kind | None) -> list[Choice]:
    every = Choice("all", _("All"), _address(account_id, None), chosen is None)
    return [every, *(Choice(k, word(ENTRY_KINDS, k), _address(account_id, k), k is chosen) for k in Kind)]


def _describe_entry(entry: Entry) -> EntryRow:
    title, about = DESCRIBE[entry.kind](entry)
    return EntryRow(
        kind=entry.kind.value,
        day=show_day(entry.occurred_on),
        iso_day=entry.occurred_on.isoformat(),
        title=title,
        about=" · ".join(part for part in about if part),
        text=entry.text,
    )


Parts = tuple[str, list[str]]


def _touch(entry: Entry) -> Parts:
    people = [_("with %(name)s", name=entry.contact)] if entry.contact else []
    return word(TOUCHES, entry.label), [*people, entry.staff or ""]


def _ticket(entry: Entry) -> Parts:
    title = _("Ticket, escalated") if entry.state == "escalated" else _("Ticket")
    closed = _("closed on %(day)s", day=show_day(entry.until_on)) if entry.until_on else _("still open")
    rated = _("rated %(score)s", score=show_number(entry.score)) if entry.score is not None else ""
    return title, [word(PRIORITIES, entry.label), closed, rated, entry.contact or ""]


def _survey(entry: Entry) -> Parts:
    scale = {"nps": 10, "csat": 5}.get(entry.label or "", 10)
    answer = _("%(score)s of %(scale)s", score=show_number(entry.score), scale=scale)
    return f"{(entry.label or '').upper()}: {answer}", [entry.contact or ""]


def _training(entry: Entry) -> Parts:
    people = round(entry.score or 0)
    came = ngettext("%(num)s person came", "%(num)s people came", people)
    return _("Training: %(topic)s", topic=entry.title), [came, entry.contact or ""]


def _invoice(entry: Entry) -> Parts:
    due = _("due on %(day)s", day=show_day(entry.until_on))
    state = _("paid") if entry.state == "paid" else _("not paid")
    return _("Invoice"), [_money(entry), due, state]


def _money(entry: Entry) -> str:
    return show_money(entry.amount_minor, entry.currency) if entry.currency and entry.amount_minor is not None else ""


def _deal(entry: Entry) -> Parts:
    title = _(", ").join((word(DEAL_TYPES, entry.label), word(DEAL_STAGES, entry.state)))
    return title, [entry.title or "", _money(entry)]


def _notice(entry: Entry) -> Parts:
    effective = _("leaves on %(day)s", day=show_day(entry.until_on))
    return _("Notice to leave"), [effective, word(CAUSES, entry.label), entry.title or ""]


DESCRIBE: dict[Kind, Callable[[Entry], Parts]] = {
    Kind.TOUCH: _touch,
    Kind.TICKET: _ticket,
    Kind.SURVEY: _survey,
    Kind.TRAINING: _training,
    Kind.INVOICE: _invoice,
    Kind.DEAL: _deal,
    Kind.NOTICE: _notice,
}
