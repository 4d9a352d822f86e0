"""The door: what comes in is read with care, what goes wrong is said clearly, nothing is half-written."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from flask import jsonify, request
from flask.testing import FlaskClient
from marshmallow import Schema, fields
from sqlalchemy import Engine, func, select

from app import auth
from app.config import Settings
from app.db import reading
from app.errors import Conflict, Misconfigured, NotFound
from app.http import Application, database, load_body, load_parameters
from app.models.persons import FreeText
from app.models.versions import Change


class NoteBody(Schema):
    body = fields.String(required=True)
    score = fields.Float()


class NoteParameters(Schema):
    segment = fields.List(fields.String())
    limit = fields.Integer()
    search = fields.String()


@pytest.fixture
def app(settings: Settings) -> Iterator[Application]:
    """An application with four views of the test's own, behind the real door."""
    app = Application(settings)
    auth.guard(app)

    @app.get("/api/notes")
    @auth.public
    def list_notes() -> Any:
        return jsonify(load_parameters(NoteParameters()))

    @app.post("/api/notes")
    @auth.public
    def add_note() -> Any:
        change = Change(source="test")
        database().add(change)
        database().flush()
        database().add(FreeText(body=load_body(NoteBody())["body"], change_id=change.id))
        database().flush()
        if request.args.get("then") == "fail":
            raise Conflict
        return "", 201

    @app.get("/api/notes/<id:note_id>")
    @auth.public
    def show_note(note_id: int) -> Any:
        raise NotFound(f"There is no note {note_id}.")

    @app.get("/api/undeclared")
    def undeclared() -> str:
        return "should never be seen"

    @app.get("/api/broken")
    @auth.public
    def broken() -> str:
        raise RuntimeError("the innards")

    @app.get("/page")
    @auth.public
    def page() -> str:
        raise NotFound("There is no such page.")

    yield app
    app.engine.dispose()


CSRF = "a-token-that-page-and-cookie-share"


def post(client: FlaskClient, body: bytes | str, *, query: str = "", **headers: str) -> Any:
    """Post as one of our own pages would."""
    client.set_cookie("tenure-csrf", CSRF)
    given = {"X-CSRF-Token": CSRF, "Content-Type": "application/json", **headers}
    return client.post(f"/api/notes{query}", data=body, headers=given)


def notes(engine: Engine) -> int:
    with reading(engine) as session:
        return session.scalar(select(func.count()).select_from(FreeText)) or 0


def test_a_change_is_committed_once_the_view_returns(client: FlaskClient, engine: Engine) -> None:
    assert post(client, '{"body": "値上げに不満"}').status_code == 201
    assert notes(engine) == 1


def test_an_error_leaves_nothing_half_written(client: FlaskClient, engine: Engine) -> None:
    answer = post(client, '{"body": "lost"}', query="?then=fail")
    assert answer.status_code == 409
    assert notes(engine) == 0


BAD_BODIES: dict[str, tuple[bytes, str]] = {
    "2,000 levels deep": (b'{"body": ' + b"[" * 2000 + b"]" * 2000 + b"}", "nested too deeply"),
    "300 levels deep": (b'{"body": ' + b"[" * 300 + b"]" * 300 + b"}", "cannot be kept"),
    "NaN": (b'{"body": "x", "score": NaN}', "NaN is no JSON number"),
    "an infinity": (b'{"body": "x", "score": -Infinity}', "-Infinity is no JSON number"),
    "a number beyond floats": (b'{"body": "x", "score": 1e999}', "too large"),
    "a number of 5,000 digits": (b'{"body": "x", "score": ' + b"9" * 5000 + b"}", "cannot be read"),
    "an integer beyond 64 bits": (b'{"body": "x", "score": 99999999999999999999}', "64-bit"),
    "a key given twice": (b'{"body": "x", "body": "y"}', "names 'body' twice"),
    "a typing error in a name": (b'{"bodyy": "x"}', "did you mean body?"),
    "a wrong type": (b'{"body": 7}', "body: Not a valid string."),
    "a missing field": (b"{}", "body: Missing data"),
    "a NUL": (b'{"body": "a\\u0000b"}', "NUL"),
    "half a surrogate pair": (b'{"body": "\\ud800"}', "cannot be kept"),
    "bytes that are not UTF-8": (b'{"body": "\xff"}', "position 10"),
    "half an object": (b'{"body": ', "no JSON"),
    "a list": (b"[]", "must be a JSON object"),
    "nothing": (b"", "no JSON"),
}


def test_a_bad_body_is_refused_in_words_and_nothing_is_written(client: FlaskClient, engine: Engine) -> None:
    for name, (body, words) in BAD_BODIES.items():
        answer = post(client, body)
        assert answer.status_code == 400, name
        assert answer.mimetype == "application/problem+json"
        assert words in answer.json["detail"], name
    assert notes(engine) == 0


def test_of_very_many_keys_the_one_that_comes_twice_is_found(client: FlaskClient) -> None:
    keys = ",".join(f'"{number:x}":1' for number in range(60_000))
    assert "names 'last' twice" in post(client, f'{{{keys},"last":1,"last":2}}').json["detail"]


def test_an_escaped_backslash_before_u0000_is_no_nul(client: FlaskClient, engine: Engine) -> None:
    assert post(client, json.dumps({"body": "a path: C:\\u0000"})).status_code == 201


def test_a_body_over_the_limit_is_413(client: FlaskClient) -> None:
    answer = post(client, b'{"body": "' + b"x" * 1_000_000 + b'"}')
    assert answer.status_code == 413
    assert "1,000,000 bytes" in answer.json["detail"]


def test_a_body_must_be_plain_json(client: FlaskClient) -> None:
    assert "Content-Type" in post(client, "body=x", **{"Content-Type": "text/plain"}).json["detail"]
    assert "uncompressed" in post(client, b"\x1f\x8b", **{"Content-Encoding": "gzip"}).json["detail"]


def test_a_list_parameter_may_be_repeated_another_may_not(client: FlaskClient) -> None:
    assert client.get("/api/notes?segment=a&segment=b").json == {"segment": ["a", "b"]}
    assert "twice" in client.get("/api/notes?limit=1&limit=2").json["detail"]


def test_an_unknown_parameter_is_answered_with_the_nearest_one(client: FlaskClient) -> None:
    answer = client.get("/api/notes?segmnt=a")
    assert answer.status_code == 400
    assert answer.json["detail"] == "There is no parameter 'segmnt' here; did you mean segment?"
    assert "there are: limit, search, segment" in client.get("/api/notes?zzz=1").json["detail"]


def test_a_bad_parameter_is_400(client: FlaskClient) -> None:
    for query in ("limit=a", "limit=" + "9" * 5000, "search=%00", "limit=1.5"):
        assert client.get(f"/api/notes?{query}").status_code == 400, query


def test_a_key_in_the_path_is_a_number_that_a_database_can_hold(client: FlaskClient) -> None:
    assert client.get("/api/notes/12").json["detail"] == "There is no note 12."
    for key in ("0", "-1", "9" * 16, "9" * 5000, "1e3", "１２"):
        answer = client.get(f"/api/notes/{key}")
        assert answer.status_code == 404
        assert answer.json["detail"] == "There is nothing at this address."


def test_problems_are_details_for_programs_and_pages_for_people(client: FlaskClient) -> None:
    problem = client.get("/api/notes/12").json
    assert problem == {
        "type": "/api/v1/docs#problem-not-found",
        "title": "Not found",
        "status": 404,
        "detail": "There is no note 12.",
        "instance": "/api/notes/12",
    }
    page = client.get("/page")
    assert page.status_code == 404
    assert "There is no such page." in page.text
    assert page.mimetype != "application/problem+json"


def test_an_error_of_ours_tells_nothing_of_the_inside(client: FlaskClient) -> None:
    answer = client.get("/api/broken")
    assert answer.status_code == 500
    assert "innards" not in answer.text


def test_a_view_without_a_rule_is_for_nobody(client: FlaskClient) -> None:
    assert client.get("/api/undeclared").status_code == 403


def test_a_method_that_an_address_does_not_take_is_405(client: FlaskClient) -> None:
    answer = client.delete("/api/notes")
    assert answer.status_code == 405
    assert "GET" in answer.headers["Allow"]


def test_every_answer_carries_the_headers_that_keep_a_browser_safe(client: FlaskClient) -> None:
    for path in ("/page", "/api/notes", "/api/broken", "/nowhere"):
        headers = client.get(path).headers
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Referrer-Policy"] == "same-origin"
        assert "Strict-Transport-Security" not in headers


def test_a_host_that_is_not_ours_is_refused(client: FlaskClient) -> None:
    answer = client.get("/api/notes", headers={"Host": "evil.example"})
    assert answer.status_code == 400


def test_json_goes_out_as_it_is_written(app: Application) -> None:
    tokyo = timezone(timedelta(hours=9))
    said = {
        "name": "東京電力",
        "on": date(2026, 1, 2),
        "at": datetime(2026, 1, 2, 9, tzinfo=tokyo),
        "unknown": float("nan"),
        "now": datetime(2026, 1, 2, tzinfo=UTC),
    }
    text = app.json.dumps(said)
    assert "東京電力" in text
    assert '"at":"2026-01-02T00:00:00Z"' in text
    assert '"unknown":null' in text
    assert '"on":"2026-01-02"' in text


def test_production_insists_on_https_and_refuses_debugging(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = replace(settings, is_production=True)
    app = Application(settings)

    @app.get("/page")
    def page() -> str:
        return "hello"

    headers = app.test_client().get("/page").headers
    assert "max-age" in headers["Strict-Transport-Security"]
    app.engine.dispose()
    monkeypatch.setenv("FLASK_DEBUG", "1")
    with pytest.raises(Misconfigured):
        Application(settings)
