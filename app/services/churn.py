"""Churn notices: who said that they leave, and which lines that ends."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from app.domain.contracts import LineKind
from app.models.contracts import ChurnNotice, ContractLineVersion
from app.models.versions import Change
from app.queries.ids import BATCH, KnownLine, find_accounts, find_lines
from app.services.contracts import first_stops, shortened
from app.services.persons import ensure_texts, unknown_account
from app.services.sources import Recorded, Refusal, Source
from app.services.versions import Outcome, record_versions, withdraw_versions
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
    outcome = record_versions(session, change, table=ChurnNotice, key=key, rows=notices)
    along = _shorten(session, change, notices=notices)
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


def withdraw_churn(session: Session, change: Change, *, system: str, ids: Sequence[str]) -> Outcome:
    """Take back notices by their ids, with those of single lines that came of them; the lines end as agreed again."""
    notices: list[Any] = []
    for id_ in ids:
        is_own = or_(ChurnNotice.external_id == id_, ChurnNotice.external_id.startswith(f"{id_}/", autoescape=True))
        notices += session.execute(
            select(ChurnNotice.id, ChurnNotice.contract_line_id, ChurnNotice.effective_on, ChurnNotice.available_at)
            .where(ChurnNotice.system == system, is_own, ChurnNotice.superseded_change_id.is_(None))
            .order_by(ChurnNotice.id)
        )
    outcome = withdraw_versions(session, change, table=ChurnNotice, ids=[notice.id for notice in notices])
    return outcome + _shorten(session, change, notices=[notice._asdict() for notice in notices])


def _shorten(session: Session, change: Change, *, notices: Sequence[Row]) -> Outcome:
    """Give each line that is named its last paid day: as agreed, or as the first of the notices in force has it."""
    known_at: dict[int, datetime] = {}
    for notice in sorted(notices, key=lambda notice: (notice["effective_on"], notice["available_at"])):
        if notice["contract_line_id"] is not None:
            known_at.setdefault(notice["contract_line_id"], notice["available_at"])
    stops = first_stops(session, list(known_at))
    rows = []
    for line_id, (ends_on, agreed) in _ends(session, list(known_at)).items():
        new_end = shortened(agreed, stops.get(line_id))
        if new_end != ends_on:
            rows.append({"contract_line_id": line_id, "ends_on": new_end, "available_at": known_at[line_id]})
    return record_versions(session, change, table=ContractLineVersion, key=["contract_line_id"], rows=rows)


def _ends(session: Session, line_ids: Sequence[int]) -> dict[int, tuple[date | None, date | None]]:
    """The end in force of each line that is, and the agreed one."""
    found: dict[int, tuple[date | None, date | None]] = {}
    version = ContractLineVersion
    for start in range(0, len(line_ids), BATCH):
        rows = session.execute(
            select(version.contract_line_id, version.ends_on, version.agreed_ends_on).where(
                version.contract_line_id.in_(line_ids[start : start + BATCH]), version.superseded_change_id.is_(None)
            )
        )
        found |= {line_id: (ends_on, agreed) for line_id, ends_on, agreed in rows}
    return found
