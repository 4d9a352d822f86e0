"""Data in, and the night: `tenure db`, `import`, `nightly`."""

import sys
from datetime import datetime
from pathlib import Path

import click

from app.cli.opened import opened_database, say_warnings, today_of

PATIENCE_SECONDS = 90  # longer than the lease of a run that was killed


@click.group()
def db() -> None:
    """The database."""


@db.command("upgrade")
def db_upgrade() -> None:
    """Bring the database to the version of the code.

    Example: DATABASE_URL=postgresql://user@host/tenure tenure db upgrade
    """
    with opened_database(is_upgrade=True):
        pass
    click.echo("The database is at the version of the code.")


@click.command()
@click.option("--as-of", type=click.DateTime(["%Y-%m-%d"]), help="The date of the figures; today if left out.")
@click.option("--again", is_flag=True, help="Make a night that was made already once more, from what is known now.")
def nightly(*, as_of: datetime | None, again: bool) -> None:
    """Fit, score and publish as of a date.

    Example: tenure nightly --as-of 2026-01-01
    """
    from app.db import transaction
    from app.queries.nights import NIGHTLY
    from app.services.work_items import forget_items
    from jobs.holding import hold
    from jobs.nightly import run_night
    from jobs.work import Work

    with opened_database() as (settings, engine):
        say_warnings(settings)
        day = as_of.date() if as_of else today_of(engine)
        with hold(Work(engine, settings), NIGHTLY, patience_seconds=PATIENCE_SECONDS, report=click.echo) as work:
            results = run_night(work, day, is_again=again)
        with transaction(engine) as session:
            forget_items(session, NIGHTLY, names=[day.isoformat()])
        for name, result in results.items():
            click.echo(f"{name}: " + ", ".join(f"{key} {value}" for key, value in result.items()))


@click.command("import")
@click.argument("mapping", type=click.Path(path_type=Path))
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--check", "is_check", is_flag=True, help="Only say what would happen; nothing is recorded.")
@click.option("--as-of", type=click.DateTime(["%Y-%m-%d"]), help="The day that tenure in months is counted back from.")
def import_(mapping: Path, *, files: tuple[Path, ...], is_check: bool, as_of: datetime | None) -> None:
    """Import FILES (CSV or Parquet) as MAPPING says: a TOML file, or the name of one that ships with Tenure.

    Good rows are recorded; bad ones are set aside in a file, each with line, column and reason. The
    same file again changes nothing. With --check the exit code is 1 if any row is bad.

    Example: tenure import --check telco Telco-Customer-Churn.csv
    """
    from jobs.import_console import import_on_console, show_progress
    from jobs.import_run import Options

    day = as_of.date() if as_of else None
    with opened_database() as (settings, engine):
        options = Options(is_check, settings.data_folder / "rejected", show_progress())
        report = import_on_console(engine, mapping, files=files, as_of=day, options=options)
    if is_check and report.rejected:
        sys.exit(1)
