"""Work that kills or fails its workers again and again is set aside, shown, and stops nobody.

An item is begun in a transaction of its own, before the work, and its row is deleted once it has
ended well. What is left after a `kill -9` is the count of its beginnings.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from app.errors import NotFound
from app.models.leases import WorkItem

MOST_BEGUN = 3
MOST_ERROR = 2_000
DIED = "The worker died at it, or was cut off, {begun} times."


@dataclass(frozen=True, slots=True)
class Item:
    """A piece of a task's work, by a name that stays the same over attempts."""

    task: str
    name: str


def begin_item(session: Session, item: Item, *, at: datetime) -> bool:
    """Note that the work begins, to be committed before it does; False where it is set aside.

    What has been begun three times and never ended is set aside now.
    """
    row = session.get(WorkItem, (item.task, item.name), with_for_update=True)
    if row is None:
        session.add(WorkItem(task=item.task, item=item.name, begun=1, begun_at=at))
        return True
    if row.set_aside_at is None and row.begun >= MOST_BEGUN:
        row.set_aside_at = at
        row.error = row.error or DIED.format(begun=row.begun)
    if row.set_aside_at is not None:
        return False
    row.begun, row.begun_at = row.begun + 1, at
    return True


def end_item(session: Session, item: Item) -> None:
    """The work ended well: there is nothing to remember."""
    session.execute(delete(WorkItem).where(WorkItem.task == item.task, WorkItem.item == item.name))


def fail_item(session: Session, item: Item, *, error: str, at: datetime) -> bool:
    """Note why the work failed; True where it was set aside for it, having been begun three times."""
    row = session.get_one(WorkItem, (item.task, item.name))
    row.error = error[:MOST_ERROR]
    if row.begun >= MOST_BEGUN:
        row.set_aside_at = at
    return row.set_aside_at is not None


def set_item_aside(session: Session, item: Item, *, error: str, at: datetime) -> None:
    """Set aside at once what would not go better another time."""
    row = session.get(WorkItem, (item.task, item.name))
    if row is None:
        row = WorkItem(task=item.task, item=item.name, begun=1, begun_at=at)
        session.add(row)
    row.error, row.set_aside_at = error[:MOST_ERROR], row.set_aside_at or at


def give_back_item(session: Session, item: Item) -> None:
    """The work was broken off for a reason that lies outside of it: this attempt is not held against it."""
    row = session.get(WorkItem, (item.task, item.name), with_for_update=True)
    if row is not None and row.set_aside_at is None:
        row.begun -= 1
        if row.begun == 0:
            session.delete(row)


def give_back_items(session: Session, task: str, *, begun_since: datetime) -> None:
    """As `give_back_item`, for all that a task has begun since then."""
    begun = WorkItem.task == task, WorkItem.begun_at >= begun_since
    for name in session.scalars(select(WorkItem.item).where(*begun)).all():
        give_back_item(session, Item(task, name))


def retry_item(session: Session, item: Item) -> None:
    """Let it be tried again, as if for the first time. Raises NotFound where nothing like it is set aside."""
    row = session.scalar(
        select(WorkItem).where(
            WorkItem.task == item.task, WorkItem.item == item.name, WorkItem.set_aside_at.is_not(None)
        )
    )
    if row is None:
        raise NotFound(f"{item.task} has set no {item.name!r} aside; `tenure worker status` lists what is.")
    session.delete(row)


def forget_items(session: Session, task: str, *, names: Collection[str]) -> None:
    """These will not be tried again: what they were about is no more."""
    session.execute(delete(WorkItem).where(WorkItem.task == task, WorkItem.item.in_(names)))
