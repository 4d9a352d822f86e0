"""Workbooks, opened with another library than the one that wrote them."""

import io
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from openpyxl import load_workbook

from app.errors import TooLarge
from app.schemas.workbook import MOST_ROWS, Cover, write_workbook

COVER = Cover(
    {"as_of": date(2026, 5, 31), "known_at": datetime(2026, 6, 1, 9, tzinfo=UTC)}, (("arr@1", "sum", "words"),)
)
HEADER = ("name", "arr", "currency", "accounts", "on")
ROWS = (
    ("=1+1", Decimal("1234.50"), "USD", 2, date(2026, 5, 31)),
    ("青葉\x00商事", Decimal("-34.50"), "USD", 1, None),
    ("さくら", Decimal(1200000), "JPY", 1, datetime(2026, 5, 31, 12, tzinfo=UTC)),
)


def written(rows: Any, *, formulas: bool = False) -> Any:
    file = io.BytesIO()
    write_workbook(file, (HEADER, rows), cover=COVER)
    return load_workbook(file, data_only=not formulas)


def read(*parts: int) -> datetime:
    """A day or an instant as a spreadsheet has it, which knows of no zones."""
    return datetime(*parts, tzinfo=UTC).replace(tzinfo=None)


def test_figures_are_numbers_and_dates_and_no_text_is_a_formula() -> None:
    rows = list(written(ROWS, formulas=True)["Figures"].iter_rows())
    assert [cell.value for cell in rows[0]] == list(HEADER)
    assert (rows[1][0].value, rows[1][0].data_type) == ("=1+1", "s")
    assert [rows[1][1].value, rows[1][3].value, rows[1][4].value] == [1234.5, 2, read(2026, 5, 31)]
    assert (rows[2][0].value, rows[2][4].value) == ("青葉\ufffd商事", None)
    assert rows[3][4].value == read(2026, 5, 31, 12)


def test_checks_add_each_currency_up_and_say_what_the_service_made_of_it() -> None:
    sheets = written(ROWS), written(ROWS, formulas=True)
    assert [cell.value for cell in sheets[0]["Definitions"][2]] == ["arr@1", "sum", "words"]
    values, formulas = ([[cell.value for cell in row] for row in book["Checks"].iter_rows()] for book in sheets)
    assert values[:3] == [
        ["as_of", read(2026, 5, 31), None, None, None],
        ["known_at", read(2026, 6, 1, 9), None, None, None],
        ["rows", 3, None, None, None],
    ]
    assert values[-2:] == [["arr", "JPY", 1200000, 1200000, 0], ["arr", "USD", 1200, 1200, 0]]
    assert formulas[-1][3:] == ["=SUMIF(Figures!$C$2:$C$4,B7,Figures!$B$2:$B$4)", "=ROUND(C7-D7,6)"]


def test_a_number_that_a_spreadsheet_would_round_is_text() -> None:
    exact = Decimal("12345678901234567.89")
    book = written([("x", exact, "USD", 1, None)])
    assert book["Figures"]["B2"].value == str(exact)


def test_the_same_figures_are_the_same_bytes() -> None:
    first, again = io.BytesIO(), io.BytesIO()
    for file in (first, again):
        write_workbook(file, (HEADER, ROWS), cover=COVER)
    assert first.getvalue() == again.getvalue()


def test_more_rows_than_a_workbook_should_hold_are_refused() -> None:
    with pytest.raises(TooLarge, match="CSV"):
        write_workbook(io.BytesIO(), (("n",), ((1,) for _ in range(MOST_ROWS + 1))), cover=Cover({}))
