"""What the night reads to find expansion opportunities: sales, products, risk and trouble, as columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Select, case, distinct, func, literal, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.domain.causes import CAUSES, HORIZONS_MONTHS, VOLUNTARY
from app.domain.contracts import LineKind
from app.domain.expansion_seats import WINDOW_DAYS, WINDOWS
from app.domain.features import Bools, Floats
from app.domain.fx import MissingRate
from app.domain.money import Money
from app.domain.months import Days, Ints
from app.domain.survival import FORECAST_MONTHS
from app.models.accounts import AccountVersion
from app.models.contracts import Contract, ContractLine, ContractLineVersion
from app.models.deals import DealVersion
from app.models.events import PersonDay
from app.models.products import Product, ProductPrice, ProductVersion
from app.models.scores import Score
from app.models.success import Ticket
from app.queries.columns import day_number, fetch_columns
from app.queries.facts import Known
from app.queries.fx import load_rates
from app.queries.ids import BATCH
from app.queries.known import in_force, valid_on

RISK_MONTHS = 3
FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True, eq=False)
class SoldLines:
    """Lines of won deals that were closed before `as_of`: recurring for money, sold once, or by usage."""

    account_id: Ints
    product_id: Ints
    contract_id: Ints
    closed_on: Days
    is_recurring: Bools
    amount_minor: Ints  # ARR of a recurring line, else its amount; in the reporting currency, 0 without a rate


@dataclass(frozen=True, slots=True)
class Offer:
    """A product as it is offered on a day."""

    product_id: int
    sku: str
    name: str
    family: str | None
    is_recurring: bool
    first_offered_on: date | None  # with a price


@dataclass(frozen=True, slots=True, eq=False)
class AccountRisks:
    """What the published run says of each account; NaN and NaT where it says nothing."""

    account_id: Ints
    status: NDArray[Any]
    is_leaving: Bools  # by a notice: its curve ends at 0, which that of a model never does
    churn_3_months: Floats
    renewal_on: Days
    renewal_churn: Floats


@dataclass(frozen=True, slots=True)
class Standing:
    """Segment of each account, and those that are not to be sold to because they were merged into another."""

    segments: Mapping[int, str | None]
    merged: frozenset[int]


def load_sold_lines(session: Session, known: Known) -> SoldLines:
    line, deal = ContractLineVersion, DealVersion
    closed_on = func.coalesce(deal.closed_on, line.starts_on, type_=line.starts_on.type).label("closed_on")
    sold = (
        select(
            line.id.label("line_id"),
            line.account_id,
            line.product_id,
            ContractLine.contract_id,
            closed_on,
            case((line.kind == LineKind.RECURRING, 1), else_=0).label("is_recurring"),
            func.coalesce(line.arr_minor, line.amount_minor).label("amount_minor"),
            line.currency,
        )
        .join(ContractLine, ContractLine.id == line.contract_line_id)
        .join(Contract, Contract.id == ContractLine.contract_id)
        .join(deal, (deal.deal_id == Contract.deal_id) & in_force(deal, known.known_at))
        .where(
            in_force(line, known.known_at),
            deal.stage == "won",
            line.kind != LineKind.TRIAL,
            or_(line.kind != LineKind.RECURRING, line.arr_minor > 0),
            closed_on < known.as_of,
        )
    ).subquery()
    columns = fetch_columns(session, select(*sold.c).order_by(sold.c.account_id, sold.c.line_id))
    _, account, product, contract, closed, recurring, minor, currency = columns
    amounts = _in_reporting_currency(session, known, minor=minor.astype(np.int64), currency=currency)
    return SoldLines(
        account_id=account.astype(np.int64),
        product_id=product.astype(np.int64),
        contract_id=contract.astype(np.int64),
        closed_on=closed,
        is_recurring=recurring.astype(np.bool_),
        amount_minor=amounts,
    )


def _in_reporting_currency(session: Session, known: Known, *, minor: Ints, currency: NDArray[Any]) -> Ints:
    """Each amount converted by itself at the rate of `as_of`, half-even; what has no rate is 0, and no price."""
    quote, rates = known.settings.reporting_currency, load_rates(session, known_at=known.known_at)
    result = minor.copy()
    for code in sorted(set(currency.tolist()) - {quote}):
        own = currency == code
        try:
            worth = {
                each: rates.convert(Money(each, code), quote, on=known.as_of).minor for each in set(minor[own].tolist())
            }
        except MissingRate:
            worth = {}
        result[own] = [worth.get(each, 0) for each in minor[own].tolist()]
    return result


def load_offers(session: Session, known: Known) -> list[Offer]:
    """Every product, by id, with the first day on which it had a price."""
    first = dict(
        session.execute(
            select(ProductPrice.product_id, func.min(ProductPrice.valid_from))
            .where(in_force(ProductPrice, known.known_at))
            .group_by(ProductPrice.product_id)
        ).all()
    )
    version = ProductVersion
    rows = session.execute(
        select(Product.id, Product.sku, version.name, version.family, version.is_recurring)
        .outerjoin(
            version,
            (version.product_id == Product.id) & in_force(version, known.known_at) & valid_on(version, known.as_of),
        )
        .order_by(Product.id)
    )
    return [
        Offer(
            product_id=row.id,
            sku=row.sku,
            name=row.name or row.sku,
            family=row.family,
            is_recurring=bool(row.is_recurring),
            first_offered_on=first.get(row.id),
        )
        for row in rows
    ]


def load_account_risks(session: Session, run_id: int) -> AccountRisks:
    """P(the account decides to leave within 3 months), P at the renewal, and the state of each account.

    A run that knows no causes gives P(it leaves at all).
    """
    survival = _float_of(Score.survival, RISK_MONTHS - 1)
    voluntary = _float_of(Score.cause_probabilities, HORIZONS_MONTHS.index(RISK_MONTHS) * len(CAUSES) + VOLUNTARY)
    last = _float_of(Score.survival, FORECAST_MONTHS - 1)
    renewal = (Score.renewal_on, Score.renewal_churn_probability)
    statement = (
        select(Score.account_id, Score.status, survival, last, voluntary, *renewal)
        .where(Score.run_id == run_id)
        .order_by(Score.account_id)
    )
    account, status, stays, end, leaves, renewal_on, renewal_churn = fetch_columns(session, statement)
    return AccountRisks(
        account_id=account.astype(np.int64),
        status=status,
        is_leaving=np.array([each is not None and not np.frombuffer(each, "<f4").any() for each in end], dtype=bool),
        churn_3_months=np.array([_risk(*each) for each in zip(stays, leaves, strict=True)], dtype=np.float64),
        renewal_on=renewal_on,
        renewal_churn=renewal_churn.astype(np.float64),
    )


def _float_of(column: InstrumentedAttribute[bytes | None], place: int) -> ColumnElement[bytes]:
    return func.substr(column, place * FLOAT_BYTES + 1, FLOAT_BYTES, type_=column.type)


def _risk(stays: bytes | None, leaves: bytes | None) -> float:
    if leaves:
        return float(np.frombuffer(leaves, "<f4")[0])
    return 1.0 - float(np.frombuffer(stays, "<f4")[0]) if stays else np.nan


def load_survival(
    session: Session, run_id: int, *, account_ids: Sequence[int], months: int, of_revenue: bool = False
) -> dict[int, Floats]:
    """The run's S over months 1..`months`, or R with `of_revenue`, of those of these accounts that have a curve."""
    curve = func.coalesce(Score.retention, Score.survival) if of_revenue else Score.survival
    found: dict[int, Floats] = {}
    for start in range(0, len(account_ids), BATCH):
        chosen = Score.account_id.in_(account_ids[start : start + BATCH])
        rows = session.execute(select(Score.account_id, curve).where(Score.run_id == run_id, chosen))
        for account_id, stored in rows:
            if stored is not None:
                found[account_id] = np.frombuffer(stored, "<f4", count=months).astype(np.float64)
    return found


def load_escalated(session: Session, known: Known) -> frozenset[int]:
    """The accounts with an escalation that is open on the day before `as_of`."""
    open_then = or_(Ticket.closed_on.is_(None), Ticket.closed_on >= known.as_of)
    statement = (
        select(Ticket.account_id)
        .where(in_force(Ticket, known.known_at), Ticket.is_escalated, Ticket.occurred_on < known.as_of, open_then)
        .distinct()
    )
    return frozenset(session.scalars(statement))


def load_standing(session: Session, known: Known) -> Standing:
    version = AccountVersion
    rows = session.execute(
        select(version.account_id, version.segment, version.merged_into_id).where(
            in_force(version, known.known_at), valid_on(version, known.as_of)
        )
    ).all()
    merged = frozenset(row.account_id for row in rows if row.merged_into_id is not None)
    return Standing({row.account_id: row.segment for row in rows}, merged)


def load_distinct_people(session: Session, known: Known) -> dict[int, Floats]:
    """Of accounts whose people are told apart: distinct people active in each window of 30 days, oldest first."""
    table, first = PersonDay, np.datetime64(known.as_of) - WINDOWS * WINDOW_DAYS
    start: date = first.item()
    number: ColumnElement[int] = day_number(table.day)
    window = ((number - literal(int(first.astype(np.int64)))) // WINDOW_DAYS).label("window")
    statement: Select[*tuple[Any, ...]] = (
        select(table.account_id, window, func.count(distinct(table.person_key)))
        .where(table.day >= start, table.day < known.as_of, table.available_on < known.as_of)
        .group_by(table.account_id, window)
    )
    found: dict[int, Floats] = {}
    for account_id, place, people in session.execute(statement):
        found.setdefault(account_id, np.zeros(WINDOWS))[int(place)] = people
    return found
