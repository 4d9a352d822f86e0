"""Recurring contract lines of all accounts as known at an instant, with the end of each decided."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from app.domain.contracts import (
    ONE_DAY,
    ChurnNotice,
    ContractLine,
    EndedBy,
    Grace,
    LineKind,
    LineLife,
    line_lives,
)
from app.models.contracts import ChurnNotice as NoticeRow
from app.models.contracts import Contract, ContractLineVersion, ContractVersion
from app.models.contracts import ContractLine as LineRow
from app.models.deals import DealVersion
from app.models.products import ProductVersion
from app.queries.known import Between, in_force, of_accounts, replacements, valid_on

Found = Any  # a row of `_line_rows`


@dataclass(frozen=True, slots=True)
class RecurringLine:
    """A paid recurring line with what figures need beside its life."""

    version_id: int
    account_id: int
    product_id: int
    currency: str
    quantity: Decimal
    unit: str  # flat, seat, metered
    term_months: int
    non_cancellable: bool
    booked_on: date
    available_at: datetime
    life: LineLife
    renewed_by: int | None  # the line that says it renews or replaces this one

    @property
    def as_known(self) -> "KnownLine":
        return KnownLine(
            line_id=self.life.line.key,
            account_id=self.account_id,
            currency=self.currency,
            seats=self.quantity if self.unit == "seat" else None,
            term_months=self.term_months,
            non_cancellable=self.non_cancellable,
            starts_on=self.life.line.starts_on,
            stops_on=_stops_on(self.life.line.ends_on) if self.is_renewed else self.life.stops_on,
            arr_minor=self.life.line.arr_minor,
            available_at=self.available_at,
            replaced_at=None,
        )

    @property
    def is_renewed(self) -> bool:
        return self.life.ended_by is EndedBy.RENEWAL and self.renewed_by is not None


@dataclass(frozen=True, slots=True)
class KnownLine:
    """What was known of a line from `available_at` until `replaced_at` (none: to this day)."""

    line_id: int
    account_id: int
    currency: str
    seats: Decimal | None
    term_months: int
    non_cancellable: bool
    starts_on: date
    stops_on: date | None
    arr_minor: int
    available_at: datetime
    replaced_at: datetime | None
    leaves_on: date | None = None  # the first unpaid day by a notice that was known then, and its cause
    leaves_for: str | None = None


LINE_COLUMNS = (
    ContractLineVersion.id,
    ContractLineVersion.contract_line_id,
    ContractLineVersion.account_id,
    ContractLineVersion.product_id,
    ContractLineVersion.currency,
    ContractLineVersion.quantity,
    ContractLineVersion.starts_on,
    ContractLineVersion.ends_on,
    ContractLineVersion.term_months,
    ContractLineVersion.arr_minor,
    ContractLineVersion.available_at,
    ContractVersion.contract_id,
    ContractVersion.renewal_of_id,
    ContractVersion.supersedes_id,
    ContractVersion.non_cancellable,
    DealVersion.closed_on,
    ProductVersion.family,
    ProductVersion.unit,
)


LinesByAccount = Mapping[int, Sequence[RecurringLine]]


def load_recurring_lines(
    session: Session,
    *,
    known_at: datetime,
    grace_days: int | Grace,
    account_ids: Sequence[int] | None = None,
    between: Between | None = None,
) -> dict[int, list[RecurringLine]]:
    """The paid recurring lines by account, as known at `known_at`; of the given accounts, those between, or of all."""
    wanted = partial(_is_wanted, account_ids=account_ids, between=between)
    rows = load_line_rows(session, known_at, is_wanted=wanted(ContractLineVersion.account_id))
    notices = load_notices(session, known_at, is_wanted=wanted(NoticeRow.account_id))
    return _by_account(rows, notices, grace_days=grace_days)


def load_arr_lines(
    session: Session, *, known_at: datetime, grace_days: int | Grace, between: Between | None = None
) -> dict[int, list[RecurringLine]]:
    """The recurring lines that ARR consists of, by account: the paid ones, and the discounts sold as lines."""
    wanted = partial(of_accounts, between=between)
    rows = load_line_rows(session, known_at, is_wanted=wanted(ContractLineVersion.account_id), with_discounts=True)
    notices = load_notices(session, known_at, is_wanted=wanted(NoticeRow.account_id))
    return _by_account(rows, notices, grace_days=grace_days)


def _by_account(
    rows: Sequence[Found], notices: Mapping[int, Sequence[ChurnNotice]], *, grace_days: int | Grace
) -> dict[int, list[RecurringLine]]:
    by_account: dict[int, list[Found]] = defaultdict(list)
    for row in rows:
        by_account[row.account_id].append(row)
    return {
        account_id: list(_with_lives(own, notices=notices.get(account_id, ()), grace_days=grace_days))
        for account_id, own in by_account.items()
    }


def _is_wanted(
    column: InstrumentedAttribute[int], *, account_ids: Sequence[int] | None, between: Between | None
) -> ColumnElement[bool]:
    return of_accounts(column, between) if account_ids is None else column.in_(account_ids)


def load_known_lines(
    session: Session, lines: Sequence[RecurringLine], *, known_at: datetime, between: Between | None = None
) -> list[KnownLine]:
    """What was known of paid recurring lines at any time: as they are now, and their earlier versions.

    A line that another one ended is known to end there only since that one was known.
    """
    every = [*(line.as_known for line in lines), *_replaced_lines(session, known_at, between=between)]
    known_since: dict[int, datetime] = {}
    for each in every:
        known_since[each.line_id] = min(each.available_at, known_since.get(each.line_id, each.available_at))
    renewals = {
        line.life.line.key: (line.life.stops_on, known_since[line.renewed_by])
        for line in lines
        if line.is_renewed and line.renewed_by in known_since and line.life.stops_on
    }
    return [part for each in every for part in _cut_by_renewal(each, renewals.get(each.line_id))]


def _cut_by_renewal(known: KnownLine, renewal: tuple[date, datetime] | None) -> Iterator[KnownLine]:
    """`renewal` is the day on which another line ended this one, and since when that was known."""
    if renewal is None or (known.replaced_at is not None and known.replaced_at <= renewal[1]):
        yield known
        return
    ended_on, ended_at = renewal
    if known.available_at < ended_at:
        yield replace(known, replaced_at=ended_at)
    stops_on = min(ended_on, known.stops_on or ended_on)
    yield replace(known, stops_on=stops_on, available_at=max(known.available_at, ended_at))


def _replaced_lines(session: Session, known_at: datetime, *, between: Between | None) -> list[KnownLine]:
    """Earlier versions: what could be known of a line before the one now in force.

    Of a line that was withdrawn there are none: it is taken to be an error that never stood.
    """
    line, version, present = ContractLineVersion, aliased(ContractLineVersion), aliased(ContractLineVersion)
    owned = select(line.contract_line_id).where(of_accounts(line.account_id, between))  # at any time
    among = None if between is None else version.contract_line_id.in_(owned)
    replaced = replacements(version, version.contract_line_id, known_at=known_at, among=among)
    standing = select(present.contract_line_id).where(in_force(present, known_at))
    statement = (
        _with_terms(select(*LINE_COLUMNS, replaced.c.replaced_at).join(replaced, replaced.c.id == line.id), known_at)
        .where(replaced.c.replaced_at > line.available_at, line.contract_line_id.in_(standing))
        .order_by(line.account_id, line.contract_line_id, line.id)
    )
    return [
        KnownLine(
            line_id=row.contract_line_id,
            account_id=row.account_id,
            currency=row.currency,
            seats=row.quantity if row.unit == "seat" else None,
            term_months=row.term_months,
            non_cancellable=row.non_cancellable,
            starts_on=row.starts_on,
            stops_on=_stops_on(row.ends_on),
            arr_minor=row.arr_minor,
            available_at=row.available_at,
            replaced_at=row.replaced_at,
        )
        for row in session.execute(statement)
    ]


def _stops_on(ends_on: date | None) -> date | None:
    """The first day that is not paid for by a term."""
    return None if ends_on is None else ends_on + ONE_DAY


def load_line_rows(
    session: Session, known_at: datetime | None, *, is_wanted: ColumnElement[bool], with_discounts: bool = False
) -> Sequence[Found]:
    """Recurring lines with their terms, by account and id; None: those in force now, this change's own too."""
    line = ContractLineVersion
    statement = (
        _with_terms(select(*LINE_COLUMNS), known_at, with_discounts=with_discounts)
        .where(in_force(line, known_at), is_wanted)
        .order_by(line.account_id, line.contract_line_id)
    )
    return session.execute(statement).all()


def _with_terms(statement: Found, known_at: datetime | None, *, with_discounts: bool = False) -> Found:
    """Add the contract, the won deal and, where it is known, the product of each paid recurring line."""
    line, contract, deal, product = ContractLineVersion, ContractVersion, DealVersion, ProductVersion
    return (
        statement.join(LineRow, LineRow.id == line.contract_line_id)
        .join(contract, (contract.contract_id == LineRow.contract_id) & in_force(contract, known_at))
        .join(Contract, Contract.id == LineRow.contract_id)
        .join(deal, (deal.deal_id == Contract.deal_id) & in_force(deal, known_at))
        .outerjoin(
            product,
            (product.product_id == line.product_id) & in_force(product, known_at) & valid_on(product, line.starts_on),
        )
        .where(
            line.kind == LineKind.RECURRING,
            line.arr_minor != 0 if with_discounts else line.arr_minor > 0,
            deal.stage == "won",
        )
    )


def renewed_lines(rows: Iterable[Found]) -> dict[int, int]:
    """Which line each line renews: the one of the same offer in the contract that its own renews or replaces."""
    renewing = [row for row in rows if (row.renewal_of_id or row.supersedes_id) and row.arr_minor > 0]
    paid = (row for row in rows if row.arr_minor > 0) if renewing else ()
    by_offer = {(row.contract_id, _offer(row)): row.contract_line_id for row in paid}
    pairs = ((row, by_offer.get((row.renewal_of_id or row.supersedes_id, _offer(row)))) for row in renewing)
    return {row.contract_line_id: earlier for row, earlier in pairs if earlier is not None}


def _replaced_discounts(rows: Iterable[Found]) -> dict[int, tuple[int, ...]]:
    """Which discounts each line ends: those on its offer in the contract that its own renews or replaces."""
    discounts: dict[tuple[int, str], tuple[int, ...]] = {}
    for row in rows:
        if row.arr_minor < 0:
            key = (row.contract_id, _offer(row))
            discounts[key] = (*discounts.get(key, ()), row.contract_line_id)
    if not discounts:
        return {}
    named = ((row, row.renewal_of_id or row.supersedes_id) for row in rows)
    return {row.contract_line_id: discounts.get((earlier, _offer(row)), ()) for row, earlier in named if earlier}


def _start(row: Found) -> date:
    on: date = row.starts_on
    return on


def _offer(row: Found) -> str:
    return row.family or f"product {row.product_id}"


def load_notices(
    session: Session, known_at: datetime | None, *, is_wanted: ColumnElement[bool]
) -> Mapping[int, list[ChurnNotice]]:
    """By account; None: those in force now."""
    row = NoticeRow
    columns = (row.account_id, row.id, row.effective_on, row.occurred_on, row.contract_line_id, row.cause)
    statement = select(*columns).where(in_force(row, known_at), is_wanted).order_by(row.account_id, row.id)
    found: dict[int, list[ChurnNotice]] = defaultdict(list)
    for account_id, key, effective_on, given_on, line, cause in session.execute(statement):
        found[account_id].append(ChurnNotice(key, effective_on, given_on, line=line, cause=cause))
    return found


def agreed_lines(rows: Sequence[Found], renewed: Mapping[int, int]) -> list[ContractLine]:
    """The lines of one account as agreed, in the order of its `load_line_rows`."""
    # An account's lines get numbers for their offers; most accounts have but one.
    named = [_offer(row) for row in rows]
    offers = {offer: number for number, offer in enumerate(sorted(set(named)))} if len(rows) > 1 else {named[0]: 0}
    replaced = _replaced_discounts(rows)
    return [
        ContractLine(
            row.contract_line_id,
            LineKind.RECURRING,
            row.starts_on,
            row.ends_on,
            row.arr_minor,
            offers[offer],
            renewed.get(row.contract_line_id),
            replaced.get(row.contract_line_id, ()),
        )
        for row, offer in zip(rows, named, strict=True)
    ]


def _with_lives(
    rows: Sequence[Found], *, notices: Sequence[ChurnNotice], grace_days: int | Grace
) -> Iterator[RecurringLine]:
    renewed = renewed_lines(rows)
    lives = line_lives(agreed_lines(rows, renewed), notices, grace_days=grace_days, with_discounts=True)
    renewing = sorted((row for row in rows if row.contract_line_id in renewed), key=_start, reverse=True)
    renewed_by = {renewed[row.contract_line_id]: row.contract_line_id for row in renewing}
    for row, life in zip(rows, lives, strict=True):
        yield RecurringLine(
            version_id=row.id,
            account_id=row.account_id,
            product_id=row.product_id,
            currency=row.currency,
            quantity=row.quantity,
            unit=row.unit or "flat",
            term_months=row.term_months,
            non_cancellable=row.non_cancellable,
            booked_on=row.closed_on or row.starts_on,
            available_at=row.available_at,
            life=life,
            renewed_by=renewed_by.get(row.contract_line_id),
        )
