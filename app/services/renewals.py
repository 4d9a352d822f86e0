"""Which contract a renewal renews, where the CRM does not say so."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.contracts import LineKind
from app.models.contracts import Contract, ContractLine, ContractLineVersion, ContractVersion
from app.models.deals import Deal, DealVersion
from app.models.versions import Change
from app.queries.ids import BATCH, find_contracts
from app.services.versions import Outcome, record_versions

NEAR = timedelta(days=60)
RENEWAL = "renewal"


@dataclass(slots=True)
class Held:
    """A contract in force, with the products that recur in it; `ends_on` None: until notice."""

    id: int
    deal: str
    type: str
    starts_on: date
    ends_on: date | None
    renewal_of: int | None
    available_at: datetime
    products: set[int] = field(default_factory=set)


def find_renewed(renewal: Held, held: Iterable[Held]) -> Held | None:
    """The contract of the same account that a renewal renews, or None.

    It began earlier, shares a product that recurs, nobody else renews it, and its term ends within 60 days of the day
    on which the renewal begins: of several the one that ends nearest, then the one that began last. Without one, it is
    a contract until notice that shares a product: of several the one that began last.
    """
    others = list(held)
    taken = {each.renewal_of for each in others if each.id != renewal.id}
    earlier = [
        each
        for each in others
        if each.starts_on < renewal.starts_on and each.products & renewal.products and each.id not in taken
    ]
    near = [
        (abs(renewal.starts_on - each.ends_on - timedelta(days=1)), -each.starts_on.toordinal(), each.id, each)
        for each in earlier
        if each.ends_on is not None and abs(renewal.starts_on - each.ends_on) <= NEAR
    ]
    if near:
        return min(near)[-1]
    endless = [each for each in earlier if each.ends_on is None]
    return max(endless, key=lambda each: (each.starts_on, each.id), default=None)


def load_renewals(session: Session, system: str, *, deals: Sequence[str]) -> dict[str, str]:
    """The deal that each of these deals is recorded to renew."""
    found: dict[str, str] = {}
    contracts = find_contracts(session, system, deals=deals)
    by_id = {contract: deal for deal, contract in contracts.items()}
    ids = sorted(by_id)
    for start in range(0, len(ids), BATCH):
        rows = session.execute(
            select(ContractVersion.contract_id, Deal.external_id)
            .join(Contract, Contract.id == ContractVersion.renewal_of_id)
            .join(Deal, Deal.id == Contract.deal_id)
            .where(
                ContractVersion.contract_id.in_(ids[start : start + BATCH]),
                ContractVersion.superseded_change_id.is_(None),
            )
        )
        found |= {by_id[contract]: deal for contract, deal in rows}
    return found


def link_renewals(
    session: Session, change: Change, *, system: str, account_ids: Sequence[int], stated: frozenset[str]
) -> Outcome:
    """Give each won renewal of these accounts that names none the contract that it renews, by `find_renewed`.

    `stated` are deals for which the CRM itself names one: they stay as they are.
    """
    rows = []
    for held in load_held(session, system, account_ids=account_ids).values():
        for each in sorted(held, key=lambda each: (each.starts_on, each.id)):
            if each.type != RENEWAL or each.deal in stated:
                continue
            renewed = find_renewed(each, held)
            if renewed is not None and renewed.id != each.renewal_of:
                each.renewal_of = renewed.id
                rows.append({"contract_id": each.id, "renewal_of_id": renewed.id, "available_at": each.available_at})
    return record_versions(session, change, table=ContractVersion, key=["contract_id"], rows=rows)


def link_stated(session: Session, change: Change, *, system: str, pairs: Mapping[str, str]) -> Outcome:
    """Link renewals to deals that came later than they did: {renewal: the deal that it renews}, both recorded."""
    if not pairs:
        return Outcome()
    contracts = find_contracts(session, system, deals=[*pairs, *pairs.values()])
    ids = {contracts[deal]: contracts[other] for deal, other in pairs.items() if {deal, other} <= contracts.keys()}
    known = dict(
        session.execute(
            select(ContractVersion.contract_id, ContractVersion.available_at).where(
                ContractVersion.contract_id.in_(sorted(ids)), ContractVersion.superseded_change_id.is_(None)
            )
        ).all()
    )
    rows = [
        {"contract_id": own, "renewal_of_id": other, "available_at": known[own]}
        for own, other in ids.items()
        if own in known
    ]
    return record_versions(session, change, table=ContractVersion, key=["contract_id"], rows=rows)


def load_held(session: Session, system: str, *, account_ids: Sequence[int]) -> dict[int, list[Held]]:
    """The contracts in force of each account that the system sold, with the products that recur in them."""
    contract, line = ContractVersion, ContractLineVersion
    statement = (
        select(
            contract.account_id,
            contract.contract_id,
            Deal.external_id,
            DealVersion.type,
            contract.starts_on,
            contract.ends_on,
            contract.renewal_of_id,
            contract.available_at,
            line.product_id,
        )
        .join(Contract, Contract.id == contract.contract_id)
        .join(Deal, Deal.id == Contract.deal_id)
        .join(DealVersion, (DealVersion.deal_id == Deal.id) & DealVersion.superseded_change_id.is_(None))
        .join(ContractLine, ContractLine.contract_id == Contract.id)
        .join(line, (line.contract_line_id == ContractLine.id) & line.superseded_change_id.is_(None))
        .where(contract.superseded_change_id.is_(None), Deal.system == system, line.kind == LineKind.RECURRING)
        .order_by(contract.contract_id)
    )
    found: dict[int, dict[int, Held]] = defaultdict(dict)
    for start in range(0, len(account_ids), BATCH):
        rows = session.execute(statement.where(contract.account_id.in_(account_ids[start : start + BATCH])))
        for account_id, id_, *said, product in rows:
            held: Any = (id_, *said)
            found[account_id].setdefault(id_, Held(*held)).products.add(product)
    return {account_id: list(held.values()) for account_id, held in found.items()}
