"""Closing the books: `tenure period`."""

import click

from app.cli.opened import opened_database
from app.db import reading, transaction


@click.group()
def period() -> None:
    """Months whose books are closed."""


@period.command("close")
@click.argument("month")
def period_close(*, month: str) -> None:
    """Close the books of MONTH (YYYY-MM), for ever.

    Its report is kept byte for byte, with a checksum; what is recorded about it later is a restatement.

    Example: tenure period close 2026-05
    """
    from app.queries.periods import parse_month
    from app.services.changes import recording, utc_now
    from app.services.periods import prepare_close, record_close

    with opened_database() as (_, engine):
        now = utc_now()
        # Read first, and only then write, shortly: on SQLite nobody else writes meanwhile.
        with reading(engine) as session:
            prepared = prepare_close(session, parse_month(month), now=now)
        with transaction(engine) as session, recording(session, "command") as change:
            closed = record_close(session, change, prepared=prepared, actor="command", at=now)
    click.echo(f"{closed.period} is closed, as known at {closed.known_at:%Y-%m-%d %H:%M:%S} UTC.")
    click.echo(f"SHA-256 {closed.sha256}")


@period.command("list")
def period_list() -> None:
    """List the closed months, the newest first.

    Example: tenure period list
    """
    from app.queries.periods import list_closed

    with opened_database() as (_, engine), reading(engine) as session:
        for each in list_closed(session):
            click.echo(f"{each.period}  closed {each.closed_at:%Y-%m-%d} by {each.closed_by:<12} {each.sha256}")


@period.command("show")
@click.argument("month")
def period_show(*, month: str) -> None:
    """Print the report of a closed MONTH, byte for byte as it was closed.

    Example: tenure period show 2026-05 | sha256sum
    """
    from app.queries.periods import load_closed_report, parse_month

    with opened_database() as (_, engine), reading(engine) as session:
        report = load_closed_report(session, parse_month(month))
    click.echo(report, nl=False)
