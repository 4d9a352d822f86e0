"""The document says what the code does: every route is in it, and every answer is as it says."""

from typing import Any

from flask.testing import FlaskClient

from app import auth
from app.api.endpoint import Endpoint
from app.api.ingest_document import event_paths
from app.api.openapi import BASE, KEY
from app.api.v1 import ENDPOINTS
from app.http import Application
from app.services.tokens import SCOPES
from tests.api.conftest import Ask, ask_with
from tests.services.expansion_company import Nights, finding

TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "number": (int, float),
    "integer": int,
    "boolean": bool,
    "null": type(None),
}


def check(value: Any, schema: dict[str, Any], document: dict[str, Any], *, at: str = "answer") -> None:
    """Assert that a value is as a schema says, with every documented property there and no other."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        if value is not None:
            check(value, schema["anyOf"][0], document, at=at)
        return
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    assert any(isinstance(value, TYPES[name]) for name in types), f"{at} is {value!r}, not {types}"
    if isinstance(value, dict) and "properties" in schema:
        assert set(value) == set(schema["properties"]), at
        for name, each in value.items():
            check(each, schema["properties"][name], document, at=f"{at}.{name}")
    if isinstance(value, list):
        for number, each in enumerate(value):
            check(each, schema["items"], document, at=f"{at}[{number}]")


def document_of(client: FlaskClient) -> dict[str, Any]:
    document: dict[str, Any] = client.get("/api/v1/openapi.json").json
    return document


def path_of(endpoint: Endpoint) -> str:
    return BASE + KEY.sub(r"{\1}", endpoint.path)


def test_every_route_under_the_api_is_in_the_document(app: Application, client: FlaskClient) -> None:
    document = document_of(client)
    assert document["openapi"].startswith("3.1")
    rules = {(path, method.upper()) for path, each in document["paths"].items() for method in each}
    served = {(path_of(each), each.method) for each in ENDPOINTS if f"api.{each.name}" in app.view_functions}
    assert rules == served | {(path, "POST") for path in event_paths()}
    assert len([name for name in app.view_functions if name.startswith("api.")]) == len(ENDPOINTS)


def test_every_operation_says_its_scope_and_every_reference_leads_somewhere(client: FlaskClient) -> None:
    document = document_of(client)
    for endpoint in ENDPOINTS:
        operation = document["paths"][path_of(endpoint)][endpoint.method.lower()]
        assert operation["summary"]
        assert operation.get("x-scope", auth.PUBLIC) == endpoint.scope
        assert ("401" in operation["responses"]) == (endpoint.scope != auth.PUBLIC)

    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            return [node["$ref"]] if "$ref" in node else [r for each in node.values() for r in references(each)]
        return [r for each in node for r in references(each)] if isinstance(node, list) else []

    for reference in references(document):
        _, _, kind, name = reference.split("/")
        assert name in document["components"][kind]


def test_every_answer_is_as_documented(company: Application, client: FlaskClient) -> None:
    document = document_of(client)
    Nights(company.engine).run(finding(1), finding(2, motion="upsell", quantity=3))
    ask = ask_with(company, client, *(scope for scope in SCOPES if scope.endswith(":read")), "webhooks:admin")
    asked = 0
    for endpoint in ENDPOINTS:
        if endpoint.method != "GET" or endpoint.scope == "admin":
            continue
        schema = document["paths"][path_of(endpoint)]["get"]["responses"]["200"]["content"]["application/json"][
            "schema"
        ]
        for path in paths_to(endpoint):
            answer = ask(path)
            assert answer.status_code == 200, path
            check(answer.json, schema, document, at=path)
            asked += 1
    assert asked >= 32


def paths_to(endpoint: Endpoint) -> list[str]:
    """Its address for everything of its kind that the company has; of webhooks it has nothing."""
    for name, ids in (("account_id", range(1, 6)), ("opportunity_id", (1, 2))):
        if f"<id:{name}>" in endpoint.path:
            return [endpoint.path.replace(f"<id:{name}>", str(number)) for number in ids]
    return [] if "<" in endpoint.path else [endpoint.path]


def test_problems_are_as_documented(ask: Ask, client: FlaskClient) -> None:
    document = document_of(client)
    schema = document["components"]["schemas"]["Problem"]
    for path in ("/accounts/99", "/accounts?limit=x", "/nowhere"):
        problem = ask(path).json
        assert set(schema["required"]) <= set(problem) <= set(schema["properties"])


def test_the_page_shows_every_endpoint_without_inline_script_or_style(client: FlaskClient) -> None:
    answer = client.get("/api/v1/docs")
    assert answer.status_code == 200
    for endpoint in ENDPOINTS:
        assert f'id="{endpoint.name}"' in answer.text
    assert "<script" not in answer.text
    assert "<style" not in answer.text
    assert " style=" not in answer.text
    assert 'id="problem-not-allowed"' in answer.text  # where the type of a problem leads
    with client.get("/api/v1/static/api_reference.css") as styles:
        assert styles.mimetype == "text/css"
