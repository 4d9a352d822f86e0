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
MIB = 2**20
# A Parquet file of a few kB can say that a gigabyte comes out of it. What is unpacked at once is bounded by these.
LARGEST_ROW_GROUP = 256 * MIB  # unpacked; a page of it may be as large
LARGEST_BATCH = 16 * MIB  # reading it takes some ten times as much
MOST_ROWS_A_BYTE = 100  # rows with an id of their own take more than that
CELL_BYTES = 64  # that Python takes for one, beside its content


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
    """A row's number takes the place of its line: the first is 1. Columns of lists and records are left out."""

    def __init__(self, path: Path) -> None:
        # Half a second to import, and most imports are of CSV.
        from pyarrow import ArrowException, parquet, types  # noqa: PLC0415

        self._name, self._errors = path.name, (ArrowException, OSError)
        try:
            self._file = parquet.ParquetFile(path, pre_buffer=False)
            self._metadata = self._file.metadata
            self._kinds = {each.name: each.type for each in self._file.schema_arrow if not types.is_nested(each.type)}
            self.header = _header([each.name for each in self._file.schema_arrow if each.name in self._kinds], path)
            self._texts = {name for name, kind in self._kinds.items() if not types.is_decimal(kind)}
            self._packed = parquet.ParquetFile(
                path, metadata=self._metadata, read_dictionary=sorted(self._texts), pre_buffer=False
            )
        except self._errors as error:
            raise MappingError(f"{path.name}: not a Parquet file: {error}") from None
        _refuse_bombs(self._metadata, path)

    def batches(self, size: int) -> Iterator[RawBatch]:
        line = 0
        for part in self._parts(size):
            batch = RawBatch()
            for cells in zip(*(_cells(column) for column in part.columns), strict=True):
                line += 1
                if None in cells:
                    batch.bad.append(self._too_long(line, cells))
                else:
                    batch.lines.append(line)
                    batch.rows.append(list(cells))
            yield batch

    def _parts(self, size: int) -> Iterator[Any]:
        names = list(self._kinds)
        try:
            for group in range(self._metadata.num_row_groups):
                rows = max(1, min(size, LARGEST_BATCH // self._row_bytes(group)))
                yield from self._file.iter_batches(batch_size=rows, row_groups=[group], columns=names)
        except self._errors as error:
            raise MappingError(f"{self._name}: the file is damaged: {error}") from None

    def _row_bytes(self, group: int) -> int:
        """What a row of a row group unpacks to at most; of texts that are there in full, on average."""
        columns = self._metadata.row_group(group)
        chunks = [columns.column(number) for number in range(columns.num_columns)]
        texts = [each for each in chunks if each.physical_type == "BYTE_ARRAY" and each.path_in_schema in self._texts]
        # By this encoding each text may begin with all of the one before.
        chained: list[int] = [each.total_uncompressed_size for each in texts if "DELTA_BYTE_ARRAY" in each.encodings]
        in_full = [each.total_uncompressed_size // max(1, each.num_values) for each in texts]
        longest = self._longest_texts(group, [each.path_in_schema for each in texts if _is_packed(each)])
        widths = [CELL_BYTES + _width(kind) for kind in self._kinds.values()]
        return sum([*chained, *in_full, *longest, *widths])

    def _longest_texts(self, group: int, names: list[str]) -> list[int]:
        """Of each column the bytes of the longest text that its rows refer to: the first row brings them all."""
        from pyarrow import compute  # noqa: PLC0415

        if not names:
            return []
        first = next(self._packed.iter_batches(batch_size=1, row_groups=[group], columns=names), None)
        columns = first.columns if first is not None else []
        return [compute.max(compute.binary_length(column.dictionary)).as_py() or 0 for column in columns]

    def _too_long(self, line: int, cells: tuple[str | None, ...]) -> tuple[BadRow, list[str]]:
        reason = f"has more than {LONGEST_CELL} characters"
        return BadRow(line, self.header[cells.index(None)], reason), [cell or "" for cell in cells]


def _is_packed(chunk: Any) -> bool:
    """Whether its rows refer to texts that are there once."""
    encodings = set(chunk.encodings)
    return bool(encodings & {"RLE_DICTIONARY", "PLAIN_DICTIONARY"}) and "DELTA_BYTE_ARRAY" not in encodings


def _width(kind: Any) -> int:
    """Bytes that each value takes, also one that is packed away as the same as the one before; 0 for texts."""
    try:
        return int(kind.bit_width) // 8
    except ValueError:
        return 0


def _refuse_bombs(metadata: Any, path: Path) -> None:
    """Raise MappingError for a file that would unpack to more than is taken at once."""
    groups = (metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups))
    largest = max(groups, default=0)
    if largest > LARGEST_ROW_GROUP:
        raise MappingError(
            f"{path.name}: a row group unpacks to {largest // MIB} MiB, and at most {LARGEST_ROW_GROUP // MIB} are "
            "taken at once; write the file with smaller row groups, for example of 10,000 rows"
        )
    size = path.stat().st_size
    if metadata.num_rows > size * MOST_ROWS_A_BYTE:
        raise MappingError(
            f"{path.name}: {metadata.num_rows} rows in {size} bytes cannot differ from one another; "
            f"at most {MOST_ROWS_A_BYTE} rows to a byte are taken"
        )


def _cells(column: Any) -> list[str | None]:
    """A column as texts; None is one that is too long."""
    texts = (_text(value) for value in column.to_pylist())
    return [text if len(text) <= LONGEST_CELL else None for text in texts]


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
