"""Many plain rows at once, by the fastest road each database has."""

from collections.abc import Iterable, Mapping, Sequence
from math import isnan
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Integer
from sqlalchemy.orm import Session

from app.db import Base

Row = tuple[Any, ...]
Column = NDArray[Any]
CHUNK = 10_000


def add_missing(session: Session, *, table: str, columns: Sequence[str], rows: Sequence[Row]) -> int:
    """Insert rows, leaving out those that would break a unique constraint; how many went in.

    Values are ints, floats, bytes, None, or texts of our own and ISO dates: nothing that needs escaping.
    """
    if not rows:
        return 0
    if session.get_bind().dialect.name == "postgresql":
        return _copy(session, table, columns=columns, rows=rows)
    return _execute_many(session, table, columns=columns, rows=rows)


def _execute_many(session: Session, table: str, *, columns: Sequence[str], rows: Sequence[Row]) -> int:
    marks = ", ".join("?" * len(columns))
    statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks}) ON CONFLICT DO NOTHING"  # noqa: S608
    return int(session.connection().exec_driver_sql(statement, list(rows)).rowcount)


def _copy(session: Session, table: str, *, columns: Sequence[str], rows: Sequence[Row]) -> int:
    """COPY cannot pass over what is there already, so it goes into a table of its own first."""
    names = ", ".join(columns)
    connection = session.connection()
    staging = f"staging_{table}"
    connection.exec_driver_sql(f"CREATE TEMP TABLE {staging} ON COMMIT DROP AS SELECT {names} FROM {table} LIMIT 0")  # noqa: S608
    _copy_into(session, staging, columns=columns, cells=[[_cell(value) for value in row] for row in rows])
    statement = f"INSERT INTO {table} ({names}) SELECT {names} FROM {staging} ON CONFLICT DO NOTHING"  # noqa: S608
    added = int(connection.exec_driver_sql(statement).rowcount)
    connection.exec_driver_sql(f"DROP TABLE {staging}")
    return added


def add_columns(session: Session, table: type[Base], *, columns: Mapping[str, Column]) -> None:
    """Insert rows given as columns of equal length, a chunk at a time, in the order given.

    Days are `datetime64[D]`, instants `datetime64[s]` in UTC, blobs the rows of an array of bytes (n x
    length), texts and what is mixed are objects. NaN, NaT and None are null; an integer column with
    nulls is given as floats. Texts are our own: nothing in them is escaped.
    """
    size = len(next(iter(columns.values())))
    is_postgresql = session.get_bind().dialect.name == "postgresql"
    write, zone = (_copy_columns, "+00") if is_postgresql else (_insert_columns, "")
    types = table.__table__.columns
    for start in range(0, size, CHUNK):
        cells = [
            _cells(column[start : start + CHUNK], is_whole=isinstance(types[name].type, Integer), zone=zone)
            for name, column in columns.items()
        ]
        write(session, table.__tablename__, columns=list(columns), cells=cells)


def _insert_columns(session: Session, table: str, *, columns: Sequence[str], cells: Sequence[Sequence[Any]]) -> None:
    names, marks = ", ".join(f'"{name}"' for name in columns), ", ".join("?" * len(columns))
    statement = f"INSERT INTO {table} ({names}) VALUES ({marks})"  # noqa: S608  our own names
    # The driver's executemany itself: SQLAlchemy's would walk over every row once more.
    session.connection().connection.cursor().executemany(statement, list(zip(*cells, strict=True)))


def _copy_columns(session: Session, table: str, *, columns: Sequence[str], cells: Sequence[Sequence[Any]]) -> None:
    texts = [[_cell(value) for value in column] for column in cells]
    _copy_into(session, table, columns=columns, cells=zip(*texts, strict=True))


def _copy_into(session: Session, table: str, *, columns: Sequence[str], cells: Iterable[Sequence[str]]) -> None:
    names = ", ".join(f'"{name}"' for name in columns)
    with (
        session.connection().connection.cursor() as cursor,  # type: ignore[attr-defined]
        cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy,
    ):
        copy.write("".join(["\t".join(row) + "\n" for row in cells]))


def _cells(column: Column, *, is_whole: bool, zone: str) -> list[Any]:
    """What the drivers take, None for a null."""
    if column.ndim == 2:
        length, packed = column.shape[1] * column.itemsize, np.ascontiguousarray(column).tobytes()
        return [packed[at : at + length] for at in range(0, len(packed), length)]
    if column.dtype.kind == "M":
        return _dates(column, zone)
    if column.dtype.kind != "f":
        return list(column.tolist())
    kind = int if is_whole else float
    return [None if isnan(value) else kind(value) for value in column.tolist()]


def _dates(column: Column, zone: str) -> list[str | None]:
    """In the form in which both databases keep them. Few differ: each is written once."""
    known, at = np.unique(column, return_inverse=True)
    is_instant = np.datetime_data(column.dtype)[0] != "D"
    texts: list[str | None] = [
        None if text == "NaT" else text.replace("T", " ") + (".000000" + zone if is_instant else "")
        for text in np.datetime_as_string(known).tolist()
    ]
    return [texts[i] for i in at.tolist()]


def _cell(value: Any) -> str:
    if value is None:
        return "\\N"
    return f"\\\\x{value.hex()}" if type(value) is bytes else str(value)
