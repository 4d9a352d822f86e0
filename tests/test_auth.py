"""Who may come in: sessions that end, tokens with scopes, and no door without a rule."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event, select, text

from app import auth
from app.config import Settings
from app.db import reading, transaction
from app.errors import Misconfigured
from app.factory import create_app
from app.http import Application
from app.models.users import Token, UserSession
from app.services.tokens import SCOPES, revoke_token
from app.services.users import change_password
from tests.auth_app import MAIL, NOON, PASSWORD, at, bearer, log_in, make_app


@pytest.fixture
def app(settings: Settings) -> Iterator[Application]:
    app = make_app(settings)
    yield app
    app.engine.dispose()


def test_a_right_password_opens_a_session(client: FlaskClient) -> None:
    assert client.get("/me").status_code == 401
    assert log_in(client).text == "in"
    assert client.get("/me").json["name"] == "Ai"


def test_a_wrong_password_opens_none(client: FlaskClient) -> None:
    assert log_in(client, password="another phrase altogether").status_code == 401
    assert client.get("/me").status_code == 401


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(client: FlaskClient) -> None:
    cookie = next(c for c in log_in(client).headers.getlist("Set-Cookie") if c.startswith("tenure-session="))
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Path=/" in cookie
    assert "Secure" not in cookie  # development has no HTTPS


def test_in_production_the_cookie_belongs_to_this_host_and_https_alone(settings: Settings) -> None:
    app = make_app(replace(settings, is_production=True))
    client = app.test_client()
    cookies = log_in(client, base="https://localhost").headers.getlist("Set-Cookie")
    cookie = next(c for c in cookies if c.startswith("__Host-tenure-session="))
    assert "Secure" in cookie
    assert "Domain" not in cookie
    assert client.get("/me", base_url="https://localhost").status_code == 200
    app.engine.dispose()


def test_the_server_keeps_only_a_hash_of_the_session(app: Application, client: FlaskClient) -> None:
    log_in(client)
    session_id = client.get_cookie("tenure-session")
    assert session_id is not None
    with reading(app.engine) as session:
        kept = session.scalars(select(UserSession.id_hash)).one()
    assert session_id.value.encode() not in kept
    assert len(kept) == 32


def test_a_new_login_gets_a_new_session_and_ends_the_old(app: Application, client: FlaskClient) -> None:
    log_in(client)
    before = client.get_cookie("tenure-session")
    csrf = client.get("/me").json["csrf"]
    client.post("/login", data={"email": MAIL, "password": PASSWORD, "csrf_token": csrf})
    after = client.get_cookie("tenure-session")
    assert before is not None
    assert after is not None
    assert before.value != after.value
    with reading(app.engine) as session:
        assert len(session.scalars(select(UserSession.user_id)).all()) == 1


def test_a_session_ends_after_thirty_idle_minutes(app: Application, client: FlaskClient) -> None:
    log_in(client)
    at(app, NOON + timedelta(minutes=29))
    client.get("/me").close()
    at(app, NOON + timedelta(minutes=58))
    assert client.get("/me").status_code == 200  # it was used in between
    at(app, NOON + timedelta(minutes=120))
    assert client.get("/me").status_code == 401


def test_a_session_ends_after_twelve_hours_however_busy(app: Application, client: FlaskClient) -> None:
    log_in(client)
    for minutes in range(20, 12 * 60, 20):
        at(app, NOON + timedelta(minutes=minutes))
        answer = client.get("/me")
        assert answer.status_code == 200
        answer.close()
    at(app, NOON + timedelta(hours=12))
    assert client.get("/me").status_code == 401


def test_logging_out_ends_the_session_on_the_server(client: FlaskClient) -> None:
    log_in(client)
    cookie = client.get_cookie("tenure-session")
    assert cookie is not None
    csrf = client.get("/me").json["csrf"]
    assert client.post("/logout", data={"csrf_token": csrf}).text == "out"
    client.set_cookie("tenure-session", cookie.value)
    assert client.get("/me").status_code == 401


def test_a_new_password_ends_every_session(app: Application, client: FlaskClient) -> None:
    log_in(client)
    with transaction(app.engine) as session:
        user_id = session.scalars(select(UserSession.user_id)).one()
        change_password(session, user_id=user_id, password="four quite unrelated words", actor="command", at=NOON)
    assert client.get("/me").status_code == 401


def test_a_change_without_the_token_of_the_session_is_refused(client: FlaskClient) -> None:
    log_in(client)
    for token in ("", "wrong", "東京"):
        assert client.post("/change", data={"csrf_token": token}).status_code == 403, token


def test_a_change_from_another_site_is_refused_even_with_the_token(client: FlaskClient) -> None:
    log_in(client)
    csrf = client.get("/me").json["csrf"]
    assert client.post("/change", headers={"X-CSRF-Token": csrf}).text == "changed"
    for origin in (
        "https://evil.example",
        "null",
        "http://localhost.evil.example",
        "http://[",
        "http://localhost@evil",
    ):
        answer = client.post("/change", headers={"X-CSRF-Token": csrf, "Origin": origin})
        assert answer.status_code == 403
    assert client.post("/change", headers={"X-CSRF-Token": csrf, "Origin": "http://localhost"}).text == "changed"


def test_nobody_can_be_logged_in_by_another_site(client: FlaskClient) -> None:
    answer = client.post("/login", data={"email": MAIL, "password": PASSWORD})
    assert answer.status_code == 403
    assert client.get_cookie("tenure-session") is None


def test_a_program_needs_a_token_with_the_scope(app: Application, client: FlaskClient) -> None:
    nobody = client.get("/api/figures")
    assert nobody.status_code == 401
    assert nobody.headers["WWW-Authenticate"].startswith("Bearer")
    other = client.get("/api/figures", headers=bearer(app, "accounts:read"))
    assert other.status_code == 403
    assert "finance:read" in other.json["detail"]
    assert client.get("/api/figures", headers=bearer(app, "finance:read")).text == "figures"
    assert client.get("/api/figures", headers=bearer(app, "admin")).text == "figures"


def test_what_is_no_token_is_nobody(client: FlaskClient) -> None:
    for header in ("Bearer", "Bearer ", "Bearer nonsense", "Basic YTpi", "bearer 東京", "Bearer a b"):
        answer = client.get("/api/figures", headers=[("Authorization", header.encode().decode("latin-1"))])
        assert answer.status_code == 401, header


def test_a_token_ends_when_it_expires_or_is_revoked(app: Application, client: FlaskClient) -> None:
    short, endless = bearer(app, "finance:read"), bearer(app, "finance:read", lifetime=None)
    at(app, NOON + timedelta(days=1))
    assert client.get("/api/figures", headers=short).status_code == 401
    assert client.get("/api/figures", headers=endless).status_code == 200
    with transaction(app.engine) as session:
        for token_id in session.scalars(select(Token.id)).all():
            revoke_token(session, token_id=token_id, actor="command", now=NOON)
    assert client.get("/api/figures", headers=endless).status_code == 401


def test_the_use_of_a_token_is_noted_at_most_once_a_minute(app: Application, client: FlaskClient) -> None:
    def last_use(moment: datetime) -> datetime | None:
        at(app, moment)
        client.get("/api/figures", headers=token).close()
        with reading(app.engine) as session:
            return session.scalars(select(Token.last_used_at)).one()

    token = bearer(app, "finance:read")
    assert last_use(NOON) == NOON
    assert last_use(NOON + timedelta(seconds=59)) == NOON
    assert last_use(NOON + timedelta(seconds=60)) == NOON + timedelta(seconds=60)


def test_a_busy_database_does_not_stop_a_reader(app: Application, client: FlaskClient) -> None:
    """On SQLite one writer may hold the only lock for long; reading and its answer must not wait for it."""
    token = bearer(app, "finance:read")
    app.engine.dispose()
    if app.engine.dialect.name == "sqlite":
        from sqlalchemy import event

        event.listen(app.engine, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout=50"))
    with transaction(app.engine) as writer:
        writer.execute(select(Token.id))
        answer = client.get("/api/figures", headers=token)
        answer.close()
    assert answer.text == "figures"


@pytest.mark.parametrize("password", [PASSWORD, "another phrase altogether"])
def test_no_writer_waits_while_a_password_is_hashed(app: Application, client: FlaskClient, password: str) -> None:
    """Whoever guesses passwords must not keep an import from the only lock that SQLite's writers have."""
    open_writers, seen = set(), []

    def is_writer(connection: Any) -> bool:
        return not connection.get_execution_options().get("is_reader", False)

    def begin(connection: Any) -> None:
        if is_writer(connection):
            open_writers.add(id(connection))

    def look(connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if "password_hash" in statement and not is_writer(connection):
            seen.append(len(open_writers))

    event.listen(app.engine, "begin", begin)
    event.listen(app.engine, "before_cursor_execute", look)
    for ends in ("commit", "rollback"):
        event.listen(app.engine, ends, lambda connection: open_writers.discard(id(connection)))
    log_in(client, password=password)
    assert seen == [0]


def test_an_error_of_the_database_does_not_tell_who_was_asked_for(
    app: Application, client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    token = client.get("/form").text
    with app.engine.begin() as connection:
        connection.execute(text("ALTER TABLE users RENAME TO away"))
    form = {"email": MAIL, "password": PASSWORD, "csrf_token": token}
    answer = client.post("/login", data=form, headers={"X-CSRF-Token": token})
    assert answer.status_code >= 500
    assert "SELECT" in caplog.text
    assert not any(secret in caplog.text + answer.text for secret in (MAIL, PASSWORD))


def test_a_person_may_read_what_their_role_includes(client: FlaskClient) -> None:
    log_in(client)
    assert client.get("/api/figures").text == "figures"
    assert client.post("/api/figures").status_code == 403  # a change needs the token against forgery
    csrf = client.get("/me").json["csrf"]
    assert client.post("/api/figures", headers={"X-CSRF-Token": csrf}).text == "figures"


def test_a_token_is_no_session(app: Application, client: FlaskClient) -> None:
    assert client.get("/me", headers=bearer(app, *SCOPES)).status_code == 401


def test_the_service_does_not_start_with_a_view_that_declares_no_rule(app: Application) -> None:
    auth.refuse_undeclared(app)

    def forgotten() -> str:
        return "open to all"

    app.add_url_rule("/forgotten", view_func=forgotten)
    with pytest.raises(Misconfigured, match="forgotten"):
        auth.refuse_undeclared(app)


def test_a_scope_that_does_not_exist_cannot_be_declared() -> None:
    with pytest.raises(ValueError, match="finance:red"):
        auth.requires("finance:red")


OPEN_TO_ALL = {
    "api.show_definition",
    "api.push_crm",  # a CRM signs what it sends
    "health.show_health",
    "health.show_readiness",
    "docs.show_docs",
    "docs.show_openapi",
    "docs.static",
    "api.list_definitions",
}


def test_only_named_endpoints_for_programs_are_open_to_all(settings: Settings) -> None:
    app = create_app(settings)
    endpoints = {name for name in app.view_functions if name.partition(".")[0] in {"api", "docs", "health"}}
    assert {name for name in endpoints if auth.access_rule(app, name) == auth.PUBLIC} == OPEN_TO_ALL
    app.engine.dispose()
