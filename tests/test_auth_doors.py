"""Programs that send events by their write key; people who log in, wait, and are on record."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from flask.testing import FlaskClient

from app.config import Settings
from app.db import reading
from app.http import Application
from app.queries.audit import Asked, list_entries
from tests.auth_app import MAIL, NOON, at, log_in, make_app, write_key


@pytest.fixture
def app(settings: Settings) -> Iterator[Application]:
    app = make_app(settings)
    yield app
    app.engine.dispose()


def test_a_write_key_is_taken_as_the_user_of_basic_without_a_password(app: Application, client: FlaskClient) -> None:
    key = write_key(app, "ingest:write", source="backend")
    assert client.post("/v1/batch", auth=(key, "")).json == {"source": "backend"}
    assert client.post("/v1/batch", headers={"Authorization": f"Bearer {key}"}).json == {"source": "backend"}


def test_basic_is_taken_where_events_come_in_and_nowhere_else(app: Application, client: FlaskClient) -> None:
    key = write_key(app, "admin")
    assert client.post("/v1/batch", auth=(key, "")).status_code == 200
    assert client.get("/api/figures", auth=(key, "")).status_code == 401
    assert client.post("/api/figures", auth=(key, "")).status_code == 401


def test_a_write_key_reads_nothing(app: Application, client: FlaskClient) -> None:
    key = write_key(app, "ingest:write")
    assert client.get("/api/figures", headers={"Authorization": f"Bearer {key}"}).status_code == 403
    assert client.get("/me", headers={"Authorization": f"Bearer {key}"}).status_code == 401


def test_without_the_right_key_no_event_comes_in(app: Application, client: FlaskClient) -> None:
    assert client.post("/v1/batch").status_code == 401
    assert client.post("/v1/batch", auth=("tnr_guessed", "")).status_code == 401
    assert client.post("/v1/batch", auth=("", "")).status_code == 401
    reader = write_key(app, "finance:read")
    assert client.post("/v1/batch", auth=(reader, "")).status_code == 403


def guess_from(client: FlaskClient, place: str, *, address: str, by: str = "127.0.0.1") -> int:
    """Nobody's address each time, so that only the place counts."""
    token = client.get("/form").text
    form = {"email": address, "password": "not the right words", "csrf_token": token}
    headers = {"X-Forwarded-For": place}
    return client.post("/login", data=form, headers=headers, environ_base={"REMOTE_ADDR": by}).status_code


def test_behind_a_proxy_the_place_is_whom_it_speaks_for(settings: Settings) -> None:
    app = make_app(replace(settings, proxies=1))
    client = app.test_client()
    # What a client writes into the header itself stands before what the proxy adds, and counts for nothing.
    statuses = [
        guess_from(client, f"198.51.100.{number}, 203.0.113.7", address=f"{number}@example.com") for number in range(21)
    ]
    assert statuses == [401] * 20 + [429]
    assert guess_from(client, "192.0.2.1", address="elsewhere@example.com") == 401
    app.engine.dispose()


def test_without_a_proxy_nobody_can_say_to_be_somewhere_else(app: Application, client: FlaskClient) -> None:
    statuses = [guess_from(client, f"198.51.100.{n}", address=f"{n}@example.com", by="192.0.2.9") for n in range(21)]
    assert statuses == [401] * 20 + [429]


def test_an_address_nobody_has_waits_as_long_as_one_that_somebody_has(app: Application, client: FlaskClient) -> None:
    def statuses(address: str) -> list[tuple[int, str | None]]:
        found = []
        for n in range(7):
            token = client.get("/form").text
            form = {"email": address, "password": "not the right words", "csrf_token": token}
            answer = client.post("/login", data=form, environ_base={"REMOTE_ADDR": f"192.0.2.{n}"})
            found.append((answer.status_code, answer.headers.get("Retry-After")))
        return found

    assert statuses(MAIL) == statuses("nobody@example.com") == [(401, None)] * 5 + [(429, "1")] * 2


def test_a_right_password_waits_too_and_then_comes_in(app: Application, client: FlaskClient) -> None:
    for _ in range(5):
        log_in(client, password="not the right words")
    assert log_in(client).status_code == 429
    at(app, NOON + timedelta(seconds=1))
    assert log_in(client).text == "in"
    assert log_in(client, password="not the right words").status_code == 401  # and its failures are forgotten


def test_log_ins_good_and_bad_and_log_outs_are_on_record_without_an_address(
    app: Application, client: FlaskClient
) -> None:
    log_in(client, password="not the right words")
    log_in(client)
    client.post("/logout", headers={"X-CSRF-Token": client.get("/me").json["csrf"]})
    with reading(app.engine) as session:
        entries = list_entries(session, Asked()).entries
    assert [(entry.actor, entry.action) for entry in entries[:3]] == [
        ("user:1", "logout"),
        ("user:1", "login.succeeded"),
        ("nobody", "login.failed"),
    ]
    assert MAIL not in str(entries)
