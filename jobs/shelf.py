"""The facts of a company, some accounts at a time: of a small one in memory, of a large one in a file without a name.

Tables are read in their own order, which is the fastest, and laid down by part; each part is then taken up as often as
it is wanted. The file is gone with the process, however that ends.
"""

import os
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from app.domain.fact_tables import DATED, OF_ACCOUNTS, empty_table, join_tables, record_of
from app.domain.feature_catalog import OPTIONAL_FEEDS
from app.domain.features import Facts
from app.domain.months import Ints

ROWS_AT_ONCE = 500_000


class Shelf:
    """`contracts` are the facts of contracts of each part, in order; dated facts are laid down after them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._contracts: list[Facts] = []
        self._places: list[dict[str, list[tuple[int, int]]]] = []  # by part and kind: where, and how many bytes
        self._whole: dict[str, Any] = {}  # the dated facts of the only part
        self._feeds: set[str] = set()

    def add(self, contracts: Facts) -> None:
        """Lay down the facts of contracts of the next accounts."""
        if self._contracts:
            for number in range(len(self._contracts)):
                self._put_away(number)
        self._contracts.append(contracts)
        self._places.append({})
        if len(self._contracts) > 1:
            self._put_away(len(self._contracts) - 1)

    def lay_down(self, name: str, parts: Iterator[Any]) -> None:
        """Lay down the dated facts of a kind, of accounts numbered through all parts."""
        if len(self._contracts) == 1:
            self._whole[name] = join_tables(list(parts))
            return
        for table in _gather(parts):
            if len(table.account):
                self._feeds.add(name)
            which = np.searchsorted(self.starts, table.account, side="right") - 1
            order = np.argsort(which, kind="stable")
            bounds = np.searchsorted(which[order], np.arange(len(self._contracts) + 1))
            for number, (start, stop) in enumerate(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)):
                if stop > start:
                    rows = _to_records(table, order[start:stop])
                    rows["account"] -= self.starts[number]
                    self._write(number, kind=name, rows=rows)

    @cached_property
    def starts(self) -> Ints:
        """The number of the first account of each part."""
        sizes = [len(part.account_ids) for part in self._contracts]
        return np.cumsum([0, *sizes])[:-1].astype(np.int64)

    def __len__(self) -> int:
        return len(self._contracts)

    def take(self, number: int, *, kinds: Sequence[str] = OF_ACCOUNTS) -> Facts:
        """The facts of a part, of these kinds alone; accounts are numbered from 0."""
        facts = self._contracts[number]
        if len(self._contracts) == 1:
            return replace(facts, **self._whole)
        tables = {kind: self._read(number, kind=kind, table=type(getattr(facts, kind))) for kind in kinds}
        return replace(facts, feeds=frozenset(self._feeds & set(OPTIONAL_FEEDS)), **tables)

    def _put_away(self, number: int) -> None:
        """Keep the contracts of a part in the file, too."""
        facts = self._contracts[number]
        kinds = [kind for kind in OF_ACCOUNTS if kind not in DATED and len(getattr(facts, kind).account)]
        for kind in kinds:
            table = getattr(facts, kind)
            self._write(number, kind=kind, rows=_to_records(table, np.arange(len(table.account))))
        none = {kind: empty_table(type(getattr(facts, kind))) for kind in kinds}
        self._contracts[number] = replace(facts, **none)

    @cached_property
    def _file(self) -> Any:
        folder = self._folder if self._folder.is_dir() else None
        file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  it is closed with the shelf
        weakref.finalize(self, file.close)
        return file

    def _write(self, number: int, *, kind: str, rows: np.ndarray[Any, Any]) -> None:
        at = self._file.seek(0, os.SEEK_END)
        self._file.write(rows.tobytes())
        self._places[number].setdefault(kind, []).append((at, rows.nbytes))

    def _read(self, number: int, *, kind: str, table: type[Any]) -> Any:
        self._file.flush()
        pieces = [os.pread(self._file.fileno(), size, at) for at, size in self._places[number].get(kind, [])]
        rows = np.frombuffer(b"".join(pieces), dtype=record_of(table))
        return table(**{column: np.ascontiguousarray(rows[column]) for column in rows.dtype.names or ()})


def _gather(parts: Iterator[Any]) -> Iterator[Any]:
    """The same rows in larger parts."""
    held: list[Any] = []
    for part in parts:
        held.append(part)
        if sum(len(each.account) for each in held) >= ROWS_AT_ONCE:
            yield join_tables(held)
            held = []
    if held:
        yield join_tables(held)


def _to_records(table: Any, rows: Ints) -> np.ndarray[Any, Any]:
    records = np.empty(len(rows), dtype=record_of(type(table)))
    for field in fields(table):
        records[field.name] = getattr(table, field.name)[rows]
    return records
