"""The clock of "as known at": every recorded row belongs to a change, stamped in the order of commits."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from app.models.versions import Change
from app.services.movements import find_touched_accounts, has_merges, lock_accounts, record_movements

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

    Before it is stamped, the movements of the accounts whose contracts the block touched are made true; accounts are
    locked before the stamp, always. A merge is dated by the stamp, so that one alone is worked out after it.
    """
    change = Change(source=source, is_backfill=assumed_lag_days is not None, assumed_lag_days=assumed_lag_days)
    session.add(change)
    session.flush()
    yield change
    session.flush()
    touched = find_touched_accounts(session, change)
    if not touched:
        _stamp(session, change, clock=clock)
        return
    lock_accounts(session, touched)
    steps = [partial(record_movements, account_ids=touched), partial(_stamp, clock=clock)]
    for step in reversed(steps) if has_merges(session, change) else steps:
        step(session, change)


def _stamp(session: Session, change: Change, *, clock: Callable[[], datetime]) -> None:
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": STAMP_LOCK})
    last = session.scalar(select(func.max(Change.recorded_at)))
    change.recorded_at = clock() if last is None else max(clock(), last + timedelta(microseconds=1))
    session.flush()
