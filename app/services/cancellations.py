"""A won deal that cancels: a churn notice that it gave, for as long as the deal is there and won."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.contracts import LineKind
from app.models.contracts import ChurnNotice, Contract, ContractLine, ContractLineVersion
from app.models.deals import Deal, DealVersion
from app.models.versions import Change
from app.queries.ids import BATCH, find_accounts
from app.services.churn import record_churn
from app.services.merges import CANCELLATION, withdraw_cancellations
from app.services.sources import Recorded, Refusal, Source
from app.services.versions import Outcome
from integrations.crm.client import CrmDeal
from integrations.files.rows import ChurnRow


@dataclass(frozen=True, slots=True)
class _WholeAccount:
    """All of an account is cancelled by a deal, which was closed on `given_on`."""

    account_id: int
    deal: str
    effective_on: date
    given_on: date
    cause: str


def record_cancellations(
    session: Session, change: Change, *, source: Source, deals: Sequence[CrmDeal]
) -> tuple[list[tuple[str, str, Refusal]], Outcome]:
    """Record the notices of won deals that cancel; and those refused, as (deal, what it names, why).

    One that names a deal (`renewal_of`) ends its recurring lines. One that names none ends those of every contract of
    the account that was closed by the same day and runs on the day from which nothing is paid. One that names neither
    is refused.
    """
    others = _otherwise(session, source.system, deals=deals)
    withdrawn = withdraw_cancellations(session, change, system=source.system, deals=others)
    named = [deal for deal in deals if deal.closed.deal.renewal_of]
    recorded = record_churn(session, change, source=source, rows=[_notice(deal) for deal in named])
    refusals = []
    for each in recorded.refusals:
        row = named[each.position].closed.deal
        refusals.append((row.id, row.renewal_of or "", each))
    refusals += [
        (deal.closed.deal.id, "", Refusal(position, "account", "it cancels, but names neither an account nor a deal"))
        for position, deal in enumerate(deals)
        if deal.closed.deal.account is None and deal.closed.deal.renewal_of is None
    ]
    whole = [deal for deal in deals if not deal.closed.deal.renewal_of and deal.closed.deal.account]
    of_account = record_churn(session, change, source=source, rows=[_notice(deal) for deal in whole])
    accounts = find_accounts(
        session, source.system, kind=source.kind, ids=[deal.closed.deal.account or "" for deal in whole]
    )
    found = _whole_accounts(session, source.system, account_ids=sorted(set(accounts.values())))
    ended = _end_contracts(session, change, source=source, found=found)
    return refusals, withdrawn + _all(recorded) + _all(of_account) + ended


def _otherwise(session: Session, system: str, *, deals: Sequence[CrmDeal]) -> list[str]:
    """The deals that gave a notice of another day, or to something else."""
    wanted = {f"{CANCELLATION}{deal.closed.deal.id}": (deal.cancels_on, deal.closed.deal.renewal_of) for deal in deals}
    names, found = sorted(wanted), []
    for start in range(0, len(names), BATCH):
        rows = session.execute(
            select(ChurnNotice.external_id, ChurnNotice.effective_on, Deal.external_id)
            .outerjoin(ContractLine, ContractLine.id == ChurnNotice.contract_line_id)
            .outerjoin(Contract, Contract.id == ContractLine.contract_id)
            .outerjoin(Deal, Deal.id == Contract.deal_id)
            .where(
                ChurnNotice.system == system,
                ChurnNotice.external_id.in_(names[start : start + BATCH]),
                ChurnNotice.superseded_change_id.is_(None),
            )
        )
        found += [name.removeprefix(CANCELLATION) for name, *said in rows if tuple(said) != wanted[name]]
    return found


def repeat_cancellations(session: Session, change: Change, *, source: Source, account_ids: Sequence[int]) -> Outcome:
    """End contracts of these accounts that became known after all of the account had been cancelled."""
    found = _whole_accounts(session, source.system, account_ids=account_ids)
    return _end_contracts(session, change, source=source, found=found)


def _notice(deal: CrmDeal) -> ChurnRow:
    row = deal.closed.deal
    if deal.cancels_on is None:
        raise ValueError("it cancels nothing")
    return ChurnRow(
        id=f"{CANCELLATION}{row.id}",
        effective_on=deal.cancels_on,
        account=row.account,
        deal=row.renewal_of,
        given_on=min(row.closed_on, deal.cancels_on) if row.closed_on else None,
        cause=deal.cancel_cause,
        available_on=row.available_on,
    )


def _whole_accounts(session: Session, system: str, *, account_ids: Sequence[int]) -> list[_WholeAccount]:
    notice = ChurnNotice
    found = []
    for start in range(0, len(account_ids), BATCH):
        rows = session.execute(
            select(notice.account_id, notice.external_id, notice.effective_on, notice.occurred_on, notice.cause)
            .where(
                notice.account_id.in_(account_ids[start : start + BATCH]),
                notice.system == system,
                notice.external_id.startswith(CANCELLATION, autoescape=True),
                notice.contract_line_id.is_(None),
                notice.superseded_change_id.is_(None),
            )
            .order_by(notice.id)
        )
        found += [_WholeAccount(row.account_id, row.external_id.removeprefix(CANCELLATION), *row[2:]) for row in rows]
    return found


def _end_contracts(session: Session, change: Change, *, source: Source, found: Sequence[_WholeAccount]) -> Outcome:
    rows = [
        ChurnRow(
            id=f"{CANCELLATION}{each.deal}/{deal}",
            effective_on=each.effective_on,
            deal=deal,
            given_on=each.given_on,
            cause=each.cause,
        )
        for each in found
        for deal in _running(session, source.system, cancelled=each)
    ]
    return _all(record_churn(session, change, source=source, rows=rows))


def _running(session: Session, system: str, *, cancelled: _WholeAccount) -> list[str]:
    """The deals of the account, closed by then, that have a recurring line agreed to run on the first unpaid day."""
    line = ContractLineVersion
    statement = (
        select(Deal.external_id)
        .distinct()
        .join(DealVersion, (DealVersion.deal_id == Deal.id) & DealVersion.superseded_change_id.is_(None))
        .join(Contract, Contract.deal_id == Deal.id)
        .join(ContractLine, ContractLine.contract_id == Contract.id)
        .join(line, (line.contract_line_id == ContractLine.id) & line.superseded_change_id.is_(None))
        .where(
            Deal.system == system,
            line.account_id == cancelled.account_id,
            line.kind == LineKind.RECURRING,
            line.starts_on < cancelled.effective_on,
            line.agreed_ends_on.is_(None) | (line.agreed_ends_on >= cancelled.effective_on),
            DealVersion.closed_on.is_(None) | (DealVersion.closed_on <= cancelled.given_on),
        )
        .order_by(Deal.external_id)
    )
    return list(session.scalars(statement))


def _all(recorded: Recorded) -> Outcome:
    return recorded.outcome + recorded.along
