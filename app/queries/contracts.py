"""The contracts of one account with their lines, as known at an instant and seen from a day."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from app.domain.contracts import LineKind, LineState, line_state
from app.models.contracts import Contract, ContractLine, ContractLineVersion, ContractVersion
from app.models.deals import DealVersion
from app.models.products import ProductVersion
from app.queries.contract_lines import load_recurring_lines
from app.queries.known import in_force, valid_on

AnyRow = Row[*tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class LineOnPaper:
    """A line as agreed. `stops_on` is the first unpaid day as it is known now, None while it runs."""

    product: str
    kind: str
    quantity: Decimal
    unit: str
    unit_price: Decimal | None
    discount: Decimal | None
    amount_minor: int
    arr_minor: int | None
    currency: str
    starts_on: date
    stops_on: date | None
    state: LineState


@dataclass(frozen=True, slots=True)
class ContractOnPaper:
    contract_id: int
    deal_name: str | None
    deal_type: str
    starts_on: date
    ends_on: date | None
    term_months: int | None
    auto_renew: bool
    notice_days: int | None
    non_cancellable: bool
    lines: tuple[LineOnPaper, ...]

    @property
    def state(self) -> LineState:
        """That of its most alive line."""
        states = {line.state for line in self.lines}
        order = (LineState.LIVE, LineState.IN_GRACE, LineState.NOT_STARTED)
        return next((state for state in order if state in states), LineState.ENDED)


def load_contracts(
    session: Session, account_id: int, *, known_at: datetime, as_of: date, grace_days: int
) -> tuple[ContractOnPaper, ...]:
    """The account's contracts of won deals, the newest first."""
    recurring = load_recurring_lines(session, known_at=known_at, grace_days=grace_days, account_ids=[account_id])
    lives = {line.version_id: line.life for line in recurring.get(account_id, [])}
    lines: dict[int, list[LineOnPaper]] = defaultdict(list)
    for row in _lines(session, account_id, known_at=known_at):
        life = lives.get(row.id)
        stops_on = life.stops_on if life else None
        state = line_state(life, as_of) if life else _state_of_other(row, as_of)
        lines[row.contract_id].append(_line_on_paper(row, stops_on=stops_on, state=state))
    return tuple(_contract(row, lines) for row in _contracts(session, account_id, known_at=known_at))


def _state_of_other(row: AnyRow, as_of: date) -> LineState:
    """One-time, usage-based and trial lines just run between their dates."""
    if as_of < row.starts_on:
        return LineState.NOT_STARTED
    is_over = as_of > row.starts_on if row.kind == LineKind.ONE_TIME else row.ends_on and as_of > row.ends_on
    return LineState.ENDED if is_over else LineState.LIVE


def _line_on_paper(row: AnyRow, *, stops_on: date | None, state: LineState) -> LineOnPaper:
    return LineOnPaper(
        product=row.name,
        kind=row.kind,
        quantity=row.quantity,
        unit=row.unit,
        unit_price=row.unit_price,
        discount=row.discount,
        amount_minor=row.amount_minor,
        arr_minor=row.arr_minor,
        currency=row.currency,
        starts_on=row.starts_on,
        stops_on=stops_on,
        state=state,
    )


def _contract(row: AnyRow, lines: Mapping[int, Sequence[LineOnPaper]]) -> ContractOnPaper:
    return ContractOnPaper(
        contract_id=row.contract_id,
        deal_name=row.name,
        deal_type=row.type,
        starts_on=row.starts_on,
        ends_on=row.ends_on,
        term_months=row.term_months,
        auto_renew=row.auto_renew,
        notice_days=row.notice_days,
        non_cancellable=row.non_cancellable,
        lines=tuple(lines.get(row.contract_id, ())),
    )


def _contracts(session: Session, account_id: int, *, known_at: datetime) -> Sequence[AnyRow]:
    contract, deal = ContractVersion, DealVersion
    return session.execute(
        select(
            contract.contract_id,
            contract.starts_on,
            contract.ends_on,
            contract.term_months,
            contract.auto_renew,
            contract.notice_days,
            contract.non_cancellable,
            deal.name,
            deal.type,
        )
        .join(Contract, Contract.id == contract.contract_id)
        .join(deal, (deal.deal_id == Contract.deal_id) & in_force(deal, known_at))
        .where(contract.account_id == account_id, in_force(contract, known_at), deal.stage == "won")
        .order_by(contract.starts_on.desc(), contract.contract_id.desc())
    ).all()


def _lines(session: Session, account_id: int, *, known_at: datetime) -> Sequence[AnyRow]:
    line, product = ContractLineVersion, ProductVersion
    return session.execute(
        select(
            line.id,
            ContractLine.contract_id,
            product.name,
            product.unit,
            line.kind,
            line.quantity,
            line.unit_price,
            line.discount,
            line.amount_minor,
            line.arr_minor,
            line.currency,
            line.starts_on,
            line.ends_on,
        )
        .join(ContractLine, ContractLine.id == line.contract_line_id)
        .join(
            product,
            (product.product_id == line.product_id) & in_force(product, known_at) & valid_on(product, line.starts_on),
        )
        .where(line.account_id == account_id, in_force(line, known_at))
        .order_by(line.arr_minor.desc(), ContractLine.line_key)
    ).all()
