"""The quick way in answers as the long way does, for a second, and nobody comes in by it who was not let in before."""

import base64
import gzip
import json
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event, func, select
from werkzeug.test import TestResponse

from app.db import reading, transaction
from app.http import Application
from app.models.events import RefusedEvents, UsageEvent
from app.services.tokens import WantedToken, create_token, revoke_token
from tests.usage_events import NOON


@pytest.fixture
def key(app: Application) -> str:
    app.clock = lambda: NOON
    with transaction(app.engine) as session:
        return create_token(session, WantedToken("web", ["ingest:write"], source="web"), actor="x", now=NOON).token


def track(number: int, **changed: object) -> dict[str, object]:
    message = {"type": "track", "messageId": f"m{number}", "userId": "ana", "event": "opened", "groupId": "A"}
    return message | changed


def send(client: FlaskClient, key: str, *messages: Any, path: str = "/v1/batch", **more: Any) -> TestResponse:
    basic = base64.b64encode(f"{key}:".encode()).decode()
    body = more.pop("body", json.dumps({"batch": messages}).encode())
    headers = {"Authorization": f"Basic {basic}"} | more.pop("headers", {})
    return client.post(path, data=body, headers=headers, **more)


def stored(app: Application) -> int:
    with reading(app.engine) as session:
        return session.scalar(select(func.count()).select_from(UsageEvent)) or 0


def test_whoever_was_let_in_a_moment_ago_costs_no_look_up(app: Application, client: FlaskClient, key: str) -> None:
    statements: list[str] = []
    event.listen(app.engine, "before_cursor_execute", lambda *call: statements.append(call[2].split()[0]))
    connections: list[object] = []
    event.listen(app.engine, "checkout", lambda *call: connections.append(call[0]))
    assert send(client, key, track(1)).status_code == 200
    asked = len(statements)
    connections.clear()
    assert send(client, key, track(2)).status_code == 200
    assert statements[asked:] == (
        ["BEGIN", "INSERT"] if app.engine.dialect.name == "sqlite" else []
    )  # COPY is no cursor's
    assert len(connections) == 1
    assert stored(app) == 2


def test_both_ways_answer_alike(app: Application, client: FlaskClient, key: str) -> None:
    def answers() -> list[tuple[int, dict[str, str], bytes]]:
        sent = [
            send(client, key, track(1), track(2, groupId=None)),
            send(client, key, track(1, messageId=None), track(2, event=None)),
            send(client, key, body=b"[]"),
            send(client, key, body=b" " * 600_000),
            send(client, key, body=b'{"batch": []}', headers={"Content-Encoding": "br"}),
            send(client, key, body=gzip.compress(b'{"batch": []}'), headers={"Content-Encoding": "gzip"}),
            send(client, key, body=b'{"batch"', headers={"Content-Length": "13"}),
        ]
        return [(answer.status_code, dict(answer.headers), answer.data) for answer in sent]

    app.clock = iter([NOON + timedelta(hours=hour) for hour in range(1_000)]).__next__  # the long way each time
    long_way = answers()
    app.clock = lambda: NOON
    assert answers() == long_way
    assert answers() == long_way
    assert [status for status, _, _ in long_way] == [200, 400, 400, 413, 400, 200, 400]


def test_what_nobody_expects_is_answered_as_on_the_long_way(app: Application, client: FlaskClient, key: str) -> None:
    assert send(client, key, track(1)).status_code == 200

    def break_off(*_: object) -> None:
        raise RuntimeError("the cable was pulled")

    event.listen(app.engine, "begin", break_off)
    answer = send(client, key, track(2))
    event.remove(app.engine, "begin", break_off)
    assert (answer.status_code, answer.mimetype) == (500, "application/problem+json")
    assert "cable" not in answer.text
    assert send(client, key, track(2)).status_code == 200
    assert stored(app) == 2


def test_what_is_refused_is_counted_once(app: Application, client: FlaskClient, key: str) -> None:
    send(client, key, track(1))
    assert send(client, key, track(2, messageId=None)).status_code == 400
    with reading(app.engine) as session:
        assert session.scalars(select(RefusedEvents.events)).all() == [1]


def test_a_key_that_was_revoked_is_refused_within_a_second(app: Application, client: FlaskClient, key: str) -> None:
    assert send(client, key, track(1)).status_code == 200
    with transaction(app.engine) as session:
        revoke_token(session, token_id=1, actor="x", now=NOON)
    app.clock = lambda: NOON + timedelta(seconds=1)
    assert send(client, key, track(2)).status_code == 401
    app.clock = lambda: NOON - timedelta(seconds=1)  # a clock that is put back opens no door
    assert send(client, key, track(3)).status_code == 401
    assert stored(app) == 1


def test_the_door_is_open_to_the_same_key_at_the_same_address_and_host_alone(
    app: Application, client: FlaskClient, key: str
) -> None:
    app.config["TRUSTED_HOSTS"] = ["localhost"]
    assert send(client, key, track(1)).status_code == 200
    assert send(client, key + "x", track(2)).status_code == 401
    assert client.post("/v1/batch", json={"batch": [track(2)]}).status_code == 401
    assert send(client, key, track(2), headers={"Host": "elsewhere.example"}).status_code == 400
    assert send(client, key, track(2), path="/v1/track").status_code == 400  # is read as what that address takes
    assert send(client, key, path="/api/v1/accounts").status_code == 405
    assert client.get("/v1/batch").status_code == 405
    assert stored(app) == 1
