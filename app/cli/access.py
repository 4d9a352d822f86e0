"""Who may come in: `tenure user` and `tenure token`."""

import click

from app.cli.opened import opened_database
from app.db import transaction


@click.group()
def user() -> None:
    """Our staff who log in."""


@user.command("add")
@click.argument("email")
@click.option("--name", prompt=True, help="As colleagues know them.")
@click.password_option(help="At least 12 characters.")
def user_add(*, email: str, name: str, password: str) -> None:
    """Add somebody who can log in.

    Example: tenure user add ana@example.com --name Ana
    """
    from app.services.changes import recording
    from app.services.users import add_user

    with opened_database() as (_, engine), transaction(engine) as session, recording(session, "command") as change:
        add_user(session, change, name=name, email=email, password=password)
    click.echo(f"{email} can log in.")


@user.command("password")
@click.argument("email")
@click.password_option(help="At least 12 characters.")
def user_password(*, email: str, password: str) -> None:
    """Set a new password for somebody, and end all their sessions.

    Example: tenure user password ana@example.com
    """
    from app.services.users import change_password, find_user

    with opened_database() as (_, engine), transaction(engine) as session:
        change_password(session, user_id=find_user(session, email).id, password=password)
    click.echo(f"{email} can log in with the new password.")


@click.group()
def token() -> None:
    """The keys of programs."""


@token.command("create")
@click.option("--name", required=True, help="What it is for.")
@click.option("--scope", "scopes", multiple=True, required=True, help="What it may do; can be given several times.")
@click.option("--source", help="Of a key with ingest:write: the event source it belongs to, as web or backend.")
def token_create(*, name: str, scopes: tuple[str, ...], source: str | None) -> None:
    """Create a token; it is shown once.

    Example: tenure token create --name "BI tool" --scope finance:read
    """
    from app.services.changes import utc_now
    from app.services.tokens import WantedToken, create_token

    with opened_database() as (_, engine), transaction(engine) as session:
        made = create_token(session, WantedToken(name, scopes, source=source), actor="command", now=utc_now())
    click.echo(made.token)
