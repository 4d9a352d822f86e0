"""CSV that Excel opens as it should: UTF-8 with a mark, and no cell that runs as a formula."""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

# Also the full-width forms: Excel reads them as it reads the plain ones.
FORMULA_STARTS = tuple("=+-@＝＋－＠\t\r\n")
# Where cells are separated by semicolons, a part of a text would become a cell.
FORMULA_INSIDE = re.compile(r"[;|\t\r\n][\s\0\u3000]*[=+\-@＝＋－＠]")
PLAIN_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")


def write_csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """The table as bytes; None is an empty cell, dates and instants are ISO 8601, numbers stay numbers."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue().encode("utf-8-sig")


def _cell(value: Any) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    text = "" if value is None else str(value)
    if not isinstance(value, str) or PLAIN_NUMBER.fullmatch(text):
        return text
    could_run = text.lstrip(" \0\u3000").startswith(FORMULA_STARTS) or FORMULA_INSIDE.search(text)
    return f"'{text}" if could_run else text
