"""Reading many rows as numpy columns: no object is made per cell.

PostgreSQL sends each column as one array in its binary form, SQLite its plain cells; both a part at a time.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Literal
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import BigInteger, Boolean, Date, Double, Float, Integer, Select, String, cast, func, literal, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeEngine

from app.db import UTCDateTime
from app.domain.months import Days

EPOCH = "1970-01-01"
NAT = np.datetime64("NaT", "D")
BLOCK_SECONDS = 900  # every zone is a whole number of quarters of an hour from UTC
_PART = 200_000  # ids whose rows PostgreSQL packs into one answer
_ROWS = 20_000
_NONE = np.iinfo(np.int64).min  # what datetime64 takes for NaT
_ARRAY_HEADER = 20  # bytes before the elements of an array of one dimension

Column = NDArray[Any]
Unit = Literal["D", "s"]
Described = ColumnElement[Any]


class day_number(FunctionElement[int]):  # noqa: N801  a function of SQL
    """Days since 1970-01-01 of a date column; null stays null."""

    type = Integer()
    inherit_cache = True


@compiles(day_number, "sqlite")
def _day_number_on_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    return f"CAST(julianday({compiler.process(element.clauses, **options)}) - 2440587.5 AS INTEGER)"


@compiles(day_number, "postgresql")
def _day_number_on_postgresql(element: Any, compiler: Any, **options: Any) -> str:
    return f"({compiler.process(element.clauses, **options)} - DATE '{EPOCH}')"


def fetch_columns(
    session: Session, statement: Select[*tuple[Any, ...]], *, by: InstrumentedAttribute[int] | None = None
) -> list[Column]:
    """The result's columns as arrays: dates as datetime64[D] and instants as datetime64[s] in UTC (null: NaT).

    Numbers are int64, float64 (null: NaN) or bool, the rest as numpy sees fit; so is a column of whole
    numbers with a null, which is slow. `by` is the id of the largest table in a statement without
    windows, order or limit: its rows are then read a range of ids at a time, and come in any order.
    """
    return join_parts(list(iterate_columns(session, statement, by=by)))


def join_parts(parts: list[list[Column]]) -> list[Column]:
    """The columns of all parts, which are used up: at no time is there more than one column twice."""
    return [np.concatenate([part.pop(0) for part in parts]) for _ in range(len(parts[0]))]


def iterate_columns(
    session: Session, statement: Select[*tuple[Any, ...]], *, by: InstrumentedAttribute[int] | None = None
) -> Iterator[list[Column]]:
    """`fetch_columns` a part at a time, for who keeps less of them; at least one part, if it is empty."""
    described = list(statement.selected_columns)
    if session.get_bind().dialect.name == "postgresql" and all(_is_packed(c.type) for c in described):
        for part in _cut(session, statement, by=by):
            yield _fetch_packed(session, part, described=described)
    elif session.get_bind().dialect.name == "sqlite" and all(_is_plain(c.type) for c in described):
        yield from _fetch_plain(session, statement, described=described)
    else:
        yield _fetch_objects(session, statement, described=described)


def _is_packed(kind: TypeEngine[Any]) -> bool:
    return isinstance(kind, Date | UTCDateTime | Integer | Float | Double | Boolean)


def _is_plain(kind: TypeEngine[Any]) -> bool:
    return _is_packed(kind) or isinstance(kind, String)


def _cut(
    session: Session, statement: Select[*tuple[Any, ...]], *, by: InstrumentedAttribute[int] | None
) -> Iterator[Select[*tuple[Any, ...]]]:
    """The statement over ranges of ids; a single one where it is not to be cut."""
    if by is None:
        yield statement
        return
    first, last = session.execute(select(func.coalesce(func.min(by), 1), func.coalesce(func.max(by), 0))).one()
    for start in range(first, max(last, first) + 1, _PART):
        yield statement.where(by >= start, by < start + _PART)


def _fetch_packed(
    session: Session, statement: Select[*tuple[Any, ...]], *, described: Sequence[Described]
) -> list[Column]:
    rows = statement.with_only_columns(
        *(_as_number(c).label(f"c{i}") for i, c in enumerate(described)), maintain_column_froms=True
    ).subquery()
    arrays = session.execute(select(*(func.array_send(func.array_agg(c)) for c in rows.c))).one()
    return [_unpack(packed, column.type) for packed, column in zip(arrays, described, strict=True)]


def _as_number(column: Described) -> Described:
    """The cell as eight bytes that are never null."""
    if isinstance(column.type, Float | Double):
        return func.coalesce(cast(column, Double), cast(literal("NaN"), Double))
    if isinstance(column.type, Date):
        column = day_number(column)
    elif isinstance(column.type, UTCDateTime):
        column = func.floor(func.extract("epoch", column))
    elif isinstance(column.type, Boolean):
        column = cast(column, Integer)
    return func.coalesce(cast(column, BigInteger), literal(_NONE, BigInteger))


def _unpack(packed: bytes | None, kind: TypeEngine[Any]) -> Column:
    form = ">f8" if isinstance(kind, Float | Double) else ">i8"
    elements = np.frombuffer(
        packed or b"", dtype=[("size", ">i4"), ("value", form)], offset=_ARRAY_HEADER if packed else 0
    )
    values = elements["value"].astype(form[1:])
    if isinstance(kind, Date):
        return values.astype("datetime64[D]")
    if isinstance(kind, UTCDateTime):
        return values.astype("datetime64[s]")
    if isinstance(kind, Boolean):
        return values.astype(bool)
    if form == ">i8" and (values == _NONE).any():
        return np.array([None if value == _NONE else value for value in values.tolist()])
    return values


def _fetch_plain(
    session: Session, statement: Select[*tuple[Any, ...]], *, described: Sequence[Described]
) -> Iterator[list[Column]]:
    """The driver's own cells: SQLAlchemy would make a date of each."""
    makers = [_maker(c.type) for c in described]
    yield [make(()) for make in makers]
    cursor = session.connection().execute(statement).cursor
    while rows := cursor.fetchmany(_ROWS):
        yield [make(cells) for make, cells in zip(makers, zip(*rows, strict=True), strict=True)]


def _maker(kind: TypeEngine[Any]) -> Callable[[Sequence[Any]], Column]:
    """What makes an array of plain cells; one for each column, as it remembers the dates that it has read."""
    if isinstance(kind, Date):
        return _Dates("D").read
    if isinstance(kind, UTCDateTime):
        return _Dates("s").read
    if isinstance(kind, Boolean):
        return lambda cells: np.array(cells, dtype=bool)
    if isinstance(kind, Float | Double):
        return lambda cells: np.array(cells, dtype=np.float64)
    if isinstance(kind, Integer):
        return _whole_numbers
    return lambda cells: np.array(cells, dtype=None if cells else "U1")


def _whole_numbers(cells: Sequence[Any]) -> Column:
    try:
        return np.array(cells, dtype=np.int64)
    except TypeError:
        return np.array(cells)


class _Dates(dict[str | None, int]):
    """The number of each date or instant, as SQLite writes it: few differ, and each is worked out once."""

    def __init__(self, unit: Unit) -> None:
        super().__init__({None: _NONE})
        self.unit = unit

    def __missing__(self, text: str) -> int:
        self[text] = number = int(np.datetime64(text, self.unit).astype(np.int64))
        return number

    def read(self, cells: Sequence[str | None]) -> Column:
        numbers = np.fromiter(map(self.__getitem__, cells), dtype=np.int64, count=len(cells))
        return numbers.astype(f"datetime64[{self.unit}]")


def _fetch_objects(
    session: Session, statement: Select[*tuple[Any, ...]], *, described: Sequence[Described]
) -> list[Column]:
    rows = session.execute(statement).all()
    cells = list(zip(*rows, strict=True)) if rows else [()] * len(described)
    return [_of_objects(column.type, values) for column, values in zip(described, cells, strict=True)]


def _of_objects(kind: TypeEngine[Any], cells: Sequence[Any]) -> Column:
    if isinstance(kind, Date):
        return np.array(cells, dtype="datetime64[D]")
    if isinstance(kind, UTCDateTime):
        return instants(cells)
    return np.array(cells)


def instants(values: Sequence[datetime | None]) -> Column:
    """Aware datetimes as datetime64[s] in UTC; None becomes NaT."""
    seconds = [_NONE if value is None else int(value.timestamp() // 1) for value in values]
    return np.array(seconds, dtype=np.int64).astype("datetime64[s]")


def days_in_zone(moments: Column, zone: ZoneInfo) -> Days:
    """The day of each instant (datetime64[s] in UTC) in the zone; NaT stays NaT. Each quarter is looked up once."""
    block, at = np.unique(moments.astype(np.int64) // BLOCK_SECONDS, return_inverse=True)
    none = _NONE // BLOCK_SECONDS
    days = [
        NAT
        if number == none
        else np.datetime64(datetime.fromtimestamp(number * BLOCK_SECONDS, UTC).astimezone(zone).date())
        for number in block.tolist()
    ]
    found: Days = np.array(days, dtype="datetime64[D]")[at]
    return found
