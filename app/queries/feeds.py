"""Where data comes from, whether it still comes, and when it did not."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import exists, func, or_, select
from sqlalchemy.orm import Session

from app.models.feeds import Feed, Incident


@dataclass(frozen=True, slots=True)
class FeedState:
    """A feed; `silent_since` is when its open incident began."""

    id: int
    kind: str
    name: str
    expected_hours: int | None
    last_seen_at: datetime | None
    last_error: str | None
    last_error_at: datetime | None
    silent_since: datetime | None


@dataclass(frozen=True, slots=True)
class FeedIncident:
    """A silence of a feed, from the first look that found it to the first that found data again."""

    id: int
    feed_id: int
    kind: str
    name: str
    opened_at: datetime
    closed_at: datetime | None


_IS_SILENT = exists().where(Incident.feed_id == Feed.id, Incident.closed_at.is_(None))
STALE = (
    select(func.aggregate_strings(Feed.name, "\n"))
    .where(or_((Feed.kind == "sync") & Feed.last_error.is_not(None), _IS_SILENT))
    .scalar_subquery()
    .label("stale")
)
"""The names of the CRMs that cannot be read and of the feeds that fell silent, as one text: figures rest on them. To be
read along with what rests on them, so that it costs no statement of its own."""


def split_names(stale: str | None) -> tuple[str, ...]:
    """What STALE gives, as names in their order."""
    return tuple(sorted(set(stale.split("\n")))) if stale else ()


OF_FEED = tuple(getattr(Feed, name) for name in FeedState.__dataclass_fields__ if name != "silent_since")
COLUMNS = (*OF_FEED, Incident.opened_at)


def list_feeds(session: Session) -> tuple[FeedState, ...]:
    """All feeds, by kind and name."""
    is_open = (Incident.feed_id == Feed.id) & Incident.closed_at.is_(None)
    statement = select(*COLUMNS).outerjoin(Incident, is_open).order_by(Feed.kind, Feed.name)
    return tuple(FeedState(*row) for row in session.execute(statement))


def find_feed(session: Session, *, kind: str, name: str) -> FeedState | None:
    return next((feed for feed in list_feeds(session) if (feed.kind, feed.name) == (kind, name)), None)


def list_incidents(session: Session, *, limit: int) -> tuple[FeedIncident, ...]:
    """The newest first."""
    columns = (Incident.id, Feed.id, Feed.kind, Feed.name, Incident.opened_at, Incident.closed_at)
    statement = select(*columns).join(Feed, Feed.id == Incident.feed_id).order_by(Incident.id.desc()).limit(limit)
    return tuple(FeedIncident(*row) for row in session.execute(statement))
