"""The event addresses in the OpenAPI document: they are read without schemas, so these are written down here."""

from typing import Any

from app.api.ingest import PREFIXES, SINGLES
from app.api.media import JSON
from app.services.tokens import INGEST, SCOPES

ID = {"type": ["string", "number", "null"]}
MESSAGE: dict[str, Any] = {
    "type": "object",
    "description": "A call of a client library; what is not named here is not looked at.",
    "properties": {
        "type": {"type": "string", "description": "track, identify, group, page, screen or alias"},
        "messageId": ID | {"description": "what makes it count once, however often it is sent"},
        "userId": ID,
        "anonymousId": ID,
        "groupId": ID | {"description": "the account, by its id in the product; also as context.groupId"},
        "event": {"type": "string", "description": "of a track: what was done"},
        "timestamp": {"type": "string", "format": "date-time"},
        "sentAt": {"type": "string", "format": "date-time"},
        "context": {"type": "object"},
        "properties": {"type": "object"},
        "traits": {"type": "object"},
    },
}
BATCH = {
    "type": "object",
    "required": ["batch"],
    "properties": {"batch": {"type": "array", "items": MESSAGE}, "sentAt": {"type": "string", "format": "date-time"}},
}
REFUSED = {
    "type": "object",
    "required": ["index", "reason", "detail"],
    "properties": {
        "index": {"type": "integer", "description": "its position in the batch, from 0"},
        "messageId": {"type": ["string", "null"]},
        "reason": {"type": "string"},
        "detail": {"type": "string"},
    },
}
RECEIPT = {
    "type": "object",
    "required": ["success", "accepted", "ignored", "refused"],
    "properties": {
        "success": {"const": True},
        "accepted": {
            "type": "integer",
            "description": "stored; one whose messageId was stored before is among them, and counts once",
        },
        "ignored": {"type": "integer", "description": "of a kind that says nothing of use"},
        "refused": {"type": "array", "items": REFUSED},
    },
}
STATUSES = (400, 401, 403, 413, 503)


def event_paths() -> dict[str, dict[str, Any]]:
    """The paths and their operations; the same below the other prefix, which is not said twice."""
    prefix = PREFIXES[0]
    summaries = {"batch": "Usage events, many at once"} | {name: f"One {name} call" for name in SINGLES}
    return {f"{prefix}/{name}": {"post": _operation(name, summary)} for name, summary in summaries.items()}


def _operation(name: str, summary: str) -> dict[str, Any]:
    return {
        "operationId": f"events_{name}",
        "summary": summary,
        "description": (
            f"As the client libraries of Segment send it; answered once it is stored.\n\nScope: {INGEST} "
            f"({SCOPES[INGEST]}), as a token or as the user of Basic."
        ),
        "tags": ["events"],
        "security": [{"token": []}, {"write_key": []}],
        "x-scope": INGEST,
        "requestBody": {"required": True, "content": {JSON: {"schema": BATCH if name == "batch" else MESSAGE}}},
        "responses": {
            "200": {"description": "Stored", "content": {JSON: {"schema": RECEIPT}}},
            **{str(status): {"$ref": f"#/components/responses/{status}"} for status in STATUSES},
        },
    }
