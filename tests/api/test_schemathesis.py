"""Whatever a program sends, the answer is one that the OpenAPI document tells of, and never an error of ours."""

from collections.abc import Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from sqlalchemy import text

from app.api.ingest_document import event_paths
from app.api.openapi import build_document
from app.api.v1 import ENDPOINTS
from app.config import Settings
from app.db import transaction
from app.factory import create_app
from app.http import Application
from app.services.changes import recording
from app.services.tokens import WantedToken, create_token
from app.services.users import NewUser, add_user
from tests.small_company import NOW, publish_small_run, write_small_company

OPERATIONS = [
    (path, method) for path, operations in build_document(ENDPOINTS)["paths"].items() for method in operations
]
AS_DOCUMENTED = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
)
OUT_OF_REACH = 10**12  # ids that no test makes up: the token that asks must not be revoked, nor its admin shut out


@pytest.fixture(scope="module")
def app(_sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    """The small company, with a user, a token, an endpoint and an opportunity to be hit by id."""
    folder = tmp_path_factory.mktemp("asked")
    path = folder / "tenure.db"
    path.write_bytes(_sqlite_template.read_bytes())
    app = create_app(Settings.from_env({"TENURE_DATA": str(folder), "DATABASE_URL": f"sqlite:///{path}"}))
    app.clock = lambda: NOW
    write_small_company(app.engine)
    publish_small_run(app.engine)
    with transaction(app.engine) as session, recording(session, "test", clock=lambda: NOW) as change:
        add_user(session, change, new=NewUser("Ai", "ai@example.com", "three unrelated words"))
    yield app
    app.engine.dispose()


@pytest.fixture(scope="module")
def headers(app: Application) -> dict[str, str]:
    with transaction(app.engine) as session:
        wanted = WantedToken("who asks", ["admin", "ingest:write"], source="web")
        made = create_token(session, wanted, actor="command", now=NOW)
        session.execute(text("UPDATE tokens SET id = :id WHERE id = :made"), {"id": OUT_OF_REACH, "made": made.id})
        create_token(session, WantedToken("another", ["accounts:read"]), actor="command", now=NOW)
    return {"Authorization": f"Bearer {made.token}"}


@pytest.fixture(scope="module")
def document(app: Application) -> Any:
    return schemathesis.openapi.from_wsgi("/api/v1/openapi.json", app)


def ask_much(document: Any, operation: tuple[str, str], headers: dict[str, str], *, examples: int) -> None:
    path, method = operation
    asked = document[path][method.upper()]
    for mode in GenerationMode:

        @given(case=asked.as_strategy(generation_mode=mode))
        @settings(
            max_examples=examples,
            derandomize=True,
            database=None,
            deadline=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        def ask(case: Any) -> None:
            case.call_and_validate(headers=headers, checks=AS_DOCUMENTED)

        # What takes nothing cannot be asked for wrongly.
        with suppress(Unsatisfiable) if mode.is_negative else nullcontext():
            ask()


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: f"{each[1]} {each[0]}")
def test_every_answer_is_one_that_the_document_tells_of(
    document: Any, headers: dict[str, str], operation: tuple[str, str]
) -> None:
    ask_much(document, operation, headers, examples=6)


@pytest.mark.slow
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: f"{each[1]} {each[0]}")
def test_every_answer_is_one_that_the_document_tells_of_asked_much_more(
    document: Any, headers: dict[str, str], operation: tuple[str, str]
) -> None:
    ask_much(document, operation, headers, examples=100)


def test_the_event_addresses_are_in_the_document() -> None:
    assert set(event_paths()) <= {path for path, _ in OPERATIONS}
