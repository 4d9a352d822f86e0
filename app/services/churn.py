"""Churn notices: who said that they leave, and which lines that ends."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.contracts import LineKind
from app.models.contracts import ChurnNotice, ContractLineVersion
from app.models.versions import Change
from app.queries.ids import BATCH, KnownLine, find_accounts, find_lines
from app.services.contracts import first_stops, shortened
from app.services.persons import ensure_texts, unknown_account
from app.services.sources import Recorded, Refusal, Source
from app.services.versions import Outcome, record_versions
from integrations.files.rows import ChurnRow

Row = dict[str, Any]


def record_churn(session: Session, change: Change, *, source: Source, rows: Sequence[ChurnRow]) -> Recorded:
    """Record notices; ids must be unique in `rows`.

    One that names a deal ends its line (or each of its recurring lines) on `effective_on`: the line
    gets that end as a new version, known since the notice was. One that names only an account ends
    none here; whether the contracts agree is for `app.domain.contracts.conflicting_notices` to say.
    Refused: an account, a deal or a line that is not known.
    """
    lines = find_lines(session, source.system, deals=[row.deal for row in rows if row.deal])
    accounts = find_accounts(
        session, source.system, kind=source.kind, ids=[row.account for row in rows if row.account and not row.deal]
    )
    problems = [_problem(row, lines=lines, accounts=accounts) for row in rows]
    refusals = [Refusal(position, *problem) for position, problem in enumerate(problems) if problem]
    good = [row for row, problem in zip(rows, problems, strict=True) if problem is None]
    texts = _texts(session, change, source=source, rows=good)
    notices: list[Row] = []
    for row in good:
        if row.deal is None:
            notices.append(_notice(row, source=source, account_id=accounts[row.account or ""], texts=texts))
        else:
            notices += _notices_of_lines(row, _named(row, lines), source=source, texts=texts)
    key = ["system", "external_id"]
    before = _stops(session, notices)
    outcome = record_versions(session, change, table=ChurnNotice, key=key, rows=notices)
    along = _shorten(session, change, notices=notices, before=before)
    return Recorded(outcome, tuple(refusals), along)


def _problem(
    row: ChurnRow, *, lines: Mapping[str, Sequence[KnownLine]], accounts: Mapping[str, int]
) -> tuple[str, str] | None:
    if row.deal is None:
        name = row.account or ""
        return None if name in accounts else ("account", unknown_account(name))
    if row.deal not in lines:
        return "deal", f"there is no won deal {row.deal!r}; import the deals first, or mend the id"
    if not _named(row, lines):
        return "line", f"the deal {row.deal!r} has no line {row.line!r}"
    return None


def _named(row: ChurnRow, lines: Mapping[str, Sequence[KnownLine]]) -> list[KnownLine]:
    """The line that the row names, or all recurring ones (all, where none recurs: a trial too can be ended)."""
    own = lines[row.deal or ""]
    if row.line is not None:
        return [line for line in own if line.key == row.line]
    return [line for line in own if line.kind == LineKind.RECURRING] or list(own)


def _notices_of_lines(
    row: ChurnRow, lines: Sequence[KnownLine], *, source: Source, texts: Mapping[str, int]
) -> list[Row]:
    notices = []
    for number, line in enumerate(lines):
        notice = _notice(row, source=source, account_id=line.account_id, texts=texts)
        notice["contract_line_id"] = line.line_id
        # One row may end several lines: the first keeps the row's id.
        notice["external_id"] = row.id if number == 0 else f"{row.id}/{line.key}"[:200]
        notices.append(notice)
    return notices


def _notice(row: ChurnRow, *, source: Source, account_id: int, texts: Mapping[str, int]) -> Row:
    given_on = row.given_on or row.effective_on
    return {
        "system": source.system,
        "external_id": row.id,
        "account_id": account_id,
        "contract_line_id": None,
        "occurred_on": given_on,
        "effective_on": row.effective_on,
        "cause": row.cause,
        "reason": row.reason,
        "is_reactivation": row.is_reactivation,
        "text_id": texts.get(row.id),
        "available_at": source.available_at(given_on, row.available_on),
    }


def _texts(session: Session, change: Change, *, source: Source, rows: Sequence[ChurnRow]) -> dict[str, int]:
    bodies = {row.id: row.text for row in rows if row.text}
    return ensure_texts(session, change, table=ChurnNotice, source=source, bodies=bodies)


def _stops(session: Session, notices: Sequence[Row]) -> dict[int, date]:
    return first_stops(session, [notice["contract_line_id"] for notice in notices if notice["contract_line_id"]])


def _shorten(session: Session, change: Change, *, notices: Sequence[Row], before: Mapping[int, date]) -> Outcome:
    """Give each line that is named its last paid day. An end that came from an earlier notice may move either way."""
    known_at: dict[int, datetime] = {}
    for notice in sorted(notices, key=lambda notice: (notice["effective_on"], notice["available_at"])):
        if notice["contract_line_id"] is not None:
            known_at.setdefault(notice["contract_line_id"], notice["available_at"])
    stops = first_stops(session, list(known_at))
    rows = []
    for line_id, ever in _ends_ever(session, list(known_at)).items():
        ends_on = ever[-1]
        by_notice = before[line_id] - timedelta(days=1) if line_id in before else None
        # What was agreed before a notice cut it short is the latest end the line has had; none is latest.
        agreed = ends_on if ends_on is None or ends_on != by_notice else _latest(ever)
        new_end = shortened(agreed, stops.get(line_id))
        if new_end != ends_on:
            rows.append({"contract_line_id": line_id, "ends_on": new_end, "available_at": known_at[line_id]})
    return record_versions(session, change, table=ContractLineVersion, key=["contract_line_id"], rows=rows)


def _latest(ends: Sequence[date | None]) -> date | None:
    return None if None in ends else max(end for end in ends if end is not None)


def _ends_ever(session: Session, line_ids: Sequence[int]) -> dict[int, list[date | None]]:
    """Every end that each line has been given, that in force last."""
    found: dict[int, list[date | None]] = {}
    for start in range(0, len(line_ids), BATCH):
        rows = session.execute(
            select(ContractLineVersion.contract_line_id, ContractLineVersion.ends_on)
            .where(ContractLineVersion.contract_line_id.in_(line_ids[start : start + BATCH]))
            .order_by(ContractLineVersion.id)
        )
        for line_id, ends_on in rows:
            found.setdefault(line_id, []).append(ends_on)
    return found
