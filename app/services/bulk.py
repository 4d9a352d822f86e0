"""Many plain rows at once, by the fastest road each database has."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy.orm import Session

Row = tuple[Any, ...]


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
    with connection.connection.cursor() as cursor, cursor.copy(f"COPY {staging} ({names}) FROM STDIN") as copy:  # type: ignore[attr-defined]
        copy.write("".join([_line(row) for row in rows]))
    statement = f"INSERT INTO {table} ({names}) SELECT {names} FROM {staging} ON CONFLICT DO NOTHING"  # noqa: S608
    added = int(connection.exec_driver_sql(statement).rowcount)
    connection.exec_driver_sql(f"DROP TABLE {staging}")
    return added


def _line(row: Row) -> str:
    return "\t".join([_cell(value) for value in row]) + "\n"


def _cell(value: Any) -> str:
    if value is None:
        return "\\N"
    return f"\\\\x{value.hex()}" if type(value) is bytes else str(value)
