"""The page behind a link: it shows and never writes; a button does the one thing, once."""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from app.db import reading
from app.http import Application
from app.models.audit import AuditEntry
from app.models.expansion import ExpansionMove, ExpansionOpportunity
from app.models.webhooks import WebhookMessage
from app.services.expansion_links import GOOD_FOR, Linked, sign_link
from tests.services.expansion_company import Nights, finding, nights_of
from tests.small_company import NOW
from tests.web.conftest import make_app

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def service(database_url: str, tmp_path: Path) -> Iterator[Application]:
    app = make_app(database_url, tmp_path)
    app.clock = lambda: NOW
    nights: Nights = nights_of(app.engine)
    nights.run(finding(1, amount_minor=1_234_00))
    yield app
    app.engine.dispose()


@pytest.fixture
def browser(service: Application):
    return service.test_client()


def link(service: Application, action: str, **said) -> str:
    linked = Linked(
        **{"opportunity_id": 1, "action": action, "message_id": "msg_1", "expires_at": NOW + GOOD_FOR} | said
    )
    return f"/answers/{sign_link(linked, secret_key=service.settings.secret_key)}"


def test_the_seats_that_are_asked_for_are_named(service: Application, browser) -> None:
    Nights(service.engine).run(finding(3, product_id=1, motion="upsell", quantity=4))
    assert "Core, 4 more seats" in browser.get(link(service, "accept", opportunity_id=2)).text


def form_of(page: str, **said: str) -> dict[str, str]:
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found
    return {"csrf_token": found[1], **said}


def state(service: Application) -> tuple[str, int]:
    """The state of the opportunity, and how many rows there are that a write would add to."""
    with reading(service.engine) as session:
        rows = sum(len(session.scalars(select(table)).all()) for table in (ExpansionMove, AuditEntry, WebhookMessage))
        return session.get_one(ExpansionOpportunity, 1).state, rows


@pytest.mark.parametrize("action", ["accept", "reject", "snooze"])
def test_following_a_link_shows_what_will_be_done_and_does_nothing(service: Application, browser, action: str) -> None:
    before = state(service)
    for method in (browser.get, browser.head, browser.get):
        answer = method(link(service, action))
        assert answer.status_code == 200
    assert "青葉商事" in answer.text
    assert "Plus" in answer.text
    assert "$1,234 a year" in answer.text
    assert "7 of the 90 accounts that did not have Plus took it" in answer.text, "why now"
    assert "enterprise" not in answer.text, "no more than the message named"
    assert state(service) == before


@pytest.mark.parametrize(
    ("action", "said", "comes_to"),
    [("accept", {}, "accepted"), ("reject", {"reason": "no_budget"}, "rejected"), ("snooze", {}, "snoozed")],
)
def test_the_button_does_it_once_and_says_how_it_stands(
    service: Application, browser, action: str, said: dict[str, str], comes_to: str
) -> None:
    url = link(service, action)
    form = form_of(browser.get(url).text, **said)
    assert browser.post(url, data=form).status_code == 303
    moved = state(service)
    assert moved[0] == comes_to
    page = browser.get(url).text
    assert '<form method="post">' not in page
    assert comes_to in page.lower()
    assert browser.post(url, data=form).status_code == 303, "a second click"
    assert state(service) == moved
    with reading(service.engine) as session:
        step = session.scalars(select(ExpansionMove).order_by(ExpansionMove.id.desc())).first()
        assert step is not None
        assert step.actor == "link:1"


def test_a_rejection_needs_a_reason(service: Application, browser) -> None:
    url = link(service, "reject")
    form = form_of(browser.get(url).text, reason="")
    answer = browser.post(url, data=form)
    assert answer.status_code == 400
    assert "Choose a reason" in answer.text
    assert state(service)[0] == "flagged"


def test_a_form_of_another_site_does_nothing(service: Application, browser) -> None:
    url = link(service, "accept")
    assert browser.post(url, data={}).status_code == 403
    form = form_of(browser.get(url).text)
    assert browser.post(url, data=form, headers={"Origin": "https://elsewhere.example"}).status_code == 403
    assert state(service)[0] == "flagged"


def test_what_somebody_else_decided_is_shown(service: Application, browser) -> None:
    reject, accept = link(service, "reject"), link(service, "accept")
    form = form_of(browser.get(reject).text, reason="no_budget")
    assert browser.post(reject, data=form).status_code == 303
    page = browser.get(accept)
    assert (page.status_code, "rejected" in page.text.lower()) == (200, True)


def test_an_expired_link_says_what_to_do(service: Application, browser) -> None:
    url = link(service, "accept", expires_at=NOW - timedelta(seconds=1))
    answer = browser.get(url)
    assert answer.status_code == 410
    assert "14 days" in answer.text
    assert "青葉商事" not in answer.text
    form = form_of(browser.get(link(service, "accept")).text)
    assert browser.post(url, data=form).status_code == 410
    assert state(service)[0] == "flagged"


@pytest.mark.parametrize(
    "harm", [lambda url: url[:-4], lambda url: url.replace("/answers/", "/answers/x"), lambda _: "/answers/nothing"]
)
def test_a_damaged_link_shows_nothing_and_does_nothing(service: Application, browser, harm) -> None:
    good = link(service, "accept")
    answer = browser.get(harm(good))
    assert answer.status_code == 404
    assert "not complete" in answer.text
    assert "青葉商事" not in answer.text
    form = form_of(browser.get(good).text)
    assert browser.post(harm(good), data=form).status_code == 404
    assert state(service)[0] == "flagged"
