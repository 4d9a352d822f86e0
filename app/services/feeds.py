"""Feeds: where data comes from, when it last came, and one incident for as long as it does not."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import Invalid, NotFound
from app.models.feeds import Feed, Incident
from app.services.audit import Act, record_act
from app.services.messages import NewMessage, post_message

KINDS = ("import", "events", "sync", "api")
MOST_HOURS = 24 * 366
MOST_ERROR = 1_000


@dataclass(frozen=True, slots=True)
class Watched:
    """How many feeds went silent or came back by this look."""

    opened: int = 0
    closed: int = 0


def note_feed(session: Session, *, kind: str, name: str, at: datetime, error: str | None = None) -> None:
    """Note that data of a feed came at `at`, or, with `error`, that it could not be taken in.

    A feed that was not known is one from now on. What came earlier than what is noted changes
    nothing; data that comes ends the error.
    """
    if kind not in KINDS:
        raise ValueError(f"no kind of feed: {kind}")
    feed = session.scalar(select(Feed).where(Feed.kind == kind, Feed.name == name))
    if feed is None:
        feed = Feed(kind=kind, name=name)
        session.add(feed)
    if error is not None:
        feed.last_error, feed.last_error_at = error[:MOST_ERROR], at
    elif feed.last_seen_at is None or feed.last_seen_at <= at:
        feed.last_seen_at, feed.last_error, feed.last_error_at = at, None, None
    session.flush()


def expect_feed(session: Session, feed_id: int, *, hours: int | None, actor: str, at: datetime) -> None:
    """Expect data of a feed at least every so many hours; None ends the watch.

    Raises NotFound for a feed that is not there, Invalid for hours outside 1 to 8784.
    """
    feed = session.get(Feed, feed_id)
    if feed is None:
        raise NotFound("There is no such feed; feeds are listed once data has come.")
    if hours is not None and not 1 <= hours <= MOST_HOURS:
        raise Invalid(f"Data can be expected every 1 to {MOST_HOURS} hours, not every {hours}.")
    feed.expected_hours = hours
    record_act(session, Act("feed.expected", f"feed:{feed.id}", {"hours": hours}), actor=actor, at=at)


def watch_feeds(session: Session, *, at: datetime) -> Watched:
    """Open an incident, and post `feed.stale`, for each feed that fell silent; close those of feeds that came back.

    Silent is a feed whose data last came more than its expected hours ago, or never. As long as it
    stays silent it has the one incident and the one message, however often this looks.
    """
    opened = closed = 0
    in_open = {
        incident.feed_id: incident for incident in session.scalars(select(Incident).where(Incident.closed_at.is_(None)))
    }
    for feed in session.scalars(select(Feed).order_by(Feed.id)):
        incident = in_open.get(feed.id)
        if _is_silent(feed, at) and incident is None:
            _open(session, feed, at=at)
            opened += 1
        elif incident is not None and not _is_silent(feed, at):
            incident.closed_at = at
            closed += 1
    session.flush()
    return Watched(opened, closed)


def _is_silent(feed: Feed, at: datetime) -> bool:
    if feed.expected_hours is None:
        return False
    return feed.last_seen_at is None or at - feed.last_seen_at > timedelta(hours=feed.expected_hours)


def _open(session: Session, feed: Feed, *, at: datetime) -> None:
    incident = Incident(feed_id=feed.id, opened_at=at)
    session.add(incident)
    session.flush()
    data = {
        "incident_id": incident.id,
        "feed": {"id": feed.id, "kind": feed.kind, "name": feed.name},
        "last_seen_at": feed.last_seen_at,
        "expected_hours": feed.expected_hours,
        "error": feed.last_error,
    }
    post_message(session, NewMessage("feed.stale", data), at=at)
