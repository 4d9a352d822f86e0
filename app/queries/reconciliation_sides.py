"""Other books beside the ledger, account by account: a billing export, or what a CRM says its deals are worth.

Accounts are read some at a time, so that neither side is ever in memory as a whole.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from itertools import groupby
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from app.domain.contracts import Grace, LineKind
from app.domain.reconciliation import Position
from app.domain.reconciliation_billing import Charge, LedgerLine, Moment, Sides
from app.domain.reconciliation_checks import compare_account, compare_stranger, rows_under_another_id
from app.domain.reconciliation_crm import BookedDeal, BookedLine, compare_deals
from app.errors import TooLarge
from app.models.accounts import Account
from app.models.contracts import Contract, ContractLine, ContractLineVersion
from app.models.deals import Deal, DealVersion
from app.models.ledger import ContractPause
from app.models.products import Product, ProductExternalId, ProductVersion
from app.queries.contract_lines import RecurringLine, load_arr_lines
from app.queries.facts import Known
from app.queries.fx import load_rates
from app.queries.known import Between, in_force, of_accounts, valid_on
from app.queries.ledger import load_rules
from app.queries.reconciliation_names import IdsOf, name_customers
from integrations.files.charges import BilledCharge, ChargeBook

CHUNK = 500  # accounts
MOST_LINES = 20_000  # of the ledger, in a request: some seconds, in which on SQLite nobody else writes
MOST_CHARGES = 20_000  # of one customer around a day: more would not fit in memory, and nobody has so many


@dataclass(frozen=True, slots=True)
class Export:
    """A billing export that was read, and whose ids it uses."""

    book: ChargeBook
    ids: IdsOf


def compare_billing(session: Session, export: Export, *, known: Known, window_days: int) -> Iterator[Position]:
    """Every account that either side knows, and then whom only the export knows, in a lasting order.

    Raises TooLarge for a customer with more charges around the day than can be held.
    """
    name_customers(session, export.book, known=known, ids=export.ids)
    moment = Moment(known.as_of, window_days, load_rates(session, known_at=known.known_at))
    grace = load_rules(session, known.known_at).grace
    products = _load_products(session, known, system=export.ids.system)
    elsewhere: set[int] = set()
    for between in _chunks(session):
        lines = _lines(session, known, between=between, grace=grace)
        charges = _charges(export.book, moment, between=between, lines=lines, products=products)
        for account in sorted({*lines, *charges}):
            sides = Sides(lines.get(account, ()), charges.get(account, ()))
            positions = compare_account(sides, moment, account=account)
            elsewhere |= rows_under_another_id(positions)
            yield from positions
    for customers in export.book.strangers(CHUNK):
        for customer in customers:
            own = _kept(export.book.charges_of(customer), moment, amounts=set(), products=products)
            yield from compare_stranger(own, moment, customer=customer, elsewhere=elsewhere)


def refuse_if_large(session: Session) -> None:
    """Raise TooLarge for books that take longer than a request may."""
    if session.scalar(select(ContractLineVersion.id).offset(MOST_LINES).limit(1)) is not None:
        raise TooLarge(f"There are more than {MOST_LINES:,} contract lines; run `tenure reconcile` instead.")


def _chunks(session: Session) -> Iterator[Between]:
    last = 0
    while True:
        following = select(Account.id).where(Account.id > last).order_by(Account.id).limit(CHUNK)
        ids = session.scalars(following).all()
        if ids:
            yield ids[0], ids[-1]
        if len(ids) < CHUNK:
            return
        last = ids[-1]


# --- The ledger ---


def _lines(session: Session, known: Known, *, between: Between, grace: Grace) -> dict[int, list[LedgerLine]]:
    """All contract lines of the accounts, recurring or not."""
    line = ContractLineVersion
    recurring = load_arr_lines(session, known_at=known.known_at, grace_days=grace, between=between)
    lives = {each.version_id: each for own in recurring.values() for each in own}
    rows = session.execute(
        select(
            *(line.id, line.contract_line_id, line.account_id, line.product_id, line.kind),
            *(line.currency, line.amount_minor, line.starts_on, line.discount),
        )
        .where(in_force(line, known.known_at), of_accounts(line.account_id, between))
        .order_by(line.account_id, line.contract_line_id)
    )
    pauses = _pauses(session, known, between=between)
    found: dict[int, list[LedgerLine]] = defaultdict(list)
    for row in rows:
        if row.kind != LineKind.RECURRING or row.id in lives:
            own = _line(row, lives.get(row.id))
            found[row.account_id].append(replace(own, pauses=tuple(pauses.get(own.key, ()))))
    return dict(found)


def _pauses(session: Session, known: Known, *, between: Between) -> dict[int, list[tuple[date, date | None]]]:
    """By contract line."""
    pause = ContractPause
    found: dict[int, list[tuple[date, date | None]]] = defaultdict(list)
    columns = (pause.contract_line_id, pause.pauses_on, pause.resumes_on)
    wanted = in_force(pause, known.known_at), of_accounts(pause.account_id, between)
    for line, pauses_on, resumes_on in session.execute(select(*columns).where(*wanted).order_by(pause.id)):
        found[line].append((pauses_on, resumes_on))
    return found


def _line(row: Any, recurring: RecurringLine | None) -> LedgerLine:
    life = recurring.life if recurring else None
    return LedgerLine(
        key=row.contract_line_id,
        product=row.product_id,
        kind=LineKind(row.kind),
        currency=row.currency,
        minor=row.amount_minor,
        arr_minor=life.line.arr_minor if life else 0,
        starts_on=row.starts_on,
        stops_on=life.stops_on if life else None,
        leaves_on=life.leaves_on if life else None,
        booked_on=recurring.booked_on if recurring else row.starts_on,
        discount=row.discount,
    )


# --- The export ---


def _load_products(session: Session, known: Known, *, system: str) -> dict[str, int]:
    """Our products by what the export may call them: its system's id, else the SKU, else a name that is one's alone."""
    version, named = ProductVersion, ProductExternalId
    valid = in_force(version, known.known_at), valid_on(version, known.as_of)
    by_name: dict[str, set[int]] = defaultdict(set)
    for name, product in session.execute(select(version.name, version.product_id).where(*valid)):
        by_name[name].add(product)
    found = {name: min(own) for name, own in by_name.items() if len(own) == 1}
    found |= dict(session.execute(select(Product.sku, Product.id)).all())
    by_id = select(named.external_id, named.product_id).where(named.system == system, in_force(named, known.known_at))
    return found | dict(session.execute(by_id).all())


Products = Mapping[str, int]
Amounts = set[tuple[str, int]]  # currency and minor units


def _charges(
    book: ChargeBook,
    moment: Moment,
    *,
    between: Between,
    lines: Mapping[int, Sequence[LedgerLine]],
    products: Products,
) -> dict[int, list[Charge]]:
    """The charges of the accounts around the day, and of those that do not recur the ones of a line's amount."""
    found = {}
    every = book.charges_of_accounts(*between)
    for account, of_account in groupby(every, key=lambda each: each[0]):
        amounts = {(line.currency, line.minor) for line in lines.get(account, ())}
        own: list[Charge] = []
        for is_guess, group in groupby(of_account, key=lambda each: each[1]):
            kept = _kept((each for _, _, each in group), moment, amounts=amounts, products=products)
            own += [replace(charge, is_guess=True) for charge in kept] if is_guess else kept
            _refuse_too_many(own)
        found[account] = own
    return found


def _kept(charges: Iterable[BilledCharge], moment: Moment, *, amounts: Amounts, products: Products) -> list[Charge]:
    kept: list[Charge] = []
    for each in charges:
        is_recurring = each.kind == LineKind.RECURRING
        has_ended = each.ends_on is not None and each.ends_on < moment.first_on
        is_near = each.starts_on <= moment.last_on and not has_ended
        if is_near if is_recurring else (each.currency, each.minor) in amounts:
            kept.append(_charge(each, products))
            _refuse_too_many(kept)
    return kept


def _refuse_too_many(charges: Sequence[Charge]) -> None:
    if len(charges) > MOST_CHARGES:
        raise TooLarge(
            f"One customer has more than {MOST_CHARGES:,} charges around the day, the last in line {charges[-1].row}; "
            "add them up by product and period, or correct the column that `account` is read from."
        )


def _charge(each: BilledCharge, products: Products) -> Charge:
    return Charge(
        row=each.line,
        product=products.get(each.product or ""),
        kind=LineKind(each.kind),
        currency=each.currency,
        minor=each.minor,
        starts_on=each.starts_on,
        ends_on=each.ends_on,
        price_months=each.price_months,
        discount_minor=each.discount_minor,
        repeats=each.repeats,
    )


# --- The CRM ---


def compare_crm(session: Session, *, known: Known, system: str | None = None) -> Iterator[Position]:
    """The won deals closed by the day, of one system or of all, with what was booked of each, account by account."""
    for between in _chunks(session):
        deals = _deals(session, known, between=between, system=system)
        for account, own in groupby(deals, key=lambda deal: deal.account):
            yield from compare_deals(own, account=account)


def _deals(session: Session, known: Known, *, between: Between, system: str | None) -> Iterator[BookedDeal]:
    deal = DealVersion
    statement = (
        select(deal.deal_id, deal.account_id, deal.currency, deal.amount)
        .join(Deal, Deal.id == deal.deal_id)
        .where(*_is_won(known), deal.account_id.between(*between))
        .order_by(deal.account_id, deal.deal_id)
    )
    if system is not None:
        statement = statement.where(Deal.system == system)
    lines = _booked_lines(session, known_at=known.known_at, between=between)
    for row in session.execute(statement):
        own = tuple(lines.get(row.deal_id, ()))
        yield BookedDeal(row.deal_id, row.account_id, row.currency, Decimal(row.amount), own)


def _booked_lines(session: Session, *, known_at: datetime, between: Between) -> dict[int, list[BookedLine]]:
    line = ContractLineVersion
    rows = session.execute(
        select(Contract.deal_id, line.contract_line_id, line.kind, line.amount_minor, line.arr_minor, line.discount)
        .join(ContractLine, ContractLine.id == line.contract_line_id)
        .join(Contract, Contract.id == ContractLine.contract_id)
        .where(in_force(line, known_at), of_accounts(line.account_id, between))
        .order_by(line.contract_line_id)
    )
    found: dict[int, list[BookedLine]] = defaultdict(list)
    for row in rows:
        is_less = row.discount is not None and 0 < row.discount < 1
        undiscounted = round(row.amount_minor / (1 - row.discount)) if is_less else row.amount_minor
        booked = BookedLine(
            row.contract_line_id, LineKind(row.kind), row.amount_minor, row.arr_minor or 0, undiscounted
        )
        found[row.deal_id].append(booked)
    return found


def count_won_deals(session: Session, *, known: Known, system: str | None = None) -> int:
    """How many deals `compare_crm` holds against the ledger."""
    deal = DealVersion
    statement = (
        select(func.count())
        .select_from(deal)
        .join(Deal, Deal.id == deal.deal_id)
        .where(*_is_won(known), deal.account_id.is_not(None))
    )
    return session.scalar(statement if system is None else statement.where(Deal.system == system)) or 0


def _is_won(known: Known) -> tuple[ColumnElement[bool], ...]:
    deal = DealVersion
    is_valued = deal.stage == "won", deal.closed_on <= known.as_of, deal.amount.is_not(None)
    return in_force(deal, known.known_at), *is_valued
