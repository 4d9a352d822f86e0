from datetime import date, timedelta
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db import reading, transaction
from app.http import Application
from app.models.audit import AuditEntry
from app.models.events import EventSource, RefusedEvents, UsageEvent, WaitingEvents
from app.models.feeds import Feed
from app.models.leases import Lease, WorkItem
from app.models.runs import ImportRun
from app.queries import intake
from app.services.changes import recording
from app.services.feeds import expect_feed, note_feed, watch_feeds
from app.services.settings import record_settings
from tests.web.company import NOW
from tests.web.own_company import client_of_role, copy_app, counting, post

SQLITE = pytest.mark.parametrize("company_url", ["sqlite"], indirect=True)
pytestmark = SQLITE
MICROSECONDS = 1_000_000


@pytest.fixture
def busy(company_url: str, tmp_path: Path):  # type: ignore[no-untyped-def]
    """A copy of the company into which data comes, in every state."""
    app = copy_app(company_url, tmp_path)
    with transaction(app.engine) as session:
        _feeds(session)
        _events(session)
        _work(session)
    yield app
    app.engine.dispose()


def _feeds(session: Session) -> None:
    note_feed(session, kind="events", name="web-app", at=NOW - timedelta(hours=30))
    note_feed(session, kind="import", name="crm", at=NOW - timedelta(hours=2))
    note_feed(session, kind="import", name="support", at=NOW - timedelta(hours=2))
    note_feed(session, kind="import", name="support", at=NOW, error="The file has no column opened_on.")
    expect_feed(session, 1, hours=24, actor="command", at=NOW)
    expect_feed(session, 2, hours=24, actor="command", at=NOW)
    watch_feeds(session, at=NOW)
    for number in range(2):
        session.add(
            ImportRun(
                system="crm", mapping="crm.toml", files=[], started_at=NOW - timedelta(hours=number),
                finished_at=NOW if number else None,
                report={"files": [{"rows": 120, "rejected": 3}], "nouns": {"deal": {"added": 90, "changed": 27}}}
                if number
                else {},
            )
        )  # fmt: skip


def _events(session: Session) -> None:
    session.add(EventSource(id=1, name="web-app", created_at=NOW, rolled_up_to=0))
    session.add(EventSource(id=2, name="quiet-app", created_at=NOW, rolled_up_to=0))
    session.flush()
    for number, days in enumerate([8, 6, 6, 1, 0, 0, 0]):
        received = round((NOW - timedelta(days=days, hours=1)).timestamp() * MICROSECONDS)
        session.add(
            UsageEvent(
                event_key=number.to_bytes(16, "big"), source_id=1, account_ref="a", name="opened",
                occurred_us=received, received_us=received,
            )
        )  # fmt: skip
    refused = [
        (date(2026, 9, 30), "no_account", 1200),
        (date(2026, 9, 29), "no_account", 300),
        (date(2026, 9, 1), "too_late", 9),
    ]
    for day, reason, events in refused:
        session.add(RefusedEvents(source_id=1, received_on=day, reason=reason, events=events, last_at=NOW))
    for number in range(12):
        session.add(
            WaitingEvents(
                source_id=1, account_ref=f"acme-{number}", first_event_id=1, last_event_id=2, events=100 + number
            )
        )


def _work(session: Session) -> None:
    def lease(name: str, **columns: object) -> None:
        given = {"holder": "h", "token": 1, "claimed_at": NOW, "expires_at": NOW, "failures": 0} | columns
        session.add(Lease(name=name, **given))

    lease("nightly", ended_at=NOW - timedelta(hours=5), due_at=NOW + timedelta(hours=19))
    lease("deliver", expires_at=NOW + timedelta(seconds=30))
    lease("sync", ended_at=NOW - timedelta(minutes=4), failures=2, error="FileNotFoundError: inbox")
    session.add(
        WorkItem(task="sync", item="july.csv", begun=3, begun_at=NOW, error="It has no header.", set_aside_at=NOW)
    )


def test_each_feed_says_when_it_was_seen_what_is_expected_and_what_is_wrong(busy: Application) -> None:
    page = client_of_role(busy, "csm").get("/feeds").text
    part = page.split('id="feeds-title"')[1].split("</section>", maxsplit=1)[0]
    items = part.split('<li class="item">')[1:]
    told = {item.split("<strong>")[1].split("<")[0]: item for item in items}
    assert "Silent" in told["web-app"]
    assert "last data 30 hours ago" in told["web-app"]
    assert "every 24 hours" in told["web-app"]
    assert "silent since Sep 30, 2026" in told["web-app"]
    assert "Fresh" in told["crm"]
    assert "Failing" in told["support"]
    assert "The file has no column opened_on." in told["support"]
    assert "no expectation" in told["support"]


def test_events_are_counted_by_source_and_the_refused_by_reason(busy: Application) -> None:
    page = client_of_role(busy, "csm").get("/feeds").text
    part = page.split('id="events-title"')[1].split("</section>", maxsplit=1)[0]
    assert '<th scope="row">web-app</th><td class="number">3</td><td class="number">6</td>' in part
    assert '<th scope="row">quiet-app</th><td class="number">0</td><td class="number">0</td>' in part
    assert "1,500 without groupId, and nobody has said which account the person belongs to" in part
    assert "too long before they came" not in part
    assert "12 accounts are not known here; 1,266 of their events wait." in part
    assert part.count("acme-") == 10
    assert "acme-11" in part


def test_of_more_events_than_are_counted_it_says_at_least(busy: Application, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "MOST_COUNTED", 3)
    page = client_of_role(busy, "csm").get("/feeds").text
    assert '<td class="number">3 or more</td><td class="number">3 or more</td>' in page


def test_tasks_imports_and_incidents_are_in_words(busy: Application) -> None:
    page = client_of_role(busy, "csm").get("/feeds").text
    assert "failed 2 times in a row" in page
    assert "FileNotFoundError: inbox" in page
    assert "at work" in page
    assert "in order" in page
    assert "120 rows: 90 added, 27 changed" in page
    assert "3 rows were set apart" in page
    assert "did not come to its end; run it again" in page
    assert "still open" in page


def test_nights_that_are_switched_off_are_not_said_to_be_due(busy: Application) -> None:
    def told() -> str:
        page = client.get("/feeds").text
        return page.split('id="tasks-title"')[1].split("The night<")[1].split("</li>")[0]

    client = client_of_role(busy, "csm")
    assert "due Oct 1, 2026" in told()
    with transaction(busy.engine) as session, recording(session, "test", clock=lambda: NOW) as change:
        record_settings(session, change, values={"night_at": "off"})
    assert "due" not in told()
    assert "· off" in told()


def test_what_was_set_aside_is_tried_again_by_an_administrator(busy: Application) -> None:
    csm, admin = client_of_role(busy, "csm"), client_of_role(busy, "admin")
    assert "july.csv" in csm.get("/feeds").text
    assert "Try again" not in csm.get("/feeds").text
    assert post(csm, "/feeds/retry", task="sync", item="july.csv").status_code == 403
    assert post(admin, "/feeds/retry", task="sync", item="july.csv").status_code == 303
    assert "july.csv" not in admin.get("/feeds").text
    assert post(admin, "/feeds/retry", task="sync", item="july.csv").status_code == 404
    with reading(busy.engine) as session:
        assert "work_item.retried" in session.scalars(select(AuditEntry.action)).all()


def test_an_administrator_says_how_often_data_should_come(busy: Application) -> None:
    admin = client_of_role(busy, "admin")
    assert post(client_of_role(busy, "csm"), "/feeds/3", hours="48").status_code == 403
    assert post(admin, "/feeds/3", hours="48").status_code == 303
    assert "every 48 hours" in admin.get("/feeds").text
    for wrong in ("0", "9999", "-1", "soon", "1.5", "٣"):
        answer = post(admin, "/feeds/3", hours=wrong)
        assert answer.status_code == 400, wrong
        assert "Hours are a whole number from 1 to 8784" in answer.text
    assert post(admin, "/feeds/3", hours="").status_code == 303
    with reading(busy.engine) as session:
        assert session.get_one(Feed, 3).expected_hours is None
    assert post(admin, "/feeds/999", hours="2").status_code == 404


def test_feeds_are_read_in_few_statements_and_weigh_little(busy: Application) -> None:
    client: FlaskClient = client_of_role(busy, "csm")
    with counting(busy) as seen:
        page = client.get("/feeds")
    assert len(page.data) < 60_000
    assert len(seen) <= 16, len(seen)
