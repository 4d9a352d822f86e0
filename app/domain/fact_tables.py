"""Tables of facts as values: none, some, and several one after the other; and the facts of some of the accounts."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

import numpy as np

from app.domain.features import (
    Bools,
    Facts,
    Floats,
    InvoiceFacts,
    MilestoneFacts,
    SurveyFacts,
    TicketFacts,
    TouchFacts,
    TrainingFacts,
    UsageFacts,
)
from app.domain.months import Days, Ints

Table = TypeVar("Table")

# Kinds of dated facts by their names in `Facts`.
DATED: dict[str, type[Any]] = {
    "usage": UsageFacts,
    "milestones": MilestoneFacts,
    "tickets": TicketFacts,
    "surveys": SurveyFacts,
    "touches": TouchFacts,
    "trainings": TrainingFacts,
    "invoices": InvoiceFacts,
}
OF_ACCOUNTS = ("spells", "lines", "attributes", *DATED)
_KINDS = {str(Ints): "<i8", str(Floats): "<f8", str(Bools): "?", str(Days): "<M8[D]"}


def record_of(table: type[Any]) -> np.dtype[np.void]:
    """The columns of a table side by side, as one row."""
    return np.dtype([(field.name, _KINDS[str(field.type)]) for field in fields(table)])


def empty_table(table: type[Table]) -> Table:
    kinds = record_of(table)
    return table(**{name: np.zeros(0, dtype=kinds[name]) for name in kinds.names or ()})


def take_facts(table: Table, rows: Bools | Ints) -> Table:
    """The given rows of a table."""
    return replace(table, **{name: getattr(table, name)[rows] for name in _names(table)})  # type: ignore[type-var]


def join_tables(parts: Sequence[Table]) -> Table:
    """All rows of several tables of a kind, of which there is at least one."""
    if len(parts) == 1:
        return parts[0]
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _names(parts[0])}
    return replace(parts[0], **joined)  # type: ignore[type-var]


def number_from(table: Table, first: int) -> Table:
    """The same rows, of accounts whose numbers begin at `first`."""
    return replace(table, account=table.account + first)  # type: ignore[type-var,attr-defined]


def join_facts(parts: Sequence[Facts]) -> Facts:
    """The facts of several parts of the accounts, at least one, each with higher ids than those before it."""
    if len(parts) == 1:
        return parts[0]
    starts = np.cumsum([0, *(len(part.account_ids) for part in parts)]).tolist()
    tables = {
        name: join_tables([number_from(getattr(part, name), start) for part, start in zip(parts, starts, strict=False)])
        for name in OF_ACCOUNTS
    }
    return replace(parts[0], account_ids=np.concatenate([part.account_ids for part in parts]), **tables)


def keep_accounts(facts: Facts, kept: Bools) -> Facts:
    """The facts of the accounts that are `kept`, numbered anew."""
    position = np.cumsum(kept) - 1
    found = {name: take_facts(table := getattr(facts, name), kept[table.account]) for name in OF_ACCOUNTS}
    tables = {name: replace(table, account=position[table.account]) for name, table in found.items()}
    return replace(facts, account_ids=facts.account_ids[kept], **tables)


def _names(table: Any) -> list[str]:
    return [field.name for field in fields(table)]
