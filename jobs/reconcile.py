"""Hold other books against the ledger: read and compare, and only then write, in one short transaction."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime
from tempfile import TemporaryFile
from typing import IO, Any, Self

import orjson
from sqlalchemy import Engine

from app.db import reading, transaction
from app.domain.reconciliation import Part, Position, Reason
from app.queries.facts import Known
from app.queries.moments import load_moment
from app.queries.reconciliation_sides import compare_billing, compare_crm
from app.services.changes import recording, utc_now
from app.services.reconciliation import Made, Source, find_same, record_reconciliation
from app.services.reconciliation_export import Files, describe_crm, describe_export, opened_export


@dataclass(frozen=True, slots=True)
class Asked:
    """The day (None: today), what was known by then (None: all of it), and who asks."""

    as_of: date | None = None
    known_at: datetime | None = None
    actor: str = "command"
    clock: Callable[[], datetime] = utc_now


def reconcile_billing(engine: Engine, files: Files, *, asked: Asked) -> int:
    """Hold a billing export against the ledger; the id of what was found, or of the same found before.

    Raises Invalid for files that cannot be read whole, and TooLarge as `compare_billing` does.
    """
    known = _moment(engine, asked)
    mapping, source = describe_export(files, known=known)
    with opened_export(files, mapping, known=known) as export, _Shelf() as shelf:
        with reading(engine) as session:
            same = find_same(session, source)
            if same is not None:
                return same
            shelf.keep(compare_billing(session, export, known=known, window_days=files.window_days))
        return _record(engine, replace(source, rows=export.book.rows), shelf=shelf, asked=asked)


def reconcile_crm(engine: Engine, *, asked: Asked, system: str | None = None) -> int:
    """Hold what a CRM (None: all of them) says its won deals are worth against what was booked of them."""
    known = _moment(engine, asked)
    with _Shelf() as shelf:
        with reading(engine) as session:
            source = describe_crm(session, known, system=system)
            same = find_same(session, source)
            if same is not None:
                return same
            shelf.keep(compare_crm(session, known=known, system=system))
        return _record(engine, source, shelf=shelf, asked=asked)


def _moment(engine: Engine, asked: Asked) -> Known:
    with reading(engine) as session:
        return load_moment(session, as_of=asked.as_of, known_at=asked.known_at, now=asked.clock())


def _record(engine: Engine, source: Source, *, shelf: "_Shelf", asked: Asked) -> int:
    now = asked.clock()
    with transaction(engine) as session, recording(session, asked.actor, clock=lambda: now) as change:
        made = Made(asked.actor, now)
        return record_reconciliation(session, change, source=source, found=shelf.kept(), made=made)


class _Shelf:
    """What was found, on disk until it is written: on SQLite nobody else writes while a transaction does."""

    def __enter__(self) -> Self:
        self._file: IO[bytes] = TemporaryFile()
        return self

    def __exit__(self, *_error: object) -> None:
        self._file.close()

    def keep(self, positions: Iterable[Position]) -> None:
        for position in positions:
            self._file.write(orjson.dumps(position, option=orjson.OPT_APPEND_NEWLINE))

    def kept(self) -> Iterator[Position]:
        self._file.seek(0)
        for line in self._file:
            said = orjson.loads(line)
            yield Position(**said | {"parts": tuple(_part(part) for part in said["parts"])})


def _part(said: dict[str, Any]) -> Part:
    records = {"theirs": tuple(said["theirs"]), "ours": tuple(said["ours"])}
    return Part(**said | records | {"reason": Reason(said["reason"])})
