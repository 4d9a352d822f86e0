"""What was known at any time of the end of contract lines by notice."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.domain.contracts import ONE_DAY, ChurnNotice, ContractLine, LineKind
from app.domain.notices import KnownNotice, KnownTerms, known_ends
from app.models.contracts import ChurnNotice as NoticeRow
from app.models.versions import Change
from app.queries.contract_lines import KnownLine
from app.queries.known import Between, of_accounts, replacements, was_recorded


def tell_of_notices(
    session: Session, lines: Sequence[KnownLine], *, known_at: datetime, between: Between | None = None
) -> list[KnownLine]:
    """The versions of lines, cut where a notice that ends them became known, was changed or withdrawn."""
    told = _load_notices(session, known_at, account_ids={line.account_id for line in lines}, between=between)
    own: dict[int, list[KnownLine]] = defaultdict(list)
    for line in lines:
        if line.account_id in told:
            own[line.account_id].append(line)
    cut = (piece for account_id, versions in own.items() for piece in _cut(versions, told[account_id]))
    return [*(line for line in lines if line.account_id not in told), *cut]


def _cut(versions: Sequence[KnownLine], notices: Sequence[KnownNotice]) -> Iterator[KnownLine]:
    terms = [KnownTerms(_agreed(version), version.available_at, version.replaced_at) for version in versions]
    for piece in known_ends(terms, notices):
        leaves_on, cause = piece.end or (None, None)
        yield replace(
            versions[piece.position],
            available_at=piece.since,
            replaced_at=piece.until,
            leaves_on=leaves_on,
            leaves_for=cause,
        )


def _agreed(version: KnownLine) -> ContractLine:
    return ContractLine(
        key=version.line_id,
        kind=LineKind.RECURRING,
        starts_on=version.starts_on,
        ends_on=None if version.stops_on is None else version.stops_on - ONE_DAY,
        arr_minor=version.arr_minor,
    )


def _load_notices(
    session: Session, known_at: datetime, *, account_ids: set[int], between: Between | None
) -> dict[int, list[KnownNotice]]:
    """Every version of the notices of the accounts of which some was known before it took effect."""
    row, withdrawn_at = NoticeRow, Change.recorded_at
    wanted = of_accounts(row.account_id, between)
    later = replacements(row, row.system, row.external_id, known_at=known_at, among=wanted)
    statement = (
        select(
            row.account_id,
            row.id,
            row.effective_on,
            row.occurred_on,
            row.contract_line_id,
            row.cause,
            row.available_at,
            func.coalesce(later.c.replaced_at, withdrawn_at).label("until"),
        )
        .outerjoin(later, later.c.id == row.id)
        .outerjoin(Change, (Change.id == row.superseded_change_id) & (withdrawn_at <= known_at))
        .where(was_recorded(row, known_at), wanted)
        .order_by(row.account_id, row.id)
    )
    found: dict[int, list[KnownNotice]] = defaultdict(list)
    ahead = set()
    for each in session.execute(statement):
        if each.account_id not in account_ids:
            continue
        notice = ChurnNotice(each.id, each.effective_on, each.occurred_on, line=each.contract_line_id, cause=each.cause)
        found[each.account_id].append(KnownNotice(notice, each.available_at, each.until))
        if each.effective_on > each.available_at.date():
            ahead.add(each.account_id)
    return {account_id: notices for account_id, notices in found.items() if account_id in ahead}
