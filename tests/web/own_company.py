"""A copy of the company that a test may write to, and what it takes to count statements and to log in as a role."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import event

from app.db import transaction
from app.http import Application
from app.services.changes import recording
from app.services.users import NewUser, add_user
from tests.web.company import NOW
from tests.web.conftest import csrf_token, log_in, make_app

PASSWORD = "four quite unrelated words"


def copy_app(company_url: str, folder: Path) -> Application:
    """The application on a copy of the SQLite company."""
    target = folder / "copy.db"
    shutil.copy(company_url.removeprefix("sqlite:///"), target)
    return make_app(f"sqlite:///{target}", folder)


def client_of_role(app: Application, role: str) -> FlaskClient:
    """A browser that somebody new with that role has logged in with."""
    email = f"{role}@example.com"
    with transaction(app.engine) as session, recording(session, "test", clock=lambda: NOW) as change:
        add_user(session, change, new=NewUser(f"A {role}", email, PASSWORD, role=role))
    client = app.test_client()
    assert log_in(client, email, password=PASSWORD).status_code == 303
    return client


def post(client: FlaskClient, path: str, **form: Any) -> Any:
    return client.post(path, data={"csrf_token": csrf_token(client, "/accounts"), **form})


@contextmanager
def counting(app: Application) -> Iterator[list[str]]:
    """The statements that run meanwhile."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.lstrip().upper().startswith(("SELECT", "WITH")):
            seen.append(statement)

    event.listen(app.engine, "before_cursor_execute", note)
    yield seen
    event.remove(app.engine, "before_cursor_execute", note)
