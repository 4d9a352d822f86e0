"""Reading many rows as numpy columns: days as whole numbers, so that no object is made per cell."""

from collections.abc import Collection
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Date, Integer, Select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import Session
from sqlalchemy.sql.elements import ColumnElement
from sqlalchemy.sql.functions import FunctionElement

from app.domain.months import Days

EPOCH = "1970-01-01"
NAT = np.datetime64("NaT", "D")


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


def fetch_columns(session: Session, statement: Select[*tuple[Any, ...]]) -> list[NDArray[Any]]:
    """The result's columns as arrays: dates as datetime64[D] (null: NaT), the rest as numpy sees fit."""
    described = list(statement.selected_columns)
    columns: list[ColumnElement[Any]] = [day_number(c) if isinstance(c.type, Date) else c for c in described]
    rows = session.execute(statement.with_only_columns(*columns, maintain_column_froms=True)).all()
    cells = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
    return [
        _as_days(values) if isinstance(c.type, Date) else np.array(values)
        for c, values in zip(described, cells, strict=True)
    ]


def _as_days(numbers: tuple[int | None, ...]) -> Days:
    days: Days = np.array([NAT if number is None else number for number in numbers], dtype="datetime64[D]")
    return days


def days_in_zone(instants: Collection[datetime | None], zone: ZoneInfo) -> Days:
    """The day of each instant in the zone; None becomes NaT. Few of them differ: each is worked out once."""
    day = {each: NAT if each is None else np.datetime64(each.astimezone(zone).date(), "D") for each in set(instants)}
    days: Days = np.array([day[instant] for instant in instants], dtype="datetime64[D]")
    return days
