"""What one run has to remember of the files it reads, on disk instead of in memory.

Ids that were read (so that the second of two rows with one id is noticed), the parts of deals
(whose lines may lie anywhere), and the rows that were set aside. Gone when the run ends.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from datetime import date
from decimal import Decimal
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple, Self, get_args, get_type_hints

from integrations.files.reader import BadRow
from integrations.files.rows import DealRow, LineRow

SCHEMA = """
CREATE TABLE seen (noun TEXT, key TEXT, digest BLOB, file INTEGER, line INTEGER, PRIMARY KEY (noun, key)) WITHOUT ROWID;
CREATE TABLE parts (deal TEXT, file INTEGER, line INTEGER, kind TEXT, body TEXT);
CREATE TABLE spoilt (deal TEXT PRIMARY KEY, place TEXT) WITHOUT ROWID;
CREATE TABLE rejected (file INTEGER, line INTEGER, field TEXT, reason TEXT, PRIMARY KEY (file, line)) WITHOUT ROWID;
CREATE TABLE later (noun TEXT, file INTEGER, line INTEGER, key TEXT, value TEXT);
"""
PART_TYPES: dict[str, type[DealRow | LineRow]] = {"deal": DealRow, "line": LineRow}


class Place(NamedTuple):
    file: int
    line: int


class DealPart(NamedTuple):
    place: Place
    row: DealRow | LineRow


class Spool:
    """A scratch database; use it in a `with` block."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="tenure-import-")
        self._database = sqlite3.connect(Path(self._folder.name) / "spool.db", isolation_level=None)
        self._database.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + SCHEMA)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._database.close()
        self._folder.cleanup()

    def first_of(self, noun: str, key: str, *, row: Any, place: Place) -> Place | None:
        """None if this is the first row of that id; else where the first was, its line negative if it says the same."""
        digest = blake2b(repr(row).encode("utf-8", "surrogatepass"), digest_size=16).digest()
        added = self._database.execute(
            "INSERT INTO seen VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING", (noun, key, digest, *place)
        )
        if added.rowcount:
            return None
        file, line, known = self._database.execute(
            "SELECT file, line, digest FROM seen WHERE noun = ? AND key = ?", (noun, key)
        ).fetchone()
        return Place(file, -line if known == digest else line)

    def seen(self, noun: str, keys: Iterable[str]) -> set[str]:
        """Which of the ids have been read."""
        found = set()
        for key in set(keys):
            if self._database.execute("SELECT 1 FROM seen WHERE noun = ? AND key = ?", (noun, key)).fetchone():
                found.add(key)
        return found

    def names(self, noun: str, *, limit: int) -> dict[str, str]:
        """The ids that have been read, at most `limit`, each as its own name."""
        found = self._database.execute("SELECT key FROM seen WHERE noun = ? ORDER BY key LIMIT ?", (noun, limit))
        return {key: key for (key,) in found}

    def add_parts(self, parts: Iterable[tuple[Place, DealRow | LineRow]]) -> None:
        rows = ((_deal(row), *place, _kind(row), _encode(row)) for place, row in parts)
        self._database.executemany("INSERT INTO parts VALUES (?, ?, ?, ?, ?)", rows)

    def spoil(self, deal: str, place: str) -> None:
        """One row of this deal could not be read: the others must wait for it."""
        self._database.execute("INSERT INTO spoilt VALUES (?, ?) ON CONFLICT DO NOTHING", (deal, place))

    def deals(self) -> Iterator[tuple[str, str | None, list[DealPart]]]:
        """Every deal with its parts in the order read, in the order of first appearance; and what spoilt it."""
        self._database.execute("CREATE INDEX IF NOT EXISTS parts_of_deal ON parts (deal)")
        order = self._database.execute(
            "SELECT parts.deal, spoilt.place FROM parts LEFT JOIN spoilt USING (deal) "
            "GROUP BY parts.deal ORDER BY min(parts.rowid)"
        )
        for deal, spoilt in order:
            found = self._database.execute(
                "SELECT file, line, kind, body FROM parts WHERE deal = ? ORDER BY rowid", (deal,)
            )
            yield deal, spoilt, [DealPart(Place(file, line), _decode(kind, body)) for file, line, kind, body in found]

    def reject(self, file: int, bad: BadRow) -> bool:
        """Set a row of a file aside; its first reason is kept. False if it had been already."""
        row = (file, bad.line, bad.column, bad.reason)
        return bool(
            self._database.execute("INSERT INTO rejected VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", row).rowcount
        )

    def rejected(self, file: int, *, limit: int = -1) -> list[BadRow]:
        found = self._database.execute(
            "SELECT line, field, reason FROM rejected WHERE file = ? ORDER BY line LIMIT ?", (file, limit)
        )
        return [BadRow(*row) for row in found]

    def rejected_lines(self, file: int, lines: Sequence[int]) -> dict[int, BadRow]:
        """Those of the lines that were set aside."""
        found = self._database.execute(
            "SELECT line, field, reason FROM rejected WHERE file = ? AND line BETWEEN ? AND ?",
            (file, lines[0], lines[-1]),
        )
        return {row[0]: BadRow(*row) for row in found}

    def postpone(self, noun: str, key: str, *, value: str, place: Place) -> None:
        """Keep for later what refers to a row that has not been read yet."""
        self._database.execute("INSERT INTO later VALUES (?, ?, ?, ?, ?)", (noun, *place, key, value))

    def postponed(self, noun: str) -> Iterator[tuple[Place, str, str]]:
        found = self._database.execute(
            "SELECT file, line, key, value FROM later WHERE noun = ? ORDER BY rowid", (noun,)
        )
        return ((Place(file, line), key, value) for file, line, key, value in found)


def _encode(row: DealRow | LineRow) -> str:
    said = {name: value for name in _READERS[_kind(row)] if (value := getattr(row, name)) is not None}
    return json.dumps(said, default=str)


def _deal(row: DealRow | LineRow) -> str:
    return row.id if isinstance(row, DealRow) else row.deal


def _kind(row: DealRow | LineRow) -> str:
    return "deal" if isinstance(row, DealRow) else "line"


def _decode(kind: str, body: str) -> DealRow | LineRow:
    said = json.loads(body)
    readers = _READERS[kind]
    row: DealRow | LineRow = PART_TYPES[kind](**{name: readers[name](value) for name, value in said.items()})
    return row


def _reader(hint: Any) -> Any:
    types = {hint, *get_args(hint)}
    return date.fromisoformat if date in types else Decimal if Decimal in types else lambda value: value


_READERS = {
    kind: {each.name: _reader(get_type_hints(row)[each.name]) for each in fields(row)}
    for kind, row in PART_TYPES.items()
}
