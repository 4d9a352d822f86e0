"""CRMs on the page Feeds: fresh, stale, failed, paused, in a first load; refusals, the brake, and syncing now."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from app.db import reading, transaction
from app.http import Application
from app.models.audit import AuditEntry
from app.models.crm import CrmConnection, SyncCursor, SyncRefusal, SyncReview
from app.services.feeds import note_feed
from tests.web.company import NOW
from tests.web.own_company import client_of_role, copy_app, post

pytestmark = pytest.mark.parametrize("company_url", ["sqlite"], indirect=True)
HOUR = timedelta(hours=1)


@pytest.fixture
def app(company_url: str, tmp_path: Path) -> Application:
    return copy_app(company_url, tmp_path)


def connect(app: Application, **given: object) -> int:
    with transaction(app.engine) as session:
        row = {"kind": "tryton", "mapping": "", "secret_ciphertext": b"", "created_at": NOW - 9 * HOUR, "failures": 0}
        crm = CrmConnection(**(row | {"name": "tryton"} | given))
        session.add(crm)
        session.flush()
        return crm.id


def note(app: Application, *, hours: float, error: str | None = None) -> None:
    with transaction(app.engine) as session:
        note_feed(session, kind="sync", name="tryton", at=NOW - hours * HOUR, error=error)


def card(app: Application, role: str = "csm") -> str:
    page = client_of_role(app, role).get("/feeds").text
    found = re.search(r'<section[^>]*id="crms".*?</section>', page, re.DOTALL)
    return found[0] if found else ""


def state(section: str) -> str:
    found = re.search(r'class="pill pill-\w+">.*?([A-Z][\w ]+)</span>', section, re.DOTALL)
    assert found
    return found[1]


def test_there_is_no_card_without_a_crm(app: Application) -> None:
    assert card(app) == ""


def test_a_crm_that_was_just_read_is_fresh(app: Application) -> None:
    connect(app)
    note(app, hours=0.1)
    section = card(app)
    assert state(section) == "Fresh"
    assert "last read whole 6 minutes ago" in section
    assert "figures are those" not in section


def test_one_that_nobody_reads_is_stale_and_says_what_to_do(app: Application) -> None:
    connect(app)
    note(app, hours=5)
    section = card(app)
    assert state(section) == "Stale"
    assert "last read whole 5 hours ago" in section
    assert "tenure worker status" in section
    assert "figures are those of the last good reading" in section


def test_one_that_fails_says_why_since_when_and_when_it_is_tried_again(app: Application) -> None:
    connect(app, due_at=NOW + HOUR)
    note(app, hours=3)
    note(app, hours=2, error="The CRM answers <401>: the token has expired.")
    section = card(app)
    assert state(section) == "Failed"
    assert "The CRM answers &lt;401&gt;: the token has expired. (2 hours ago)" in section
    assert "tenure crm secret tryton" in section
    assert "not before" in section


def test_a_paused_one_has_no_button(app: Application) -> None:
    connect(app, paused_at=NOW)
    section = card(app, "admin")
    assert (state(section), "<form" in section) == ("Paused", False)
    assert "tenure crm resume tryton" in section


def test_a_first_load_shows_how_far_it_is_and_how_long_it_will_take(app: Application) -> None:
    crm = connect(app, created_at=NOW - timedelta(minutes=11))
    with transaction(app.engine) as session:
        session.add(
            SyncCursor(
                connection_id=crm, noun="deal", until=NOW, is_first=True, read=1_000, total=4_000,
                started_at=NOW - timedelta(minutes=10),
            )
        )  # fmt: skip
    section = card(app)
    assert state(section) == "First load"
    assert "Deals: 1,000 of 4,000 · about 30 minutes left" in section
    assert 'width="25.0"' in section


def test_what_was_refused_and_what_waits_for_a_person_is_there(app: Application) -> None:
    crm = connect(app)
    note(app, hours=0.1)
    with transaction(app.engine) as session:
        for number in range(12):
            session.add(
                SyncRefusal(
                    connection_id=crm, noun="deal", external_id=f"d{number:02}", field="currency",
                    reason="two currencies", modified_at=NOW, refused_at=NOW,
                )
            )  # fmt: skip
        gone = [str(number) for number in range(60)]
        session.add(SyncReview(connection_id=crm, noun="deal", gone=gone, known=80, opened_at=NOW - HOUR))
    section = card(app)
    assert "12 records are not here" in section
    assert re.findall(r"Deals (d\d\d)", section) == [f"d{number:02}" for number in range(10)]
    assert section.count("two currencies") == 10
    assert "60 of 80 deals" in section
    assert "tenure crm confirm tryton" in section


def test_an_admin_has_it_read_at_once_and_nobody_else(app: Application) -> None:
    crm = connect(app, due_at=NOW + HOUR)
    note(app, hours=0.1)
    assert "<form" not in card(app)
    assert post(client_of_role(app, "finance"), f"/feeds/crm/{crm}/sync").status_code == 403
    admin = client_of_role(app, "admin")
    assert "Sync now" in admin.get("/feeds").text
    for _ in range(2):
        assert post(admin, f"/feeds/crm/{crm}/sync").status_code == 303
    with reading(app.engine) as session:
        found = session.get_one(CrmConnection, crm)
        assert (found.due_at, found.rung_at) == (None, NOW)
        acts = session.scalars(select(AuditEntry.action).where(AuditEntry.action.startswith("crm_"))).all()
    assert acts == ["crm_connection.rung"]
