"""What is written back to a CRM is noted before it is tried and after it was done, by a key that the CRM keeps too."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models.crm import CrmWrite

BEGUN, WRITTEN, FAILED = "begun", "written", "failed"
MOST_TRIES = 5
MOST_ERROR = 1_000


@dataclass(frozen=True, slots=True)
class Planned:
    """Something to be written to a connection; `digest` is of all that it says."""

    connection_id: int
    key: str
    kind: str
    digest: bytes


def begin_write(session: Session, planned: Planned, *, at: datetime) -> None:
    """Note that it is tried, to be committed before it is: dying in between, it is tried again under its key."""
    row = _find(session, planned)
    if row is None:
        row = CrmWrite(connection_id=planned.connection_id, key=planned.key, kind=planned.kind, attempts=0)
        session.add(row)
    if row.digest != planned.digest:
        row.attempts = 0  # it says something else than what failed
    row.digest, row.state, row.attempts, row.attempted_at = planned.digest, BEGUN, row.attempts + 1, at
    session.flush()


def end_write(session: Session, planned: Planned, *, external_id: str, at: datetime) -> None:
    """It is there, and the CRM calls it so."""
    row = _find(session, planned)
    if row is not None:
        row.state, row.external_id, row.written_at, row.error = WRITTEN, external_id[:200], at, None


def fail_write(session: Session, planned: Planned, *, error: str) -> None:
    row = _find(session, planned)
    if row is not None:
        row.state, row.error = FAILED, error[:MOST_ERROR]


def _find(session: Session, planned: Planned) -> CrmWrite | None:
    return session.scalar(
        select(CrmWrite).where(CrmWrite.connection_id == planned.connection_id, CrmWrite.key == planned.key)
    )
