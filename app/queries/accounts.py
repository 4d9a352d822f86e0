"""Accounts with what the published run says of them: a page at a time, or one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Date,
    Row,
    Select,
    and_,
    bindparam,
    func,
    literal,
    or_,
    select,
    union_all,
)
from sqlalchemy.orm import InstrumentedAttribute, Session

from app.domain.money import minor_digits
from app.errors import NotFound
from app.models.accounts import AccountVersion, Assignment, ExternalId
from app.models.contracts import ContractLineVersion
from app.models.products import Product, ProductVersion
from app.models.scores import ModelRun, PublishedRun, Score
from app.models.versions import DatedVersion
from app.queries.cursors import Position, Sort, decode_cursor, encode_cursor
from app.queries.health_overrides import OVERRIDE_COLUMNS, Override, join_override, read_override
from app.queries.known import Day, valid_on
from app.queries.moments import Standing, load_standing
from app.queries.runs import CHURN, RUN_COLUMNS, Run, find_run


@dataclass(frozen=True, slots=True)
class AccountFilter:
    """Which accounts: each part given narrows, an empty one lets all through."""

    segment: Sequence[str] = ()
    plan: Sequence[str] = ()
    product: Sequence[str] = ()  # SKU
    channel: Sequence[str] = ()
    country: Sequence[str] = ()
    band: Sequence[str] = ()
    status: Sequence[str] = ()
    csm: Sequence[int] = ()  # person
    search: str | None = None  # part of the name
    min_arr: Decimal | None = None  # in the run's currency
    max_arr: Decimal | None = None
    renewal_before: date | None = None


BY_NAME = Sort("name")


@dataclass(frozen=True, slots=True)
class AccountQuery:
    filter: AccountFilter = AccountFilter()
    sort: Sort = BY_NAME
    cursor: str | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class AccountRow:
    """An account as it is today, and its figures from the run; these are None where there are none."""

    id: int
    name: str
    segment: str | None
    industry: str | None
    country: str | None
    employees: int | None
    channel: str | None
    campaign: str | None
    parent_id: int | None
    status: str | None
    basis: str | None
    arr_minor: int | None
    tenure_months: int | None
    started_on: date | None
    renewal_on: date | None
    churn_probability: float | None
    risk: float | None
    health: float | None
    band: str | None
    coverage: float | None
    ltv_residual_minor: int | None
    ltv_residual_lower_minor: int | None
    ltv_residual_upper_minor: int | None
    ltv_expansion_minor: int | None


@dataclass(frozen=True, slots=True)
class AccountPage:
    """`run` is None before the first night: then every figure is. `overrides` in force, by account."""

    rows: list[AccountRow]
    run: Run | None
    next_cursor: str | None
    overrides: Mapping[int, Override]
    today: date


@dataclass(frozen=True, slots=True)
class OwnedProduct:
    sku: str
    name: str
    plan: str | None


@dataclass(frozen=True, slots=True)
class OtherId:
    system: str
    kind: str
    external_id: str


@dataclass(frozen=True, slots=True)
class AccountDetail:
    row: AccountRow
    custom: dict[str, Any]
    run: Run | None
    external_ids: list[OtherId]
    products: list[OwnedProduct]
    override: Override | None


DAY: BindParameter[date] = bindparam("day", type_=Date)

ATTRIBUTES = ("name", "segment", "industry", "country", "employees", "channel", "campaign", "parent_id")
ROW_COLUMNS = (
    AccountVersion.account_id,
    *(getattr(AccountVersion, name) for name in ATTRIBUTES),
    *(getattr(Score, name) for name in list(AccountRow.__dataclass_fields__)[len(ATTRIBUTES) + 1 :]),
)
SORT_COLUMNS: dict[str, InstrumentedAttribute[Any]] = {
    "name": AccountVersion.name,
    "arr": Score.arr_minor,
    "health": Score.health,
    "churn_probability": Score.churn_probability,
    "ltv": Score.ltv_residual_minor,
    "renewal": Score.renewal_on,
    "tenure": Score.tenure_months,
}


def list_accounts(session: Session, query: AccountQuery, *, today: date) -> AccountPage:
    """A page of accounts. Those without the value that is sorted by come last, whichever way it goes.

    A cursor stays with the run that its first page was of, so that a night in between moves nothing.
    Raises Invalid for a cursor that is none of this list's.
    """
    position = _find_position(query)
    run = find_run(session, run_id=_run_of(position))
    return _list(session, query, position=position, standing=Standing(run, today))


def list_accounts_now(session: Session, query: AccountQuery, *, now: datetime) -> AccountPage:
    """As `list_accounts`, on the company's day, which the statement that finds the run finds as well."""
    position = _find_position(query)
    return _list(session, query, position=position, standing=load_standing(session, now=now, run_id=_run_of(position)))


def _find_position(query: AccountQuery) -> Position | None:
    return decode_cursor(query.cursor, sort=query.sort) if query.cursor else None


def _run_of(position: Position | None) -> int | None:
    return position.run_id if position else None


def _list(session: Session, query: AccountQuery, *, position: Position | None, standing: Standing) -> AccountPage:
    run, today = standing.run, standing.today
    statement = filtered(select(*ROW_COLUMNS, *OVERRIDE_COLUMNS), query.filter, run=run, today=today)
    statement = join_override(statement, account_id=AccountVersion.account_id, today=today)
    found = _page(session, statement, query=query, position=position)
    rows = [AccountRow(*row[: len(ROW_COLUMNS)]) for row in found[: query.limit]]
    overrides = [read_override(row[len(ROW_COLUMNS) :]) for row in found[: query.limit]]
    cursor = None
    if len(found) > query.limit:
        value = getattr(found[query.limit - 1], SORT_COLUMNS[query.sort.name].key)
        cursor = encode_cursor(Position(query.sort, value, rows[-1].id, run.id if run else None))
    return AccountPage(rows, run, cursor, {each.account_id: each for each in overrides if each}, today)


def count_accounts(session: Session, chosen: AccountFilter, *, run: Run | None, today: date) -> int:
    statement = filtered(select(func.count()), chosen, run=run, today=today)
    found: int = session.execute(statement).scalar_one()
    return found


def load_account(session: Session, account_id: int, *, today: date) -> AccountDetail:
    """One account with its ids elsewhere and what it has now. Raises NotFound, also for one that was merged away."""
    row = session.execute(ONE_ACCOUNT, {"account_id": account_id, "day": today}).one_or_none()
    if row is None:
        raise NotFound(f"There is no account {account_id}.")
    if row.merged_into_id is not None:
        raise NotFound(f"Account {account_id} was merged into account {row.merged_into_id}; ask for that one.")
    size, of_run = len(ROW_COLUMNS), len(ROW_COLUMNS) + len(RUN_COLUMNS)
    run = Run(*row[size:of_run]) if row[size] is not None else None
    has = session.execute(IDS_AND_PRODUCTS, {"account_id": account_id, "day": run.as_of if run else today}).all()
    return AccountDetail(
        row=AccountRow(*row[:size]),
        custom=row.custom or {},
        run=run,
        external_ids=[OtherId(*each[1:]) for each in has if not each.is_product],
        products=[OwnedProduct(*each[1:]) for each in has if each.is_product],
        override=read_override(row[of_run : of_run + len(OVERRIDE_COLUMNS)]),
    )


def _valid(table: type[DatedVersion], day: Day) -> tuple[ColumnElement[bool], ...]:
    return table.superseded_change_id.is_(None), valid_on(table, day)


def live_lines(day: Day) -> tuple[ColumnElement[bool], ...]:
    """The conditions that a line in force is paid for on that day."""
    line = ContractLineVersion
    return (
        line.superseded_change_id.is_(None),
        line.starts_on <= day,
        or_(line.ends_on.is_(None), line.ends_on >= day),
    )


# Built once: of these every page of an account is made, and building a statement costs more than running it.
ONE_ACCOUNT = join_override(
    select(*ROW_COLUMNS, *RUN_COLUMNS, *OVERRIDE_COLUMNS, AccountVersion.merged_into_id, AccountVersion.custom)
    .select_from(AccountVersion)
    .outerjoin(PublishedRun, PublishedRun.kind == CHURN)
    .outerjoin(ModelRun, ModelRun.id == PublishedRun.run_id)
    .outerjoin(Score, and_(Score.run_id == ModelRun.id, Score.account_id == AccountVersion.account_id)),
    account_id=AccountVersion.account_id,
    today=DAY,
).where(AccountVersion.account_id == bindparam("account_id"), *_valid(AccountVersion, DAY))
_IDS = select(
    literal(value=False).label("is_product"), ExternalId.system, ExternalId.kind, ExternalId.external_id
).where(ExternalId.account_id == bindparam("account_id"), ExternalId.superseded_change_id.is_(None))
_PRODUCTS = (
    select(literal(value=True).label("is_product"), Product.sku, ProductVersion.name, ProductVersion.plan)
    .join(ProductVersion, ProductVersion.product_id == Product.id)
    .join(ContractLineVersion, ContractLineVersion.product_id == Product.id)
    .where(ContractLineVersion.account_id == bindparam("account_id"), *live_lines(DAY), *_valid(ProductVersion, DAY))
    .distinct()
)
_HAS = union_all(_IDS, _PRODUCTS).subquery()
IDS_AND_PRODUCTS = select(_HAS).order_by(*_HAS.c)


def filtered(
    statement: Select[*tuple[Any, ...]], chosen: AccountFilter, *, run: Run | None, today: date
) -> Select[*tuple[Any, ...]]:
    """The statement over the accounts of today that the filter lets through, with their scores of the run."""
    run_id = run.id if run else None
    statement = (
        statement.select_from(AccountVersion)
        .outerjoin(Score, and_(Score.run_id == run_id, Score.account_id == AccountVersion.account_id))
        .where(*_valid(AccountVersion, today), AccountVersion.merged_into_id.is_(None))
    )
    columns: dict[str, InstrumentedAttribute[Any]] = {
        "segment": AccountVersion.segment,
        "channel": AccountVersion.channel,
        "country": AccountVersion.country,
        "band": Score.band,
        "status": Score.status,
    }
    for name, column in columns.items():
        if wanted := getattr(chosen, name):
            statement = statement.where(column.in_(wanted))
    if chosen.search:
        statement = statement.where(func.lower(AccountVersion.name).contains(chosen.search.lower(), autoescape=True))
    if chosen.renewal_before:
        statement = statement.where(Score.renewal_on < chosen.renewal_before)
    if chosen.csm:
        statement = statement.where(AccountVersion.account_id.in_(accounts_of(chosen.csm, today)))
    if chosen.plan or chosen.product:
        statement = statement.where(_has_product(chosen, on=run.as_of if run else today))
    return statement.where(*_arr_limits(chosen, run))


def accounts_of(csm: Sequence[int], today: date) -> Select[int]:
    """The ids of the accounts that these people look after on that day."""
    return select(Assignment.account_id).where(
        Assignment.person_id.in_(csm), Assignment.role == "csm", *_valid(Assignment, today)
    )


def _arr_limits(chosen: AccountFilter, run: Run | None) -> list[ColumnElement[bool]]:
    digits = minor_digits(run.currency) if run else 0
    limits = []
    if chosen.min_arr is not None:
        limits.append(Score.arr_minor >= _minor(chosen.min_arr, digits))
    if chosen.max_arr is not None:
        limits.append(Score.arr_minor <= _minor(chosen.max_arr, digits))
    return limits


def _minor(amount: Decimal, digits: int) -> int:
    return int(amount.scaleb(digits).to_integral_value())


def _has_product(chosen: AccountFilter, *, on: date) -> ColumnElement[bool]:
    lines = (
        select(ContractLineVersion.id)
        .join(Product, Product.id == ContractLineVersion.product_id)
        .join(ProductVersion, ProductVersion.product_id == Product.id)
        .where(ContractLineVersion.account_id == AccountVersion.account_id, *live_lines(on))
        .where(*_valid(ProductVersion, on))
    )
    if chosen.plan:
        lines = lines.where(ProductVersion.plan.in_(chosen.plan))
    if chosen.product:
        lines = lines.where(Product.sku.in_(chosen.product))
    return lines.exists()


def _page(
    session: Session, statement: Select[*tuple[Any, ...]], *, query: AccountQuery, position: Position | None
) -> list[Row[*tuple[Any, ...]]]:
    """One row more than the limit, if there is one.

    Two statements, each along an index: first the rows that have the value, then those that have none.
    """
    column, key = SORT_COLUMNS[query.sort.name], AccountVersion.account_id
    room = query.limit + 1
    rows: list[Row[*tuple[Any, ...]]] = []
    if position is None or position.value is not None:
        order = column.desc() if query.sort.is_descending else column.asc()
        found = statement.where(column.is_not(None)).order_by(order, key)
        if column is not AccountVersion.name and not (query.filter.search or query.filter.csm):
            # Makes the outer join an inner one, so that the index that is sorted by can be walked. A search
            # or a manager lets few through: they are found first, and then sorted.
            found = found.where(Score.account_id == key)
        if position is not None:
            found = found.where(_beyond(column, position))
        rows += session.execute(found.limit(room)).all()
    if len(rows) < room and column is not AccountVersion.name:
        after = position.account_id if position is not None and position.value is None else 0
        found = statement.where(column.is_(None), key > after).order_by(key)
        rows += session.execute(found.limit(room - len(rows))).all()
    return rows


def _beyond(column: InstrumentedAttribute[Any], position: Position) -> ColumnElement[bool]:
    """Behind the cursor; the first half is what an index can start from."""
    not_before = column <= position.value if position.sort.is_descending else column >= position.value
    return and_(not_before, or_(column != position.value, AccountVersion.account_id > position.account_id))
