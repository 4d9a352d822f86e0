"""A database copied, and all that is in one."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import DateTime, Engine, make_url, select, text

from app.db import Base, UTCDateTime, make_engine, reading


@contextmanager
def copied(engine: Engine) -> Iterator[Engine]:
    """Another database with the same content. Nobody may be connected to this one meanwhile."""
    engine.dispose()
    url = engine.url
    other = url.set(database=f"{url.database}_copy")
    if url.get_backend_name() == "sqlite":
        with engine.connect() as connection:
            connection.execution_options(is_reader=True).exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copy(str(url.database), str(other.database))
    else:
        _on_server(url.set(database="postgres"), f'CREATE DATABASE "{other.database}" TEMPLATE "{url.database}"')
    copy = make_engine(other.render_as_string(hide_password=False))
    yield copy
    copy.dispose()
    if url.get_backend_name() != "sqlite":
        _on_server(url.set(database="postgres"), f'DROP DATABASE "{other.database}" WITH (FORCE)')


def _on_server(url: Any, statement: str) -> None:
    server = make_engine(make_url(url).render_as_string(hide_password=False))
    with server.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(statement))
    server.dispose()


def everything(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table."""
    with reading(engine) as session:
        return {table.name: sorted(map(_row, session.execute(select(table)))) for table in Base.metadata.sorted_tables}


def figures(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """Every row, without what the clock and the attempts decide: instants, numbers of rows, secrets, leases."""
    found = {}
    with reading(engine) as session:
        for table in Base.metadata.sorted_tables:
            columns = [column for column in table.columns if not _is_incidental(column)]
            if columns and table.name not in {"leases", "changes"}:
                found[table.name] = sorted(map(_row, session.execute(select(*columns))))
    return found


def _is_incidental(column: Any) -> bool:
    is_instant = isinstance(column.type, UTCDateTime | DateTime)
    is_number = column.name in {"id", "source_id"} or (column.foreign_keys and column.name != "account_id")
    return is_instant or is_number or column.name in {"message_id", "body", "result", "digest"}


def _row(row: Any) -> tuple[str, ...]:
    return tuple(map(repr, row))
