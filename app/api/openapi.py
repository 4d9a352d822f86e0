"""The OpenAPI document, made from the endpoints themselves."""

import json
import re
from collections.abc import Iterable
from functools import cache
from typing import Any

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin

from app.api.endpoint import Endpoint
from app.api.idempotency import HEADER, LONGEST_KEY
from app.api.ingest_document import event_paths
from app.api.media import CSV, JSON, XLSX
from app.api.tables import CHECKSUM
from app.auth import PUBLIC
from app.http import KINDS, Kind
from app.schemas.fields import MoneyField
from app.services.tokens import SCOPES

PROBLEM = "application/problem+json"
BASE = "/api/v1"
WRITE_KEY = "the token as the user, without a password: where events come in, and nowhere else"
KEY = re.compile(r"<(?:id:)?(\w+)>")
DESCRIPTION = (
    "Customer-success health and lifetime value. Send a token as `Authorization: Bearer ...`; make one with "
    "`tenure token create --name ... --scope ...`. Errors are RFC 9457 problem details."
)
# Which errors an endpoint may answer with: always, with a key in its path, and with a token.
ALWAYS, WITH_KEY, WITH_TOKEN = (400, 503), (404,), (401, 403)


@cache
def build_document(endpoints: tuple[Endpoint, ...]) -> dict[str, Any]:
    plugin = MarshmallowPlugin()
    spec = APISpec("Tenure", "1", "3.1.0", [plugin], info={"description": DESCRIPTION}, servers=[{"url": "/"}])
    converter: Any = plugin.converter
    converter.add_attribute_function(_refer_to_money)
    spec.components.schema("Money", {"type": "object", "required": ["amount", "currency"], "properties": MONEY})
    spec.components.schema("Problem", {"type": "object", "required": ["type", "title", "status"], "properties": FIELDS})
    spec.components.security_scheme("token", {"type": "http", "scheme": "bearer"})
    spec.components.security_scheme("write_key", {"type": "http", "scheme": "basic", "description": WRITE_KEY})
    for kind in KINDS.values():
        _add_problem(spec, kind)
    for path in dict.fromkeys(each.path for each in endpoints):
        operations = {each.method.lower(): _operation(each) for each in endpoints if each.path == path}
        spec.path(BASE + KEY.sub(r"{\1}", path), operations=operations)
    for path, operations in event_paths().items():
        spec.path(path, operations=operations)
    document: dict[str, Any] = json.loads(json.dumps(spec.to_dict(), default=float))  # limits of decimals are Decimals
    return document


MONEY = {
    "amount": {"type": "string", "description": "decimal, with all digits of the currency", "examples": ["1234.50"]},
    "currency": {"type": "string", "description": "ISO 4217", "examples": ["USD"]},
}
KEY_SCHEMA = {"type": "string", "minLength": 1, "maxLength": LONGEST_KEY, "pattern": "^[!-~]([ -~]*[!-~])?$"}
KEY_WORDS = "such as a UUID: within 24 hours the same key and request get the same answer, and act once"
WORKBOOK = "sheets: Figures with the columns of the CSV, Definitions, Checks"
SUM_WORDS = "of a table: SHA-256 over its lines as CSV without the header, the same for CSV and XLSX"
FIELDS = {
    "type": {"type": "string"},
    "title": {"type": "string"},
    "status": {"type": "integer"},
    "detail": {"type": "string", "description": "what to do"},
    "instance": {"type": "string"},
    "errors": {
        "type": "array",
        "items": {
            "type": "object",
            "properties": {
                "field": {"type": "string"},
                "messages": {"type": "array", "items": {"type": "string"}},
            },
        },
    },
}


def _refer_to_money(_converter: Any, field: Any, **_kwargs: Any) -> dict[str, Any]:
    if not isinstance(field, MoneyField):
        return {}
    reference = {"$ref": "#/components/schemas/Money"}
    return {"anyOf": [reference, {"type": "null"}]} if field.allow_none else reference


def _add_problem(spec: APISpec, kind: Kind) -> None:
    if str(kind.status) not in spec.components.responses:
        content = {PROBLEM: {"schema": {"$ref": "#/components/schemas/Problem"}}}
        spec.components.response(str(kind.status), {"description": kind.title, "content": content})


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": endpoint.name,
        "summary": endpoint.summary,
        "description": endpoint.description,
        "tags": [endpoint.path.split("/")[1]],
        "parameters": list(_parameters(endpoint)),
        "responses": _responses(endpoint),
    }
    if endpoint.body:
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": endpoint.body}}}
    if endpoint.scope != PUBLIC:
        operation["security"] = [{"token": []}]
        operation["x-scope"] = endpoint.scope
        operation["description"] += f"\n\nScope: {endpoint.scope} ({SCOPES[endpoint.scope]})."
    return operation


def _parameters(endpoint: Endpoint) -> Iterable[dict[str, Any]]:
    for name in KEY.findall(endpoint.path):
        is_id = f"<id:{name}>" in endpoint.path
        schema = {"type": "integer", "minimum": 1} if is_id else {"type": "string", "minLength": 1, "maxLength": 100}
        yield {"name": name, "in": "path", "required": True, "schema": schema}
    if endpoint.parameters:
        yield {"in": "query", "schema": endpoint.parameters}
    if endpoint.takes_key:
        yield {"name": HEADER, "in": "header", "schema": KEY_SCHEMA, "description": KEY_WORDS}


def _responses(endpoint: Endpoint) -> dict[str, Any]:
    success: dict[str, Any] = {"description": endpoint.summary or "Done"}
    if endpoint.answer:
        success["content"] = {JSON: {"schema": endpoint.answer}}
        if endpoint.csv_columns:
            success["content"][CSV] = {"schema": {"type": "string", "description": ", ".join(endpoint.csv_columns)}}
            success["content"][XLSX] = {"schema": {"type": "string", "format": "binary", "description": WORKBOOK}}
    if endpoint.method == "GET":
        success["headers"] = {"ETag": {"schema": {"type": "string"}, "description": "send it as If-None-Match"}}
    if endpoint.csv_columns:
        success["headers"][CHECKSUM] = {"schema": {"type": "string"}, "description": SUM_WORDS}
    errors = [*ALWAYS, *(WITH_KEY if "<" in endpoint.path else ()), *(WITH_TOKEN if endpoint.scope != PUBLIC else ())]
    responses: dict[str, Any] = {str(endpoint.status): success}
    if endpoint.method == "GET":
        responses["304"] = {"description": "Nothing changed since the ETag that was sent"}
    if endpoint.body:
        errors += [413]
    if endpoint.method != "GET":
        errors += [409]
        errors += [403, 413] if endpoint.scope == PUBLIC else []  # a body that is signed
    if endpoint.path.startswith(("/revenue/", "/periods/")):
        errors += [409, 413]
    return responses | {str(status): str(status) for status in sorted(set(errors))}
