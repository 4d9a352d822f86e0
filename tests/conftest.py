"""What all tests share: a migrated database of each kind, the third-party data, and no network beyond this machine."""

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Engine, create_engine, text

from app.config import Settings
from app.db import make_engine
from app.migrate import migrate
from jobs.demo import make_example_company
from tests.installation import settings_of, work_on
from tests.postgres import NotInstalled, postgres_server
from tests.scratch import keep_files_in_memory

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
keep_files_in_memory()

if TYPE_CHECKING:
    from flask.testing import FlaskClient

    from app.http import Application

ROOT = Path(__file__).parent.parent
DATABASES = ("database_url", "example_engine", "company_url")  # the fixtures that are of a kind of database


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is marked `one_database` waits on PostgreSQL for the long suite."""
    for item in items:
        given = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
        is_postgresql = any(given.get(name) == "postgresql" for name in DATABASES)
        if is_postgresql and item.get_closest_marker("one_database"):
            item.add_marker("slow")


@pytest.fixture(autouse=True)
def _stay_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection that would leave loopback."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family != socket.AF_UNIX and address[0] not in {"127.0.0.1", "::1", "localhost"}:
            raise AssertionError(f"a test tried to reach {address}")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(scope="session")
def _sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "template.db"
    engine = make_engine(f"sqlite:///{path}")
    migrate(engine)
    with engine.connect() as connection:
        connection.execution_options(is_reader=True).exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    engine.dispose()
    return path


@pytest.fixture(scope="session")
def _postgres_url() -> Iterator[str]:
    try:
        with postgres_server() as prefix:
            engine = make_engine(prefix.format("postgres"))
            _execute(engine, "CREATE DATABASE template_tenure")
            template = make_engine(prefix.format("template_tenure"))
            migrate(template)
            template.dispose()
            engine.dispose()
            yield prefix
    except NotInstalled as reason:
        pytest.skip(str(reason))


def _execute(engine: Engine, statement: str) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(statement))


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty, migrated database; each test that asks for it runs on both kinds."""
    if request.param == "sqlite":
        path = tmp_path / "tenure.db"
        shutil.copy(request.getfixturevalue("_sqlite_template"), path)
        yield f"sqlite:///{path}"
        return
    prefix = request.getfixturevalue("_postgres_url")
    server = create_engine(prefix.format("postgres").replace("postgresql://", "postgresql+psycopg://"))
    name = f"test_{os.getpid()}_{abs(hash(request.node.nodeid)):x}"
    _execute(server, f"CREATE DATABASE {name} TEMPLATE template_tenure")
    yield prefix.format(name)
    _execute(server, f"DROP DATABASE {name} WITH (FORCE)")
    server.dispose()


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def example_engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """The example company, imported and with its night, made once for all tests that only read."""
    folder = tmp_path_factory.mktemp("example")
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("_sqlite_template"), folder / "tenure.db")
        url = f"sqlite:///{folder / 'tenure.db'}"
    else:
        prefix = request.getfixturevalue("_postgres_url")
        server = make_engine(prefix.format("postgres"))
        _execute(server, "CREATE DATABASE example TEMPLATE template_tenure")
        server.dispose()
        url = prefix.format("example")
    engine = make_engine(url)
    make_example_company(work_on(engine, folder=folder), folder / "files", report=lambda _line: None)
    yield engine
    engine.dispose()


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine on an empty, migrated database."""
    engine = make_engine(database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> Settings:
    """The settings of an installation on that database."""
    return settings_of(database_url, tmp_path)


@pytest.fixture
def app(settings: Settings) -> Iterator["Application"]:
    """The whole web side."""
    from app.factory import create_app  # here, so that tests of the domain load no Flask

    app = create_app(settings)
    yield app
    app.engine.dispose()


@pytest.fixture
def client(app: "Application") -> "FlaskClient":
    return app.test_client()


@pytest.fixture(scope="session")
def third_party_data() -> Callable[[str], Path]:
    """Give the path of a third-party file by its name under the data folder, or skip with the reason."""
    folder = Path(os.environ.get("TENURE_TEST_DATA", ROOT.parent / "shared" / "data"))

    def find(name: str) -> Path:
        if not (folder / name).exists():
            pytest.skip(f"third-party data is absent: set TENURE_TEST_DATA to the folder that holds {name}")
        return folder / name

    return find
