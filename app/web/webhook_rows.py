"""Endpoints and deliveries in words."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

import orjson
from flask import url_for
from flask_babel import LazyString

from app.queries.webhooks import Attempt, Delivery, DeliveryFull, DeliveryPage, Endpoint
from app.web.formats import NONE, show_instant, show_number
from app.web.moment import Moment
from app.web.texts import gettext as _
from app.web.texts import lazy_gettext as _l
from app.web.texts import ngettext
from app.web.words import Words, word

TYPES: Words = {
    "expansion_opportunity.flagged": _l("An account is ready for more"),
    "expansion_opportunity.updated": _l("An opportunity was accepted, rejected, snoozed, won or lost, or has lapsed"),
    "feed.stale": _l("Data that should have come has not"),
    "webhook.test": _l("Test"),
}
STATES: dict[str, tuple[LazyString, str]] = {
    "pending": (_l("On its way"), "watch"),
    "delivered": (_l("Delivered"), "good"),
    "dead": (_l("Given up"), "risk"),
    "dropped": (_l("Not sent"), "none"),
}
DISABLED: Words = {
    "switched_off": _l("switched off by a person"),
    "gone": _l("the receiver answered that it wants no more (410)"),
    "given_up": _l("five messages in a row could not be delivered"),
}


@dataclass(frozen=True, slots=True)
class EndpointRow:
    id: int
    url: str
    name: str
    origin: str
    types: tuple[str, ...]
    state: str
    tone: str
    is_enabled: bool
    about: str
    secrets: str


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    url: str
    type: str
    endpoint: str
    state: str
    tone: str
    created: str
    attempts: str
    last: str


@dataclass(frozen=True, slots=True)
class Chip:
    word: str
    url: str
    is_current: bool


@dataclass(frozen=True, slots=True)
class Log:
    chips: tuple[Chip, ...]
    rows: tuple[DeliveryRow, ...]
    next_url: str | None


@dataclass(frozen=True, slots=True)
class AttemptRow:
    when: str
    outcome: str
    duration: str


@dataclass(frozen=True, slots=True)
class DeliveryCard:
    id: int
    row: DeliveryRow
    message_id: str
    due: str
    endpoint_url: str
    attempts: tuple[AttemptRow, ...]
    body: str
    can_replay: bool


def describe_endpoint(endpoint: Endpoint, moment: Moment) -> EndpointRow:
    waiting = [
        ngettext("%(num)s message is on its way", "%(num)s messages are on their way", endpoint.pending),
        ngettext("%(num)s given up", "%(num)s given up", endpoint.dead),
    ]
    said = [] if endpoint.is_enabled else [word(DISABLED, endpoint.disabled_reason)]
    said += [text for text, count in zip(waiting, (endpoint.pending, endpoint.dead), strict=True) if count]
    last = endpoint.last_delivered_at
    said.append(_("last delivered %(instant)s", instant=_instant(last, moment)) if last else _("nothing delivered yet"))
    old_until = endpoint.old_secrets_until
    return EndpointRow(
        id=endpoint.id,
        url=url_for("web.webhook", endpoint_id=endpoint.id),
        name=endpoint.name,
        origin=endpoint.origin,
        types=tuple(word(TYPES, name) for name in endpoint.types),
        state=_("On") if endpoint.is_enabled else _("Off"),
        tone="good" if endpoint.is_enabled else "risk",
        is_enabled=endpoint.is_enabled,
        about=" · ".join(said),
        secrets=_("the old secret counts until %(instant)s, too", instant=_instant(old_until, moment))
        if old_until
        else "",
    )


def describe_deliveries(page: DeliveryPage, moment: Moment, *, state: str, address: Callable[..., str]) -> Log:
    """`address` makes the address of the page that the log stands on, with a state and a cursor."""
    words = {"": _("All")} | {name: str(text) for name, (text, _tone) in STATES.items()}
    chips = (Chip(text, address(state=name or None, _anchor="log"), name == state) for name, text in words.items())
    more = address(state=state or None, cursor=page.next_cursor, _anchor="log") if page.next_cursor else None
    return Log(tuple(chips), tuple(_describe_row(row, moment) for row in page.rows), more)


def _describe_row(row: Delivery, moment: Moment) -> DeliveryRow:
    text, tone = STATES[row.state]
    return DeliveryRow(
        url=url_for("web.delivery", delivery_id=row.id),
        type=word(TYPES, row.type),
        endpoint=row.endpoint_name,
        state=str(text),
        tone=tone,
        created=_instant(row.created_at, moment),
        attempts=ngettext("%(num)s attempt", "%(num)s attempts", row.attempts),
        last=_outcome(row.last_status, row.last_error),
    )


def _outcome(status: int | None, error: str | None) -> str:
    if status is not None:
        return _("answered %(status)s", status=status)
    return error or ""


def describe_delivery(full: DeliveryFull, moment: Moment) -> DeliveryCard:
    row = full.delivery
    is_over = row.ended_at is not None
    return DeliveryCard(
        id=row.id,
        row=_describe_row(row, moment),
        message_id=row.message_id,
        due=NONE if is_over else _instant(row.due_at, moment),
        endpoint_url=url_for("web.webhook", endpoint_id=row.endpoint_id),
        attempts=tuple(_describe_attempt(each, moment) for each in full.tries),
        body=orjson.dumps(orjson.loads(full.body), option=orjson.OPT_INDENT_2).decode(),
        can_replay=is_over,
    )


def _describe_attempt(attempt: Attempt, moment: Moment) -> AttemptRow:
    return AttemptRow(
        when=_instant(attempt.started_at, moment),
        outcome=_outcome(attempt.status, attempt.error),
        duration=_("%(count)s ms", count=show_number(attempt.duration_ms)),
    )


def _instant(instant: datetime | None, moment: Moment) -> str:
    return NONE if instant is None else show_instant(instant, moment.settings.reporting_timezone)
