"""From the texts of a batch to rows of each noun, column by column, with every bad cell named.

A file row is taken whole or not at all: where one noun of it has a bad cell, none is made of it.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import Any
from zoneinfo import ZoneInfo

from integrations.files import values
from integrations.files.checks import CHECKS
from integrations.files.mapping import Cell, FileMap, ImportMapping, MappingError, Section, suggest
from integrations.files.nouns import NOUNS, Field, RowType
from integrations.files.reader import BadRow, RawBatch

# Text of a cell -> its value. Few distinct texts make up most columns; ids and the like are not worth keeping.
_MEMORY = 20_000


@dataclass(frozen=True, slots=True)
class ParsedBatch:
    """For each section of the file the rows made, each with its line; and what was bad, once a row."""

    rows: tuple[list[tuple[int, Any]], ...]
    bad: list[BadRow]
    cells_of_bad: dict[int, list[str]] = field(default_factory=dict)


class FileParser:
    """Applies one file's part of a mapping. Raises MappingError for columns that the header lacks."""

    def __init__(self, mapping: ImportMapping, file_map: FileMap, *, header: Sequence[str], zone: ZoneInfo) -> None:
        self.file_map = file_map
        self._index = {name: position for position, name in enumerate(header)}
        _check_header(file_map, header)
        self._makers = [
            _RowMaker(mapping, file_map, section=part, index=self._index, zone=zone) for part in self.sections
        ]

    @property
    def sections(self) -> tuple[Section, ...]:
        return self.file_map.sections

    @property
    def unused(self) -> list[str]:
        """The columns that no part of the mapping reads."""
        used = {name for section in self.sections for name in section.columns}
        return [name for name in self._index if name not in used]

    def parse(self, batch: RawBatch) -> ParsedBatch:
        bad: dict[int, BadRow] = {}
        made = [maker.make(batch, bad) for maker in self._makers]
        rows = tuple([pair for pair in found if pair[0] not in bad] if bad else found for found in made)
        broken = {row.line: cells for row, cells in batch.bad}
        spoilt = (
            {line: cells for line, cells in zip(batch.lines, batch.rows, strict=True) if line in bad} if bad else {}
        )
        return ParsedBatch(rows, [*(row for row, _ in batch.bad), *bad.values()], {**broken, **spoilt})

    def text_of(self, section: Section, name: str, *, cells: Sequence[str]) -> str | None:
        """The raw text of a field in a row that could not be read, if it gets that far."""
        cell = section.fields[name]
        positions = [self._index[column] for column in cell.columns]
        if not positions or max(positions) >= len(cells):
            return None
        text = "/".join(cells[position].strip() for position in positions)
        return cell.map.get(text, text)


class _RowMaker:
    def __init__(
        self, mapping: ImportMapping, file_map: FileMap, *, section: Section, index: dict[str, int], zone: ZoneInfo
    ) -> None:
        noun = NOUNS[section.noun]
        self._section, self._row = section, noun.row
        self._check = CHECKS.get(section.noun)
        self._where = [(index[name], allowed) for name, allowed in section.where.items()]
        self._unless_blank = [index[name] for name in section.unless_blank]
        self._columns: dict[str, _Column] = {}
        cells = _with_currency(section, noun.fields, currency=mapping.currency)
        for name, cell in cells.items():
            self._columns[name] = _Column(cell, noun.fields[name], index=index, null=file_map.null)
            self._columns[name].prepare(mapping, zone=zone)
        self._custom: dict[str, _Column] = {}
        for name, cell in section.custom.items():
            self._custom[name] = _Column(cell, Field(section.custom_types[name]), index=index, null=file_map.null)
            self._custom[name].prepare(mapping, zone=zone)
            if section.custom_types[name] == "date":
                self._custom[name].as_text()
        self._defaults = _defaults(noun.row)

    def make(self, batch: RawBatch, bad: dict[int, BadRow]) -> list[tuple[int, Any]]:
        lines, rows = self._chosen(batch)
        columns: list[Iterable[Any]] = []
        for name, default in self._defaults.items():
            if name == "custom":
                columns.append(self._customs(lines, rows, bad=bad))
            elif name in self._columns:
                columns.append(self._columns[name].convert(lines, rows, bad=bad, default=default))
            else:
                columns.append([default] * len(rows))
        made = list(zip(lines, map(self._row, *columns), strict=True))
        if self._check is not None:
            self._refuse(made, bad)
        return made

    def _chosen(self, batch: RawBatch) -> tuple[list[int], list[list[str]]]:
        if not self._where and not self._unless_blank:
            return batch.lines, batch.rows
        chosen = [
            (line, row)
            for line, row in zip(batch.lines, batch.rows, strict=True)
            if all(row[position].strip() in allowed for position, allowed in self._where)
            and all(row[position].strip() for position in self._unless_blank)
        ]
        return [line for line, _ in chosen], [row for _, row in chosen]

    def _customs(self, lines: list[int], rows: list[list[str]], *, bad: dict[int, BadRow]) -> list[dict[str, Any]]:
        found = [column.convert(lines, rows, bad=bad, default=None) for column in self._custom.values()]
        return (
            [dict(zip(self._custom, row, strict=True)) for row in zip(*found, strict=True)]
            if found
            else [{}] * len(rows)
        )

    def _refuse(self, made: list[tuple[int, Any]], bad: dict[int, BadRow]) -> None:
        for line, row in made:
            if line not in bad:
                problem = self._check(row) if self._check else None
                if problem:
                    name, reason = problem
                    source = self._columns.get(name)
                    bad[line] = BadRow(line, source.label if source else "", reason)


def _check_header(file_map: FileMap, header: Sequence[str]) -> None:
    """A line that names no column at all is no header: it may hold somebody's name, and is not repeated."""
    wanted = sorted({column for section in file_map.sections for column in section.columns})
    missing = [column for column in wanted if column not in header]
    if missing and len(missing) == len(wanted):
        raise MappingError(
            f"{file_map.name}: has no column of {', '.join(map(repr, wanted))}; "
            "its first line must name the columns, with the mapping's delimiter between them"
        )
    if missing:
        raise MappingError(f"{file_map.name}: has no column {missing[0]!r}; {suggest(missing[0], header)}")


def _with_currency(section: Section, specs: dict[str, Field], *, currency: str | None) -> dict[str, Cell]:
    if currency is None or "currency" in section.fields or "currency" not in specs:
        return dict(section.fields)
    return {**section.fields, "currency": Cell(value=currency)}


def _defaults(row: RowType) -> dict[str, Any]:
    """What a field is where the file says nothing; None too where it must say something (that is refused before)."""
    return {each.name: None if each.default is MISSING else each.default for each in fields(row)}


class _Column:
    """One field's way from texts to values."""

    def __init__(self, cell: Cell, spec: Field, *, index: dict[str, int], null: frozenset[str]) -> None:
        self._cell, self._spec, self._null = cell, spec, null
        self._positions = [index[name] for name in cell.columns]
        self._memory: dict[str, Any] = {}
        self._read: Callable[[str], Any] = str
        self.label = "/".join(cell.columns) or (cell.value or "")

    def prepare(self, mapping: ImportMapping, *, zone: ZoneInfo) -> None:
        cell, spec = self._cell, self._spec
        if cell.type == "as_of":
            self._cell = Cell(value=str(mapping.as_of))
            self._read = values.date_of(None, zone, plus_days=cell.plus_days)
        elif cell.type == "tenure_months" and mapping.as_of:
            self._read = values.months_before(mapping.as_of)
        else:
            self._read = _converter(cell, spec, zone=zone)
        try:
            self._check_constants()
        except values.BadValue as error:
            raise MappingError(f"{self.label}: {error}") from None

    def as_text(self) -> None:
        """Dates among custom fields are kept as ISO text: they end up in JSON."""
        read = self._read
        self._read = lambda text: str(read(text))

    def _check_constants(self) -> None:
        for text in (self._cell.value, self._cell.default):
            if text:
                self._read(text)

    def convert(self, lines: list[int], rows: list[list[str]], *, bad: dict[int, BadRow], default: Any) -> list[Any]:
        if not self._positions:
            return [self._value(self._cell.value or "", default)] * len(rows)
        if len(self._positions) == 1:
            position = self._positions[0]
            texts = [row[position] for row in rows]
        else:
            texts = ["/".join(row[position].strip() for position in self._positions) for row in rows]
        if len(self._memory) > _MEMORY:
            self._memory.clear()
        found = []
        for line, text in zip(lines, texts, strict=True):
            try:
                found.append(self._memory[text])
            except KeyError:
                try:
                    value = self._value(text, default)
                except values.BadValue as error:
                    bad.setdefault(line, BadRow(line, self.label, str(error)))
                    value = None
                else:
                    self._memory[text] = value
                found.append(value)
        return found

    def _value(self, text: str, default: Any) -> Any:
        text = text.strip()
        text = self._cell.map.get(text, text)
        if text in self._null:
            if self._cell.default is None:
                if self._spec.required:
                    raise values.BadValue("is blank, and is needed")
                return default
            text = self._cell.default
        return self._read(text)


def _converter(cell: Cell, spec: Field, *, zone: ZoneInfo) -> values.Converter:
    number = values.decimal_of(cell.decimal, cell.thousands)
    converters: dict[str, values.Converter] = {
        "text": values.text_of(spec.longest),
        "date": values.date_of(cell.format, zone, plus_days=cell.plus_days),
        "integer": values.whole_of(number),
        "decimal": number,
        "number": values.float_of(number),
        "boolean": values.boolean,
        "choice": values.choice_of(spec.choices),
        "currency": values.currency,
    }
    return converters[spec.type]
