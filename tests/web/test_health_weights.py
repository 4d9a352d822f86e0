"""The page of health weights: tried on the past, published, taken back; and who may do it."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from playwright.sync_api import Browser, expect, sync_playwright
from werkzeug.serving import make_server

from app.db import reading, transaction
from app.http import Application
from app.queries.health_trials import list_trials
from app.queries.settings import load_company_settings
from app.services.changes import recording
from app.services.health_trials import make_trial, note_failure, note_progress
from app.services.settings import record_settings
from jobs.replay import replay_trials
from tests.installation import work_on
from tests.web.company import EMAIL, NOW, PASSWORD
from tests.web.conftest import log_in
from tests.web.own_company import client_of_role, copy_app, post
from tests.web.test_browser import CHROMIUM, FLAGS

pytestmark = pytest.mark.parametrize("company_url", ["sqlite"], indirect=True)
PAGE = "/settings/health-weights"


@pytest.fixture
def own(company_url: str, tmp_path: Path) -> Iterator[Application]:
    app = copy_app(company_url, tmp_path)
    yield app
    app.engine.dispose()


@pytest.fixture
def admin(own: Application) -> FlaskClient:
    client = own.test_client()
    assert log_in(client, EMAIL, password=PASSWORD).status_code == 303
    return client


@contextmanager
def serving(app: Application) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@contextmanager
def chromium() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))
        yield browser
        browser.close()


def tried(client: FlaskClient, own: Application, **fields: str) -> str:
    """The address of a trial of these weights, with its replay."""
    answer = post(client, PAGE, name="Use counts more", **fields)
    assert answer.status_code == 303, answer.text
    assert replay_trials(work_on(own.engine, clock=lambda: NOW)).trial_id
    return str(answer.location)


def in_force(own: Application) -> Any:
    with reading(own.engine) as session:
        return load_company_settings(session).health_weights


def test_what_is_empty_in_a_segment_is_as_for_every_other(admin: FlaskClient, own: Application) -> None:
    """The fields of number 0 are of every segment that is not set."""
    segments = {"s-1": "Enterprise", "s-2": "Mid-market", "s-3": "Small"}
    fields = segments | {"w-0-support": "1,5", "w-0-adoption": "2", "w-2-support": "0.5", "w-3-adoption": " "}
    assert post(admin, PAGE, name="x", **fields).status_code == 303
    with reading(own.engine) as session:
        [trial] = list_trials(session)
    assert trial.weights == {
        "": {"adoption": 2.0, "support": 1.5},
        "Mid-market": {"adoption": 2.0, "support": 0.5},
    }


@pytest.mark.parametrize(
    "fields",
    [
        {"w-0-support": "3.1"},
        {"w-0-support": "-1"},
        {"w-0-support": "much"},
        {"s-1": "Small", "w-1-support": "nan"},
        {"name": ""},
    ],
)
def test_what_is_no_weight_is_shown_again_with_what_was_wrong(admin: FlaskClient, fields: dict[str, str]) -> None:
    answer = post(admin, PAGE, **{"name": "Mine", **fields})
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text
    for name, value in fields.items():
        assert f'name="{name}" value="{value}"' in answer.text


def test_a_trial_waits_runs_and_tells_what_it_found(admin: FlaskClient, own: Application) -> None:
    address = post(admin, PAGE, name="Use counts more", **{"w-0-adoption": "3"}).location
    waiting = admin.get(address).text
    assert "Waits for the worker" in waiting
    assert 'hx-trigger="every 3s"' in waiting
    assert "Publish these weights" not in waiting
    own.clock = lambda: NOW + timedelta(minutes=6)
    assert "The worker has not taken it up yet" in admin.get(address).text
    own.clock = lambda: NOW
    with transaction(own.engine) as session:
        note_progress(session, int(address.rsplit("/", 1)[1]), done=7, steps=14)
    running = admin.get(address).text
    assert "step 7 of 14" in running
    assert '<rect class="done" width="50.0"' in running
    replay_trials(work_on(own.engine, clock=lambda: NOW))
    found = admin.get(address).text
    assert "hx-trigger" not in found
    assert "Publish these weights" in found
    with reading(own.engine) as session:
        [trial] = list_trials(session)
    assert trial.replay is not None
    flipped = trial.replay["found"]["flipped"]
    assert flipped
    for each in flipped:
        assert f'href="/accounts/{each["account_id"]}"' in found


def test_publishing_is_undone_by_the_version_before(admin: FlaskClient, own: Application) -> None:
    first, second = (tried(admin, own, **{"w-0-adoption": weight}) for weight in ("2", "0.5"))
    for address, weight in ((first, 2.0), (second, 0.5)):
        answer = post(admin, address)
        assert answer.status_code == 303
        assert in_force(own) == {"": {"adoption": weight}}
    page = admin.get(answer.location).text
    assert "These weights count from the next night on." in page
    assert "the next night uses them" in page
    undo = page.split('name="version" value="')[1].split('"')[0]
    assert post(admin, f"{PAGE}/restore", version=undo).status_code == 303
    assert in_force(own) == {"": {"adoption": 2.0}}
    assert post(admin, f"{PAGE}/restore", version="").status_code == 303
    assert in_force(own) == {}
    history = admin.get(PAGE).text.split('id="history"')[1]
    assert history.count("Adoption × 2") == 2
    assert history.count("Mika Sato") == 4
    audit = admin.get("/settings/audit").text
    assert audit.count("published weights of health") >= 2


def test_what_is_no_version_of_the_weights_is_not_there(admin: FlaskClient, own: Application) -> None:
    with transaction(own.engine) as session, recording(session, "test", clock=lambda: NOW) as change:
        record_settings(session, change, values={"grace_days": 10})
    assert post(admin, f"{PAGE}/restore", version="1").status_code == 404
    assert post(admin, f"{PAGE}/restore", version="999").status_code == 404
    assert in_force(own) == {}


def test_what_was_not_replayed_cannot_be_published(admin: FlaskClient, own: Application) -> None:
    with transaction(own.engine) as session:
        trial_id = make_trial(session, "Mine", weights={"": {"support": 2}}, actor="user:1", at=NOW)
    assert post(admin, f"{PAGE}/{trial_id}").status_code == 409
    with transaction(own.engine) as session:
        note_failure(session, trial_id, error="There is no year behind to replay on: too little was on record.")
    page = admin.get(f"{PAGE}/{trial_id}").text
    assert "There is no year behind to replay on" in page
    assert "Publish these weights" not in page
    assert admin.get(f"{PAGE}/77").status_code == 404


def test_a_trial_is_where_the_next_one_starts_from(admin: FlaskClient, own: Application) -> None:
    tried(admin, own, **{"s-3": "Small", "w-3-adoption": "2.5", "s-4": "Gone since", "w-4-support": "0"})
    page = admin.get(f"{PAGE}?like=1").text
    assert 'name="w-3-adoption" value="2.5"' in page
    assert 'name="s-4" value="Gone since"' in page
    assert 'name="w-3-adoption" value=""' in admin.get(PAGE).text
    assert admin.get(f"{PAGE}?like=x").status_code == 200


def test_what_a_segment_does_not_name_stays_1_when_it_is_tried_again(admin: FlaskClient, own: Application) -> None:
    """By API a dimension that a segment does not name weighs 1 there; the form would take it from every other."""
    weights = {"": {"adoption": 2.0}, "Small": {"support": 0.5}}
    with transaction(own.engine) as session:
        make_trial(session, "Mine", weights=weights, actor="user:1", at=NOW)
    page = admin.get(f"{PAGE}?like=1").text
    sent = dict(re.findall(r'name="([sw]-[^"]*)" value="([^"]*)"', page))
    post(admin, PAGE, name="Again", **sent)
    with reading(own.engine) as session:
        again, _first = list_trials(session)
    assert again.weights == {"": {"adoption": 2.0}, "Small": {"adoption": 1.0, "support": 0.5}}


def test_against_other_weights_than_those_of_now_it_says_so(admin: FlaskClient, own: Application) -> None:
    first = tried(admin, own, **{"w-0-adoption": "2"})
    second = tried(admin, own, **{"w-0-adoption": "0.5"})
    post(admin, first)
    assert "It was held against other weights than those in force now" in admin.get(second).text
    assert "These weights are in force." in admin.get(first).text


@pytest.mark.parametrize("role", ["csm", "finance", "sales"])
def test_others_read_it_and_change_nothing(admin: FlaskClient, own: Application, role: str) -> None:
    address = tried(admin, own, **{"w-0-adoption": "3"})
    reader = client_of_role(own, role)
    for path in (PAGE, address):
        page = reader.get(path)
        assert page.status_code == 200
        assert f'action="{PAGE}' not in page.text
    assert post(reader, PAGE, name="Mine").status_code == 403
    assert post(reader, address).status_code == 403
    assert post(reader, f"{PAGE}/restore", version="").status_code == 403


def test_a_manager_who_sees_their_own_book_reads_of_no_other_account(admin: FlaskClient, own: Application) -> None:
    address = tried(admin, own, **{"w-0-adoption": "3"})
    with transaction(own.engine) as session, recording(session, "test", clock=lambda: NOW) as change:
        record_settings(session, change, values={"csm_sees": "book"})
    page = client_of_role(own, "csm").get(address).text
    assert 'href="/accounts/' not in page
    assert "are not listed" in page


@pytest.mark.browser
def test_weights_are_tried_and_published_by_keyboard_and_the_page_follows_the_replay(own: Application) -> None:
    with serving(own) as address, chromium() as browser:
        page = browser.new_page(base_url=address, viewport={"width": 390, "height": 844}, locale="en-US")
        said: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.goto(f"/login?next={PAGE}")
        page.get_by_label("E-mail address").fill(EMAIL)
        page.get_by_label("Password").fill(PASSWORD)
        page.keyboard.press("Enter")
        page.get_by_label("Name").fill("Use counts more")
        page.keyboard.press("Tab")
        page.keyboard.type("3")  # of adoption, the first
        page.locator("summary", has_text="Small").focus()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        page.keyboard.type("0.5")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Waits for the worker")).to_be_visible()
        assert replay_trials(work_on(own.engine, clock=lambda: NOW)).trial_id
        publish = page.get_by_role("button", name="Publish these weights")
        expect(publish).to_be_visible(timeout=20_000)  # the page looks again by itself
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        publish.focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_contain_text("These weights count from the next night on.")
        assert in_force(own) == {"": {"adoption": 3.0}, "Small": {"adoption": 0.5}}
        page.get_by_role("button", name="Undo").focus()
        page.keyboard.press("Enter")
        expect(page.get_by_text("every dimension weighs 1 in every segment")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert (in_force(own), said) == ({}, [])


def test_before_anything_was_tried_it_says_what_to_do(admin: FlaskClient) -> None:
    page = admin.get(PAGE).text
    assert "No weights were tried out yet." in page
    assert "every dimension weighs 1 in every segment" in page
    assert "from the beginning" in page
