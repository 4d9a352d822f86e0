"""A service with the small company in it, and programs that ask it."""

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from app.db import transaction
from app.http import Application
from app.services.tokens import WantedToken, create_token
from tests.small_company import NOW, publish_small_run, write_small_company

Ask = Callable[..., Any]


@pytest.fixture
def company(app: Application) -> Application:
    """The service on the morning after the night that published the run."""
    app.clock = lambda: NOW
    write_small_company(app.engine)
    publish_small_run(app.engine)
    return app


def ask_with(app: Application, client: FlaskClient, *scopes: str) -> Ask:
    with transaction(app.engine) as session:
        token = create_token(session, WantedToken("a test", scopes), actor="command", now=app.clock()).token

    def ask(path: str, **headers: str) -> Any:
        return client.get(f"/api/v1{path}", headers={"Authorization": f"Bearer {token}", **headers})

    return ask


@pytest.fixture
def ask(company: Application, client: FlaskClient) -> Ask:
    """Ask as a program that may read everything."""
    return ask_with(company, client, "accounts:read", "finance:read")
