"""Other books against the ledger: `tenure reconcile`."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from app.cli.opened import opened_database

if TYPE_CHECKING:
    from app.queries.reconciliation import Difference, Run

MOST_SHOWN = 20


@click.command()
@click.argument("mapping", required=False, type=click.Path(path_type=Path))
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--as-of", type=click.DateTime(["%Y-%m-%d"]), help="The day that both sides are of; today if left out.")
@click.option("--window-days", type=int, help="How far apart both may say the same thing; 31 if left out.")
@click.option("--crm", is_flag=False, flag_value="", help="Instead of a file: the won deals of a CRM, or of all.")
def reconcile(
    *, mapping: Path | None, file: Path | None, as_of: datetime | None, window_days: int | None, crm: str | None
) -> None:
    """Hold FILE, an export of the billing system, against the ledger as MAPPING says; or with --crm the CRM.

    Every account's difference is split into reasons that add up to it. It is kept, and shown by
    GET /api/v1/reconciliations; a month is not closed while something in it is unexplained.

    Example: tenure reconcile stripe.toml charges-2026-05.csv --as-of 2026-05-31
    """
    from app.db import reading
    from app.queries.reconciliation import find_run, list_differences
    from app.services.reconciliation_export import WINDOW_DAYS, Files
    from jobs.import_console import visible
    from jobs.reconcile import Asked, reconcile_billing, reconcile_crm

    if (crm is not None) == bool(mapping or file) or bool(mapping) != bool(file):
        raise click.UsageError("Name a mapping and a file, or --crm.")
    asked = Asked(as_of.date() if as_of else None)
    with opened_database() as (_, engine):
        if mapping and file:
            files = Files(mapping, file, WINDOW_DAYS if window_days is None else window_days)
            run_id = reconcile_billing(engine, files, asked=asked)
        else:
            run_id = reconcile_crm(engine, asked=asked, system=crm or None)
        with reading(engine) as session:
            run = find_run(session, run_id)
            page = list_differences(session, run_id, limit=MOST_SHOWN, is_open_only=True)
    for line in (*_told(run), *(_told_open(each) for each in page.differences)):
        click.echo(visible(line))


def _told(run: "Run") -> Iterator[str]:
    what = run.file_name or f"the won deals of {run.system or 'all systems'}"
    moment = f"as of {run.as_of}, known at {run.known_at:%Y-%m-%d %H:%M:%S} UTC"
    yield f"Reconciliation {run.id}: {what} beside the ledger, {moment}"
    for total in run.totals:
        sides = f"ledger {total.ledger.text}, other {total.other.text}, difference {total.difference.text}"
        yield f"{total.ledger.currency}: {sides}"
        for reason, amount in total.reasons.items():
            yield f"  {reason.value:<20}{amount.text:>18}"
    yield f"{run.compared:,} compared, {run.agreed:,} agree, {run.differing:,} differ, {run.open_differences:,} open."


def _told_open(each: "Difference") -> str:
    who = f"account {each.account_id}" if each.account_id else f"the unknown {each.external_id!r}"
    return f"  open: difference {each.id}, {who}: {each.unexplained.text} {each.unexplained.currency} unexplained"
