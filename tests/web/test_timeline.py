"""The timeline on an account's page: what was taught and billed."""

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from app.db import transaction
from app.models.accounts import AccountVersion
from app.models.billing import Invoice
from app.models.success import Training
from app.services.changes import recording
from tests.web.company import NOW, SPECIAL
from tests.web.own_company import client_of_role, copy_app

SQLITE = pytest.mark.parametrize("company_url", ["sqlite"], indirect=True)


@SQLITE
def test_trainings_and_invoices_say_what_was_taught_and_whether_it_is_paid(company_url: str, tmp_path: Path) -> None:
    app = copy_app(company_url, tmp_path)
    with transaction(app.engine) as session, recording(session, "test", clock=lambda: NOW) as change:
        account_id = session.scalars(select(AccountVersion.account_id).where(AccountVersion.name == SPECIAL[1])).one()
        common = {"system": "test", "account_id": account_id, "change_id": change.id}
        common["available_at"] = datetime(2026, 9, 1, tzinfo=UTC)
        day = date(2026, 9, 1)
        session.add(Training(external_id="l1", occurred_on=day, topic="Reports <b>", attendees=4, **common))
        for number, paid_on in enumerate((date(2026, 9, 20), None)):
            bill = {"due_on": date(2026, 9, 25), "paid_on": paid_on, "amount_minor": 480_000, "currency": "USD"}
            session.add(Invoice(external_id=f"b{number}", issued_on=day, **bill, **common))
    browser = client_of_role(app, "csm")
    courses = browser.get(f"/accounts/{account_id}?kind=training").text
    assert "Training: Reports &lt;b&gt;" in courses
    assert "4 people came" in courses
    bills = browser.get(f"/accounts/{account_id}?kind=invoice").text
    assert bills.count("$4,800 · due on Sep 25, 2026") == 2
    assert ("2026 · paid" in bills, "2026 · not paid" in bills) == (True, True)
    app.engine.dispose()
