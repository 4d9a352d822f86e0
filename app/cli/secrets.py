"""Secrets at rest: `tenure secrets`."""

import click

from app.cli.opened import opened_database
from app.db import transaction


@click.group()
def secrets() -> None:
    """What is kept encrypted: addresses and signing secrets of webhooks."""


@secrets.command("rotate")
def rotate() -> None:
    """Encrypt everything under the present TENURE_SECRET_KEY; the former ones stand in TENURE_OLD_SECRET_KEYS.

    Example: TENURE_SECRET_KEY=new... TENURE_OLD_SECRET_KEYS=old... tenure secrets rotate
    """
    from app.services.audit import Act, record_act
    from app.services.changes import utc_now
    from app.services.secrets import Keyring, rotate_secrets

    with opened_database() as (settings, engine), transaction(engine) as session:
        done = rotate_secrets(session, Keyring.of(settings))
        counts = {"rewritten": done.rewritten, "kept": done.kept}
        record_act(session, Act("secrets.rotated", details=counts), actor="command", at=utc_now())
    click.echo(f"Encrypted anew: {done.rewritten}. Under the present key already: {done.kept}.")
    click.echo("TENURE_OLD_SECRET_KEYS is no longer needed for them.")
