"""From the ids that other systems use to ours. Each takes any number of ids and returns those that are known."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from app.models.accounts import Account, AccountVersion, ExternalId
from app.models.contracts import Contract, ContractLine, ContractLineVersion
from app.models.deals import Deal
from app.models.persons import Person
from app.models.products import Product, ProductExternalId

OWN_ID = re.compile("[1-9][0-9]{0,14}")
BATCH = 400  # keys a look-up: well under the parameter limits of both databases


@dataclass(frozen=True, slots=True)
class KnownLine:
    """A contract line in force, under the names that its source gave it."""

    deal: str
    key: str
    line_id: int
    account_id: int
    product_id: int
    kind: str
    starts_on: date
    ends_on: date | None


def _batches(keys: Collection[Any]) -> Iterator[Sequence[Any]]:
    ordered = sorted(set(keys))
    return (ordered[start : start + BATCH] for start in range(0, len(ordered), BATCH))


def _find(session: Session, statement: Any, *, column: Any, keys: Collection[Any]) -> list[Any]:
    return [row for batch in _batches(keys) for row in session.execute(statement.where(column.in_(batch)))]


def find_accounts(session: Session, system: str, *, kind: str, ids: Collection[str]) -> dict[str, int]:
    table = ExternalId
    statement = select(table.external_id, table.account_id).where(
        table.system == system, table.kind == kind, table.superseded_change_id.is_(None)
    )
    return dict(tuple(row) for row in _find(session, statement, column=table.external_id, keys=ids))


def find_own_accounts(session: Session, ids: Collection[str]) -> dict[str, int]:
    """Accounts by the ids that this service gives them, as text."""
    numbers = {name: int(name) for name in ids if OWN_ID.fullmatch(name)}
    found = _find(session, select(Account.id), column=Account.id, keys=numbers.values())
    known = {row.id for row in found}
    return {name: number for name, number in numbers.items() if number in known}


def find_parents(session: Session, system: str, *, kind: str, ids: Collection[str]) -> dict[str, str]:
    """The id of the parent of each account that has one, as the system calls both."""
    child, version, parent = ExternalId, AccountVersion, aliased(ExternalId)
    statement = (
        select(child.external_id, parent.external_id)
        .join(version, (version.account_id == child.account_id) & version.superseded_change_id.is_(None))
        .join(parent, (parent.account_id == version.parent_id) & parent.superseded_change_id.is_(None))
        .where(child.system == system, child.kind == kind, child.superseded_change_id.is_(None))
        .where(parent.system == system, parent.kind == kind)
    )
    return dict(tuple(row) for row in _find(session, statement, column=child.external_id, keys=ids))


def find_products(session: Session, system: str, *, ids: Collection[str]) -> dict[str, int]:
    table = ProductExternalId
    statement = select(table.external_id, table.product_id).where(
        table.system == system, table.superseded_change_id.is_(None)
    )
    return dict(tuple(row) for row in _find(session, statement, column=table.external_id, keys=ids))


def find_products_by_sku(session: Session, skus: Collection[str]) -> dict[str, int]:
    return dict(tuple(row) for row in _find(session, select(Product.sku, Product.id), column=Product.sku, keys=skus))


def find_deals(session: Session, system: str, *, ids: Collection[str]) -> dict[str, int]:
    statement = select(Deal.external_id, Deal.id).where(Deal.system == system)
    return dict(tuple(row) for row in _find(session, statement, column=Deal.external_id, keys=ids))


def find_contracts(session: Session, system: str, *, deals: Collection[str]) -> dict[str, int]:
    """The contract of each deal, by the deal's id."""
    statement = select(Deal.external_id, Contract.id).join(Contract, Contract.deal_id == Deal.id)
    found = _find(session, statement.where(Deal.system == system), column=Deal.external_id, keys=deals)
    return dict(tuple(row) for row in found)


def find_persons(session: Session, system: str, *, kind: str, ids: Collection[str]) -> dict[str, int]:
    statement = select(Person.external_id, Person.id).where(Person.system == system, Person.kind == kind)
    return dict(tuple(row) for row in _find(session, statement, column=Person.external_id, keys=ids))


def find_lines(session: Session, system: str, *, deals: Collection[str]) -> dict[str, list[KnownLine]]:
    """The contract lines in force of each deal, by the deal's id, in the order they were recorded."""
    version = ContractLineVersion
    statement = (
        select(
            Deal.external_id,
            ContractLine.line_key,
            ContractLine.id,
            version.account_id,
            version.product_id,
            version.kind,
            version.starts_on,
            version.ends_on,
        )
        .join(Contract, Contract.deal_id == Deal.id)
        .join(ContractLine, ContractLine.contract_id == Contract.id)
        .join(version, version.contract_line_id == ContractLine.id)
        .where(Deal.system == system, version.superseded_change_id.is_(None))
        .order_by(ContractLine.id)
    )
    lines: dict[str, list[KnownLine]] = {}
    for row in _find(session, statement, column=Deal.external_id, keys=deals):
        lines.setdefault(row.external_id, []).append(KnownLine(*row))
    return lines


def account_names(session: Session, system: str, *, kind: str, limit: int) -> dict[str, str]:
    """Ids and names of the system's accounts, at most `limit` of them."""
    known, version = ExternalId, AccountVersion
    statement = (
        select(known.external_id, func.max(version.name))
        .join(version, (version.account_id == known.account_id) & version.superseded_change_id.is_(None))
        .where(known.system == system, known.kind == kind, known.superseded_change_id.is_(None))
        .group_by(known.external_id)
        .order_by(known.external_id)
        .limit(limit)
    )
    return dict(session.execute(statement).all())
