"""What a CRM joined: an account lives on in another, and all that was its own is the other's; a deal likewise."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from app.models.accounts import AccountVersion, Assignment, ExternalId
from app.models.billing import Invoice
from app.models.contracts import ChurnNotice, ContractLineVersion, ContractVersion
from app.models.deals import Deal, DealVersion
from app.models.ledger import ContractPause
from app.models.persons import Person
from app.models.success import OnboardingPlan, SurveyAnswer, Ticket, Touch, Training
from app.models.versions import Change, Version
from app.queries.ids import BATCH, find_accounts, find_deals
from app.services.churn import withdraw_churn
from app.services.contracts import withdraw_contracts
from app.services.history import ALWAYS
from app.services.promises import withdraw_promises
from app.services.sources import Source
from app.services.versions import Outcome, record_versions, withdraw_versions

OWNED: Mapping[type[Version], tuple[str, ...]] = {
    ExternalId: ("system", "kind", "external_id"),
    DealVersion: ("deal_id",),
    ContractVersion: ("contract_id",),
    ContractLineVersion: ("contract_line_id",),
    ChurnNotice: ("system", "external_id"),
    ContractPause: ("system", "external_id"),
    Ticket: ("system", "external_id"),
    SurveyAnswer: ("system", "external_id"),
    Touch: ("system", "external_id"),
    Training: ("system", "external_id"),
    Invoice: ("system", "external_id"),
}
CANCELLATION = "cancellation:"
"""Begins the id of a notice that a deal of the CRM gave."""


def merge_accounts(session: Session, change: Change, *, source: Source, merged: Sequence[tuple[str, str]]) -> Outcome:
    """Join accounts, given as (id of the one that is no more, id of the one it lives on in).

    Facts in force move, each as available as it was; usage that was counted before stays where it was counted. An id
    that was not known is from now on one more name of the other.
    """
    outcome = Outcome()
    known = find_accounts(session, source.system, kind=source.kind, ids=[name for pair in merged for name in pair])
    for old, kept in merged:
        if kept not in known or known.get(old) == known[kept]:
            continue
        if old in known:
            outcome += _move(session, change, old=known[old], kept=known[kept])
        else:
            row = {"system": source.system, "kind": source.kind, "external_id": old, "account_id": known[kept]}
            rows = [row | {"available_at": source.available_at(ALWAYS)}]
            outcome += record_versions(session, change, table=ExternalId, key=OWNED[ExternalId], rows=rows)
        known[old] = known[kept]
    return outcome


def _move(session: Session, change: Change, *, old: int, kept: int) -> Outcome:
    outcome = Outcome()
    for table, key in OWNED.items():
        owned = _in_force(session, table, account_id=old, columns=(*key, "available_at"))
        outcome += record_versions(
            session, change, table=table, key=key, rows=[row | {"account_id": kept} for row in owned]
        )
    session.execute(update(Person).where(Person.account_id == old).values(account_id=kept))
    session.execute(update(OnboardingPlan).where(OnboardingPlan.account_id == old).values(account_id=kept))
    looked_after = [row["id"] for row in _in_force(session, Assignment, account_id=old, columns=("id",))]
    outcome += withdraw_versions(session, change, table=Assignment, ids=looked_after)
    names = _in_force(session, AccountVersion, account_id=old, columns=("account_id", "valid_from", "available_at"))
    rows = [row | {"merged_into_id": kept} for row in names]
    return outcome + record_versions(session, change, table=AccountVersion, key=["account_id", "valid_from"], rows=rows)


def _in_force(session: Session, table: Any, *, account_id: int, columns: Sequence[str]) -> list[dict[str, Any]]:
    rows = session.execute(
        select(*(getattr(table, name) for name in columns))
        .where(table.account_id == account_id, table.superseded_change_id.is_(None))
        .order_by(table.id)
    )
    return [row._asdict() for row in rows]


def withdraw_deals(session: Session, change: Change, *, system: str, ids: Sequence[str]) -> Outcome:
    """Withdraw deals that are no more, with contract, lines, promises, and the notices that they gave."""
    known = find_deals(session, system, ids=ids)
    deal_ids = sorted(known.values())
    outcome = Outcome()
    for start in range(0, len(deal_ids), BATCH):
        versions = session.scalars(
            select(DealVersion.id).where(
                DealVersion.deal_id.in_(deal_ids[start : start + BATCH]), DealVersion.superseded_change_id.is_(None)
            )
        ).all()
        outcome += withdraw_versions(session, change, table=DealVersion, ids=versions)
    outcome += withdraw_contracts(session, change, deal_ids=deal_ids)
    outcome += withdraw_promises(session, change, deal_ids=deal_ids)
    return outcome + withdraw_cancellations(session, change, system=system, deals=sorted(known))


def withdraw_cancellations(session: Session, change: Change, *, system: str, deals: Sequence[str]) -> Outcome:
    """Take back the notices that these deals gave, of those that gave any."""
    given: set[str] = set()
    for start in range(0, len(deals), BATCH):
        names = [f"{CANCELLATION}{deal}" for deal in deals[start : start + BATCH]]
        statement = select(ChurnNotice.external_id).where(
            ChurnNotice.system == system,
            ChurnNotice.external_id.in_(names),
            ChurnNotice.superseded_change_id.is_(None),
        )
        given |= set(session.scalars(statement))
    return withdraw_churn(session, change, system=system, ids=sorted(given))


def merge_deals(session: Session, change: Change, *, system: str, merged: Sequence[tuple[str, str]]) -> Outcome:
    """Withdraw deals that live on in others, given as (old id, the other's), and remember where to."""
    known = find_deals(session, system, ids=[name for pair in merged for name in pair])
    outcome = withdraw_deals(session, change, system=system, ids=[old for old, _ in merged])
    for old, kept in merged:
        if old in known and kept in known:
            session.execute(update(Deal).where(Deal.id == known[old]).values(merged_into_id=known[kept]))
    return outcome
