"""The contract of a won deal, its lines, and the notices that shorten them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from app.models.contracts import ChurnNotice, Contract, ContractLine, ContractLineVersion, ContractVersion
from app.models.versions import Change
from app.queries.ids import BATCH, find_contracts
from app.services.deal_terms import DealTerms, LineTerms, longest_term
from app.services.products import ensure_products
from app.services.sources import Source
from app.services.versions import Outcome, record_versions, withdraw_versions

Known = tuple[Mapping[str, int], Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class RecordedContract:
    """A contract as it was recorded: what opening an onboarding plan needs."""

    deal_id: int
    account_id: int
    deal_type: str
    starts_on: date
    product_ids: tuple[int, ...]
    is_recurring: bool


def record_contracts(
    session: Session, change: Change, *, source: Source, won: Sequence[DealTerms], known: Known
) -> tuple[list[RecordedContract], Outcome]:
    """Record contract and lines of won deals that have any; `known` are the ids of deals and of accounts."""
    withlines = [terms for terms in won if terms.lines]
    deals, accounts = known
    contracts = _open_contracts(session, change, deal_ids=[deals[terms.deal.id] for terms in withlines])
    products = ensure_products(session, change, source=source, recurring=_products_of(withlines))
    outcome = record_versions(
        session,
        change,
        table=ContractVersion,
        key=["contract_id"],
        rows=_contract_rows(session, withlines, source=source, known=(deals, accounts), contracts=contracts),
    )
    outcome += _record_lines(
        session, change, lines=_line_rows(withlines, source=source, known=known, contracts=contracts, products=products)
    )
    recorded = [_recorded(terms, known, products=products) for terms in withlines]
    without = [deals[terms.deal.id] for terms in won if not terms.lines]
    return recorded, outcome + withdraw_contracts(session, change, deal_ids=without)


def _products_of(won: Sequence[DealTerms]) -> dict[str, bool]:
    return {line.row.product: line.arr_minor is not None for terms in won for line in terms.lines}


def _recorded(terms: DealTerms, known: Known, *, products: Mapping[str, int]) -> RecordedContract:
    deals, accounts = known
    return RecordedContract(
        deal_id=deals[terms.deal.id],
        account_id=accounts[terms.deal.account or ""],
        deal_type=terms.deal.type,
        starts_on=min(line.starts_on for line in terms.lines),
        product_ids=tuple(sorted({products[line.row.product] for line in terms.lines})),
        is_recurring=any(line.arr_minor is not None for line in terms.lines),
    )


def _open_contracts(session: Session, change: Change, *, deal_ids: Sequence[int]) -> dict[int, int]:
    known: dict[int, int] = {}
    for start in range(0, len(deal_ids), BATCH):
        batch = deal_ids[start : start + BATCH]
        found = session.execute(select(Contract.deal_id, Contract.id).where(Contract.deal_id.in_(batch)))
        known |= dict(found.all())
    missing = [deal_id for deal_id in deal_ids if deal_id not in known]
    if not missing:
        return known
    opened = session.scalars(
        insert(Contract).returning(Contract.id, sort_by_parameter_order=True),
        [{"deal_id": deal_id, "change_id": change.id} for deal_id in missing],
    ).all()
    return known | dict(zip(missing, opened, strict=True))


def _contract_rows(
    session: Session, won: Sequence[DealTerms], *, source: Source, known: Known, contracts: Mapping[int, int]
) -> list[dict[str, Any]]:
    deals, accounts = known
    named = {name for terms in won for name in (terms.deal.renewal_of, terms.deal.supersedes) if name}
    earlier = find_contracts(session, source.system, deals=named)
    return [
        {
            "contract_id": contracts[deals[terms.deal.id]],
            "account_id": accounts[terms.deal.account or ""],
            **_period(terms.lines),
            "renewal_of_id": earlier.get(terms.deal.renewal_of or ""),
            "supersedes_id": earlier.get(terms.deal.supersedes or ""),
            "notice_days": terms.deal.notice_days,
            "non_cancellable": terms.deal.non_cancellable,
            "billing_period_months": terms.deal.billing_period_months,
            "available_at": source.available_at(terms.deal.closed_on, terms.deal.available_on),
        }
        for terms in won
    ]


def _period(lines: Sequence[LineTerms]) -> dict[str, Any]:
    is_evergreen = any(line.is_evergreen for line in lines)
    return {
        "starts_on": min(line.starts_on for line in lines),
        "ends_on": None if is_evergreen else max((line.ends_on for line in lines if line.ends_on), default=None),
        "term_months": longest_term(lines),
        "auto_renew": is_evergreen,
    }


def _line_rows(
    won: Sequence[DealTerms],
    *,
    source: Source,
    known: Known,
    contracts: Mapping[int, int],
    products: Mapping[str, int],
) -> list[dict[str, Any]]:
    deals, accounts = known
    return [
        {
            "contract_id": contracts[deals[terms.deal.id]],
            "line_key": line.row.key,
            "account_id": accounts[terms.deal.account or ""],
            "product_id": products[line.row.product],
            "kind": line.row.kind,
            "quantity": line.row.quantity,
            "unit_price": line.row.unit_price,
            "discount": line.row.discount,
            "starts_on": line.starts_on,
            "ends_on": line.ends_on,
            "agreed_ends_on": line.ends_on,
            "term_months": line.term_months,
            "amount": format(line.row.amount, "f"),
            "amount_minor": line.amount.minor,
            "arr_minor": line.arr_minor,
            "currency": line.amount.currency,
            "available_at": source.available_at(terms.deal.closed_on, terms.deal.available_on),
        }
        for terms in won
        for line in terms.lines
    ]


def _record_lines(session: Session, change: Change, *, lines: Sequence[dict[str, Any]]) -> Outcome:
    known = _lines_of(session, {row["contract_id"] for row in lines})
    missing = [
        (row["contract_id"], row["line_key"]) for row in lines if (row["contract_id"], row["line_key"]) not in known
    ]
    if missing:
        opened = session.scalars(
            insert(ContractLine).returning(ContractLine.id, sort_by_parameter_order=True),
            [{"contract_id": contract, "line_key": key, "change_id": change.id} for contract, key in missing],
        ).all()
        known |= dict(zip(missing, opened, strict=True))
    stops = first_stops(session, [known[row["contract_id"], row["line_key"]] for row in lines])
    versions = []
    for row in lines:
        line_id = known.pop((row["contract_id"], row["line_key"]))
        said = {name: value for name, value in row.items() if name not in {"contract_id", "line_key"}}
        ends_on = shortened(row["ends_on"], stops.get(line_id))
        versions.append({**said, "contract_line_id": line_id, "ends_on": ends_on})
    outcome = record_versions(session, change, table=ContractLineVersion, key=["contract_line_id"], rows=versions)
    return outcome + _withdraw_lines(session, change, line_ids=list(known.values()))


def _lines_of(session: Session, contract_ids: set[int]) -> dict[tuple[int, str], int]:
    ordered = sorted(contract_ids)
    found: dict[tuple[int, str], int] = {}
    for start in range(0, len(ordered), BATCH):
        rows = session.execute(
            select(ContractLine.contract_id, ContractLine.line_key, ContractLine.id).where(
                ContractLine.contract_id.in_(ordered[start : start + BATCH])
            )
        )
        found |= {(contract, key): line_id for contract, key, line_id in rows}
    return found


def first_stops(session: Session, line_ids: Sequence[int]) -> dict[int, date]:
    """The first unpaid day that a notice in force gives each of the lines that are named in one."""
    found: dict[int, date] = {}
    for start in range(0, len(line_ids), BATCH):
        rows = session.execute(
            select(ChurnNotice.contract_line_id, func.min(ChurnNotice.effective_on))
            .where(
                ChurnNotice.contract_line_id.in_(line_ids[start : start + BATCH]),
                ChurnNotice.superseded_change_id.is_(None),
            )
            .group_by(ChurnNotice.contract_line_id)
        )
        found |= {line_id: stops_on for line_id, stops_on in rows if line_id is not None}
    return found


def shortened(ends_on: date | None, stops_on: date | None) -> date | None:
    """The last paid day of a term under a notice that takes effect on `stops_on`."""
    if stops_on is None:
        return ends_on
    last_paid_on = stops_on - timedelta(days=1)
    return last_paid_on if ends_on is None else min(ends_on, last_paid_on)


def withdraw_contracts(session: Session, change: Change, *, deal_ids: Sequence[int]) -> Outcome:
    """Withdraw contract and lines of deals that are not, or no longer, won."""
    outcome = Outcome()
    for start in range(0, len(deal_ids), BATCH):
        batch = deal_ids[start : start + BATCH]
        contracts = session.scalars(select(Contract.id).where(Contract.deal_id.in_(batch))).all()
        if not contracts:
            continue
        versions = session.scalars(
            select(ContractVersion.id).where(
                ContractVersion.contract_id.in_(contracts), ContractVersion.superseded_change_id.is_(None)
            )
        ).all()
        outcome += withdraw_versions(session, change, table=ContractVersion, ids=versions)
        outcome += _withdraw_lines(session, change, line_ids=list(_lines_of(session, set(contracts)).values()))
    return outcome


def _withdraw_lines(session: Session, change: Change, *, line_ids: Sequence[int]) -> Outcome:
    outcome = Outcome()
    for start in range(0, len(line_ids), BATCH):
        versions = session.scalars(
            select(ContractLineVersion.id).where(
                ContractLineVersion.contract_line_id.in_(line_ids[start : start + BATCH]),
                ContractLineVersion.superseded_change_id.is_(None),
            )
        ).all()
        outcome += withdraw_versions(session, change, table=ContractLineVersion, ids=versions)
    return outcome
