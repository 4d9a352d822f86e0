"""The CRMs on the page Feeds: how fresh each is, what to do about it, what was refused, and what waits for a person."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import redirect, url_for
from flask.typing import ResponseReturnValue
from flask_babel import LazyString

from app.auth import current_actor, requires
from app.http import database, now
from app.queries.crm import CrmState, Progress, Review, list_connections, list_crm_states, list_refused
from app.queries.feeds import FeedState
from app.services.audit import Act, record_act
from app.services.crm import ring_connection
from app.web.ago import show_ago
from app.web.formats import show_instant, show_number
from app.web.moment import Moment
from app.web.texts import gettext as _
from app.web.texts import lazy_gettext as _l
from app.web.texts import ngettext
from app.web.words import Words, word

FEED = "sync"
STALE_AFTER = timedelta(hours=1)  # read every five minutes; twelve were missed
MOST_REFUSED = 10
STATES: dict[str, tuple[LazyString, str]] = {
    "paused": (_l("Paused"), "none"),
    "failed": (_l("Failed"), "risk"),
    "loading": (_l("First load"), "watch"),
    "stale": (_l("Stale"), "watch"),
    "fresh": (_l("Fresh"), "good"),
}
NOUNS: Words = {
    "owner": _l("Owners"),
    "company": _l("Companies"),
    "contact": _l("Contacts"),
    "product": _l("Products"),
    "deal": _l("Deals"),
}


@dataclass(frozen=True, slots=True)
class RefusedRow:
    noun: str
    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class CrmCard:
    id: int
    name: str
    kind: str
    state: str
    tone: str
    seen: str
    error: str
    advice: tuple[str, ...]
    progress: str
    share: float | None  # of 100, of what is being read
    reviews: tuple[str, ...]
    refused: tuple[RefusedRow, ...]
    refused_text: str
    can_ring: bool


@requires("admin")
def ring(connection_id: int) -> ResponseReturnValue:
    """Let the worker read a CRM at once; one that just was, or is paused, is left as it is."""
    if ring_connection(database(), connection_id, at=now()):
        act = Act("crm_connection.rung", f"crm_connection:{connection_id}")
        record_act(database(), act, actor=current_actor(), at=now())
    return redirect(url_for("web.feeds", _anchor="crms"), 303)


def describe_crms(feeds: list[FeedState], *, moment: Moment, at: datetime) -> list[CrmCard]:
    """Every CRM by name."""
    if not list_connections(database()):
        return []
    by_name = {feed.name: feed for feed in feeds if feed.kind == FEED}
    states = list_crm_states(database())
    return [_describe(each, by_name.get(each.connection.name), moment=moment, at=at) for each in states]


def _describe(crm: CrmState, feed: FeedState | None, *, moment: Moment, at: datetime) -> CrmCard:
    state = _state_of(crm, feed, at=at)
    text, tone = STATES[state]
    seen = feed.last_seen_at if feed else None
    refused = list_refused(database(), crm.connection.id, limit=MOST_REFUSED)
    return CrmCard(
        id=crm.connection.id,
        name=crm.connection.name,
        kind=crm.connection.kind,
        state=str(text),
        tone=tone,
        seen=_("last read whole %(ago)s", ago=show_ago(seen, at)) if seen else _("not read whole yet"),
        error=_error(feed, at) if state == "failed" and feed else "",
        advice=tuple(_advise(crm, state, moment=moment)),
        progress=_progress(crm, at) if crm.reading else "",
        share=_share(crm.reading),
        reviews=tuple(_review(each, crm.connection.name, moment=moment) for each in crm.reviews),
        refused=tuple(RefusedRow(word(NOUNS, each.noun), each.external_id, each.reason) for each in refused),
        refused_text=_refused_text(crm.refused),
        can_ring=crm.connection.paused_at is None,
    )


def _state_of(crm: CrmState, feed: FeedState | None, *, at: datetime) -> str:
    if crm.connection.paused_at is not None:
        return "paused"
    if feed is not None and feed.last_error is not None:
        return "failed"
    if crm.is_loading:
        return "loading"
    since = feed.last_seen_at if feed and feed.last_seen_at else crm.connection.created_at
    return "stale" if at - since > STALE_AFTER else "fresh" if feed and feed.last_seen_at else "loading"


def _error(feed: FeedState, at: datetime) -> str:
    ago = show_ago(feed.last_error_at, at) if feed.last_error_at else ""
    return _("%(error)s (%(ago)s)", error=feed.last_error, ago=ago)


def _advise(crm: CrmState, state: str, *, moment: Moment) -> Iterator[str]:
    """What to do, and what becomes of the figures meanwhile."""
    name = crm.connection.name
    if state == "failed":
        if crm.connection.due_at is not None:
            instant = show_instant(crm.connection.due_at, moment.settings.reporting_timezone)
            yield _("It is tried again by itself, not before %(instant)s.", instant=instant)
        yield _(
            "Where it says that a token, key or right is missing, give another one: tenure crm secret %(name)s. "
            "Else see what it answers: tenure crm check %(name)s.",
            name=name,
        )
    if state == "stale":
        yield _("No worker reads it, or it is held up; see: tenure worker status.")
    if state == "paused":
        yield _("Go on reading it with: tenure crm resume %(name)s.", name=name)
    if state in ("failed", "stale", "paused"):
        yield _("Until it is read again, figures are those of the last good reading.")


def _progress(crm: CrmState, at: datetime) -> str:
    """`Deals: 1,200 of 5,000, about 10 minutes left`."""
    reading = crm.reading
    if reading is None:
        return ""
    noun, read = word(NOUNS, reading.noun), show_number(reading.read)
    if not reading.total:
        return _("%(noun)s: %(read)s read so far", noun=noun, read=read)
    so_far = _("%(noun)s: %(read)s of %(total)s", noun=noun, read=read, total=show_number(reading.total))
    left = reading.left(at)
    if left is None:
        return so_far
    minutes = max(1, round(left.total_seconds() / 60))
    return so_far + " · " + ngettext("about %(num)s minute left", "about %(num)s minutes left", minutes)


def _share(reading: Progress | None) -> float | None:
    if reading is None or not reading.total:
        return None
    return round(100 * min(reading.read, reading.total) / reading.total, 1)


def _review(review: Review, name: str, *, moment: Moment) -> str:
    return _(
        "Since %(instant)s the CRM no longer has %(gone)s of %(known)s deals. Nothing was withdrawn. If it is so, "
        "confirm it: tenure crm confirm %(name)s (each is asked for once more). Else leave it: it closes by itself "
        "once they are back.",
        instant=show_instant(review.opened_at, moment.settings.reporting_timezone),
        gone=show_number(len(review.gone)),
        known=show_number(review.known),
        name=name,
    )


def _refused_text(count: int) -> str:
    if not count:
        return ""
    return ngettext(
        "%(count)s record is not here, or not in full; it is tried again when it changes or what it misses comes.",
        "%(count)s records are not here, or not in full; each is tried again when it changes or what it misses comes.",
        count,
        count=show_number(count),
    )
