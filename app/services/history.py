"""Attributes over time, from sources that only say how things are, or since when."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from app.models.versions import Change, DatedVersion
from app.queries.ids import BATCH
from app.services.versions import Outcome, record_dated_versions

ALWAYS = date(1900, 1, 1)

Row = Mapping[str, Any]


def record_history(
    session: Session, change: Change, *, table: type[DatedVersion], key: Sequence[str], rows: Sequence[Row]
) -> Outcome:
    """Record rows with a `valid_from` and a `valid_to` (exclusive; None: not said), several of one thing too.

    What is first said of a thing is taken to have held always. A row without an end holds until
    the next version that is already recorded, so that reading a history again changes nothing.
    """
    outcome = Outcome()
    waiting = sorted(rows, key=lambda row: row["valid_from"])
    while waiting:
        batch: dict[tuple[Any, ...], Row] = {}
        rest = []
        for row in waiting:
            name = tuple(row[column] for column in key)
            if name in batch:
                rest.append(row)
            else:
                batch[name] = row
        starts = _starts(session, table, key=key, names=list(batch))
        placed = [_place(row, starts.get(name, [])) for name, row in batch.items()]
        outcome += record_dated_versions(session, change, table=table, key=key, rows=placed)
        waiting = rest
    return outcome


def _starts(
    session: Session, table: type[DatedVersion], *, key: Sequence[str], names: Sequence[tuple[Any, ...]]
) -> dict[tuple[Any, ...], list[date]]:
    columns = [getattr(table, name) for name in key]
    columns_with_start = [getattr(table, name) for name in ("valid_from", *key)]
    found: dict[tuple[Any, ...], list[date]] = defaultdict(list)
    for start in range(0, len(names), BATCH):
        rows = session.execute(
            select(*columns_with_start).where(
                tuple_(*columns).in_(names[start : start + BATCH]), table.superseded_change_id.is_(None)
            )
        )
        for valid_from, *name in rows:
            found[tuple(name)].append(valid_from)
    return found


def _place(row: Row, starts: Sequence[date]) -> Row:
    if not starts:
        return {**row, "valid_from": ALWAYS}
    later = [start for start in starts if start > row["valid_from"]]
    return {**row, "valid_to": row["valid_to"] or min(later, default=None)}
