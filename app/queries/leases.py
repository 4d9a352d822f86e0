"""Who is at work on what, how each task last ended, and what was set aside."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models.leases import Lease, WorkItem


@dataclass(frozen=True, slots=True)
class TaskState:
    """A task's lease: whose it is until when, when it last ended and how, and when it is due again."""

    name: str
    holder: str
    claimed_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    due_at: datetime | None
    failures: int
    error: str | None

    def is_held(self, now: datetime) -> bool:
        return self.expires_at > now


@dataclass(frozen=True, slots=True)
class SetAside:
    """Work that failed or killed its worker too often, and waits for a person."""

    task: str
    item: str
    begun: int
    begun_at: datetime
    set_aside_at: datetime
    error: str


STATE = tuple(getattr(Lease, name) for name in TaskState.__dataclass_fields__)


def list_tasks(session: Session) -> tuple[TaskState, ...]:
    return tuple(TaskState(*row) for row in session.execute(select(*STATE).order_by(Lease.name)))


def find_lease(session: Session, name: str) -> TaskState | None:
    row = session.execute(select(*STATE).where(Lease.name == name)).one_or_none()
    return None if row is None else TaskState(*row)


def list_set_aside(session: Session) -> tuple[SetAside, ...]:
    """The newest first."""
    columns = tuple(getattr(WorkItem, name) for name in SetAside.__dataclass_fields__)
    statement = select(*columns).where(WorkItem.set_aside_at.is_not(None))
    rows = session.execute(statement.order_by(WorkItem.set_aside_at.desc(), WorkItem.task, WorkItem.item))
    return tuple(SetAside(*row) for row in rows)


def load_attempts(session: Session, task: str) -> dict[str, int | None]:
    """How often each item of the task was begun without an end; None for what is set aside."""
    rows = session.execute(select(WorkItem.item, WorkItem.begun, WorkItem.set_aside_at).where(WorkItem.task == task))
    return {item: None if set_aside_at else begun for item, begun, set_aside_at in rows}
