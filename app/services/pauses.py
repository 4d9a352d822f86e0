"""Pauses: days on which a line is neither paid for nor ended."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from app.domain.contracts import LineKind
from app.models.ledger import ContractPause
from app.models.versions import Change
from app.queries.ids import KnownLine, find_lines
from app.services.sources import Recorded, Refusal, Source
from app.services.versions import record_versions
from integrations.files.rows import PauseRow


def record_pauses(session: Session, change: Change, *, source: Source, rows: Sequence[PauseRow]) -> Recorded:
    """Record pauses; ids must be unique in `rows`. One that names no line pauses every recurring line of its deal.

    The ARR of a line leaves on `pauses_on` and comes back on `resumes_on`; none: that is not known yet. Refused: a deal
    or a line that is not known, or that does not recur.
    """
    lines = find_lines(session, source.system, deals=[row.deal for row in rows])
    refusals: list[Refusal] = []
    pauses: list[dict[str, Any]] = []
    for position, row in enumerate(rows):
        paused = _named(row, lines)
        if paused:
            pauses += [_pause(row, line, source=source, is_first=line is paused[0]) for line in paused]
        elif row.deal not in lines:
            problem = f"there is no won deal {row.deal!r}; import the deals first, or mend the id"
            refusals.append(Refusal(position, "deal", problem))
        else:
            named = f" {row.line!r}" if row.line else ""
            problem = f"the deal {row.deal!r} has no recurring line{named}"
            refusals.append(Refusal(position, "line", problem))
    key = ["system", "external_id"]
    outcome = record_versions(session, change, table=ContractPause, key=key, rows=pauses)
    return Recorded(outcome, tuple(refusals))


def _named(row: PauseRow, lines: Mapping[str, Sequence[KnownLine]]) -> list[KnownLine]:
    recurring = [line for line in lines.get(row.deal, ()) if line.kind == LineKind.RECURRING]
    return [line for line in recurring if row.line in (None, line.key)]


def _pause(row: PauseRow, line: KnownLine, *, source: Source, is_first: bool) -> dict[str, Any]:
    return {
        "system": source.system,
        # One row may pause several lines: the first keeps the row's id.
        "external_id": row.id if is_first else f"{row.id}/{line.key}"[:200],
        "account_id": line.account_id,
        "contract_line_id": line.line_id,
        "pauses_on": row.pauses_on,
        "resumes_on": row.resumes_on,
        "available_at": source.available_at(row.pauses_on, row.available_on),
    }
