"""One small company for all tests of pages, on each kind of database."""

import os
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import create_engine, text
from werkzeug.serving import make_server

from app.config import Settings
from app.db import make_engine
from app.factory import create_app
from app.http import Application
from tests.web.company import EMAIL, NOW, PASSWORD, build_company


def make_app(url: str, folder: Path) -> Application:
    app = create_app(Settings.from_env({"TENURE_DATA": str(folder), "DATABASE_URL": url}))
    app.clock = lambda: NOW
    return app


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def company_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a database with the company, made once; tests read it, and log in and out."""
    if request.param == "sqlite":
        path = tmp_path_factory.mktemp("company") / "tenure.db"
        shutil.copy(request.getfixturevalue("_sqlite_template"), path)
        _build(f"sqlite:///{path}")
        yield f"sqlite:///{path}"
        return
    prefix = request.getfixturevalue("_postgres_url")
    name = f"company_{os.getpid()}"
    server = create_engine(
        prefix.format("postgres").replace("postgresql://", "postgresql+psycopg://"), isolation_level="AUTOCOMMIT"
    )
    with server.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE template_tenure"))
    _build(prefix.format(name))
    yield prefix.format(name)
    with server.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    server.dispose()


def _build(url: str) -> None:
    engine = make_engine(url)
    build_company(engine)
    engine.dispose()


@pytest.fixture(scope="session")
def app(company_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    app = make_app(company_url, tmp_path_factory.mktemp("app"))
    yield app
    app.engine.dispose()


@pytest.fixture
def visitor(app: Application) -> FlaskClient:
    """A browser that nobody has logged in with."""
    return app.test_client()


@pytest.fixture
def client(visitor: FlaskClient) -> FlaskClient:
    """A browser that Mika has logged in with."""
    assert log_in(visitor, EMAIL, password=PASSWORD).status_code == 303
    return visitor


def log_in(client: FlaskClient, email: str, *, password: str, next_: str = "/"):  # type: ignore[no-untyped-def]
    form = {"csrf_token": csrf_token(client), "email": email, "password": password, "next": next_}
    return client.post("/login", data=form)


def csrf_token(client: FlaskClient, path: str = "/login") -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', client.get(path).text)
    assert found
    return found[1]


@pytest.fixture
def address(app: Application) -> Iterator[str]:
    """The application served on loopback."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()
