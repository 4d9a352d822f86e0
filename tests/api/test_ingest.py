"""Messages in: what is kept, what is refused and why, and what a hostile body comes to."""

import base64
import gzip
import json
import tracemalloc
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select

from app.db import reading, transaction
from app.domain.event_times import LATE_LIMIT_DAYS
from app.factory import create_app
from app.http import Application
from app.models.events import EventSource, Membership, RefusedEvents, UsageEvent
from app.models.persons import Person
from app.models.versions import Change
from app.services.changes import recording
from app.services.secrets import Keyring, rotate_secrets
from app.services.tokens import WantedToken, create_token
from jobs.roll_up import roll_up_events
from jobs.work import Work
from tests.usage_events import NOON, add_accounts, microseconds, usage_days

Post = Callable[..., Any]
DAY = timedelta(days=1)


def track(number: object, **changed: object) -> dict[str, object]:
    message = {
        "type": "track", "messageId": f"m{number}", "userId": "ana", "event": "opened", "groupId": "A",
        "timestamp": NOON.isoformat(), "properties": {"plan": "チーム", "n": 1},
    }  # fmt: skip
    return {name: value for name, value in (message | changed).items() if value is not None}


def key_of(app: Application, *scopes: str, source: str | None = "web") -> str:
    with transaction(app.engine) as session:
        wanted = WantedToken("a test", scopes or ["ingest:write"], source=source)
        return create_token(session, wanted, actor="command", now=app.clock()).token


@pytest.fixture
def post(app: Application, client: FlaskClient) -> Post:
    """Send as a client library does, at noon."""
    app.clock = lambda: NOON
    basic = base64.b64encode(f"{key_of(app)}:".encode()).decode()

    def send(path: str, body: Any, **headers: str) -> Any:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return client.post(path, data=data, headers={"Authorization": f"Basic {basic}", **headers})

    return send


def batch(*messages: Any, **more: Any) -> dict[str, Any]:
    return {"batch": list(messages), **more}


def stored(app: Application, *columns: Any) -> list[tuple[Any, ...]]:
    with reading(app.engine) as session:
        return sorted(tuple(row) for row in session.execute(select(*columns)))


def rolled_up(app: Application) -> Counter[str]:
    """How often each thing was done, by what the worker counted."""
    roll_up_events(Work(app.engine, app.settings, clock=lambda: NOON))
    counted: Counter[str] = Counter()
    for (_, metric, feature, _, _), amount in usage_days(app.engine).items():
        if metric == "activity":
            counted[str(feature)] += int(amount)
    return counted


def test_the_good_messages_of_a_batch_are_kept_and_the_others_named_by_position(app: Application, post: Post) -> None:
    answer = post(
        "/v1/batch",
        batch(
            track(0),
            track(1, messageId=None),
            track(2, groupId=None),
            track(3, timestamp="1970-01-01T00:00:00Z"),
            track(4, timestamp="2099-01-01T00:00:00Z"),
            track(5, event=5),
            track(6, event=None),
            track(7, properties={"text": "x" * 32_768}),
            track(8, type="purchase"),
            track(9, groupId="g" * 201),
            track(10, event="a\0b"),
            track(11, timestamp="yesterday"),
            "no object",
            track(0, event="again under the same id"),
            {"type": "alias", "messageId": "x", "userId": "ana", "previousId": "guest"},
            track(12, properties="no object either", context={"groupId": "other"}),
        ),
    )
    assert answer.status_code == 200
    assert (answer.json["accepted"], answer.json["ignored"]) == (3, 1)
    assert {each["index"]: (each["messageId"], each["reason"]) for each in answer.json["refused"]} == {
        1: (None, "no_message_id"),
        2: ("m2", "no_account"),
        3: ("m3", "too_late"),
        4: ("m4", "in_future"),
        5: (None, "malformed"),
        6: ("m6", "no_name"),
        7: ("m7", "too_large"),
        8: ("m8", "unknown_type"),
        9: ("m9", "too_long"),
        10: (None, "nul"),
        11: (None, "malformed"),
        12: (None, "malformed"),
    }
    assert all(each["detail"] for each in answer.json["refused"])
    add_accounts(app.engine, ["A"])
    assert rolled_up(app) == Counter({"opened": 2})  # of two under one id the first
    assert stored(app, UsageEvent.account_ref, UsageEvent.name, UsageEvent.properties) == [
        ("A", "opened", '"no object either"'),
        ("A", "opened", '{"plan": "\\u30c1\\u30fc\\u30e0", "n": 1}'),
    ]
    counts = stored(app, RefusedEvents.reason, RefusedEvents.events, RefusedEvents.received_on)
    assert [(reason, number) for reason, number, _ in counts] == [
        ("in_future", 1), ("malformed", 3), ("no_account", 1), ("no_message_id", 1), ("no_name", 1), ("nul", 1),
        ("too_large", 1), ("too_late", 1), ("too_long", 1), ("unknown_type", 1),
    ]  # fmt: skip
    assert {day for _, _, day in counts} == {NOON.date()}


def test_a_batch_of_which_nothing_can_be_taken_is_answered_400_and_counted(app: Application, post: Post) -> None:
    answer = post("/v1/batch", batch(track(0, messageId=None), track(1, groupId=None)))
    assert (answer.status_code, answer.content_type) == (400, "application/problem+json")
    assert [error["field"] for error in answer.json["errors"]] == ["batch[0]", "batch[1]"]
    assert "messageId" in answer.json["detail"]
    post("/v1/batch", batch(track(0, messageId=None)))
    assert stored(app, RefusedEvents.reason, RefusedEvents.events) == [("no_account", 1), ("no_message_id", 2)]
    assert stored(app, UsageEvent.id) == []


def test_the_same_event_sent_again_counts_once_whoever_sends_it_and_of_another_source_it_is_another(
    app: Application, post: Post, client: FlaskClient
) -> None:
    add_accounts(app.engine, ["A"])
    add_accounts(app.engine, ["A"], source="ios")
    assert post("/v1/batch", batch(track(1), track(2), track(2))).json == {
        "success": True, "accepted": 3, "ignored": 0, "refused": [],
    }  # fmt: skip
    assert rolled_up(app) == Counter({"opened": 2})
    post("/ingest/v1/batch/", batch(track(2), track(3, event="shared"), track(1)), **{"X-Retry-Count": "1"})
    assert rolled_up(app) == Counter({"opened": 2, "shared": 1})
    other = client.post("/v1/track", json=track(1), headers={"Authorization": f"Bearer {key_of(app, source='ios')}"})
    assert other.json["accepted"] == 1
    assert rolled_up(app) == Counter({"opened": 3, "shared": 1})
    assert len(stored(app, UsageEvent.event_key)) == 4
    assert [name for (name,) in stored(app, EventSource.name)] == ["ios", "web"]


def test_single_calls_are_told_by_their_address(app: Application, post: Post) -> None:
    bare = {name: value for name, value in track(1).items() if name != "type"}
    assert post("/v1/track", bare).json["accepted"] == 1
    for kind in ("page", "screen"):
        assert post(f"/v1/{kind}", {"messageId": kind, "name": "Home", "groupId": 7.0}).json["accepted"] == 1
    assert post("/v1/group", {"messageId": "g", "userId": 12, "groupId": "B"}).json["accepted"] == 1
    assert post("/v1/track", bare | {"messageId": "m2", "userId": "12", "groupId": None}).json["accepted"] == 1
    assert post("/v1/identify", {"messageId": "i", "anonymousId": "x"}).json["accepted"] == 1
    assert post("/v1/alias", {"messageId": "a"}).json["ignored"] == 1
    for address, body, reason in (
        ("group", {"messageId": "g"}, "groupId"),
        ("group", {"messageId": "g", "groupId": "B"}, "userId"),
        ("identify", {"messageId": "i"}, "userId"),
        ("track", [], "object"),
    ):
        answer = post(f"/v1/{address}", body)
        assert (answer.status_code, reason in answer.json["detail"]) == (400, True)
    assert stored(app, UsageEvent.account_ref, UsageEvent.name) == [
        ("7", "page"), ("7", "screen"), ("A", "opened"), ("B", "opened"),
    ]  # fmt: skip


def test_an_event_without_an_account_is_that_of_the_persons_last_group_call(app: Application, post: Post) -> None:
    def group(number: int, account: str, person: str = "ana") -> dict[str, str]:
        return {"type": "group", "messageId": f"g{number}", "userId": person, "groupId": account}

    post("/v1/batch", batch(track(1, groupId=None), group(1, "B"), track(2, groupId=None)))  # 1: the only one there is
    post("/v1/batch", batch(track(3, groupId=None), group(2, "C"), track(4, groupId=None), group(3, "D", "bo")))
    post(
        "/v1/batch",
        batch(track(5, groupId=None), track(6, groupId=None, userId="bo"), track(7, groupId=None, userId="chi")),
    )
    keys = {account: count for account, count in stored(app, UsageEvent.account_ref, UsageEvent.id)}  # noqa: C416
    assert sorted(account for (account, _) in stored(app, UsageEvent.account_ref, UsageEvent.id)) == list("BBBCCD")
    assert set(keys) == {"B", "C", "D"}
    assert sorted(account for (account,) in stored(app, Membership.account_ref)) == ["C", "D"]


def test_a_wrong_clock_is_put_right_by_when_the_message_was_sent(app: Application, post: Post) -> None:
    wrong = NOON - timedelta(days=4000)
    answer = post(
        "/v1/batch", batch(track(1, timestamp=(wrong - timedelta(minutes=5)).isoformat()), sentAt=wrong.isoformat())
    )
    assert answer.json["accepted"] == 1
    [(occurred, received)] = stored(app, UsageEvent.occurred_us, UsageEvent.received_us)
    assert (occurred, received) == (microseconds(NOON - timedelta(minutes=5)), microseconds(NOON))
    for number, stamp, sent, is_taken in (
        (2, NOON - LATE_LIMIT_DAYS * DAY, None, True),
        (3, NOON - LATE_LIMIT_DAYS * DAY - timedelta(seconds=1), None, False),
        (4, NOON + DAY, "no instant", True),
        (5, NOON + DAY + timedelta(seconds=1), 12, False),
        (6, NOON.replace(tzinfo=None), NOON.isoformat(), True),
    ):
        answer = post("/v1/batch", batch(track(number, timestamp=stamp.isoformat()), sentAt=sent))
        assert (answer.status_code == 200) is is_taken, number


def test_names_and_addresses_are_kept_of_persons_alone(app: Application, post: Post) -> None:
    account = add_accounts(app.engine, ["A"])["A"]
    traits = {"firstName": "花子", "lastName": "佐藤", "email": " hanako@example.com ", "password": "no"}
    post(
        "/v1/batch",
        batch(
            {"type": "group", "messageId": "1", "userId": "h", "groupId": "A"},
            {"type": "identify", "messageId": "2", "userId": "h", "traits": traits},
            {"type": "identify", "messageId": "3", "userId": "r", "context": {"traits": {"name": "Rai", "phone": 7}}},
            {"type": "identify", "messageId": "4", "userId": "n", "traits": {"plan": "team"}},
            {"type": "identify", "messageId": "5", "anonymousId": "x", "traits": {"name": "Nobody"}},
        ),
    )
    columns = (Person.external_id, Person.name, Person.email, Person.phone, Person.account_id, Person.system)
    assert stored(app, *columns) == [
        ("h", "花子 佐藤", "hanako@example.com", None, account, "web"),
        ("r", "Rai", None, None, None, "web"),
    ]
    changes = stored(app, Change.id)
    post("/v1/identify", {"messageId": "6", "userId": "h", "traits": traits})
    assert stored(app, Change.id) == changes
    post("/v1/identify", {"messageId": "7", "userId": "h", "traits": {"email": "new@example.com"}})
    assert stored(app, *columns)[0] == ("h", "花子 佐藤", "new@example.com", None, account, "web")
    with reading(app.engine) as session:
        rows = [str(session.execute(select(table.__table__)).all()) for table in (UsageEvent, Membership)]
    assert not any(word in row for word in ("佐藤", "hanako", "Rai", "'h'") for row in rows)


def test_a_contact_of_an_import_is_changed_by_no_event(app: Application, post: Post) -> None:
    with transaction(app.engine) as session, recording(session, "crm") as change:
        known = {"kind": "contact", "system": "web", "external_id": "h", "name": "Hana", "email": "hana@example.com"}
        session.add(Person(**known, change_id=change.id))
    post("/v1/identify", {"messageId": "1", "userId": "h", "traits": {"name": "Not Hana", "email": "x@example.net"}})
    assert stored(app, Person.name, Person.email) == [("Hana", "hana@example.com")]


@pytest.mark.parametrize(
    ("body", "headers", "status", "said"),
    [
        (b'{"batch": [{"p": ' + b"[" * 2_000 + b"]" * 2_000 + b"}]}", {}, 400, "nested"),
        (b'{"batch": [{"p": NaN}]}', {}, 400, "JSON"),
        (b'{"batch": [{"type": "track", "messageId": "1", "properties": {"n": 1e999}}]}', {}, 400, "out of range"),
        (b'{"batch": [{"type": "track", "messageId": 1' + b"0" * 4_300 + b"}]}", {}, 400, "out of range"),
        (b'{"batch": [{"type": "track", "messageId": "\xff"}]}', {}, 400, "utf-8"),
        (b'{"batch": [{"type": "track", "event": "\\ud800"}]}', {}, 400, "message"),
        (b"", {}, 400, "batch"),
        (b'{"batch": {}}', {}, 400, "batch"),
        (b"[]", {}, 400, "batch"),
        (b'{"batch": []' + b" " * 512_000 + b"}", {}, 413, "in parts"),
        (gzip.compress(b" " * 100_000_000, 9), {"Content-Encoding": "gzip"}, 413, "in parts"),
        (gzip.compress(gzip.compress(b" " * 100_000_000, 9), 9), {"Content-Encoding": "gzip"}, 400, "batch"),
        (gzip.compress(b'{"batch": []}')[:-9], {"Content-Encoding": "gzip"}, 400, "cut off"),
        (b'{"batch": []}', {"Content-Encoding": "gzip"}, 400, "gzip"),
        (b'{"batch": []}', {"Content-Encoding": "br"}, 400, "gzip"),
    ],
    ids=["deep", "NaN", "1e999", "long number", "no utf-8", "half a character", "empty", "object", "list", "large",
         "bomb", "bomb in bomb", "cut off", "no gzip", "brotli"],
)  # fmt: skip
def test_a_hostile_body_is_answered_clearly_in_little_memory(
    app: Application, post: Post, *, body: bytes, headers: dict[str, str], status: int, said: str
) -> None:
    post("/v1/batch", batch(track(0)))
    tracemalloc.start()
    answer = post("/v1/batch", body, **headers)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json")
    assert said in answer.json["detail"]
    assert peak < 5_000_000
    assert len(stored(app, UsageEvent.id)) == 1


def test_gzip_is_read_whatever_it_is_called(app: Application, post: Post) -> None:
    packed = gzip.compress(json.dumps(batch(track(1))).encode())
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert post("/v1/batch", packed, **form, **{"Content-Encoding": "gzip"}).json["accepted"] == 1
    assert post("/v1/batch", packed, **form).json["accepted"] == 1
    assert len(set(stored(app, UsageEvent.event_key))) == 1


def test_only_a_key_of_a_source_may_send(app: Application, client: FlaskClient) -> None:
    def send(key: str | None) -> Any:
        headers = {} if key is None else {"Authorization": "Basic " + base64.b64encode(f"{key}:".encode()).decode()}
        return client.post("/v1/batch", json=batch(track(1, timestamp=datetime.now(UTC).isoformat())), headers=headers)

    assert [send(key).status_code for key in (None, "tnr_wrong", key_of(app, "accounts:read", source=None))] == [
        401, 401, 403,
    ]  # fmt: skip
    sourceless = send(key_of(app, source=None))
    assert (sourceless.status_code, "--source" in sourceless.json["detail"]) == (403, True)
    assert send(key_of(app)).status_code == 200
    key = key_of(app)
    assert client.get("/api/v1/accounts", headers={"Authorization": f"Bearer {key}"}).status_code == 403
    with reading(app.engine) as session:
        assert session.scalar(select(func.count()).select_from(UsageEvent)) == 1


def test_a_person_stays_the_same_when_the_secret_of_the_installation_is_replaced(app: Application, post: Post) -> None:
    add_accounts(app.engine, ["A"])
    post("/v1/batch", batch(track(1)))
    after = replace(
        app.settings,
        secret_key="another secret, of more than 32 characters",
        old_secret_keys=(app.settings.secret_key,),
    )
    with transaction(app.engine) as session:
        assert rotate_secrets(session, Keyring.of(after)).rewritten == 1
    later = create_app(replace(after, old_secret_keys=()))
    later.clock = lambda: NOON
    basic = base64.b64encode(f"{key_of(later)}:".encode()).decode()
    answer = later.test_client().post("/v1/track", json=track(2), headers={"Authorization": f"Basic {basic}"})
    assert answer.json["accepted"] == 1
    later.engine.dispose()
    assert len(set(stored(app, UsageEvent.person_key))) == 1
