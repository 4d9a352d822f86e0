"""A billing export as it is read: whole, exact, and from CSV and Parquet alike."""

from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from integrations.files.charges import BilledCharge, ChargeBook, ChargesRefused, read_charges
from integrations.files.mapping import load_mapping

MAPPING = """
system = "billing"
kind = "billing"
currency = "EUR"
[[files]]
name = "*"
[files.charge]
id = "id"
account = "who"
name = "name"
product = "plan"
kind = { column = "kind", default = "recurring" }
starts_on = "from"
ends_on = "to"
price_months = "months"
amount = "amount"
discount = "discount"
is_net = "net"
"""
COLUMNS = ("id", "who", "name", "plan", "kind", "from", "to", "months", "amount", "discount", "net")
ROWS = (
    ("1", "b", "Bo", "core", "", "2026-05-01", "2026-05-31", "", "100.005", "10", "true"),
    ("2", "a", "Al", "", "", "2026-05-01", "", "1", "100.00", "10.00", "false"),
    ("1", "b", "Bo", "core", "", "2026-05-01", "2026-05-31", "", "100.005", "10", "true"),
    ("", "a", "", "setup", "one_time", "2026-05-07", "", "", "-50", "", ""),
)


@pytest.fixture
def book():
    with ChargeBook() as book:
        yield book


def read(book: ChargeBook, path: Path) -> None:
    mapping = path.parent / "m.toml"
    mapping.write_text(MAPPING)
    read_charges(book, path, mapping=load_mapping(mapping), zone=ZoneInfo("UTC"))


def written(folder: Path, *rows: tuple[str, ...]) -> Path:
    path = folder / "charges.csv"
    path.write_text("\n".join(",".join(row) for row in (COLUMNS, *rows)) + "\n")
    return path


def test_amounts_are_rounded_once_and_are_what_was_charged(book: ChargeBook, tmp_path: Path) -> None:
    """100.005 after 10 off is 100.00 of 110.00 (110.005, half-even); 100 before 10 off is 90."""
    read(book, written(tmp_path, *ROWS))
    assert book.rows == 4
    first, again = book.charges_of("b")
    assert (first.minor, first.discount_minor, first.currency, first.repeats) == (10_000, 1_000, "EUR", None)
    assert (again.line, again.repeats) == (4, 2)
    monthly, once = book.charges_of("a")
    assert monthly == BilledCharge(
        3, "a", "2", None, None, "recurring", "EUR", 9_000, 1_000, date(2026, 5, 1), None, 1, None
    )
    assert (once.kind, once.minor, once.ends_on) == ("one_time", -5_000, None)


def test_a_parquet_file_says_the_same(tmp_path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.table({name: [row[number] for row in ROWS] for number, name in enumerate(COLUMNS)})
    parquet.write_table(table, tmp_path / "charges.parquet")
    with ChargeBook() as of_csv, ChargeBook() as of_parquet:
        read(of_csv, written(tmp_path, *ROWS))
        read(of_parquet, tmp_path / "charges.parquet")
        for customer in "ab":
            amounts = [[each.minor for each in book.charges_of(customer)] for book in (of_csv, of_parquet)]
            assert amounts[0] == amounts[1] != []


def test_customers_come_in_pages_and_strangers_are_those_without_an_account(book: ChargeBook, tmp_path: Path) -> None:
    rows = [(str(n), f"c{n:02d}", f"Name {n}", "", "", "2026-05-01", "", "1", "1", "", "") for n in range(25)]
    read(book, written(tmp_path, *rows))
    pages = list(book.customers(10))
    assert [len(page) for page in pages] == [10, 10, 5]
    book.assign([("c00", 7), ("c01", 7)])
    book.assign([("c02", 7)], is_guess=True)
    assert next(book.strangers(100))[:2] == ["c02", "c03"]
    found = [(account, is_guess, charge.customer) for account, is_guess, charge in book.charges_of_accounts(1, 9)]
    assert found == [(7, False, "c00"), (7, False, "c01"), (7, True, "c02")]
    assert list(book.charges_of_accounts(8, 99)) == []
    assert book.names_of(["c03", "nobody"]) == {"c03": "Name 3"}


def test_every_bad_row_is_counted_and_the_first_are_told(book: ChargeBook, tmp_path: Path) -> None:
    bad = ("x", "a", "", "", "", "2026-05-01", "", "1", "NaN", "", "")
    with pytest.raises(
        ChargesRefused, match=r"25 rows cannot be read, so nothing is compared: line 2, amount"
    ) as refused:
        read(book, written(tmp_path, *[(f"x{n}", *bad[1:]) for n in range(25)]))
    assert (refused.value.count, len(refused.value.bad)) == (25, 20)
    assert "and 5 more" in str(refused.value)
