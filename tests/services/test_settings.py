"""Settings of the company: what they may be, since when, and which cannot change any more."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Engine

from app.db import reading, transaction
from app.errors import Conflict, Invalid
from app.models.accounts import Account
from app.models.contracts import Contract, ContractLine, ContractLineVersion
from app.models.deals import Deal
from app.models.products import Product
from app.queries.settings import CompanySettings, load_company_settings
from app.services.changes import recording
from app.services.history import ALWAYS
from app.services.settings import record_settings


def put(engine: Engine, valid_from: date = ALWAYS, **values: Any) -> None:
    with transaction(engine) as session, recording(session, "test") as change:
        record_settings(session, change, values=values, valid_from=valid_from)


def settings_on(engine: Engine, day: date | None = None) -> CompanySettings:
    with reading(engine) as session:
        return load_company_settings(session, as_of=day)


def test_what_nobody_set_has_its_default(engine: Engine) -> None:
    assert settings_on(engine) == CompanySettings()


def test_text_becomes_what_the_setting_is(engine: Engine) -> None:
    put(engine, gross_margin="0.75", grace_days="14", tracked_from="2024-01-01", reporting_currency="JPY")
    found = settings_on(engine)
    assert found.gross_margin == Decimal("0.75")
    assert (found.grace_days, found.tracked_from, found.reporting_currency) == (14, date(2024, 1, 1), "JPY")


def test_a_setting_holds_from_its_day_on(engine: Engine) -> None:
    put(engine, gross_margin="0.7")
    put(engine, date(2026, 1, 1), gross_margin="0.8")
    assert settings_on(engine, date(2025, 12, 31)).gross_margin == Decimal("0.7")
    assert settings_on(engine, date(2026, 1, 1)).gross_margin == Decimal("0.8")


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("gross_margn", "0.8", "there are: reporting_currency"),
        ("gross_margin", "1.2", "from 0 to 1"),
        ("gross_margin", "NaN", "from 0 to 1"),
        ("gross_margin", "80 %", "from 0 to 1"),
        ("annual_discount_rate", "-0.1", "from 0 to 5"),
        ("grace_days", "1.5", "a whole number from 0 to 365"),
        ("grace_days", "1e400", "a whole number"),
        ("reference_churn", "0", "from 0.001"),
        ("reporting_currency", "EURO", "ISO 4217"),
        ("reporting_timezone", "Tokyo", "Asia/Tokyo"),
        ("tracked_from", "2024-13-01", "a date such as"),
        ("night_at", "25:00", "a time such as 02:00"),
        ("night_at", "02:00+09:00", "a time such as 02:00"),
        ("night_at", "2", "a time such as 02:00"),
    ],
)
def test_what_a_setting_cannot_be_is_refused_with_the_remedy(
    engine: Engine, name: str, value: str, remedy: str
) -> None:
    with pytest.raises(Invalid, match=remedy):
        put(engine, **{name: value})
    assert settings_on(engine) == CompanySettings()


def add_a_contract_line(engine: Engine) -> None:
    with transaction(engine) as session, recording(session, "test") as change:
        account, product = Account(change_id=change.id), Product(change_id=change.id, sku="P")
        deal = Deal(change_id=change.id, system="crm", external_id="1")
        session.add_all([account, product, deal])
        session.flush()
        contract = Contract(change_id=change.id, deal_id=deal.id)
        session.add(contract)
        session.flush()
        line = ContractLine(change_id=change.id, contract_id=contract.id, line_key="1")
        session.add(line)
        session.flush()
        session.add(
            ContractLineVersion(
                change_id=change.id,
                available_at=datetime(2026, 1, 1, tzinfo=UTC),
                contract_line_id=line.id,
                account_id=account.id,
                product_id=product.id,
                kind="one_time",
                quantity=Decimal(1),
                starts_on=date(2026, 1, 1),
                amount="1",
                amount_minor=100,
                currency="USD",
            )
        )


def test_the_reporting_currency_is_fixed_by_the_first_contract_even_if_nobody_set_it(engine: Engine) -> None:
    put(engine, reporting_currency="EUR")
    put(engine, reporting_currency="USD")
    add_a_contract_line(engine)
    put(engine, reporting_currency="USD")
    with pytest.raises(Conflict, match="reporting_currency is 'USD' since the first import"):
        put(engine, reporting_currency="EUR")
    with pytest.raises(Conflict, match="reporting_timezone is 'UTC'"):
        put(engine, reporting_timezone="Asia/Tokyo")
    put(engine, gross_margin="0.6")
