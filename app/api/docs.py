"""The API describes itself: as OpenAPI for programs, as a page for people."""

from typing import Any

from flask import Blueprint, Response, jsonify, render_template, request
from flask.typing import ResponseReturnValue

from app.api.endpoint import Endpoint
from app.api.openapi import BASE, KEY, build_document
from app.auth import public
from app.domain.definitions import DEFINITIONS
from app.http import KINDS
from app.services.tokens import SCOPES


def make_blueprint(endpoints: tuple[Endpoint, ...]) -> Blueprint:
    blueprint = Blueprint("docs", __name__, url_prefix="/api/v1", template_folder="templates", static_folder="static")

    @blueprint.get("/openapi.json")
    @public
    def show_openapi() -> Response:
        return jsonify(build_document(endpoints))

    @blueprint.get("/docs")
    @public
    def show_docs() -> ResponseReturnValue:
        return render_template(
            "api_reference.html",
            endpoints=[describe(endpoint, request.host_url) for endpoint in endpoints],
            scopes=SCOPES,
            problems=KINDS.values(),
            definitions=DEFINITIONS,
        )

    return blueprint


def describe(endpoint: Endpoint, root: str) -> dict[str, Any]:
    """An endpoint as the page shows it, its example with the address that the reader came by."""
    document = build_document((endpoint,))
    path = BASE + KEY.sub(r"{\1}", endpoint.path)
    operation = document["paths"][path][endpoint.method.lower()]
    return {
        "endpoint": endpoint,
        "path": path,
        "parameters": operation["parameters"],
        "statuses": sorted(operation["responses"]),
        "curl": _curl(endpoint, root),
    }


def _curl(endpoint: Endpoint, root: str) -> str:
    path = f"{root}api/v1" + KEY.sub("1", endpoint.path)
    parts = ["curl", '-H "Authorization: Bearer $TENURE_TOKEN"' if endpoint.scope != "public" else "", f'"{path}"']
    if endpoint.method != "GET":
        parts.insert(1, f"-X {endpoint.method}")
    if endpoint.body:
        parts.append("--json '{...}'")
    return " ".join(part for part in parts if part)
