"""Writing versions: a row in force is never changed, only replaced by a row that came later.

Both functions take rows as plain dictionaries (column -> value) and work on sets: one look-up, one
UPDATE and one INSERT per few hundred rows.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import insert, inspect, select, tuple_, update
from sqlalchemy.orm import Session

from app.errors import Conflict
from app.models.versions import Change, DatedVersion, Version
from app.queries.ids import BATCH

Row = Mapping[str, Any]

# Not part of what a version says, so no difference between two of them.
BOOKKEEPING = frozenset({"id", "change_id", "superseded_change_id", "available_at"})
VALIDITY = frozenset({"valid_from", "valid_to"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """How many rows were new, replaced an earlier one, or said nothing new."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0

    def __add__(self, other: "Outcome") -> "Outcome":
        return Outcome(self.added + other.added, self.changed + other.changed, self.unchanged + other.unchanged)


def record_versions(
    session: Session, change: Change, *, table: type[Version], key: Sequence[str], rows: Sequence[Row]
) -> Outcome:
    """Record what each row says now of the thing that `key` names; a row that says nothing new is left out.

    `key` must be the columns of the table's index over versions in force, and be unique in `rows`.
    Raises Conflict where another transaction replaced the same version first.
    """
    outcome = Outcome()
    for batch in _batches(rows):
        in_force = {_values(row, key): row for row in _in_force(session, table, key=key, batch=batch)}
        added = [row for row in batch if _values(row, key) not in in_force]
        known = [(row, in_force[_values(row, key)]) for row in batch if _values(row, key) in in_force]
        changed = [(row, old) for row, old in known if _differs(row, old)]
        _supersede(session, change, table=table, ids=[old["id"] for _, old in changed])
        replacements = [{**_without(old, BOOKKEEPING), **row} for row, old in changed]
        _insert(session, change, table=table, rows=[*added, *replacements])
        outcome += Outcome(len(added), len(changed), len(known) - len(changed))
    return outcome


def record_dated_versions(
    session: Session, change: Change, *, table: type[DatedVersion], key: Sequence[str], rows: Sequence[Row]
) -> Outcome:
    """Record attributes that hold from `valid_from` until the day before `valid_to` (none: until further notice).

    Versions in force that overlap are replaced by what remains of them before and after; what a row
    leaves unsaid stays as the first of them has it. `key` names the thing without `valid_from`, and
    must be unique in `rows`.
    """
    outcome = Outcome()
    for batch in _batches(rows):
        in_force: dict[tuple[Any, ...], list[Row]] = {}
        for old in _in_force(session, table, key=key, batch=batch):
            in_force.setdefault(_values(old, key), []).append(old)
        replaced: list[int] = []
        new: list[Row] = []
        for row in batch:
            history = in_force.get(_values(row, key), [])
            if any(_covers(old, row) and not _differs(_without(row, VALIDITY), old) for old in history):
                outcome += Outcome(unchanged=1)
                continue
            overlapping = sorted((old for old in history if _overlaps(old, row)), key=_start)
            replaced += [old["id"] for old in overlapping]
            unsaid = _without(overlapping[0], BOOKKEEPING) if overlapping else {}
            new += [{**unsaid, **row}, *(rest for old in overlapping for rest in _remainders(old, row))]
            outcome += Outcome(changed=1) if history else Outcome(added=1)
        _supersede(session, change, table=table, ids=replaced)
        _insert(session, change, table=table, rows=new)
    return outcome


def withdraw_versions(session: Session, change: Change, *, table: type[Version], ids: Sequence[int]) -> Outcome:
    """Close versions that nothing replaces: what they said is no longer so."""
    _supersede(session, change, table=table, ids=ids)
    return Outcome(changed=len(ids))


def reissue_versions(session: Session, change: Change, *, table: type[Version], ids: Sequence[int]) -> Outcome:
    """Replace versions by their like, because something that hangs on them has changed."""
    for start in range(0, len(ids), BATCH):
        found = session.execute(select(*inspect(table).columns).where(table.id.in_(ids[start : start + BATCH])))
        rows = [{**_without(row._asdict(), BOOKKEEPING), "available_at": row.available_at} for row in found]
        _supersede(session, change, table=table, ids=ids[start : start + BATCH])
        _insert(session, change, table=table, rows=rows)
    return Outcome(changed=len(ids))


def _batches(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    return (rows[start : start + BATCH] for start in range(0, len(rows), BATCH))


def _values(row: Row, key: Sequence[str]) -> tuple[Any, ...]:
    return tuple(row[name] for name in key)


def _in_force(session: Session, table: type[Version], *, key: Sequence[str], batch: Sequence[Row]) -> Iterator[Row]:
    columns = [getattr(table, name) for name in key]
    found = session.execute(
        select(*inspect(table).columns).where(
            tuple_(*columns).in_([_values(row, key) for row in batch]), table.superseded_change_id.is_(None)
        )
    )
    return (row._asdict() for row in found)


def _differs(row: Row, old: Row) -> bool:
    """Whether `row` says something else than `old`, over the columns it speaks of."""
    return any(old[name] != value for name, value in row.items() if name not in BOOKKEEPING)


def _without(row: Row, names: frozenset[str]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in names}


def _covers(old: Row, row: Row) -> bool:
    return bool(old["valid_from"] <= row["valid_from"] and _end(old) >= _end(row))


def _overlaps(old: Row, row: Row) -> bool:
    return bool(old["valid_from"] < _end(row) and row["valid_from"] < _end(old))


def _start(row: Row) -> date:
    start: date = row["valid_from"]
    return start


def _end(row: Row) -> date:
    return row.get("valid_to") or date.max


def _remainders(old: Row, row: Row) -> Iterator[Row]:
    kept = {**_without(old, BOOKKEEPING), "available_at": old["available_at"]}
    if old["valid_from"] < row["valid_from"]:
        yield {**kept, "valid_to": row["valid_from"]}
    if _end(row) < _end(old):
        yield {**kept, "valid_from": row["valid_to"]}


def _supersede(session: Session, change: Change, *, table: type[Version], ids: Sequence[int]) -> None:
    """Close the given versions; the row count is believed, so two writers cannot both replace one."""
    for start in range(0, len(ids), BATCH):
        batch = ids[start : start + BATCH]
        closed = session.scalars(
            update(table)
            .where(table.id.in_(batch), table.superseded_change_id.is_(None))
            .values(superseded_change_id=change.id)
            .returning(table.id)
        ).all()
        if len(closed) != len(batch):
            raise Conflict


def _insert(session: Session, change: Change, *, table: type[Version], rows: Sequence[Row]) -> None:
    if rows:
        # Without render_nulls rows are cut into a statement for every pattern of empty columns.
        statement = insert(table).execution_options(render_nulls=True)
        session.execute(statement, [{**row, "change_id": change.id} for row in rows])
