"""Tables as files: CSV and XLSX hold the same figures, and say so."""

import io
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from openpyxl import load_workbook

from app.api.tables import send_table
from app.errors import Conflict
from app.http import Application

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
Ask = Callable[..., Any]


@pytest.mark.parametrize(
    "path", ["/accounts", "/ltv", "/ltv/summary?group_by=segment", "/revenue/arr?group_by=currency"]
)
def test_a_workbook_has_the_rows_of_the_csv_and_their_checksum(ask: Ask, path: str) -> None:
    joint = "&" if "?" in path else "?"
    table, book = (ask(f"{path}{joint}format={form}") for form in ("csv", "xlsx"))
    assert (book.status_code, book.mimetype) == (200, XLSX)
    assert book.headers["Content-Disposition"].endswith('.xlsx"')
    assert book.headers["Figures-Checksum"] == table.headers["Figures-Checksum"]
    assert book.headers["Figures-Checksum"].startswith("sha-256=")
    sheets = load_workbook(io.BytesIO(book.data), data_only=True)
    lines = table.data.decode("utf-8-sig").splitlines()
    assert sheets.sheetnames == ["Figures", "Definitions", "Checks"]
    assert [cell.value for cell in sheets["Figures"][1]] == lines[0].split(",")
    assert sheets["Figures"].max_row == len(lines) > 1
    differences = [row[4].value for row in sheets["Checks"].iter_rows() if row[4].value is not None]
    assert set(differences) <= {"difference", 0}
    assert len(differences) > 1
    assert sheets["Definitions"].max_row > 1


def test_the_header_asks_as_the_parameter_does(ask: Ask) -> None:
    assert ask("/accounts", Accept=XLSX).mimetype == XLSX
    assert ask("/accounts", Accept="text/csv").mimetype == "text/csv"
    assert ask("/accounts", Accept="text/html,*/*").mimetype == "application/json"
    assert ask("/accounts?format=csv", Accept=XLSX).mimetype == "text/csv"
    assert ask("/accounts?format=pdf").status_code == 400


def test_a_workbook_that_did_not_change_is_304(ask: Ask) -> None:
    first = ask("/accounts?format=xlsx")
    again = ask("/accounts?format=xlsx", **{"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    assert ask("/accounts?format=csv").headers["ETag"] != first.headers["ETag"]
    assert int(first.headers["Content-Length"]) == len(first.data)


def test_a_long_table_is_sent_from_a_file_in_pieces(app: Application) -> None:
    rows = ((number, "x" * 80) for number in range(30_000))
    with app.test_request_context("/long"):
        response = send_table("csv", (("number", "text"), rows), name="long", meta={})
        pieces = list(response.response)
        length = response.content_length
        response.close()
    assert response.is_streamed
    assert sum(map(len, pieces)) == length > 2_000_000
    assert b"".join(pieces).endswith(b"29999," + b"x" * 80 + b"\r\n")


def test_an_error_on_the_way_is_no_half_table(app: Application) -> None:
    def rows() -> Iterator[tuple[int]]:
        yield (1,)
        raise Conflict("The rate went away.")

    with app.test_request_context("/half"), pytest.raises(Conflict):
        send_table("csv", (("number",), rows()), name="half", meta={})
