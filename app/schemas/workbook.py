"""A workbook that a controller can open: the figures, what they mean, and checks that Excel does itself."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import IO, Any

from xlsxwriter import Workbook
from xlsxwriter.utility import xl_col_to_name

from app.errors import TooLarge

MOST_ROWS = 250_000
SURE_DIGITS = 15  # more than these a spreadsheet does not keep of a number
FIGURES = "Figures"
# What XML has no way to write.
UNWRITABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class Cover:
    """What a workbook says of its figures: of when they are, and what each definition in it means."""

    facts: Mapping[str, Any]
    definitions: Sequence[tuple[str, str, str]] = ()  # id, formula, words


@dataclass(frozen=True, slots=True)
class ControlTotal:
    """The sum of a column, of one currency where the table has a column for it."""

    column: int
    currency: str | None
    total: Decimal


class ControlTotals:
    """Sums of the columns of decimals, which are those of money, by the currency that stands in the row."""

    def __init__(self, header: Sequence[str]) -> None:
        self.currency_column = header.index("currency") if "currency" in header else None
        self.rows = 0
        self._sums: dict[tuple[int, str | None], Decimal] = {}

    def add(self, row: Sequence[Any]) -> None:
        self.rows += 1
        currency = None if self.currency_column is None else row[self.currency_column]
        for column, value in enumerate(row):
            if isinstance(value, Decimal):
                self._sums[column, currency] = self._sums.get((column, currency), Decimal(0)) + value

    @property
    def totals(self) -> list[ControlTotal]:
        order = sorted(self._sums.items(), key=lambda each: (each[0][0], each[0][1] or ""))
        return [ControlTotal(column, currency, total) for (column, currency), total in order]


def write_workbook(file: IO[bytes], table: tuple[Sequence[str], Iterable[Sequence[Any]]], *, cover: Cover) -> None:
    """Write a table, as (header, rows), to the sheets Figures, Definitions and Checks, in constant memory.

    No cell is a formula but those of Checks: each column of money is added up by the spreadsheet and held
    against the sum that the service made. The same figures give the same bytes. TooLarge beyond 250,000 rows.
    """
    header, rows = table
    book = Workbook(file, {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False})
    book.set_properties({"created": datetime(2000, 1, 1), "title": "Tenure"})  # noqa: DTZ001
    totals = ControlTotals(header)
    figures = _Sheet(book, FIGURES)
    figures.write_header(header)
    for row in rows:
        if totals.rows == MOST_ROWS:
            book.close()
            raise TooLarge(f"A workbook holds {MOST_ROWS:,} rows at most; ask for CSV, or for fewer.")
        figures.write(row)
        totals.add(row)
    meanings = _Sheet(book, "Definitions")
    meanings.write_header(("definition", "formula", "words"))
    for definition in cover.definitions:
        meanings.write(definition)
    checks = _Sheet(book, "Checks")
    for fact in (*cover.facts.items(), ("rows", totals.rows), ()):
        checks.write(fact)
    checks.write_header(("column", "currency", "by the service", "by this workbook", "difference"))
    for total in totals.totals:
        checks.write_control(header[total.column], total, of=totals)
    book.close()


class _Sheet:
    """A worksheet that is written row after row."""

    def __init__(self, book: Workbook, name: str) -> None:
        self._sheet = book.add_worksheet(name)
        self._days = book.add_format({"num_format": "yyyy-mm-dd"})
        self._instants = book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"})
        self._bold = book.add_format({"bold": True})
        self._row = 0

    def write_header(self, header: Sequence[str]) -> None:
        for column, name in enumerate(header):
            self._sheet.write_string(self._row, column, name, self._bold)
        self._row += 1
        if self._row == 1:
            self._sheet.freeze_panes(1, 0)

    def write(self, row: Sequence[Any]) -> None:
        for column, value in enumerate(row):
            self._write_cell(column, value)
        self._row += 1

    def write_control(self, name: str, total: ControlTotal, *, of: ControlTotals) -> None:
        row = self._row
        self.write((name, total.currency, total.total))
        cells = f"{FIGURES}!${{0}}$2:${{0}}${of.rows + 1}"
        added = f"SUM({cells.format(xl_col_to_name(total.column))})"
        if of.currency_column is not None:
            currencies = cells.format(xl_col_to_name(of.currency_column))
            added = f"SUMIF({currencies},B{row + 1},{cells.format(xl_col_to_name(total.column))})"
        self._sheet.write_formula(row, 3, f"={added}", None, float(total.total))
        self._sheet.write_formula(row, 4, f"=ROUND(C{row + 1}-D{row + 1},6)", None, 0)

    def _write_cell(self, column: int, value: Any) -> None:
        if value is None:
            return
        if isinstance(value, bool):
            self._sheet.write_boolean(self._row, column, value)
        elif isinstance(value, datetime):
            self._sheet.write_datetime(self._row, column, value.astimezone(UTC).replace(tzinfo=None), self._instants)
        elif isinstance(value, date):
            self._sheet.write_datetime(self._row, column, datetime(value.year, value.month, value.day), self._days)  # noqa: DTZ001
        elif isinstance(value, int | float | Decimal) and _is_sure(value):
            self._sheet.write_number(self._row, column, float(value))
        else:
            self._sheet.write_string(self._row, column, UNWRITABLE.sub("\ufffd", str(value)))


def _is_sure(value: float | Decimal) -> bool:
    """Whether a spreadsheet keeps all digits of a number; other numbers are written as text."""
    return isinstance(value, float) or len(Decimal(value).as_tuple().digits) <= SURE_DIGITS
