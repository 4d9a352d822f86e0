"""What the company decided: `tenure settings`."""

from datetime import datetime

import click

from app.cli.opened import opened_database
from app.db import reading, transaction


@click.group()
def settings() -> None:
    """What the company decided and figures depend on: currency, margin, discount, grace ..."""


@settings.command("show")
def settings_show() -> None:
    """List the settings.

    Example: tenure settings show
    """
    from app.queries.settings import NAMES, load_company_settings

    with opened_database() as (_, engine), reading(engine) as session:
        company = load_company_settings(session)
    for name in NAMES:
        click.echo(f"{name:<26}{getattr(company, name)}")


@settings.command("set")
@click.argument("name")
@click.argument("value")
@click.option(
    "--from", "valid_from", type=click.DateTime(["%Y-%m-%d"]), help="The first day it holds; always if left out."
)
def settings_set(*, name: str, value: str, valid_from: datetime | None) -> None:
    """Change a setting; the next night works with it.

    Example: tenure settings set gross_margin 0.75 --from 2026-01-01
    """
    from app.services.changes import recording
    from app.services.history import ALWAYS
    from app.services.settings import record_settings

    with opened_database() as (_, engine), transaction(engine) as session, recording(session, "command") as change:
        day = valid_from.date() if valid_from else ALWAYS
        record_settings(session, change, values={name: value}, valid_from=day)
    click.echo(f"{name} is {value}.")
