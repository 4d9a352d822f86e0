"""CSV that Excel opens as it should: UTF-8 with a mark, and no cell that runs as a formula."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

MARK = b"\xef\xbb\xbf"  # by which Excel knows UTF-8
# Also the full-width forms: Excel reads them as it reads the plain ones.
FORMULA_STARTS = tuple("=+-@＝＋－＠\t\r\n")
# Where cells are separated by semicolons, a part of a text would become a cell.
FORMULA_INSIDE = re.compile(r"[;|\t\r\n][\s\0\u3000]*[=+\-@＝＋－＠]")
PLAIN_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")


def write_csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """The table as bytes; None is an empty cell, dates and instants are ISO 8601, numbers stay numbers."""
    return b"".join([MARK, csv_line(header), *map(csv_line, rows)])


def csv_line(row: Sequence[Any]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow([_cell(value) for value in row])
    return line.getvalue().encode()


def _cell(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    text = "" if value is None else str(value)
    if not isinstance(value, str) or PLAIN_NUMBER.fullmatch(text):
        return text
    could_run = text.lstrip(" \0\u3000").startswith(FORMULA_STARTS) or FORMULA_INSIDE.search(text)
    return f"'{text}" if could_run else text
