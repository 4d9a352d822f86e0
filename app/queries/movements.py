"""Movements of recurring revenue, and the ARR that they sum to, as known at an instant.

They are stored for every instant since they are (app/services/movements.py). For an earlier one they are worked out of
the lines that were known then by the same function: slower, and the same answer.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from operator import attrgetter
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select, tuple_
from sqlalchemy.orm import Session

from app.domain.movements import Movement
from app.models.contracts import ContractLineVersion
from app.models.ledger import Movement as Row
from app.models.versions import Change
from app.queries.known import in_force, was_recorded
from app.queries.ledger import FILLED, find_all_movements, load_rules

Key = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class MovementsAsked:
    """Which movements: those of the days from `first_on` to `last_on`, both included; None: from the beginning."""

    known_at: datetime
    last_on: date
    first_on: date | None = None
    account_ids: Sequence[int] | None = None
    product_ids: Sequence[int] | None = None


@dataclass(frozen=True, slots=True)
class StoredMovement:
    """As app.domain.movements.Movement. `id` is a place in the order of days, of use as a cursor alone."""

    id: int
    account_id: int
    contract_line_id: int
    from_line_id: int | None
    product_id: int
    moved_on: date
    effective_on: date
    category: str
    reason: str | None
    amount_minor: int
    currency: str
    source_kind: str
    source_id: int

    @property
    def month(self) -> str:
        return f"{self.moved_on:%Y-%m}"


@dataclass(frozen=True, slots=True)
class MovementSum:
    """`key`: the value of each of the columns that were asked for, in their order."""

    key: Key
    amount_minor: int
    movements: int


COLUMNS = (
    *(Row.id, Row.account_id, Row.contract_line_id, Row.from_line_id, Row.product_id, Row.moved_on, Row.effective_on),
    *(Row.category, Row.reason, Row.amount_minor, Row.currency, Row.source_kind, Row.source_id),
)
GROUPS = {
    "account": "account_id",
    "category": "category",
    "currency": "currency",
    "day": "moved_on",
    "line": "contract_line_id",
    "month": "month",  # as 2026-05
    "product": "product_id",
    "reason": "reason",
}


def load_movements(
    session: Session, asked: MovementsAsked, *, after: tuple[date, int] | None = None, limit: int | None = None
) -> list[StoredMovement]:
    """By day, at most `limit` of those that follow `after`: the day and the id of the last one of a page before."""
    if _is_before_storage(session, asked.known_at):
        rows = (each for each in _work_out(session, asked) if after is None or (each.moved_on, each.id) > after)
        return list(rows)[:limit]
    statement = _wanted(select(*COLUMNS), asked).order_by(Row.moved_on, Row.id).limit(limit)
    if after is not None:
        statement = statement.where(tuple_(Row.moved_on, Row.id) > after)
    return [StoredMovement(*row) for row in session.execute(statement)]


def sum_movements(session: Session, asked: MovementsAsked, *, by: Sequence[str]) -> list[MovementSum]:
    """The sum of the amounts by some of GROUPS, sorted; `currency` is always one of them.

    Raises ValueError without it: amounts in different currencies are never added.
    """
    if "currency" not in by:
        raise ValueError("movements are summed by currency, whatever else")
    if _is_before_storage(session, asked.known_at):
        return _sums(_work_out(session, asked), by=by)
    columns = [_column(session, name) for name in by]
    statement = select(*columns, func.sum(Row.amount_minor), func.count())
    rows = session.execute(_wanted(statement, asked).group_by(*columns))
    found = [MovementSum(tuple(key), int(amount), count) for *key, amount, count in rows]
    return sorted(found, key=_order)


def _order(each: MovementSum) -> Key:
    return tuple((value is not None, value) for value in each.key)


def _sums(rows: Iterable[StoredMovement], *, by: Sequence[str]) -> list[MovementSum]:
    sums: dict[Key, list[int]] = defaultdict(lambda: [0, 0])
    values = [attrgetter(GROUPS[name]) for name in by]
    for row in rows:
        found = sums[tuple(value(row) for value in values)]
        found[0] += row.amount_minor
        found[1] += 1
    return sorted((MovementSum(key, *found) for key, found in sums.items()), key=_order)


def _column(session: Session, name: str) -> ColumnElement[Any]:
    if name != "month":
        column: ColumnElement[Any] = getattr(Row, GROUPS[name])
        return column
    if session.get_bind().dialect.name == "postgresql":
        return func.to_char(Row.moved_on, "YYYY-MM")
    return func.strftime("%Y-%m", Row.moved_on)


def _wanted(statement: Select[*tuple[Any, ...]], asked: MovementsAsked) -> Select[*tuple[Any, ...]]:
    statement = statement.where(in_force(Row, asked.known_at), Row.moved_on <= asked.last_on)
    if asked.first_on is not None:
        statement = statement.where(Row.moved_on >= asked.first_on)
    if asked.account_ids is not None:
        statement = statement.where(Row.account_id.in_(asked.account_ids))
    if asked.product_ids is not None:
        statement = statement.where(Row.product_id.in_(asked.product_ids))
    return statement


# --- ARR ---


def load_arr_by_account(
    session: Session, *, known_at: datetime, as_of: date, through_merges: bool
) -> dict[tuple[int, str], int]:
    """ARR on a day by (account, currency), zeros left out: what the movements up to it sum to.

    `through_merges`: all that ever belonged to an account that lives on in another is that one's (retention); else it
    is whose it was on that day.
    """
    found: dict[tuple[int, str], int] = defaultdict(int)
    rules = load_rules(session, known_at)
    asked = MovementsAsked(known_at, as_of)
    for each in sum_movements(session, asked, by=("account", "currency")):
        account, currency = each.key
        found[rules.survivor(account) if through_merges else account, currency] += each.amount_minor
    return {key: amount for key, amount in found.items() if amount}


# --- Before movements were stored ---


def _is_before_storage(session: Session, known_at: datetime) -> bool:
    """Whether the first change that stored movements was the one of an upgrade, and came later."""
    first = select(Row.change_id).order_by(Row.id).limit(1).scalar_subquery()
    found = session.execute(select(Change.source, Change.recorded_at).where(Change.id == first)).one_or_none()
    if found is None or found.source != FILLED or found.recorded_at is None:
        return False
    return bool(known_at < found.recorded_at)


def _work_out(session: Session, asked: MovementsAsked) -> list[StoredMovement]:
    rules = load_rules(session, asked.known_at)
    owners = session.scalars(
        select(ContractLineVersion.account_id).distinct().where(was_recorded(ContractLineVersion, asked.known_at))
    )
    found = find_all_movements(session, rules, families=rules.families(owners))
    wanted = sorted((each for each in found if _is_wanted(each, asked)), key=_place)
    return [StoredMovement(number, *_plain(each)) for number, each in enumerate(wanted, start=1)]


def _is_wanted(each: Movement, asked: MovementsAsked) -> bool:
    return (
        (asked.first_on is None or asked.first_on <= each.moved_on)
        and each.moved_on <= asked.last_on
        and (asked.account_ids is None or each.account in asked.account_ids)
        and (asked.product_ids is None or each.product in asked.product_ids)
    )


def _place(each: Movement) -> Key:
    return each.moved_on, each.account, each.line, each.amount_minor


def _plain(movement: Movement) -> tuple[Any, ...]:
    return tuple(getattr(value, "value", value) for value in movement)
