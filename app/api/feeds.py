"""Whether data still comes, for whoever watches over it by program."""

from datetime import datetime
from typing import Any

from app.api.endpoint import Reply, endpoint
from app.http import database, now
from app.queries.crm import CrmState, Progress, list_crm_states
from app.queries.feeds import FeedState
from app.queries.feeds import list_feeds as load_feeds
from app.schemas import feeds as schemas

SYNC = "sync"


@endpoint("/feeds", scope="accounts:read", answer=schemas.FeedList())
def list_feeds() -> Reply:
    """Where data comes from, when it last came, and why it does not; of a CRM also how far it was read.

    A CRM that was connected and never yet read whole is a feed, too.
    """
    at, crms = now(), {each.connection.name: each for each in list_crm_states(database())}
    feeds = load_feeds(database())
    known = {feed.name for feed in feeds if feed.kind == SYNC}
    new = [FeedState(0, SYNC, name, *[None] * 5) for name in sorted(crms.keys() - known)]
    return Reply(
        {
            "data": [
                _tell(feed, crm=crms.get(feed.name) if feed.kind == SYNC else None, at=at) for feed in (*feeds, *new)
            ]
        }
    )


def _tell(feed: FeedState, *, crm: CrmState | None, at: datetime) -> dict[str, Any]:
    told = {name: getattr(feed, name) for name in ("kind", "name", "last_seen_at", "expected_hours", "silent_since")}
    return {**told, "error": feed.last_error, "failed_at": feed.last_error_at, "crm": crm and _tell_crm(crm, at)}


def _tell_crm(crm: CrmState, at: datetime) -> dict[str, Any]:
    return {
        "kind": crm.connection.kind,
        "paused_at": crm.connection.paused_at,
        "is_loading": crm.is_loading,
        "readings": [_tell_reading(each, at) for each in crm.progress],
        "refused": crm.refused,
        "reviews": [
            {"noun": each.noun, "gone": len(each.gone), "known": each.known, "opened_at": each.opened_at}
            for each in crm.reviews
        ],
    }


def _tell_reading(each: Progress, at: datetime) -> dict[str, Any]:
    left = each.left(at)
    told = {name: getattr(each, name) for name in ("noun", "synced_until", "is_first", "read", "total")}
    return {**told, "is_under_way": each.until is not None, "seconds_left": left and round(left.total_seconds())}
