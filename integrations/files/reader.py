"""The rows of a CSV or Parquet file as texts, a batch at a time, whatever the file's size."""

import csv
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from hashlib import file_digest
from pathlib import Path
from typing import Any, Protocol

from integrations.files.mapping import FileMap, MappingError

LONGEST_CELL = 131_072


@dataclass(frozen=True, slots=True)
class BadRow:
    """A place in a file, and what is wrong there. `column` is empty where the whole row is meant."""

    line: int
    column: str
    reason: str


@dataclass(slots=True)
class RawBatch:
    """Rows that have as many cells as the header, with the line on which each begins; and those that have not."""

    lines: list[int] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    bad: list[tuple[BadRow, list[str]]] = field(default_factory=list)


class Reader(Protocol):
    header: tuple[str, ...]

    def batches(self, size: int) -> Iterator[RawBatch]: ...


def open_file(path: Path, file_map: FileMap) -> Reader:
    """A reader of the file. Raises MappingError where it cannot be read at all."""
    if not path.is_file():
        raise MappingError(f"{path}: no such file")
    kind = file_map.format or ("parquet" if path.suffix.lower() in {".parquet", ".pq"} else "csv")
    return _ParquetReader(path) if kind == "parquet" else _CsvReader(path, file_map)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _header(names: list[str], path: Path) -> tuple[str, ...]:
    stripped = tuple(name.strip() for name in names)
    twice = sorted(name for name, times in Counter(stripped).items() if name and times > 1)
    if twice:
        raise MappingError(f"{path.name}: two columns are called {twice[0]!r}; rename one")
    return stripped


class _CsvReader:
    """Strict about quotes: a stray one spoils its own row, not the file."""

    def __init__(self, path: Path, file_map: FileMap) -> None:
        self._path, self._map = path, file_map
        line, names = next(self._records(), (0, []))
        if line < 0:
            raise MappingError(f"{path.name}: line 1 is not CSV: {names[0]}")
        if not names:
            raise MappingError(f"{path.name}: the file is empty, or its first line is; it must name the columns")
        self.header = _header(names, path)

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        csv.field_size_limit(LONGEST_CELL)
        # Bytes that the encoding lacks are carried along and refused in the cell that holds them.
        with self._path.open(encoding=self._map.encoding, errors="surrogateescape", newline="") as file:
            reader = csv.reader(file, delimiter=self._map.delimiter, strict=True)
            line = 1
            while True:
                try:
                    cells = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    yield -line, [str(error)]
                else:
                    yield line, cells
                line = reader.line_num + 1

    def batches(self, size: int) -> Iterator[RawBatch]:
        batch = RawBatch()
        width = len(self.header)
        records = self._records()
        next(records, None)
        for line, cells in records:
            if line > 0 and len(cells) == width:
                batch.lines.append(line)
                batch.rows.append(cells)
            elif cells:
                batch.bad.append(self._broken(line, cells))
            if len(batch.rows) + len(batch.bad) >= size:
                yield batch
                batch = RawBatch()
        yield batch

    def _broken(self, line: int, cells: list[str]) -> tuple[BadRow, list[str]]:
        if line < 0:
            return BadRow(-line, "", f"is not CSV: {cells[0]}"), []
        last = self.header[len(cells) - 1] if len(cells) < len(self.header) else ""
        where = f", the last in column {last!r}" if last else ""
        return BadRow(line, "", f"has {len(cells)} cells where the header has {len(self.header)}{where}"), cells


class _ParquetReader:
    """A row's number takes the place of its line: the first is 1."""

    def __init__(self, path: Path) -> None:
        # Half a second to import, and most imports are of CSV.
        from pyarrow import ArrowException, parquet  # noqa: PLC0415

        self._name, self._errors = path.name, (ArrowException, OSError)
        try:
            self._file = parquet.ParquetFile(path)
        except self._errors as error:
            raise MappingError(f"{path.name}: not a Parquet file: {error}") from None
        self.header = _header(self._file.schema_arrow.names, path)

    def batches(self, size: int) -> Iterator[RawBatch]:
        line = 1
        for part in self._parts(size):
            columns = [[_text(value) for value in column.to_pylist()] for column in part.columns]
            rows = [list(cells) for cells in zip(*columns, strict=True)]
            yield RawBatch(list(range(line, line + len(rows))), rows)
            line += len(rows)

    def _parts(self, size: int) -> Iterator[Any]:
        try:
            yield from self._file.iter_batches(batch_size=size)
        except self._errors as error:
            raise MappingError(f"{self._name}: the file is damaged: {error}") from None


def _text(value: Any) -> str:
    """A typed value as a CSV file would have it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return "" if value != value else format(Decimal(repr(value)), "f")  # noqa: PLR0124  NaN is "nothing" there
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, date | datetime):
        return value.isoformat()
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)
