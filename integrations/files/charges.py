"""A billing export, read whole and checked, on disk instead of in memory: charges by whom they are of.

An export with a row that cannot be read proves nothing, so there is none without all of its rows.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatch
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self
from zoneinfo import ZoneInfo

from app.domain.money import MAX_MINOR, MoneyError, round_to_money
from integrations.files.mapping import ImportMapping, MappingError
from integrations.files.nouns import RECONCILED
from integrations.files.parser import FileParser
from integrations.files.reader import BadRow, open_file
from integrations.files.rows import ChargeRow

CHUNK = 1_000
MOST_TOLD = 20
DAYS_OF_A_YEAR = 366  # an amount for one day is worth as many a year
RECURRING = "recurring"

SCHEMA = """
CREATE TABLE charges (
    line INTEGER PRIMARY KEY, customer TEXT, id TEXT, invoice TEXT, name TEXT, product TEXT, kind TEXT, currency TEXT,
    minor INTEGER, discount_minor INTEGER, starts_on TEXT, ends_on TEXT, price_months INTEGER, repeats INTEGER
);
CREATE TABLE ids (id TEXT PRIMARY KEY, line INTEGER, said TEXT) WITHOUT ROWID;
CREATE TABLE customers (customer TEXT PRIMARY KEY, account INTEGER, is_guess INTEGER) WITHOUT ROWID;
"""
FINDING = """
CREATE INDEX charges_of_customer ON charges (customer, line);
INSERT INTO customers (customer) SELECT DISTINCT customer FROM charges;
CREATE INDEX customers_of_account ON customers (account, customer);
"""
KEEPING = f"INSERT INTO charges VALUES ({', '.join('?' * 14)})"  # noqa: S608  all of it is here
COLUMNS = (
    *("line", "charges.customer", "id", "invoice", "product", "kind", "currency", "minor", "discount_minor"),
    *("starts_on", "ends_on", "price_months", "repeats"),
)


@dataclass(frozen=True, slots=True)
class BilledCharge:
    """A row as the export has it, its amounts in minor units: `minor` is after the discount.

    `repeats` is the line of the first row that has the same id and says the same.
    """

    line: int
    customer: str
    id: str | None
    invoice: str | None
    product: str | None
    kind: str
    currency: str
    minor: int
    discount_minor: int
    starts_on: date
    ends_on: date | None
    price_months: int | None
    repeats: int | None


class ChargesRefused(MappingError):
    """The export has rows that cannot be read; `bad` are the first of them, `count` is how many there are."""

    def __init__(self, name: str, bad: Sequence[BadRow], *, count: int) -> None:
        told = [f"line {row.line}, {row.column}: {row.reason}" if row.column else f"line {row.line}: {row.reason}"
                for row in bad]  # fmt: skip
        more = f"; and {count - len(bad):,} more" if count > len(bad) else ""
        super().__init__(f"{name}: {count:,} rows cannot be read, so nothing is compared: {'; '.join(told)}{more}")
        self.bad = tuple(bad)
        self.count = count


class ChargeBook:
    """The charges of an export in a scratch database; use it in a `with` block."""

    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="tenure-charges-")
        self._database = sqlite3.connect(Path(self._folder.name) / "charges.db", isolation_level=None)
        self._database.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + SCHEMA)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._database.close()
        self._folder.cleanup()

    @property
    def rows(self) -> int:
        return int(self._database.execute("SELECT count(*) FROM charges").fetchone()[0])

    def add(self, pairs: Iterable[tuple[int, ChargeRow]]) -> Iterator[BadRow]:
        """Keep rows with their lines; those that cannot be are given back with the reason."""
        self._database.execute("BEGIN")
        for line, row in pairs:
            try:
                self._keep(line, row)
            except MoneyError as error:
                yield BadRow(line, "amount", str(error))
            except _OtherContent as error:
                yield BadRow(line, "id", str(error))
        self._database.execute("COMMIT")

    def _keep(self, line: int, row: ChargeRow) -> None:
        currency = row.currency or ""
        gross = row.amount + row.discount if row.is_net else row.amount
        net = row.amount if row.is_net else row.amount - row.discount
        minor, before = round_to_money(net, currency).minor, round_to_money(gross, currency).minor
        if max(abs(minor), abs(before)) * DAYS_OF_A_YEAR > MAX_MINOR:
            raise MoneyError(f"{row.amount} {currency} a day is more a year than can be booked")
        values = (
            *(row.invoice, row.name, row.product, row.kind, currency, minor, before - minor),
            *(_text(row.starts_on), _text(row.ends_on), row.price_months),
        )
        repeats = self._first_line(row.id, line=line, said=repr((row.account, *values))) if row.id else None
        self._database.execute(KEEPING, (line, row.account, row.id, *values, repeats))

    def _first_line(self, id_: str, *, line: int, said: str) -> int | None:
        """The line that had the same id and said the same; None: none had."""
        added = self._database.execute("INSERT INTO ids VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (id_, line, said))
        if added.rowcount:
            return None
        first, known = self._database.execute("SELECT line, said FROM ids WHERE id = ?", (id_,)).fetchone()
        if known != said:
            raise _OtherContent(f"the id {id_!r} has other content in line {first}")
        return int(first)

    def close_reading(self) -> None:
        """All rows are in: from now on they can be looked up."""
        self._database.executescript(FINDING)

    def customers(self, size: int) -> Iterator[list[str]]:
        """The ids of whom the charges are of, some at a time."""
        return self._pages("SELECT customer FROM customers WHERE customer > ? ORDER BY customer LIMIT ?", size)

    def strangers(self, size: int) -> Iterator[list[str]]:
        """Those among them that are no account's own."""
        where = "WHERE customer > ? AND (account IS NULL OR is_guess) ORDER BY customer LIMIT ?"
        return self._pages(f"SELECT customer FROM customers {where}", size)  # noqa: S608  all of it is here

    def _pages(self, statement: str, size: int) -> Iterator[list[str]]:
        last = ""
        while True:
            page = [name for (name,) in self._database.execute(statement, (last, size))]
            if page:
                yield page
            if len(page) < size:
                return
            last = page[-1]

    def names_of(self, customers: Sequence[str]) -> dict[str, str]:
        """What the export calls them, where it does."""
        found = self._database.execute(
            f"SELECT customer, max(name) FROM charges WHERE customer IN ({', '.join('?' * len(customers))}) "  # noqa: S608
            "AND name IS NOT NULL GROUP BY customer",
            list(customers),
        )
        return dict(found.fetchall())

    def assign(self, accounts: Iterable[tuple[str, int]], *, is_guess: bool = False) -> None:
        """Say whose charges are whose; a guess is of an id that only looks like the account's."""
        rows = [(account, is_guess, customer) for customer, account in accounts]
        self._database.executemany("UPDATE customers SET account = ?, is_guess = ? WHERE customer = ?", rows)

    def accounts(self) -> Iterator[int]:
        found = self._database.execute("SELECT DISTINCT account FROM customers WHERE account IS NOT NULL ORDER BY 1")
        return (account for (account,) in found)

    def charges_of_accounts(self, first: int, last: int) -> Iterator[tuple[int, bool, BilledCharge]]:
        """Of the accounts from `first` to `last`: account, whether that is a guess, and charge, in the file's order."""
        found = self._database.execute(
            f"SELECT account, is_guess, {', '.join(COLUMNS)} FROM customers "  # noqa: S608
            "JOIN charges ON charges.customer = customers.customer "
            "WHERE account BETWEEN ? AND ? ORDER BY account, line",
            (first, last),
        )
        return ((account, bool(is_guess), _charge(row)) for account, is_guess, *row in found)

    def charges_of(self, customer: str) -> Iterator[BilledCharge]:
        found = self._database.execute(
            f"SELECT {', '.join(COLUMNS)} FROM charges WHERE customer = ? ORDER BY line",  # noqa: S608
            (customer,),
        )
        return map(_charge, found)


class _OtherContent(ValueError):
    """An id was read before, of a row that says something else."""


def read_charges(book: ChargeBook, path: Path, *, mapping: ImportMapping, zone: ZoneInfo) -> None:
    """Read an export as the mapping says. Raises MappingError where the two do not fit, and ChargesRefused."""
    parser, reader = _open(path, mapping, zone=zone)
    bad: list[BadRow] = []
    count = 0
    for batch in reader.batches(CHUNK):
        parsed = parser.parse(batch)
        pairs = [pair for made in parsed.rows for pair in made]
        for row in (*parsed.bad, *book.add(pairs)):
            count += 1
            if len(bad) < MOST_TOLD:
                bad.append(row)
    if bad:
        raise ChargesRefused(path.name, bad, count=count)
    book.close_reading()


def _open(path: Path, mapping: ImportMapping, *, zone: ZoneInfo) -> tuple[FileParser, Any]:
    file_map = next((each for each in mapping.files if fnmatch(path.name, each.name)), None)
    if file_map is None:
        names = ", ".join(each.name for each in mapping.files)
        raise MappingError(f"{path.name}: the mapping {mapping.title} knows no such file; it knows {names}")
    if [section.noun for section in file_map.sections] != [RECONCILED]:
        raise MappingError(f"{path.name}: to be held against the ledger, its rows are one `{RECONCILED}` each")
    reader = open_file(path, file_map)
    return FileParser(mapping, file_map, header=reader.header, zone=zone), reader


def _text(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _charge(row: Sequence[Any]) -> BilledCharge:
    told = dict(zip(BilledCharge.__dataclass_fields__, row, strict=True))
    days = {name: told[name] and date.fromisoformat(told[name]) for name in ("starts_on", "ends_on")}
    return BilledCharge(**told | days)
