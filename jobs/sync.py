"""The inbox: files that another system drops into a folder are imported when they have changed.

`inbox/NAME` under the data folder holds the files of one system and a `mapping.toml`, or is named like a
mapping that ships. Whether a file has changed is asked of the imports on record, by its SHA-256: nothing
is remembered beside the database, and a sweep that dies is done again.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy.exc import InterfaceError, OperationalError

from app.db import reading
from app.queries.feeds import find_feed
from app.queries.imports import load_imported_files
from app.queries.leases import load_attempts
from app.services.feeds import note_feed
from app.services.leases import LeaseLost
from app.services.work_items import Item, forget_items, set_item_aside
from integrations.files.inbox import (
    MAPPING,
    Dropped,
    digest_of,
    folders_of,
    load_mapping_of,
    look,
    mapping_of,
    modified_at,
)
from integrations.files.mapping import ImportMapping, MappingError
from jobs.attempts import attempt
from jobs.import_files import import_files, open_input
from jobs.import_report import ImportReport
from jobs.import_run import Options
from jobs.work import Work

log = logging.getLogger(__name__)

TASK = "sync"
FOLDER = "inbox"
SETTLED_AFTER = timedelta(seconds=10)
"""What was written to since then may not be whole yet."""


@dataclass(frozen=True, slots=True)
class Synced:
    """What a sweep came to: files and rows of the inbox, records of CRMs, and CRMs that could not be read."""

    imported: int = 0
    waiting: int = 0
    bad: int = 0
    bad_rows: int = 0
    crm_records: int = 0
    bad_crms: int = 0

    def __add__(self, other: "Synced") -> "Synced":
        return Synced(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder of one system; `begun` says of its items how often they were, and of those set aside None."""

    work: Work
    path: Path
    mapping: ImportMapping
    begun: Mapping[str, int | None]

    def item(self, file: Dropped) -> Item:
        return _item(self.path, file.path.name, digest=file.sha256)

    def is_set_aside(self, file: Dropped) -> bool:
        return self.begun.get(self.item(file).name, 0) is None

    def has_died(self, file: Dropped) -> bool:
        return bool(self.begun.get(self.item(file).name, 0))


def sync_inbox(work: Work) -> Synced:
    """One sweep over all folders of the inbox; one that cannot be taken in stops none of the others."""
    total = Synced()
    for path in folders_of(work.settings.data_folder / FOLDER):
        with reading(work.engine) as session:
            begun = load_attempts(session, TASK)
        try:
            folder = Folder(work, path, load_mapping_of(path), begun)
        except MappingError as error:
            _refuse_mapping(work, path, reason=str(error), begun=begun)
            total += Synced(bad=1)
        else:
            total += _sync(folder)
    return total


def _sync(folder: Folder) -> Synced:
    files = list(look(folder.path, folder.mapping))
    waiting = [file for file in files if abs(folder.work.clock() - file.modified_at) < SETTLED_AFTER]
    if waiting:  # all of them: half of an export may say less than the one before
        return Synced(waiting=len(waiting))
    _forget_what_changed(folder, files)
    good = list(_sort_out(folder, files))
    total = Synced(bad=len(files) - len(good))
    for batch in _batches(folder, _changed(folder, good)):
        total += _import(folder, batch)
    if good and total.bad == 0:
        _note_seen(folder, good)
    return total


def _forget_what_changed(folder: Folder, files: Iterable[Dropped]) -> None:
    """What was set aside, and has another content by now or is gone, is nobody's business any more."""
    current = {folder.item(file).name for file in files}
    old = [name for name in folder.begun if name.startswith(f"{folder.path.name}/") and name not in current]
    if old:
        with folder.work.writing() as session:
            forget_items(session, TASK, names=old)


def _sort_out(folder: Folder, files: Sequence[Dropped]) -> Iterator[Dropped]:
    """The files that can be taken in. With one part of the deals missing none of the others is taken."""
    bad = [file for file in files if folder.is_set_aside(file) or not _is_readable(folder, file)]
    is_incomplete = any(file.is_part for file in bad)
    return (file for file in files if file not in bad and not (is_incomplete and file.is_part))


def _is_readable(folder: Folder, file: Dropped) -> bool:
    try:
        open_input(0, file.path, mapping=folder.mapping, zone=ZoneInfo("UTC"))
    except MappingError as error:
        _set_aside(folder.work, folder.item(file), system=folder.mapping.system, reason=str(error))
        return False
    return True


def _changed(folder: Folder, files: Sequence[Dropped]) -> list[Dropped]:
    """Those that were not imported as they are, with this mapping; of the parts of the deals all or none.

    With them come the files of which rows were set aside: what those named may be there now.
    """
    with reading(folder.work.engine) as session:
        known = load_imported_files(session, system=folder.mapping.system)
    mapped_at = modified_at(mapping_of(folder.path))
    changed = []
    for file in files:
        before = known.get(file.path.name)
        if before is None or before.sha256 != file.sha256 or before.started_at < mapped_at:
            changed.append(file)
    if changed:
        changed += [file for file in files if file not in changed and known[file.path.name].rejected]
    with_parts = any(file.is_part for file in changed)
    return [file for file in files if file in changed or (with_parts and file.is_part)]


def _batches(folder: Folder, files: Sequence[Dropped]) -> list[list[Dropped]]:
    """All at once; where an attempt at one has died, each by itself, so that one alone is found and set aside."""
    if not any(folder.has_died(file) for file in files):
        return [list(files)] if files else []
    parts = [file for file in files if file.is_part]
    return [*([parts] if parts else []), *([file] for file in files if not file.is_part)]


def _import(folder: Folder, files: Sequence[Dropped]) -> Synced:
    work, system = folder.work, folder.mapping.system
    rejected = work.settings.data_folder / "rejected"
    options = Options(rejected_folder=rejected, clock=work.clock, fence=work.fence, feed="sync")
    try:
        with ExitStack() as attempts:
            for file in files:
                attempts.enter_context(attempt(work, folder.item(file)))
            report = import_files(work.engine, folder.mapping, paths=[file.path for file in files], options=options)
    except (LeaseLost, OperationalError, InterfaceError):
        raise
    except Exception as error:  # the other files have to come in all the same
        log.exception("%s could not be imported", ", ".join(file.path.name for file in files))
        with work.writing() as session:
            note_feed(session, kind=TASK, name=system, at=work.clock(), error=str(error))
        return Synced(bad=len(files))
    if report.rejected:
        with work.writing() as session:
            note_feed(session, kind=TASK, name=system, at=work.clock(), error=_told(report))
    return Synced(imported=len(files), bad_rows=report.rejected)


def _told(report: ImportReport) -> str:
    rows = [f"{file.rejected} of {file.name} in {file.rejected_rows_in}" for file in report.files if file.rejected]
    return f"Rows were set aside: {'; '.join(rows)}"


def _note_seen(folder: Folder, files: Sequence[Dropped]) -> None:
    """An export that says nothing new is a sign of life all the same: its file was written."""
    seen_at = min(max(file.modified_at for file in files), folder.work.clock())
    with reading(folder.work.engine) as session:
        feed = find_feed(session, kind=TASK, name=folder.mapping.system)
    if feed is not None and (feed.last_seen_at is None or feed.last_seen_at < seen_at):
        with folder.work.writing() as session:
            note_feed(session, kind=TASK, name=folder.mapping.system, at=seen_at)


def _refuse_mapping(work: Work, path: Path, *, reason: str, begun: Mapping[str, int | None]) -> None:
    own = mapping_of(path)
    item = _item(path, MAPPING, digest=digest_of(own) if own.is_file() else "")
    if item.name not in begun:
        _set_aside(work, item, system=path.name, reason=reason)


def _set_aside(work: Work, item: Item, *, system: str, reason: str) -> None:
    log.warning("%r is set aside: %r", item.name, reason)  # quoted: the name of a file may hold the end of a line
    with work.writing() as session:
        set_item_aside(session, item, error=reason, at=work.clock())
        note_feed(session, kind=TASK, name=system, at=work.clock(), error=reason)


def _item(folder: Path, name: str, *, digest: str) -> Item:
    """Its name changes with the content: another content is tried anew."""
    return Item(TASK, f"{folder.name}/{name}"[:180] + f" {digest[:8]}".rstrip())
