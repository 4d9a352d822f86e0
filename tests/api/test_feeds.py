"""Feeds by API: whether data comes, why not, and how far a first load is."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from app.config import Settings
from app.db import transaction
from app.factory import create_app
from app.http import Application
from app.services.feeds import expect_feed, note_feed, watch_feeds
from integrations.crm.client import Noun
from tests.api.conftest import Ask, ask_with
from tests.jobs.crm_world import HOUR, World, open_world

pytestmark = pytest.mark.one_database


@pytest.fixture
def app(settings: Settings) -> Iterator[Application]:
    app = create_app(settings)
    yield app
    app.engine.dispose()


@pytest.fixture
def world(app: Application, tmp_path: Path) -> World:
    world = open_world(app.engine, tmp_path)
    app.clock = lambda: world.crm.clock
    return world


@pytest.fixture
def ask(app: Application, world: World) -> Ask:
    return ask_with(app, app.test_client(), "accounts:read")


def test_a_first_load_is_told_with_the_time_that_is_left(ask: Ask, world: World) -> None:
    (feed,) = ask("/feeds").json["data"]
    assert (feed["kind"], feed["name"], feed["last_seen_at"], feed["crm"]["readings"]) == ("sync", "story", None, [])
    company = world.stage.create_company("Borealis GmbH")
    for number in range(30):
        world.sold(company, name=f"Deal {number}")
    world.sold("nobody")
    world.crm.page_size = 10
    while not world.lines():
        world.sync(slice_seconds=0.0)
    world.crm.clock += HOUR
    (feed,) = ask("/feeds").json["data"]
    reading = next(each for each in feed["crm"]["readings"] if each["noun"] == "deal")
    assert (feed["last_seen_at"], feed["crm"]["is_loading"]) == (None, True)
    assert (reading["read"], reading["total"], reading["is_under_way"]) == (10, 31, True)
    assert reading["seconds_left"] == round(3600 * 21 / 10)
    while world.sync().read:
        pass
    (feed,) = ask("/feeds").json["data"]
    assert (feed["crm"]["is_loading"], feed["crm"]["refused"], feed["error"]) == (False, 1, None)
    assert {each["seconds_left"] for each in feed["crm"]["readings"]} == {None}


def test_a_crm_that_cannot_be_read_says_why_and_what_waits(ask: Ask, world: World) -> None:
    company = world.stage.create_company("Borealis GmbH")
    deals = [world.sold(company, name=f"Deal {number}") for number in range(24)]
    world.sync()
    seen_at = ask("/feeds").json["data"][0]["last_seen_at"]
    for deal in deals[:12]:
        del world.crm.things[Noun.DEAL][deal]
    world.crm.clock += timedelta(days=1)
    world.sync()
    (feed,) = ask("/feeds").json["data"]
    assert feed["error"].startswith("12 of 24 deals are gone from story")
    assert (feed["last_seen_at"], feed["failed_at"] > seen_at) == (seen_at, True)
    (review,) = feed["crm"]["reviews"]
    assert (review["noun"], review["gone"], review["known"]) == ("deal", 12, 24)


def test_other_feeds_are_told_without_a_crm(ask: Ask, app: Application, world: World) -> None:
    at = app.clock()
    with transaction(app.engine) as session:
        note_feed(session, kind="events", name="web-app", at=at - timedelta(hours=30))
        session.flush()
        expect_feed(session, 1, hours=24, actor="command", at=at)
        watch_feeds(session, at=at)
    feed, crm = ask("/feeds").json["data"]
    assert (feed["kind"], feed["name"], feed["expected_hours"], feed["crm"]) == ("events", "web-app", 24, None)
    assert (feed["silent_since"] is not None, crm["name"]) == (True, "story")
