"""What an import came to, read back from the database: the figures of its report."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import distinct, func, select
from sqlalchemy.orm import Session

from app.domain.contracts import ChurnNotice, ContractLine, LineKind, conflicting_notices
from app.models.accounts import AccountVersion, ExternalId
from app.models.contracts import ChurnNotice as NoticeRow
from app.models.contracts import Contract, ContractLineVersion
from app.models.contracts import ContractLine as LineRow
from app.models.deals import Deal, DealVersion
from app.models.runs import ImportRun

CHUNK = 400
LAST_IMPORTS = 200


@dataclass(frozen=True, slots=True)
class SystemFigures:
    """Of one system, as it stands after the import."""

    accounts: int
    accounts_with_parent: int
    deals_won: int
    buying_accounts: int
    deals_without_account: int
    products_sold: int


@dataclass(frozen=True, slots=True)
class ChurnAgreement:
    """How the notices that name no line agree with the contracts."""

    accounts_with_notices: int
    accounts_in_conflict: int
    notices: int
    notices_in_conflict: int


@dataclass(frozen=True, slots=True)
class ImportedFile:
    """As it was when it was last imported, whole."""

    sha256: str
    started_at: datetime
    rejected: int  # rows


def load_imported_files(session: Session, *, system: str) -> dict[str, ImportedFile]:
    """The files of a system by name, from its last imports; one that was not among those counts as new."""
    ended = ImportRun.system == system, ImportRun.finished_at.is_not(None)
    runs = session.scalars(select(ImportRun).where(*ended).order_by(ImportRun.id.desc()).limit(LAST_IMPORTS)).all()
    found = {}
    for run in reversed(runs):
        rejected = {file["name"]: file["rejected"] for file in run.report.get("files", ())}
        for file in run.files:
            found[file["name"]] = ImportedFile(file["sha256"], run.started_at, rejected.get(file["name"], 0))
    return found


def load_system_figures(session: Session, system: str, *, kind: str) -> SystemFigures:
    """Counts over what is in force."""
    named = select(ExternalId.account_id).where(
        ExternalId.system == system, ExternalId.kind == kind, ExternalId.superseded_change_id.is_(None)
    )
    with_parent = select(func.count(distinct(AccountVersion.account_id))).where(
        AccountVersion.account_id.in_(named),
        AccountVersion.parent_id.is_not(None),
        AccountVersion.superseded_change_id.is_(None),
    )
    deals = (
        select(func.count(), func.count(distinct(DealVersion.account_id)))
        .join(Deal, Deal.id == DealVersion.deal_id)
        .where(Deal.system == system, DealVersion.superseded_change_id.is_(None))
    )
    won, buying = session.execute(deals.where(DealVersion.stage == "won")).one()
    ownerless, _ = session.execute(deals.where(DealVersion.account_id.is_(None))).one()
    return SystemFigures(
        accounts=session.scalar(select(func.count(distinct(named.subquery().c.account_id)))) or 0,
        accounts_with_parent=session.scalar(with_parent) or 0,
        deals_won=won,
        buying_accounts=buying,
        deals_without_account=ownerless,
        products_sold=_products_sold(session, system),
    )


def _products_sold(session: Session, system: str) -> int:
    statement = (
        select(func.count(distinct(ContractLineVersion.product_id)))
        .join(LineRow, LineRow.id == ContractLineVersion.contract_line_id)
        .join(Contract, Contract.id == LineRow.contract_id)
        .join(Deal, Deal.id == Contract.deal_id)
        .where(Deal.system == system, ContractLineVersion.superseded_change_id.is_(None))
    )
    return session.scalar(statement) or 0


def load_churn_agreement(session: Session, system: str) -> ChurnAgreement:
    """Compare each account's contracts with the notices of the system that name no line, some accounts at a time."""
    accounts = list(
        session.scalars(
            select(NoticeRow.account_id)
            .distinct()
            .where(
                NoticeRow.system == system,
                NoticeRow.contract_line_id.is_(None),
                NoticeRow.superseded_change_id.is_(None),
            )
            .order_by(NoticeRow.account_id)
        )
    )
    notices = conflicting = in_conflict = 0
    for lines, found in _by_account(session, accounts):
        contradicted = len(conflicting_notices(lines, found))
        notices += sum(notice.line is None for notice in found)
        conflicting += contradicted
        in_conflict += contradicted > 0
    return ChurnAgreement(len(accounts), in_conflict, notices, conflicting)


def _by_account(session: Session, accounts: Sequence[int]) -> Iterator[tuple[list[ContractLine], list[ChurnNotice]]]:
    for start in range(0, len(accounts), CHUNK):
        chunk = accounts[start : start + CHUNK]
        lines: dict[int, list[ContractLine]] = {account: [] for account in chunk}
        notices: dict[int, list[ChurnNotice]] = {account: [] for account in chunk}
        for line in _in_force(session, ContractLineVersion, accounts=chunk):
            kind = LineKind(line.kind)
            lines[line.account_id].append(
                ContractLine(line.contract_line_id, kind, line.starts_on, line.ends_on, line.arr_minor or 0)
            )
        for row in _in_force(session, NoticeRow, accounts=chunk):
            notice = ChurnNotice(row.id, row.effective_on, row.occurred_on, row.contract_line_id)
            notices[row.account_id].append(notice)
        yield from ((lines[account], notices[account]) for account in chunk)


def _in_force(session: Session, table: Any, *, accounts: Sequence[int]) -> Iterator[Any]:
    return iter(
        session.scalars(
            select(table).where(table.account_id.in_(accounts), table.superseded_change_id.is_(None)).order_by(table.id)
        )
    )
