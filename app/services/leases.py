"""Leases: only one works on a task, and what an old one still wants to write is refused.

Safety does not rest on time. A lease's `token` grows with every claim, and each write transaction of
its holder begins with the fence, which locks the lease's row and compares tokens: whoever was
stopped, cut off or given another clock for however long, writes nothing once somebody else has
claimed. The clock (each process's own) only decides when somebody else may claim.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import or_, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.errors import Conflict
from app.models.leases import Lease as LeaseRow

LASTS = timedelta(seconds=60)
LONGEST_WAIT = timedelta(hours=1)
"""A task is never due later than that from now, unless the clock was set back since."""

MOST_ERROR = 2_000


class LeaseLost(Conflict):
    """Somebody else has taken over this work; what was computed here is not written."""


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to do a task, for as long as nobody else has claimed it with a higher token."""

    name: str
    holder: str
    token: int
    claimed_at: datetime
    failures: int  # in a row, before this


@dataclass(frozen=True, slots=True)
class Ending:
    """How the work under a lease ended, and when it is due again (none: at once)."""

    error: str | None = None
    due_at: datetime | None = None


def claim_lease(session: Session, name: str, *, holder: str, now: datetime, lasts: timedelta = LASTS) -> Lease | None:
    """The lease, from now on ours; None where somebody else holds it.

    One that ends later than twice `lasts` from now was given by a clock that has been set back
    since: it is free. A row that somebody is just writing under is not waited for (SKIP LOCKED).
    """
    row = _lock_if_free(session, name, now=now, lasts=lasts)
    return None if row is None else _claim(row, holder=holder, now=now, lasts=lasts)


def claim_due_lease(
    session: Session, name: str, *, holder: str, now: datetime, lasts: timedelta = LASTS
) -> Lease | None:
    """As `claim_lease`, but None also where the task is not due yet."""
    row = _lock_if_free(session, name, now=now, lasts=lasts)
    if row is None or (row.due_at is not None and now < row.due_at <= now + LONGEST_WAIT):
        return None
    return _claim(row, holder=holder, now=now, lasts=lasts)


def _lock_if_free(session: Session, name: str, *, now: datetime, lasts: timedelta) -> LeaseRow | None:
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    first = {"name": name, "holder": "", "token": 0, "claimed_at": now, "expires_at": now, "failures": 0}
    session.execute(insert(LeaseRow).values(first).on_conflict_do_nothing())
    is_free = or_(LeaseRow.expires_at <= now, LeaseRow.expires_at > now + 2 * lasts)
    statement = select(LeaseRow).where(LeaseRow.name == name, is_free).with_for_update(skip_locked=True)
    return session.scalar(statement.execution_options(populate_existing=True))


def _claim(row: LeaseRow, *, holder: str, now: datetime, lasts: timedelta) -> Lease:
    row.token += 1
    row.holder, row.claimed_at, row.expires_at = holder, now, now + lasts
    return Lease(row.name, holder, row.token, now, row.failures)


def renew_lease(session: Session, lease: Lease, *, now: datetime, lasts: timedelta = LASTS) -> bool:
    """Prolong it; False where somebody else has claimed it. One that ran out unclaimed is prolonged too."""
    return _update(session, lease, values={"expires_at": now + lasts})


def release_lease(session: Session, lease: Lease, *, now: datetime, ending: Ending | None = None) -> bool:
    """Give it back, with how the work ended (none: it was broken off); False where it was ours no more."""
    values: dict[str, object] = {"expires_at": now}
    if ending is not None:
        failures = 0 if ending.error is None else LeaseRow.failures + 1
        error = ending.error and ending.error[:MOST_ERROR]
        values |= {"ended_at": now, "due_at": ending.due_at, "failures": failures, "error": error}
    return _update(session, lease, values=values)


def _update(session: Session, lease: Lease, *, values: dict[str, object]) -> bool:
    ours = LeaseRow.name == lease.name, LeaseRow.token == lease.token
    result = session.execute(update(LeaseRow).where(*ours).values(values).returning(LeaseRow.token))
    return result.first() is not None


def make_fence(lease: Lease, *, lasts: timedelta = LASTS) -> Callable[[Session], None]:
    """What each write transaction under the lease calls first.

    It holds the lease's row until the commit, so that nobody can claim it between the look and the
    write, and raises LeaseLost where the token is another's. On PostgreSQL a transaction that its
    process has left standing (stopped, or its machine gone) is ended by the server, or it would keep
    the row from everybody else.
    """
    timeout = text(f"SET LOCAL idle_in_transaction_session_timeout = {int(lasts.total_seconds() * 1_000)}")
    held = select(LeaseRow.token).where(LeaseRow.name == lease.name).with_for_update()

    def check(session: Session) -> None:
        if session.get_bind().dialect.name == "postgresql":
            session.execute(timeout)
        if session.scalar(held) != lease.token:
            raise LeaseLost

    return check
