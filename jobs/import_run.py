"""An import under way: its files, its scratch space, its report, and the two things all of it does.

Rows are read in batches, and recorded in chunks of one transaction each.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.db import transaction
from app.models.versions import Change
from app.services.changes import recording, utc_now
from app.services.sources import Source
from app.services.usage import Owners
from integrations.files.mapping import FileMap, ImportMapping
from integrations.files.parser import FileParser
from integrations.files.reader import BadRow, Reader
from integrations.files.rows import ClosedDeal
from integrations.files.spool import Place, Spool
from jobs.import_report import ImportReport
from jobs.work import Fence, no_fence

CHUNK = 1_000
USAGE_CHUNK = 20_000
DEAL_PARTS = ("deal", "line")
MOST_UNKNOWN = 5_000

Lines = list[tuple[int, Any]]
"""Rows, each with the line on which it begins."""

Progress = Callable[[str, int], None]
"""Called with what is being read and how many rows of it have been."""


class Result(Protocol):
    """What a service says of the rows that it was handed."""

    @property
    def has_changed_something(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Options:
    """`rejected_folder` is where rows that are set aside go; None: they are only reported.

    `fence` is passed by every transaction; `feed` is the kind of feed that the files are.
    """

    is_check: bool = False
    rejected_folder: Path | None = None
    progress: Progress = lambda _what, _rows: None
    clock: Callable[[], datetime] = utc_now
    fence: Fence = no_fence
    feed: str = "import"


@dataclass(frozen=True, slots=True)
class InputFile:
    number: int
    path: Path
    map: FileMap
    reader: Reader
    parser: FileParser

    @property
    def nouns(self) -> set[str]:
        return {section.noun for section in self.map.sections}


R = TypeVar("R", bound=Result)


class NothingNew(Exception):
    """A chunk said nothing new: its transaction is not worth a tick of the clock."""


@dataclass(slots=True)
class ImportUnderWay:
    engine: Engine
    mapping: ImportMapping
    files: Sequence[InputFile]
    spool: Spool
    options: Options
    report: ImportReport
    source: Source
    usage_owners: Owners = field(default_factory=Owners)
    products_named: set[str] = field(default_factory=set)
    unknown_accounts: set[str] = field(default_factory=set)
    deals_done: int = 0
    deals_to_repeat: list[ClosedDeal] = field(default_factory=list)
    _read_through: set[int] = field(default_factory=set)

    @contextmanager
    def writing(self) -> Iterator[Session]:
        with transaction(self.engine) as session:
            self.options.fence(session)
            yield session

    def record(self, write: Callable[[Session, Change], R]) -> R:
        """One transaction, with one tick of the clock if anything is new."""
        self.source = replace(self.source, now=self.options.clock())
        lag = self.mapping.lag_days
        results: list[R] = []
        with suppress(NothingNew), self.writing() as session:
            name, clock = f"import {self.mapping.title}", self.options.clock
            with recording(session, name, assumed_lag_days=lag, clock=clock) as change:
                results.append(write(session, change))
            if not results[0].has_changed_something:
                raise NothingNew
        return results[0]

    def rows(self, file: InputFile, nouns: tuple[str, ...], *, size: int) -> Iterator[list[tuple[str, Lines]]]:
        """Batches of each noun's rows with their lines, those that are good so far."""
        is_first = file.number not in self._read_through
        self._read_through.add(file.number)
        wanted = [(index, part.noun) for index, part in enumerate(file.map.sections) if part.noun in nouns]
        done = 0
        for batch in file.reader.batches(size):
            parsed = file.parser.parse(batch)
            if is_first:
                self._note_bad(file, parsed.bad, cells=parsed.cells_of_bad)
                self.report.files[file.number].rows += len(batch.rows) + len(batch.bad)
            aside = self.spool.rejected_lines(file.number, batch.lines) if batch.lines else {}
            yield [
                (noun, [pair for pair in parsed.rows[index] if pair[0] not in aside] if aside else parsed.rows[index])
                for index, noun in wanted
            ]
            done += len(batch.rows) + len(batch.bad)
            self.options.progress(f"{file.path.name}: {nouns[0]}", done)

    def _note_bad(self, file: InputFile, bad: Sequence[BadRow], *, cells: dict[int, list[str]]) -> None:
        """Set bad rows aside, and with each the deal that it belongs to, if it gets as far as that."""
        for row in bad:
            self.reject(file.number, row)
            for part in file.map.sections:
                if part.noun in DEAL_PARTS:
                    name = "id" if part.noun == "deal" else "deal"
                    deal = file.parser.text_of(part, name, cells=cells.get(row.line, []))
                    if deal:
                        self.spool.spoil(deal, f"line {row.line} of {file.path.name}: {row.reason}")

    def reject(self, file: int, bad: BadRow) -> None:
        if self.spool.reject(file, bad):
            self.report.files[file].rejected += 1

    def conflict(self, noun: str, place: Place, *, reason: str) -> None:
        """Set aside the second row of an id."""
        self.reject(place.file, BadRow(place.line, "", reason))
        self.report.add_conflict(noun, f"{self.files[place.file].path.name} line {place.line}: {reason}")

    def note_unknown(self, account: str) -> None:
        """Remember an account that is not known, to propose what may be meant."""
        if len(self.unknown_accounts) < MOST_UNKNOWN:
            self.unknown_accounts.add(account)
