"""Everything but deals: read in batches, the first row of each id recorded."""

import gc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from app.db import reading
from app.queries.ids import find_accounts, find_lines
from app.services.accounts import link_parents, record_accounts
from app.services.acquisition import record_acquisition_costs
from app.services.billing import record_invoices
from app.services.churn import record_churn
from app.services.fx import record_fx_rates
from app.services.onboarding import record_milestones
from app.services.pauses import record_pauses
from app.services.persons import record_persons, unknown_account
from app.services.products import record_products
from app.services.sources import Recorded, Refusal
from app.services.success import record_surveys, record_tickets, record_touches, record_trainings
from app.services.usage import RecordedUsage, record_usage
from app.services.versions import Outcome
from integrations.files.reader import BadRow
from integrations.files.spool import Place
from jobs.import_run import CHUNK, USAGE_CHUNK, ImportUnderWay, Lines

KEYS: dict[str, Callable[[Any], str]] = {
    "fx_rate": lambda row: f"{row.base}/{row.quote} of {row.day}",
    "milestone": lambda row: f"{row.deal}/{row.position}",
    "acquisition_cost": lambda row: f"{row.channel} in {row.month:%Y-%m}",
}
RECORDERS: dict[str, Callable[..., Recorded]] = {
    "staff": record_persons,
    "account": record_accounts,
    "contact": record_persons,
    "product": record_products,
    "fx_rate": record_fx_rates,
    "milestone": record_milestones,
    "churn": record_churn,
    "pause": record_pauses,
    "ticket": record_tickets,
    "survey": record_surveys,
    "touch": record_touches,
    "acquisition_cost": record_acquisition_costs,
    "training": record_trainings,
    "invoice": record_invoices,
}


class Batch(NamedTuple):
    """Rows of one file, with their lines."""

    file: int
    lines: Lines

    def at(self, position: int) -> tuple[Place, Any]:
        line, row = self.lines[position]
        return Place(self.file, line), row


def import_noun(run: ImportUnderWay, noun: str) -> None:
    """Read and record one noun from every file that has it."""
    size = USAGE_CHUNK if noun == "usage" else CHUNK
    with few_collections():
        _import_from_files(run, noun, size=size)
    if noun == "account":
        _link_parents(run)


def _import_from_files(run: ImportUnderWay, noun: str, *, size: int) -> None:
    for file in run.files:
        if noun in file.nouns:
            for batch in run.rows(file, (noun,), size=size):
                for _, lines in batch:
                    _import_batch(run, noun, batch=Batch(file.number, lines))


@contextmanager
def few_collections() -> Iterator[None]:
    """Look for reference cycles seldom: rows have none, and looking took a quarter of an import's time."""
    thresholds = gc.get_threshold()
    gc.set_threshold(200_000, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)


def _import_batch(run: ImportUnderWay, noun: str, *, batch: Batch) -> None:
    run.report.noun(noun).read += len(batch.lines)
    # Usage rows are too many to remember: the database itself knows their ids.
    first = batch if noun == "usage" else _first_ones(run, noun, batch=batch)
    rows = [row for _, row in first.lines]
    if not rows:
        return
    if run.options.is_check:
        _count(run, noun, batch=first, recorded=Recorded(Outcome(), _check(run, rows)))
    elif noun == "usage":
        usage = _record_usage(run, rows)
        _count(run, noun, batch=first, recorded=Recorded(usage.outcome, usage.refusals))
        _count_usage(run, usage, batch=first)
    else:
        write = RECORDERS[noun]
        recorded = run.record(lambda session, change: write(session, change, source=run.source, rows=rows))
        _count(run, noun, batch=first, recorded=recorded)
        if noun == "account":
            _postpone_parents(run, first)


def _record_usage(run: ImportUnderWay, rows: Sequence[Any]) -> RecordedUsage:
    owners = run.usage_owners
    return run.record(
        lambda session, change: record_usage(session, change, source=run.source, rows=rows, owners=owners)
    )


def _first_ones(run: ImportUnderWay, noun: str, *, batch: Batch) -> Batch:
    """The rows whose id is read for the first time in this run."""
    kept: Lines = []
    for line, row in batch.lines:
        place = Place(batch.file, line)
        key = KEYS[noun](row) if noun in KEYS else row.id
        first = run.spool.first_of(noun, key, row=row, place=place)
        if first is None:
            kept.append((line, row))
        elif first.line < 0:
            run.report.noun(noun).repeated += 1
        else:
            where = f"line {first.line} of {run.files[first.file].path.name}"
            run.conflict(noun, place, reason=f"the id {key!r} has other content in {where}, which is kept")
    return Batch(batch.file, kept)


def _count(run: ImportUnderWay, noun: str, *, batch: Batch, recorded: Recorded) -> None:
    run.report.noun(noun).count(recorded)
    for refusal in recorded.refusals:
        place, row = batch.at(refusal.position)
        run.reject(place.file, BadRow(place.line, refusal.field, refusal.reason))
        if refusal.field == "account":
            run.note_unknown(row.account)


def _count_usage(run: ImportUnderWay, usage: RecordedUsage, *, batch: Batch) -> None:
    run.report.count_apart(usage)
    for position in usage.conflicts:
        place, row = batch.at(position)
        what = f"the id {row.id!r}" if row.id else "the same count of the same day"
        run.conflict("usage", place, reason=f"{what} has other content in an earlier row, which is kept")


def _check(run: ImportUnderWay, rows: Sequence[Any]) -> tuple[Refusal, ...]:
    with reading(run.engine) as session:
        return refused_references(session, run, rows=rows)


def refused_references(session: Session, run: ImportUnderWay, *, rows: Sequence[Any]) -> tuple[Refusal, ...]:
    """Rows that name an account or a deal that is nowhere: neither in the database nor in the files."""
    named_deals = {row.deal for row in rows if getattr(row, "deal", None)}
    named_accounts = {row.account for row in rows if getattr(row, "account", None)}
    deals = run.spool.seen("deal", named_deals)
    deals |= set(find_lines(session, run.source.system, deals=named_deals - deals))
    accounts = run.spool.seen("account", named_accounts)
    missing = named_accounts - accounts
    accounts |= set(find_accounts(session, run.source.system, kind=run.source.kind, ids=missing))
    refusals = []
    for position, row in enumerate(rows):
        deal, account = getattr(row, "deal", None), getattr(row, "account", None)
        if deal and deal not in deals:
            refusals.append(Refusal(position, "deal", f"there is no deal {deal!r} in the files or recorded before"))
        elif account and not deal and account not in accounts:
            refusals.append(Refusal(position, "account", unknown_account(account)))
    return tuple(refusals)


def _postpone_parents(run: ImportUnderWay, batch: Batch) -> None:
    """Remember parents that have not been read yet."""
    pairs = [(Place(batch.file, line), row) for line, row in batch.lines if row.parent]
    if not pairs:
        return
    with reading(run.engine) as session:
        names = [row.parent for _, row in pairs]
        known = find_accounts(session, run.source.system, kind=run.source.kind, ids=names)
    for place, row in pairs:
        if row.parent not in known:
            run.spool.postpone("account", row.id, value=row.parent, place=place)


def _link_parents(run: ImportUnderWay) -> None:
    waiting = list(run.spool.postponed("account"))
    for start in range(0, len(waiting), CHUNK):
        chunk = waiting[start : start + CHUNK]
        pairs = [(account, parent) for _, account, parent in chunk]
        recorded = _link(run, pairs)
        for refusal in recorded.refusals:
            place, account, _ = chunk[refusal.position]
            where = f"{run.files[place.file].path.name} line {place.line}"
            run.report.problems.append(f"{where}: {account!r} is kept without a parent: {refusal.reason}")


def _link(run: ImportUnderWay, pairs: Sequence[tuple[str, str]]) -> Recorded:
    return run.record(lambda session, change: link_parents(session, change, source=run.source, pairs=pairs))
