"""A request may be sent again: it acts once, and gets the same answer."""

import threading
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select

from app.db import reading, transaction
from app.http import Application
from app.models.users import IdempotencyKey, Token
from app.services.tokens import WantedToken, create_token
from tests.small_company import NOW

KEY = {"Idempotency-Key": "6f2b8a1e-1"}
BODY = {"name": "BI", "scopes": ["accounts:read"]}


@pytest.fixture
def app(app: Application) -> Application:
    app.clock = lambda: NOW
    return app


def bearer(app: Application) -> dict[str, str]:
    with transaction(app.engine) as session:
        made = create_token(session, WantedToken("an admin", ["admin"]), actor="command", now=NOW)
    return {"Authorization": f"Bearer {made.token}"}


def count_tokens(app: Application) -> int:
    with reading(app.engine) as session:
        return session.scalar(select(func.count()).select_from(Token)) or 0


def send(client: FlaskClient, headers: dict[str, str], body: Any = None) -> Any:
    return client.post("/api/v1/tokens", json=body or BODY, headers=headers)


def test_the_same_request_with_the_same_key_acts_once_and_gets_the_same_answer(
    app: Application, client: FlaskClient
) -> None:
    headers = bearer(app) | KEY
    first, again = send(client, headers), send(client, headers)
    assert first.status_code == again.status_code == 201
    assert first.data == again.data
    assert first.mimetype == again.mimetype == "application/json"
    assert "Idempotent-Replay" not in first.headers
    assert again.headers["Idempotent-Replay"] == "true"
    assert count_tokens(app) == 2


def test_without_a_key_each_request_acts(app: Application, client: FlaskClient) -> None:
    headers = bearer(app)
    assert send(client, headers).data != send(client, headers).data
    assert count_tokens(app) == 3


def test_a_key_belongs_to_one_request(app: Application, client: FlaskClient) -> None:
    headers = bearer(app) | KEY
    send(client, headers)
    other = send(client, headers, BODY | {"name": "another"})
    assert other.status_code == 409
    assert "send a new key" in other.json["detail"]
    elsewhere = client.post("/api/v1/users/1/deactivate", headers=headers)
    assert elsewhere.status_code == 409
    assert count_tokens(app) == 2


def test_a_key_belongs_to_one_caller(app: Application, client: FlaskClient) -> None:
    assert send(client, bearer(app) | KEY).data != send(client, bearer(app) | KEY).data
    assert count_tokens(app) == 4


def test_what_failed_did_nothing_and_may_be_sent_again(app: Application, client: FlaskClient) -> None:
    headers = bearer(app) | KEY
    assert send(client, headers, BODY | {"scopes": ["nonsense"]}).status_code == 400
    assert send(client, headers).status_code == 201
    assert count_tokens(app) == 2


def test_after_a_day_a_key_is_free_again(app: Application, client: FlaskClient) -> None:
    headers = bearer(app) | KEY
    first = send(client, headers)
    app.clock = lambda: NOW + timedelta(hours=23)
    assert send(client, headers).data == first.data
    app.clock = lambda: NOW + timedelta(hours=24)
    assert send(client, headers).data != first.data


def test_the_database_holds_no_secret_of_an_answer(app: Application, client: FlaskClient) -> None:
    secret = send(client, bearer(app) | KEY).json["token"]
    with reading(app.engine) as session:
        kept = session.scalars(select(IdempotencyKey.answer)).one()
    assert secret.encode() not in kept
    assert b"token" not in kept


def test_of_two_at_once_one_acts_and_both_get_its_answer(app: Application) -> None:
    headers, answers = bearer(app) | KEY, []

    def work() -> None:
        answers.append(send(app.test_client(), headers).data)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(answers)) == 1
    assert count_tokens(app) == 2


@pytest.mark.parametrize("key", ["", "x" * 201, "é"])
def test_what_is_no_key_is_refused(app: Application, client: FlaskClient, key: str) -> None:
    answer = client.post(
        "/api/v1/tokens", json=BODY, headers=[*bearer(app).items(), ("Idempotency-Key", key.encode().decode("latin-1"))]
    )
    assert answer.status_code == 400
    assert count_tokens(app) == 1


def test_an_answer_under_a_secret_that_is_gone_is_not_made_up(app: Application, client: FlaskClient) -> None:
    headers = bearer(app) | KEY
    send(client, headers)
    with transaction(app.engine) as session:
        row = session.scalars(select(IdempotencyKey)).one()
        row.answer = row.answer[:-1] + bytes([row.answer[-1] ^ 1])
    assert send(client, headers).status_code == 409
    assert count_tokens(app) == 2
