"""A company of 200 accounts with a year's contract each, and what its billing system says of May 2026.

Account n pays 12 x (100 + n) dollars a year from 1 July 2025 on and is charged 100 + n for each month: the two sides
agree to the cent. What a test plants, it writes over that.
"""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from sqlalchemy import Engine

from app.services.reconciliation_export import Files
from integrations.files.mapping import load_mapping
from jobs.import_files import import_files
from jobs.import_run import Options

AS_OF = date(2026, 5, 31)
ACCOUNTS = range(1, 201)
LEDGER = """
system = "our_crm"
currency = "USD"

[[files]]
name = "accounts.csv"
[files.account]
id = "id"
name = "name"

[[files]]
name = "deals.csv"
[files.deal]
id = "deal"
account = "account"
closed_on = "starts"
currency = "currency"
[files.line]
key = "key"
product = "product"
kind = "kind"
amount = "amount"
currency = "currency"
discount = "discount"
starts_on = "starts"
ends_on = "ends"

[[files]]
name = "rates.csv"
[files.fx_rate]
day = "day"
base = "base"
quote = "quote"
rate = "rate"
"""
BILLING = """
system = "our_crm"

[[files]]
name = "*.csv"
[files.charge]
id = "id"
invoice = "invoice"
account = "customer"
name = "name"
product = "plan"
kind = { column = "type", map = { sub = "recurring", once = "one_time" } }
starts_on = "from"
ends_on = "to"
amount = "amount"
discount = "discount"
currency = "currency"
"""
DEALS = ("deal", "account", "key", "product", "kind", "amount", "currency", "discount", "starts", "ends")
CHARGES = ("id", "invoice", "customer", "name", "plan", "type", "from", "to", "amount", "discount", "currency")


def deal(number: int, **said: str) -> dict[str, str]:
    row = {
        "deal": f"D-{number}",
        "account": f"C-{number}",
        "key": "1",
        "product": "core",
        "kind": "recurring",
        "amount": str(12 * (100 + number)),
        "currency": "USD",
        "discount": "",
        "starts": "2025-07-01",
        "ends": "2026-06-30",
    }
    return row | said


def charge(number: int, **said: str) -> dict[str, str]:
    row = {
        "id": f"I-{number}",
        "invoice": f"R-{number}",
        "customer": f"C-{number}",
        "name": f"Company {number}",
        "plan": "core",
        "type": "sub",
        "from": "2026-05-01",
        "to": "2026-05-31",
        "amount": str(100 + number),
        "discount": "",
        "currency": "USD",
    }
    return row | said


@dataclass
class Books:
    """Both sides as rows, by account; to be changed before they are written."""

    deals: dict[int, list[dict[str, str]]] = field(default_factory=lambda: {n: [deal(n)] for n in ACCOUNTS})
    charges: dict[int, list[dict[str, str]]] = field(default_factory=lambda: {n: [charge(n)] for n in ACCOUNTS})

    def record(self, engine: Engine, folder: Path) -> Files:
        """Import the ledger's side, and write the other to a file."""
        (folder / "ledger.toml").write_text(LEDGER)
        (folder / "billing.toml").write_text(BILLING)
        accounts = [{"id": f"C-{n}", "name": f"Company {n}"} for n in (*ACCOUNTS, 201)]
        rates = [
            {"day": "2025-07-01", "base": "EUR", "quote": "USD", "rate": "1.10"},
            {"day": "2026-05-01", "base": "EUR", "quote": "USD", "rate": "1.20"},
        ]
        write(folder / "accounts.csv", accounts[0], accounts)
        write(folder / "deals.csv", DEALS, (row for rows in self.deals.values() for row in rows))
        write(folder / "rates.csv", rates[0], rates)
        write(folder / "charges.csv", CHARGES, (row for rows in self.charges.values() for row in rows))
        paths = [folder / name for name in ("accounts.csv", "deals.csv", "rates.csv")]
        report = import_files(engine, load_mapping(folder / "ledger.toml"), paths=paths, options=Options())
        assert not report.rejected, list(report.lines())
        return Files(folder / "billing.toml", folder / "charges.csv")

    def line_of(self, charge_id: str) -> int:
        """On which line of the export the last row of that id stands."""
        ids = [row["id"] for rows in self.charges.values() for row in rows]
        return len(ids) - ids[::-1].index(charge_id) + 1


def write(path: Path, header: Iterable[str], rows: Iterable[Mapping[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(header))
        writer.writeheader()
        writer.writerows(rows)
