"""The clock of "as known at": every recorded row belongs to a change, stamped in the order of commits."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from app.models.versions import Change

# Any constant will do, as long as nothing else in the database uses the same one.
STAMP_LOCK = 7_365_221


def utc_now() -> datetime:
    return datetime.now(UTC)


@contextmanager
def recording(
    session: Session, source: str, *, assumed_lag_days: int | None = None, clock: Callable[[], datetime] = utc_now
) -> Iterator[Change]:
    """A change for the rows that the block records, stamped as its last statement.

    To be the outermost block inside a transaction: nothing may be written after it. The stamp is
    taken under a lock that is held until the commit (milliseconds), and is later than every stamp
    before it even where the clock was set back. `assumed_lag_days` marks a backfill.
    """
    change = Change(source=source, is_backfill=assumed_lag_days is not None, assumed_lag_days=assumed_lag_days)
    session.add(change)
    session.flush()
    yield change
    session.flush()
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": STAMP_LOCK})
    last = session.scalar(select(func.max(Change.recorded_at)))
    change.recorded_at = clock() if last is None else max(clock(), last + timedelta(microseconds=1))
    session.flush()
