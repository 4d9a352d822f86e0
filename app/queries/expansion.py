"""Expansion opportunities as they stand: a page of them, one, and what became of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Select, case, func, select, tuple_
from sqlalchemy.orm import Session

from app.domain.expansion_moves import LIKELIHOODS, UNDO, UNDO_WITHIN, actions_from
from app.domain.money import Money, minor_digits
from app.errors import Invalid, NotFound
from app.models.accounts import AccountVersion, ExternalId
from app.models.expansion import ExpansionMove, ExpansionOpportunity
from app.models.persons import FreeText
from app.models.products import Product, ProductVersion
from app.queries.accounts import OtherId, accounts_of
from app.queries.cursors import Position, Sort, decode_cursor, encode_cursor
from app.queries.ids import BATCH
from app.queries.known import valid_on
from app.queries.settings import load_company_settings

DEARER_FIRST = Sort("worth", is_descending=True)
RANKS = {likelihood: rank for rank, likelihood in enumerate(reversed(LIKELIHOODS), start=1)}
"""The likelier, the higher."""


@dataclass(frozen=True, slots=True)
class OpportunityFilter:
    """Which opportunities: each part given narrows, an empty one lets all through."""

    state: Sequence[str] = ()
    motion: Sequence[str] = ()
    likelihood: Sequence[str] = ()
    csm: Sequence[int] = ()  # the person who looks after the account today
    product_id: int | None = None
    account_id: int | None = None
    min_worth: Decimal | None = None  # in the reporting currency


@dataclass(frozen=True, slots=True)
class OpportunityQuery:
    """`sort` is by `worth` or `flagged` (the day it was)."""

    filter: OpportunityFilter = field(default_factory=OpportunityFilter)
    sort: Sort = DEARER_FIRST
    cursor: str | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class Opportunity:
    """One opportunity with the names that stand beside it today.

    `measure` says what `worth` is: `arr` (a year) or `bookings` (once). `evidence` are dictionaries with
    `kind` and numbers; app/domain/expansion_words.py makes sentences of them.
    """

    id: int
    account_id: int
    account_name: str
    motion: str  # upsell, cross_sell
    product_id: int
    sku: str
    product_name: str
    episode: int
    state: str
    snoozed_until: date | None
    flagged_on: date
    flagged_at: datetime
    seen_on: date
    moved_at: datetime  # when it came to its state
    run_id: int
    likelihood: str  # high, medium
    score: float
    probability: float | None  # that it comes within six months; None: no level was right twice
    quantity: int | None
    measure: str  # arr, bookings
    worth: Money
    expected_value: Money | None  # probability x margin x what it adds while the account stays
    evidence: Sequence[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class OpportunityMove:
    """`note` is what the person wrote; `reason` is from a list, or why the night let it lapse."""

    moved_at: datetime
    from_state: str | None
    to_state: str
    actor: str
    reason: str | None
    note: str | None


@dataclass(frozen=True, slots=True)
class OpportunityDetail:
    """`moves` oldest first; `actions` are what can be done with it now."""

    opportunity: Opportunity
    moves: Sequence[OpportunityMove]
    actions: Sequence[str]


@dataclass(frozen=True, slots=True)
class OpportunityPage:
    rows: Sequence[Opportunity]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class OpportunityTotals:
    """How many there are by state, and what they are worth together."""

    counts: dict[str, int]
    worth: dict[tuple[str, str, str], int]  # (state, measure, currency) -> minor units


def list_opportunities(session: Session, asked: OpportunityQuery, *, today: date) -> OpportunityPage:
    """A page of opportunities, by worth or by the day they were flagged on; ties go by likelihood, then by id.

    Raises Invalid for a cursor that is none of this list's.
    """
    row, sort = ExpansionOpportunity, asked.sort
    rank = case(RANKS, value=row.likelihood)
    column = row.amount_minor if sort.name == "worth" else row.flagged_on
    statement = _opportunities(today).where(*_conditions(session, asked.filter, today=today)).limit(asked.limit + 1)
    if asked.cursor:
        after = decode_cursor(asked.cursor, sort=sort)
        if after.value is None or after.rank is None:
            raise Invalid("This cursor is none of this list's; take it unchanged from the Link header.")
        here, there = tuple_(column, rank, row.id), tuple_(after.value, after.rank, after.account_id)
        statement = statement.where(here < there if sort.is_descending else here > there)
    order = (column.desc(), rank.desc(), row.id.desc()) if sort.is_descending else (column, rank, row.id)
    found = [_opportunity(each) for each in session.execute(statement.order_by(*order))]
    if len(found) <= asked.limit:
        return OpportunityPage(found, None)
    last = found[asked.limit - 1]
    value: Any = last.worth.minor if sort.name == "worth" else last.flagged_on
    after_last = Position(sort, value, last.id, None, RANKS[last.likelihood])
    return OpportunityPage(found[: asked.limit], encode_cursor(after_last))


def find_opportunity(session: Session, opportunity_id: int, *, now: datetime) -> OpportunityDetail:
    """One opportunity, what became of it, and what can be done with it now. Raises NotFound."""
    statement = _opportunities(now.date()).where(ExpansionOpportunity.id == opportunity_id)
    found = session.execute(statement).one_or_none()
    if found is None:
        raise NotFound(f"There is no expansion opportunity {opportunity_id}.")
    opportunity = _opportunity(found)
    can_undo = now - opportunity.moved_at <= UNDO_WITHIN
    actions = [action for action in actions_from(opportunity.state) if can_undo or action != UNDO]
    return OpportunityDetail(opportunity, load_moves(session, opportunity_id), actions)


def load_opportunities(session: Session, ids: Sequence[int], *, today: date) -> dict[int, Opportunity]:
    """Those of these ids that there are."""
    found: dict[int, Opportunity] = {}
    for start in range(0, len(ids), BATCH):
        chosen = ExpansionOpportunity.id.in_(ids[start : start + BATCH])
        found |= {row.id: _opportunity(row) for row in session.execute(_opportunities(today).where(chosen))}
    return found


def load_external_ids(session: Session, account_ids: Sequence[int]) -> dict[int, list[OtherId]]:
    """How other systems call each of these accounts."""
    table = ExternalId
    found: dict[int, list[OtherId]] = {}
    for start in range(0, len(account_ids), BATCH):
        rows = session.execute(
            select(table.account_id, table.system, table.kind, table.external_id)
            .where(table.account_id.in_(account_ids[start : start + BATCH]), table.superseded_change_id.is_(None))
            .order_by(table.account_id, table.system, table.kind, table.external_id)
        )
        for account_id, *names in rows:
            found.setdefault(account_id, []).append(OtherId(*names))
    return found


def load_moves(session: Session, opportunity_id: int) -> list[OpportunityMove]:
    """Every step of an opportunity, oldest first."""
    move = ExpansionMove
    rows = session.execute(
        select(move.moved_at, move.from_state, move.to_state, move.actor, move.reason, FreeText.body)
        .outerjoin(FreeText, FreeText.id == move.text_id)
        .where(move.opportunity_id == opportunity_id)
        .order_by(move.id)
    )
    return [OpportunityMove(*row) for row in rows]


def sum_up_opportunities(session: Session, chosen: OpportunityFilter, *, today: date) -> OpportunityTotals:
    """How many there are by state, and what they are worth together by state, measure and currency."""
    row = ExpansionOpportunity
    statement = (
        select(row.state, row.measure, row.currency, func.count(), func.sum(row.amount_minor))
        .where(*_conditions(session, chosen, today=today))
        .group_by(row.state, row.measure, row.currency)
    )
    counts: dict[str, int] = {}
    worth: dict[tuple[str, str, str], int] = {}
    for state, measure, currency, count, minor in session.execute(statement):
        counts[state] = counts.get(state, 0) + count
        worth[state, measure, currency] = int(minor)
    return OpportunityTotals(counts, worth)


def _opportunities(today: date) -> Select[*tuple[Any, ...]]:
    row, account, product = ExpansionOpportunity, AccountVersion, ProductVersion
    own = {name: getattr(row, name) for name in Opportunity.__dataclass_fields__ if hasattr(row, name)}
    return (
        select(
            *own.values(),
            row.amount_minor,
            row.expected_value_minor,
            row.currency,
            func.coalesce(account.name, "").label("account_name"),
            Product.sku,
            func.coalesce(product.name, Product.sku).label("product_name"),
        )
        .join(Product, Product.id == row.product_id)
        .outerjoin(
            account,
            (account.account_id == row.account_id) & account.superseded_change_id.is_(None) & valid_on(account, today),
        )
        .outerjoin(
            product,
            (product.product_id == row.product_id) & product.superseded_change_id.is_(None) & valid_on(product, today),
        )
    )


def _opportunity(row: Any) -> Opportunity:
    values = row._asdict()
    minor, currency, expected = (values.pop(name) for name in ("amount_minor", "currency", "expected_value_minor"))
    return Opportunity(
        **values,
        worth=Money(minor, currency),
        expected_value=None if expected is None else Money(expected, currency),
    )


def _conditions(session: Session, chosen: OpportunityFilter, *, today: date) -> list[ColumnElement[bool]]:
    row = ExpansionOpportunity
    found: list[ColumnElement[bool]] = [
        getattr(row, name).in_(getattr(chosen, name))
        for name in ("state", "motion", "likelihood")
        if getattr(chosen, name)
    ]
    if chosen.csm:
        found.append(row.account_id.in_(accounts_of(chosen.csm, today)))
    if chosen.product_id is not None:
        found.append(row.product_id == chosen.product_id)
    if chosen.account_id is not None:
        found.append(row.account_id == chosen.account_id)
    if chosen.min_worth is not None:
        digits = minor_digits(load_company_settings(session).reporting_currency)
        found.append(row.amount_minor >= int(chosen.min_worth.scaleb(digits)))
    return found
