"""Engine, session and transaction. No Flask, no tables.

SQLite runs in WAL with full synchronisation; its writers take the lock at once (BEGIN
IMMEDIATE), so that a transaction never has to be upgraded from reader to writer half-way.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from fcntl import LOCK_EX, LOCK_UN, flock
from typing import Any

from sqlalchemy import DateTime, Dialect, Engine, MetaData, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.types import TypeDecorator

CONSTRAINT_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "busy_timeout=5000",
    "foreign_keys=ON",
    "cache_size=-32768",  # keys of events are as random as digests: their index is written all over
)


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=CONSTRAINT_NAMES)


class UTCDateTime(TypeDecorator[datetime]):
    """An instant: aware in Python, UTC in the database, whatever the database's own idea of zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant needs a time zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def make_engine(url: str) -> Engine:
    """An engine for SQLite or PostgreSQL with the settings that the promises rest on.

    Its errors do not repeat what was asked with: they end up in logs, where no name or mail belongs.
    """
    url = url.replace("postgresql://", "postgresql+psycopg://", 1)
    if not url.startswith("sqlite"):
        return create_engine(url, pool_pre_ping=True, hide_parameters=True)
    engine = create_engine(url, connect_args={"timeout": 5.0}, hide_parameters=True)
    event.listen(engine, "connect", _set_up_sqlite)
    event.listen(engine, "begin", _begin_on_sqlite)
    return engine


def _set_up_sqlite(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    # The driver's own implicit BEGIN would be deferred; ours is sent by _begin_on_sqlite.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_on_sqlite(connection: Any) -> None:
    is_reader = connection.get_execution_options().get("is_reader", False)
    connection.exec_driver_sql("BEGIN" if is_reader else "BEGIN IMMEDIATE")


@contextmanager
def transaction(engine: Engine) -> Iterator[Session]:
    """A session that writes: committed at the end of the block, rolled back if it raises."""
    with Session(engine, expire_on_commit=False) as session, session.begin():
        yield session


class Turns:
    """Taking turns among processes that write to SQLite all the time; nothing elsewhere.

    SQLite lets one of them write, and each other one sleep and look again, longer and longer. Here they wait for a lock
    on a file beside the database, and are woken in the order they came. Among threads of one process it is no lock.
    """

    def __init__(self, engine: Engine) -> None:
        self._path = f"{engine.url.database}-turn" if engine.dialect.name == "sqlite" else None
        self._file = -1  # opened by who uses it: processes that shared it would not wait for each other

    def __enter__(self) -> None:
        if self._path is None:
            return
        if self._file < 0:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        flock(self._file, LOCK_EX)

    def __exit__(self, *_: object) -> None:
        if self._path is not None:
            flock(self._file, LOCK_UN)


@contextmanager
def reading(engine: Engine) -> Iterator[Session]:
    """A session that only reads, all of it from one moment of the database."""
    options: dict[str, Any] = {"is_reader": True}
    if engine.dialect.name == "postgresql":
        options |= {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with Session(engine.execution_options(**options), expire_on_commit=False) as session:
        yield session
