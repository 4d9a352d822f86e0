"""Who may come in, and what they did: `tenure user`, `tenure token` and `tenure audit`."""

import click

from app.cli.opened import opened_database
from app.db import reading, transaction


@click.group()
def user() -> None:
    """Our staff who log in."""


@user.command("add")
@click.argument("email")
@click.option("--name", prompt=True, help="As colleagues know them.")
@click.option("--role", default="admin", show_default=True, help="admin, csm, sales or finance.")
@click.password_option(help="At least 12 characters.")
def user_add(*, email: str, name: str, role: str, password: str) -> None:
    """Add somebody who can log in.

    Example: tenure user add ana@example.com --name Ana --role csm
    """
    from app.services.changes import recording
    from app.services.users import NewUser, add_user

    with opened_database() as (_, engine), transaction(engine) as session, recording(session, "command") as change:
        add_user(session, change, new=NewUser(name, email, password, role))
    click.echo(f"{email} can log in.")


@user.command("list")
def user_list() -> None:
    """List who can log in, and as what.

    Example: tenure user list
    """
    from app.queries.users import list_users

    with opened_database() as (_, engine), reading(engine) as session:
        for each in list_users(session):
            click.echo(f"{each.email:<40} {each.role:<8} {'' if each.is_active else 'deactivated  '}{each.name}")


@user.command("password")
@click.argument("email")
@click.password_option(help="At least 12 characters.")
def user_password(*, email: str, password: str) -> None:
    """Set a new password for somebody, and end all their sessions.

    Example: tenure user password ana@example.com
    """
    from app.services.changes import utc_now
    from app.services.users import change_password, find_user

    with opened_database() as (_, engine), transaction(engine) as session:
        user_id = find_user(session, email).id
        change_password(session, user_id=user_id, password=password, actor="command", at=utc_now())
    click.echo(f"{email} can log in with the new password.")


@user.command("role")
@click.argument("email")
@click.argument("role")
def user_role(*, email: str, role: str) -> None:
    """Give somebody another role: admin, csm, sales or finance.

    Example: tenure user role ana@example.com finance
    """
    from app.services.changes import utc_now
    from app.services.users import change_role, find_user

    with opened_database() as (_, engine), transaction(engine) as session:
        user_id = find_user(session, email).id
        change_role(session, user_id=user_id, role=role, actor="command", at=utc_now())
    click.echo(f"{email} has the role {role}.")


@user.command("deactivate")
@click.argument("email")
def user_deactivate(*, email: str) -> None:
    """Shut somebody out, and end all their sessions.

    Example: tenure user deactivate ana@example.com
    """
    from app.services.changes import utc_now
    from app.services.users import deactivate_user, find_user

    with opened_database() as (_, engine), transaction(engine) as session:
        deactivate_user(session, user_id=find_user(session, email).id, actor="command", at=utc_now())
    click.echo(f"{email} cannot log in any more; `tenure user reactivate {email}` lets them in again.")


@user.command("reactivate")
@click.argument("email")
def user_reactivate(*, email: str) -> None:
    """Let somebody in again, with the role and the password they had.

    Example: tenure user reactivate ana@example.com
    """
    from app.services.changes import utc_now
    from app.services.users import find_user, reactivate_user

    with opened_database() as (_, engine), transaction(engine) as session:
        reactivate_user(session, user_id=find_user(session, email).id, actor="command", at=utc_now())
    click.echo(f"{email} can log in again.")


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


@click.group()
def audit() -> None:
    """Who changed access and settings, in a chain that shows what was taken out of it."""


@audit.command("head")
def audit_head() -> None:
    """Print how many entries there are and the digest of the last, to be kept where nobody here can change it.

    Example: tenure audit head >> /a/place/elsewhere/heads.txt
    """
    from app.queries.audit import find_head

    with opened_database() as (_, engine), reading(engine) as session:
        head = find_head(session)
    click.echo(f"{head.entries} {head.digest}")


@audit.command("verify")
@click.option("--head", help="A digest kept from `tenure audit head`: shows also whether the end was cut off.")
def audit_verify(*, head: str | None) -> None:
    """Check every entry against the one before it.

    Example: tenure audit verify --head 2b00...
    """
    from app.services.audit import verify_audit

    with opened_database() as (_, engine), reading(engine) as session:
        verdict = verify_audit(session, head=head)
    if verdict.broken_id is not None:
        raise click.ClickException(
            f"The entry {verdict.broken_id} was changed, or one before it was changed, put in or taken out; "
            f"{verdict.entries} before it are sound. Compare with a backup."
        )
    if head is not None and not verdict.is_head_found:
        raise click.ClickException(
            f"All {verdict.entries} entries fit, but none has the digest {head}: the end of the chain was cut off, "
            "or rewritten from some entry on. Compare with a backup."
        )
    click.echo(f"All {verdict.entries} entries fit; the last has the digest {verdict.head}.")
