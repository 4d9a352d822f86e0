"""As known at: the versions that were in force at an instant of recording."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Subquery, and_, func, or_, select, true, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.errors import Invalid
from app.models.versions import Change, DatedVersion, Recorded, Version

Between = tuple[int, int]  # the first and the last of the account ids that are asked for
Day = date | BindParameter[date] | InstrumentedAttribute[date]


def last_recorded_at(session: Session) -> datetime | None:
    """The last tick of the clock of recording; none before the first change."""
    return session.scalar(select(func.max(Change.recorded_at)))


def resolve_known_at(session: Session, known_at: datetime | None, *, now: datetime) -> datetime:
    """The instant a question is answered at: the last tick, if it names none or a later one up to now.

    Raises Invalid for an instant in the future: what will be known then cannot be promised.
    """
    if known_at is not None and known_at > now:
        raise Invalid("known_at lies in the future; leave it out for what is known now.")
    last = last_recorded_at(session)
    if last is None:
        return known_at or now
    return last if known_at is None else min(known_at, last)


def in_force(table: type[Version], known_at: datetime | None) -> ColumnElement[bool]:
    """The condition that a version was recorded by `known_at` and not yet replaced then; None: now, by this change too.

    Asked from the far end: the changes after `known_at` are few, and none for the present.
    """
    if known_at is None:
        return table.superseded_change_id.is_(None)
    later = select(Change.id).where(Change.recorded_at > known_at).scalar_subquery()
    return table.change_id.not_in(later) & or_(
        table.superseded_change_id.is_(None), table.superseded_change_id.in_(later)
    )


def was_recorded(table: type[Recorded], known_at: datetime | None) -> ColumnElement[bool]:
    """The condition that a row had been recorded by `known_at` (None: now), whatever became of it since."""
    if known_at is None:
        return true()
    return table.change_id.not_in(select(Change.id).where(Change.recorded_at > known_at).scalar_subquery())


def of_accounts(column: InstrumentedAttribute[int], between: Between | None) -> ColumnElement[bool]:
    """The condition that an account is one of those asked for; None: of all."""
    return true() if between is None else column.between(*between)


def valid_on(table: type[DatedVersion], day: Day) -> ColumnElement[bool]:
    """The condition that what a version says holds on that day."""
    return and_(table.valid_from <= day, or_(table.valid_to.is_(None), table.valid_to > day))


def replacements(
    table: type[Version], *key: InstrumentedAttribute[Any], known_at: datetime, among: ColumnElement[bool] | None = None
) -> Subquery:
    """By the `id` of a version, `replaced_at`: when it ceased to be what was known of its thing, a later one being
    available. Null for the last; things that never changed are left out, so that only the few others are sorted.

    `key` names the thing. To be joined from outside to the rows that `was_recorded` by then. `among` names those of
    the things that are asked for.
    """
    changed = select(*key).where(table.superseded_change_id.is_not(None), true() if among is None else among)
    later = func.min(table.available_at).over(partition_by=key, order_by=table.id, rows=(1, None))
    recorded = select(table.id, later.label("replaced_at")).where(was_recorded(table, known_at))
    return recorded.where(tuple_(*key).in_(changed)).subquery()
