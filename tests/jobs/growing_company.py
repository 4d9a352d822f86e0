"""Sixty small accounts that pay by the month: half have the plan, and more and more of them take the add-on too.

Ten of the others have left. So its night has a model to learn, accounts to score, and opportunities to raise.
"""

from datetime import date
from pathlib import Path

from sqlalchemy import Engine

from app.domain.months import add_months
from integrations.files.mapping import load_mapping
from jobs.import_files import import_files
from jobs.import_run import Options

AS_OF = date(2026, 1, 1)
ACCOUNTS = 60
FILES = ("mapping.toml", "customers.csv", "sales.csv")
MAPPING = """
system = "billing"
currency = "EUR"
[backfill]
lag_days = 0
[company]
reporting_currency = "EUR"
[[files]]
name = "customers.csv"
[files.account]
id = "id"
segment = { value = "Small" }
[[files]]
name = "sales.csv"
[files.deal]
id = "deal"
account = "account"
closed_on = "start"
[files.line]
product = "product"
amount = "monthly"
starts_on = "start"
term_months = { value = 1 }
price_months = { value = 1 }
auto_renew = { value = true }
[files.churn]
unless_blank = "left"
id = "deal"
account = "account"
deal = "deal"
effective_on = "left"
"""


def write_files(folder: Path) -> list[Path]:
    """The mapping, and the two files that it is for."""
    customers, sales = ["id"], ["deal,account,start,product,monthly,left"]
    for n in range(ACCOUNTS):
        start = add_months(AS_OF, -24 + n % 12)
        left = add_months(start, 3 + n % 7) if n % 6 == 1 else ""
        customers.append(f"C{n}")
        sales.append(f"D{n},C{n},{start},{'Lite' if n % 2 else 'Plan'},{100 + n}.00,{left}")
        if n % 4 == 0:
            sales.append(f"E{n},C{n},{add_months(AS_OF, -1 - n % 5)},Add-on,{40 + n}.00,")
    sales += [f"F{n},C{n},{add_months(AS_OF, -2)},Extra,30.00," for n in (3, 17)]
    for name, text in zip(FILES, (MAPPING, "\n".join(customers), "\n".join(sales)), strict=True):
        (folder / name).write_text(text + "\n")
    return [folder / name for name in FILES]


def import_company(engine: Engine, folder: Path) -> None:
    mapping, *paths = write_files(folder)
    report = import_files(engine, load_mapping(mapping), paths=paths, options=Options())
    assert report.rejected == 0, list(report.lines())
