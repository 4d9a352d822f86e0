"""A feed that falls silent is one incident and one message, however long it lasts and however often it is looked at."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, select

from app.db import reading, transaction
from app.errors import Invalid, NotFound
from app.models.audit import AuditEntry
from app.models.webhooks import WebhookMessage
from app.queries.feeds import find_feed, list_feeds, list_incidents
from app.services.feeds import Watched, expect_feed, note_feed, watch_feeds

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def note(engine: Engine, at: datetime, *, name: str = "crm", error: str | None = None) -> None:
    with transaction(engine) as session:
        note_feed(session, kind="sync", name=name, at=at, error=error)


def expect(engine: Engine, hours: int | None) -> None:
    with transaction(engine) as session:
        expect_feed(session, 1, hours=hours, actor="user:1", at=NOON)


def watch(engine: Engine, at: datetime) -> Watched:
    with transaction(engine) as session:
        return watch_feeds(session, at=at)


def messages(engine: Engine) -> list[dict]:
    with reading(engine) as session:
        return [json.loads(body) for body in session.scalars(select(WebhookMessage.body).order_by(WebhookMessage.id))]


def test_a_silence_is_one_incident_and_one_message_and_ends_when_data_comes(engine: Engine) -> None:
    note(engine, NOON)
    expect(engine, 24)
    assert watch(engine, NOON + 24 * HOUR) == Watched()
    assert watch(engine, NOON + 25 * HOUR) == Watched(opened=1)
    for hour in range(26, 126):
        assert watch(engine, NOON + hour * HOUR) == Watched()
    note(engine, NOON + 126 * HOUR)
    assert watch(engine, NOON + 126 * HOUR) == Watched(closed=1)
    (message,) = messages(engine)
    assert message["type"] == "feed.stale"
    assert message["data"]["feed"] == {"id": 1, "kind": "sync", "name": "crm"}
    with reading(engine) as session:
        (incident,) = list_incidents(session, limit=10)
        assert find_feed(session, kind="sync", name="crm").silent_since is None
    assert (incident.opened_at, incident.closed_at) == (NOON + 25 * HOUR, NOON + 126 * HOUR)


def test_the_next_silence_is_another_incident(engine: Engine) -> None:
    note(engine, NOON)
    expect(engine, 1)
    watch(engine, NOON + 2 * HOUR)
    note(engine, NOON + 3 * HOUR)
    watch(engine, NOON + 3 * HOUR)
    assert watch(engine, NOON + 5 * HOUR) == Watched(opened=1)
    with reading(engine) as session:
        assert [each.closed_at is None for each in list_incidents(session, limit=10)] == [True, False]
        assert list_feeds(session)[0].silent_since == NOON + 5 * HOUR
    assert len(messages(engine)) == 2


def test_a_feed_that_nobody_expects_is_not_watched_and_ending_the_watch_ends_the_incident(engine: Engine) -> None:
    note(engine, NOON)
    assert watch(engine, NOON + 1000 * HOUR) == Watched()
    expect(engine, 24)
    assert watch(engine, NOON + 1000 * HOUR) == Watched(opened=1)
    expect(engine, None)
    assert watch(engine, NOON + 1000 * HOUR) == Watched(closed=1)


def test_data_that_cannot_be_taken_in_is_not_data(engine: Engine) -> None:
    note(engine, NOON, error="no such column")
    expect(engine, 24)
    assert watch(engine, NOON) == Watched(opened=1)
    with reading(engine) as session:
        feed = find_feed(session, kind="sync", name="crm")
    assert (feed.last_seen_at, feed.last_error, feed.last_error_at) == (None, "no such column", NOON)
    note(engine, NOON + HOUR)
    with reading(engine) as session:
        feed = find_feed(session, kind="sync", name="crm")
    assert (feed.last_seen_at, feed.last_error, feed.last_error_at) == (NOON + HOUR, None, None)


def test_what_came_earlier_than_what_is_known_changes_nothing(engine: Engine) -> None:
    note(engine, NOON)
    note(engine, NOON - HOUR)
    with reading(engine) as session:
        assert find_feed(session, kind="sync", name="crm").last_seen_at == NOON


def test_feeds_are_listed_by_kind_and_name_and_each_once(engine: Engine) -> None:
    for name in ("crm", "billing", "crm"):
        note(engine, NOON, name=name)
    with reading(engine) as session:
        assert [feed.name for feed in list_feeds(session)] == ["billing", "crm"]


def test_who_expects_what_is_on_record_and_nonsense_is_refused(engine: Engine) -> None:
    note(engine, NOON)
    expect(engine, 24)
    with reading(engine) as session:
        entry = session.scalars(select(AuditEntry)).one()
    assert (entry.actor, entry.action, entry.subject, entry.details) == (
        "user:1",
        "feed.expected",
        "feed:1",
        {"hours": 24},
    )
    for hours in (0, -1, 100_000):
        with pytest.raises(Invalid, match="hours"):
            expect(engine, hours)
    with transaction(engine) as session, pytest.raises(NotFound):
        expect_feed(session, 99, hours=1, actor="user:1", at=NOON)
    with transaction(engine) as session, pytest.raises(ValueError, match="kind"):
        note_feed(session, kind="pigeon", name="crm", at=NOON)
