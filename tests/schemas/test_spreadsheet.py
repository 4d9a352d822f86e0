"""CSV that is safe to open."""

import csv
import io
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.schemas.spreadsheet import write_csv


def cell(value: Any) -> str:
    table = write_csv(["header"], [[value]]).decode("utf-8-sig")
    return list(csv.reader(io.StringIO(table, newline="")))[1:][0][0] if value not in (None, "") else ""


@pytest.mark.parametrize(
    "text",
    [
        "=1+1",
        "+1+1",
        "-1+1",
        "@SUM(A1)",
        "\t=1",
        "\r=1",
        "\n=1",
        "＝1+1",
        "＋1+1",
        "－1+1",
        "＠SUM",
        " =1",
        "\u3000=1",
        "=cmd|' /C calc'!A0",
        "x;=cmd|' /C calc'!A0",
        "x; ＝1+1",
        "x\t@SUM(A1)",
        "x\n=1",
    ],
)
def test_text_that_would_run_as_a_formula_is_marked_as_text(text: str) -> None:
    assert cell(text) == f"'{text}"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (-120.5, "-120.5"),
        (Decimal("-120.50"), "-120.50"),
        ("-120.50", "-120.50"),
        ("+1e5", "+1e5"),
        (0, "0"),
        ("株式会社", "株式会社"),
        ('a "b", c', 'a "b", c'),
        ("two\nlines", "two\nlines"),
    ],
)
def test_numbers_stay_numbers_and_words_stay_words(value: Any, said: str) -> None:
    assert cell(value) == said


def test_the_file_begins_with_the_mark_that_excel_needs() -> None:
    assert write_csv(["名前"], []) == b"\xef\xbb\xbf" + "名前\r\n".encode()


def test_nothing_is_an_empty_cell() -> None:
    assert write_csv(["a", "b"], [[None, 1]]).decode("utf-8-sig") == "a,b\r\n,1\r\n"


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_any_text_comes_back_as_it_was_but_for_the_mark(text: str) -> None:
    assert cell(text).removeprefix("'") == text.removeprefix("'")
