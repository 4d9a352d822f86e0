"""Which events count: of those with one key the first."""

from collections.abc import Sequence

from sqlalchemy import delete
from sqlalchemy.orm import Session

from app.models.events import UsageEvent
from app.queries.event_keys import find_key_owners
from app.queries.ids import BATCH
from app.services.bulk import add_missing


def take_keys(session: Session, events: Sequence[tuple[bytes, int]]) -> int:
    """Let each event (key, id) take its key; those whose key another has are deleted. How many were.

    No key may be there twice. Doing it again changes nothing.
    """
    if add_missing(session, table="event_keys", columns=("event_key", "event_id"), rows=events) == len(events):
        return 0
    owners = find_key_owners(session, [key for key, _ in events])
    return delete_events(session, [number for key, number in events if owners[key] != number])


def delete_events(session: Session, ids: Sequence[int]) -> int:
    """How many were there."""
    parts = (ids[start : start + BATCH] for start in range(0, len(ids), BATCH))
    return sum(session.execute(delete(UsageEvent).where(UsageEvent.id.in_(part))).rowcount for part in parts)  # type: ignore[attr-defined]
