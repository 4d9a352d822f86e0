"""Makes the database that the tests' Tryton begins with: `.venv/tryton/bin/python prepare.py FOLDER`.

Run in Tryton's own environment. It leaves in FOLDER the database `crm.sqlite` with a company in USD that sells in JPY,
too, units that are terms, and an employee; `password` of the user admin, and `key` of an application for REST.
"""

import contextlib
import os
import secrets
import sqlite3
import subprocess
import sys
import tempfile
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from proteus import Model, Wizard, config

CURRENCIES = (("USD", "US dollar", 2, Decimal(1)), ("JPY", "円", 0, Decimal(150)))
TERMS = (("Month", 1), ("Quarter", 3), ("6 months", 6), ("Year", 12), ("2 years", 24), ("3 years", 36))


def prepare(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    password = secrets.token_urlsafe(24)
    with tempfile.TemporaryDirectory() as work:
        settings = Path(work) / "trytond.conf"
        settings.write_text(f"[database]\nuri = sqlite://\npath = {work}\n")
        (Path(work) / "crm.sqlite").touch()
        (Path(work) / "password").write_text(password)
        _activate(settings, password_file=Path(work) / "password")
        key = _fill(settings)
        (folder / "password").write_text(password)
        (folder / "key").write_text(key)
        (folder / "crm.sqlite").unlink(missing_ok=True)
        with (
            contextlib.closing(sqlite3.connect(Path(work) / "crm.sqlite")) as made,
            contextlib.closing(sqlite3.connect(folder / "crm.sqlite")) as kept,
        ):
            made.backup(kept)  # with what is in its log


def _activate(settings: Path, *, password_file: Path) -> None:
    command = [str(Path(sys.executable).parent / "trytond-admin"), "-c", str(settings), "-d", "crm"]
    modules = ["-u", "sale_opportunity", "--activate-dependencies", "--email", "admin@example.com", "-l", "ja"]
    environment = os.environ | {"TRYTONPASSFILE": str(password_file)}
    subprocess.run([*command, *modules], check=True, env=environment)


def _fill(settings: Path) -> str:
    """The company and what it needs to sell; the key by which it is read."""
    config.set_trytond(database="crm", user="admin", config_file=str(settings))
    currencies = [_currency(*each) for each in CURRENCIES]
    company = _company(currencies[0])
    user = Model.get("res.user")
    config.get_config()._context = user.get_preferences(True, {})
    category = _new("product.uom.category", name="Subscription")
    for name, months in TERMS:
        length = {"factor": float(months), "rate": round(1 / months, 12)}
        _new("product.uom", name=name, symbol=name, category=category, rounding=1.0, digits=0, **length)
    _new("company.employee", party=_new("party.party", name="Sam Seller"), company=company)
    revenue = _new("account.account.type", name="Revenue", company=company, statement="income", revenue=True)
    account = _new("account.account", name="Sales", company=company, type=revenue)
    _new("product.category", name="Software", accounting=True, account_revenue=account)
    return str(_new("res.user.application", user=user(config.get_config().user), application="rest").key)


def _currency(code: str, name: str, digits: int, rate: Decimal) -> Any:
    model = Model.get("currency.currency")
    currency = model(name=name, code=code, symbol=code, rounding=Decimal(1).scaleb(-digits), digits=digits)
    first = currency.rates.new()
    first.date, first.rate = date(2020, 1, 1), rate
    currency.save()
    return currency


def _company(currency: Any) -> Any:
    wizard = Wizard("company.company.config")
    wizard.execute("company")
    wizard.form.party, wizard.form.currency = _new("party.party", name="Tenure Tests"), currency
    wizard.execute("add")
    return Model.get("company.company").find([])[0]


def _new(model: str, **values: Any) -> Any:
    record = Model.get(model)()
    for name, value in values.items():
        setattr(record, name, value)
    record.save()
    return record


if __name__ == "__main__":
    prepare(Path(sys.argv[1]))
