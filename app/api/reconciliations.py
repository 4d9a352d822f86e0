"""Other books held against the ledger: a billing export, or what a CRM says its deals are worth."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from app.api.endpoint import Reply, endpoint
from app.api.meta import moment_meta
from app.api.tables import wants_table
from app.auth import current_actor
from app.http import database, now
from app.queries import reconciliation as queries
from app.queries.facts import Known
from app.queries.moments import load_moment
from app.queries.reconciliation_sides import compare_billing, compare_crm, refuse_if_large
from app.schemas import reconciliation as schemas
from app.services.changes import recording
from app.services.reconciliation import DEFINITION, Made, find_same, override_difference, record_reconciliation
from app.services.reconciliation_export import WINDOW_DAYS, Files, describe_crm, describe_export, opened_export

READ, WRITE = "finance:read", "finance:write"
ONE = "/reconciliations/<id:run_id>"
CSV_HEADER = (
    *("difference", "account_id", "account", "external_id", "currency", "ledger", "other", "amount"),
    *("reason", "check", "words", "records", "contract_lines", "let_stand_by", "let_stand_because"),
)
PAGE = 500


@endpoint("/reconciliations", scope=READ, parameters=schemas.RunListParameters(), answer=schemas.ReconciliationList())
def list_reconciliations(parameters: dict[str, Any]) -> Reply:
    """What was held against the ledger, the newest first."""
    page = queries.list_runs(database(), before=parameters.get("cursor"), limit=parameters["limit"])
    cursor = None if page.next_before is None else str(page.next_before)
    return Reply({"data": [present_run(run) for run in page.runs]}, cursor)


@endpoint(
    "/reconciliations",
    method="POST",
    scope=WRITE,
    body=schemas.ReconciliationBody(),
    answer=schemas.ReconciliationItem(),
    status=201,
)
def make_reconciliation(body: dict[str, Any]) -> Reply:
    """Hold a billing export, or the CRM's amounts of won deals, against the ledger.

    Both sides as of a day. An export with a row that cannot be read is refused whole. The same again, of the same
    ledger, is the reconciliation that was made before.
    """
    session = database()
    refuse_if_large(session)
    known = load_moment(session, as_of=body["as_of"], known_at=body.get("known_at"), now=now())
    run_id = _reconcile_crm(known, body) if body["kind"] == "crm" else _reconcile_billing(known, body)
    return Reply(present_run(queries.find_run(session, run_id)), status=201)


def _reconcile_crm(known: Known, body: dict[str, Any]) -> int:
    session, system = database(), body.get("system")
    source = describe_crm(session, known, system=system)
    same = find_same(session, source)
    if same is not None:
        return same
    with recording(session, current_actor(), clock=now) as change:
        found = compare_crm(session, known=known, system=system)
        return record_reconciliation(session, change, source=source, found=found, made=_made())


def _reconcile_billing(known: Known, body: dict[str, Any]) -> int:
    session = database()
    with TemporaryDirectory(prefix="tenure-reconcile-") as folder:
        files = _written(Path(folder), body)
        mapping, source = describe_export(files, known=known)
        same = find_same(session, source)
        if same is not None:
            return same
        # What came as JSON is text already, however the file at home is written.
        mapping = replace(mapping, files=tuple(replace(each, encoding="utf-8-sig") for each in mapping.files))
        with (
            opened_export(files, mapping, known=known) as export,
            recording(session, current_actor(), clock=now) as change,
        ):
            found = compare_billing(session, export, known=known, window_days=files.window_days)
            source = replace(source, rows=export.book.rows)
            return record_reconciliation(session, change, source=source, found=found, made=_made())


def _written(folder: Path, body: dict[str, Any]) -> Files:
    (folder / "export").mkdir()
    files = Files(folder / "mapping.toml", folder / "export" / body["file_name"], body.get("window_days", WINDOW_DAYS))
    files.mapping.write_text(body["mapping"], encoding="utf-8")
    files.export.write_text(body["content"], encoding="utf-8", newline="")
    return files


def _made() -> Made:
    return Made(current_actor(), now())


@endpoint(
    ONE, scope=READ, parameters=schemas.RunParameters(), answer=schemas.ReconciliationFull(), csv_header=CSV_HEADER
)
def show_reconciliation(run_id: int, parameters: dict[str, Any]) -> Reply:
    """What was found: every account whose sides differ, and the reasons, which add up to the difference.

    Ledger + reasons = the other side, in minor units, for each account and currency. A table has a line for each
    reason of each account.
    """
    session, is_open = database(), parameters["is_open"]
    run = queries.find_run(session, run_id)
    after, limit = parameters.get("cursor", 0), parameters["limit"]
    page = queries.list_differences(session, run_id, after=after, limit=limit, is_open_only=is_open)
    body = {
        "run": present_run(run),
        "changes_since": queries.count_changes_since(session, run, known_at=now()),
        "data": [present_difference(each) for each in page.differences],
        "meta": _meta(run),
    }
    cursor = None if page.next_after is None else str(page.next_after)
    if wants_table(parameters):
        return Reply(body, rows=_rows(run_id, is_open=is_open))
    return Reply(body, cursor)


@endpoint(
    "/reconciliation-differences/<id:difference_id>/override",
    method="POST",
    scope=WRITE,
    body=schemas.LetStandBody(),
    answer=schemas.DifferenceAnswer(),
)
def override_reconciliation(difference_id: int, body: dict[str, Any]) -> Reply:
    """Let a difference stand that nothing explains, and say why.

    Closing the month is no longer held up by it; what was found stays as it is. Recorded in the audit.
    """
    session = database()
    with recording(session, current_actor(), clock=now) as change:
        override_difference(session, change, difference_id=difference_id, reason=body["reason"], made=_made())
    return Reply({"data": present_difference(queries.find_difference(session, difference_id))})


def _meta(run: queries.Run) -> dict[str, Any]:
    known = load_moment(database(), as_of=run.as_of, known_at=run.known_at, now=now())
    return moment_meta(known, DEFINITION, currency=None)


def present_run(run: queries.Run) -> dict[str, Any]:
    shown = {name: getattr(run, name) for name in (*queries.Run.__dataclass_fields__, "differing")}
    totals = [
        {
            "ledger": total.ledger,
            "other": total.other,
            "difference": total.difference,
            "reasons": [{"reason": name.value, "amount": amount} for name, amount in total.reasons.items()],
        }
        for total in run.totals
    ]
    return shown | {"totals": totals}


def present_difference(found: queries.Difference) -> dict[str, Any]:
    parts = [
        {
            "reason": part.reason.value,
            "check": part.check,
            "words": part.words,
            "amount": part.amount,
            "rows": part.rows,
            "deals": part.deals,
            "records": part.theirs_count,
            "contract_lines": part.lines,
        }
        for part in found.parts
    ]
    names = ("id", "account_id", "account_name", "external_id", "ledger", "other", "difference", "unexplained")
    shown = {name: getattr(found, name) for name in (*names, "is_open", "override")}
    return shown | {"parts": parts}


def _rows(run_id: int, *, is_open: bool) -> Iterator[list[Any]]:
    """A line for each part, in the order in which they were found, a page of differences at a time."""
    after: int | None = 0
    while after is not None:
        page = queries.list_differences(database(), run_id, after=after, limit=PAGE, is_open_only=is_open)
        for found in page.differences:
            override = found.override
            said = (override.made_by, override.reason) if override else (None, None)
            sides = (found.ledger.currency, found.ledger.amount, found.other.amount)
            for part in found.parts:
                whom = (found.id, found.account_id, found.account_name, found.external_id)
                why = (part.reason.value, part.check, part.words, *_records_of(part))
                yield [*whom, *sides, part.amount.amount, *why, *said]
        after = page.next_after


def _records_of(part: queries.ShownPart) -> tuple[str, str]:
    """Rows by their line, deals and lines of deals as the CRM has them."""
    theirs = [str(row) for row in part.rows] or [each.deal for each in part.deals]
    return "; ".join(theirs), "; ".join(f"{each.deal} {each.line}" for each in part.lines)
