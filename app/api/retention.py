"""Retention of groups: Kaplan-Meier, from what happened."""

from typing import Any

from app.api.endpoint import Reply, endpoint
from app.api.meta import run_meta
from app.api.tables import wants_table
from app.http import database
from app.queries.retention import load_retention
from app.schemas.parameters import RetentionParameters
from app.schemas.retention import RetentionAnswer

CSV_HEADER = ("group", "month", "retention", "lower", "upper", "at_risk", "level")


@endpoint(
    "/retention",
    scope="accounts:read",
    parameters=RetentionParameters(),
    answer=RetentionAnswer(),
    csv_header=CSV_HEADER,
)
def show_retention(parameters: dict[str, Any]) -> Reply:
    """Retention by months of tenure, with interval and numbers at risk, for each group."""
    found = load_retention(database(), parameters["group_by"])
    note = found.run.basis_reason if found.run.basis == "not_applicable" else None
    body = {
        "group_by": parameters["group_by"],
        "data": found.groups,
        "note": note,
        "meta": run_meta(found.run, "retention_km@1"),
    }
    rows = [
        (group.group, *point, group.level)
        for group in found.groups
        for point in zip(group.months, group.retention, group.lower, group.upper, group.at_risk, strict=True)
    ]
    return Reply(body, rows=rows if wants_table(parameters) else None)
