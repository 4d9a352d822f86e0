"""The audit, for whoever keeps it elsewhere."""

from collections.abc import Iterator
from typing import Any

import orjson

from app.api.endpoint import Reply, endpoint
from app.api.tables import wants_table
from app.http import database
from app.queries.audit import Asked, Entry, Page
from app.queries.audit import list_entries as load_entries
from app.schemas import audit as schemas

CSV_HEADER = ("id", "at", "actor", "action", "subject", "details", "digest")


@endpoint(
    "/audit",
    scope="admin",
    parameters=schemas.AuditParameters(),
    answer=schemas.AuditPage(),
    csv_header=CSV_HEADER,
    has_moment=False,
)
def list_audit(parameters: dict[str, Any]) -> Reply:
    """Who changed access and settings, the newest first.

    Entries are only ever added; `tenure audit verify` checks that they fit together.
    """
    asked = Asked(
        actor=parameters.get("actor"),
        action=parameters.get("action"),
        before=parameters.get("cursor"),
        limit=parameters["limit"],
    )
    page = load_entries(database(), asked)
    cursor = None if page.next_before is None else str(page.next_before)
    return Reply({"data": page.entries}, cursor, list(csv_rows(page)) if wants_table(parameters) else None)


def csv_rows(page: Page) -> Iterator[list[Any]]:
    return (_csv_row(entry) for entry in page.entries)


def _csv_row(entry: Entry) -> list[Any]:
    details = orjson.dumps(entry.details, option=orjson.OPT_SORT_KEYS).decode()
    return [entry.id, entry.at, entry.actor, entry.action, entry.subject, details, entry.digest]
