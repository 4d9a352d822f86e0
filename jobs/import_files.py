"""Import files through a mapping: read, check, record in chunks, set aside what is bad, report.

Each chunk is one transaction, and what it records is known by the source's own ids: a run that dies
is simply done again, and a file that is read again changes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from fnmatch import fnmatch
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from app.db import reading
from app.models.versions import Change
from app.queries.ids import account_names
from app.queries.imports import load_churn_agreement, load_system_figures
from app.queries.settings import CompanySettings, load_company_settings
from app.services.accounts import declare_custom_fields
from app.services.feeds import note_feed
from app.services.imports import MOST_CANDIDATES, alike, close_import, open_import, propose_matches
from app.services.settings import record_settings
from app.services.sources import Recorded, Source
from app.services.versions import Outcome
from integrations.files.mapping import ImportMapping, MappingError
from integrations.files.nouns import NOUNS, RECONCILED
from integrations.files.parser import FileParser
from integrations.files.reader import BadRow, open_file, sha256_of
from integrations.files.spool import Spool
from jobs.import_deals import import_deals
from jobs.import_nouns import import_noun
from jobs.import_rejects import write_rejected_rows
from jobs.import_report import FileReport, ImportReport
from jobs.import_run import DEAL_PARTS, ImportUnderWay, InputFile, Options

MOST_LISTED = 20


def import_files(engine: Engine, mapping: ImportMapping, *, paths: Sequence[Path], options: Options) -> ImportReport:
    """Import `paths` as the mapping says; with `is_check` only say what would happen.

    Raises MappingError, before anything is recorded, for a file that the mapping does not know and
    for a column that a file lacks.
    """
    with reading(engine) as session:
        settings = load_company_settings(session)
    zone = ZoneInfo(mapping.company.get("reporting_timezone", settings.reporting_timezone))
    files = [open_input(number, path, mapping=mapping, zone=zone) for number, path in enumerate(paths)]
    report = ImportReport(mapping.title, options.is_check)
    report.files = [FileReport(file.path.name, unused_columns=file.parser.unused) for file in files]
    source = Source(mapping.system, options.clock(), mapping.kind, mapping.lag_days, zone)
    with Spool() as spool:
        run = ImportUnderWay(engine, mapping, files, spool, options, report, source)
        run_id = None if options.is_check else _begin(run, settings)
        _import_everything(run)
        _conclude(run, run_id)
    return report


def open_input(number: int, path: Path, *, mapping: ImportMapping, zone: ZoneInfo) -> InputFile:
    """The file with its part of the mapping. Raises MappingError where the two do not fit."""
    file_map = next((each for each in mapping.files if fnmatch(path.name, each.name)), None)
    if file_map is None:
        names = ", ".join(each.name for each in mapping.files)
        raise MappingError(f"{path.name}: the mapping {mapping.title} knows no such file; it knows {names}")
    if any(section.noun == RECONCILED for section in file_map.sections):
        raise MappingError(
            f"{path.name}: a {RECONCILED} is held against the ledger and not imported; run: tenure reconcile"
        )
    reader = open_file(path, file_map)
    return InputFile(number, path, file_map, reader, FileParser(mapping, file_map, header=reader.header, zone=zone))


def _begin(run: ImportUnderWay, settings: CompanySettings) -> int:
    names = [{"name": file.path.name, "sha256": sha256_of(file.path)} for file in run.files]
    with run.writing() as session:
        run_id = open_import(session, source=run.source, mapping=run.mapping.title, files=names)
    new = {name: value for name, value in run.mapping.company.items() if getattr(settings, name) != value}
    run.record(lambda session, change: _record_company(session, change, values=new))
    types = {name: kind for file in run.files for part in file.map.sections for name, kind in part.custom_types.items()}
    run.record(lambda session, change: declare_custom_fields(session, change, source=run.source, types=types))
    return run_id


def _record_company(session: Session, change: Change, *, values: Mapping[str, Any]) -> Recorded:
    if values:
        record_settings(session, change, values=dict(values))
    return Recorded(Outcome(added=len(values)))


def _import_everything(run: ImportUnderWay) -> None:
    for noun in NOUNS:
        if noun == "deal":
            import_deals(run)
        elif noun not in (*DEAL_PARTS, RECONCILED):
            import_noun(run, noun)


def _conclude(run: ImportUnderWay, run_id: int | None) -> None:
    _propose(run)
    for file in run.files:
        rejected = run.spool.rejected(file.number, limit=MOST_LISTED)
        told = [_told(file.path.name, bad) for bad in rejected]
        run.report.problems += [line for line in told if line not in run.report.conflicts]
    if run_id is None:
        return
    with reading(run.engine) as session:
        run.report.figures = asdict(load_system_figures(session, run.source.system, kind=run.source.kind))
        churn = load_churn_agreement(session, run.source.system)
    run.report.churn = asdict(churn) if churn.notices else {}
    write_rejected_rows(run, run_id)
    with run.writing() as session:
        now = run.options.clock()
        close_import(session, run_id, finished_at=now, report=run.report.as_json())
        note_feed(session, kind=run.options.feed, name=run.source.system, at=now)


def _told(name: str, bad: BadRow) -> str:
    place = f"{name} line {bad.line}"
    return f"{place}, {bad.column}: {bad.reason}" if bad.column else f"{place}: {bad.reason}"


def _propose(run: ImportUnderWay) -> None:
    """List names that look like others: products that no product file describes, accounts that are not known."""
    described = run.spool.seen("product", run.products_named)
    if run.report.noun("product").read:
        run.report.products = {"named": len(run.products_named), "described": len(described)}
        names = run.spool.names("product", limit=MOST_CANDIDATES)
        _put_on_list(run, "product", given=run.products_named - described, candidates=names)
    if run.unknown_accounts:
        with reading(run.engine) as session:
            known = account_names(session, run.source.system, kind=run.source.kind, limit=MOST_CANDIDATES)
        _put_on_list(run, "account", given=run.unknown_accounts, candidates=known)


def _put_on_list(run: ImportUnderWay, noun: str, *, given: set[str], candidates: Mapping[str, str]) -> None:
    pairs = alike(given, candidates)
    run.report.proposals += [f"{noun} {name!r} may be {candidate!r}: {why}" for name, candidate, why in pairs]
    if not run.options.is_check:
        run.record(lambda s, change: propose_matches(s, change, source=run.source, noun=noun, pairs=pairs))
