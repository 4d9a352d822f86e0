"""The real gate before a few views of the tests' own, a user, and ways to knock."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import jsonify, request
from flask.testing import FlaskClient

from app import auth
from app.config import Settings
from app.db import transaction
from app.http import Application, database, own_transaction
from app.queries.callers import Program
from app.services.changes import recording
from app.services.tokens import WantedToken, create_token
from app.services.users import NewUser, add_user

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MAIL, PASSWORD = "ai@example.com", "three unrelated words"


def make_app(settings: Settings) -> Application:
    """The real gate before views of the test's own: log in, look, change, log out."""
    app = Application(settings)
    app.clock = lambda: NOON
    auth.guard(app)

    @app.get("/form")
    @auth.public
    def form() -> str:
        return auth.csrf_token()

    @app.post("/login")
    @auth.public
    def login() -> str:
        auth.log_in(request.form["email"], request.form["password"])
        return "in"

    @app.post("/logout")
    @auth.signed_in
    def logout() -> str:
        auth.log_out()
        return "out"

    @app.get("/me")
    @auth.signed_in
    def me() -> Any:
        user = auth.current_user()
        assert user is not None
        return jsonify(name=user.name, csrf=auth.csrf_token())

    @app.post("/change")
    @auth.signed_in
    def change() -> str:
        return "changed"

    @app.route("/api/figures", methods=["GET", "POST"])
    @auth.requires("finance:read")
    def figures() -> str:
        return "figures"

    @app.post("/v1/batch")
    @auth.requires("ingest:write")
    @own_transaction
    def take_in() -> Any:
        program = auth.current_caller()
        assert isinstance(program, Program)
        with pytest.raises(AttributeError):
            database()
        return jsonify(source=program.source)

    with transaction(app.engine) as session, recording(session, "test") as made:
        add_user(session, made, new=NewUser("Ai", MAIL, PASSWORD))
    return app


def at(app: Application, moment: datetime) -> None:
    app.clock = lambda: moment


def log_in(client: FlaskClient, *, password: str = PASSWORD, base: str = "http://localhost") -> Any:
    token = client.get("/form", base_url=base).text
    form = {"email": MAIL, "password": password, "csrf_token": token}
    return client.post("/login", data=form, base_url=base)


def bearer(app: Application, *scopes: str, lifetime: timedelta | None = timedelta(days=1)) -> dict[str, str]:
    with transaction(app.engine) as session:
        wanted = WantedToken("a test", scopes, lifetime=lifetime)
        made = create_token(session, wanted, actor="command", now=app.clock())
    return {"Authorization": f"Bearer {made.token}"}


def write_key(app: Application, *scopes: str, source: str | None = None) -> str:
    with transaction(app.engine) as session:
        return create_token(
            session, WantedToken("a key", scopes, source=source), actor="command", now=app.clock()
        ).token
