"""The customer's CRM: `tenure crm` and `tenure sync`."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import IO, TYPE_CHECKING

import click

from app.cli.opened import opened_database
from app.db import reading, transaction

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from app.queries.crm import ConnectionState, CrmState
    from jobs.check_crm import CrmCheck

ACTOR = "command"
PATIENCE_SECONDS = 120
MOST_SHOWN = 20


@click.group()
def crm() -> None:
    """CRMs that closed deals are read from, and what waits for somebody."""


@contextmanager
def _saying_errors() -> Iterator[None]:
    from integrations.crm.client import CrmError

    try:
        yield
    except CrmError as error:
        raise click.ClickException(str(error)) from error


@crm.command("add")
@click.argument("mapping_file", type=click.File("r", encoding="utf-8"))
@click.option("--push", "has_push", is_flag=True, help="The CRM also pushes: its signing secret is asked for, too.")
def add(*, mapping_file: IO[str], has_push: bool) -> None:
    """Connect a CRM by a TOML section, which may be no more than its `kind`; the secret is asked for.

    Without a terminal the secret is read from standard input: a token alone, or a JSON object of its parts, such as
    {"client_id": "...", "client_secret": "...", "refresh_token": "...", "push": "..."}.

    Example: tenure crm add hubspot.toml < token.txt
    """
    from app.services.changes import utc_now
    from app.services.crm import NewConnection, create_connection, read_mapping
    from app.services.secrets import Keyring

    text = mapping_file.read()
    with opened_database() as (settings, engine):
        mapping = read_mapping(text)
        secret = _ask_secret(mapping.kind, has_push=has_push)
        push = secret.pop("push", None)
        new = NewConnection(text, secret, push)
        with transaction(engine) as session:
            create_connection(session, new, keyring=Keyring.of(settings), actor=ACTOR, at=utc_now())
    click.echo(f"{mapping.system} is connected. Look at what it gives: tenure crm check {mapping.system}")
    click.echo(f"The worker reads it from now on; `tenure crm pause {mapping.system}` holds that back.")


@crm.command("secret")
@click.argument("name")
@click.option("--push", "has_push", is_flag=True, help="Also the secret that the CRM signs its pushes with.")
def secret(*, name: str, has_push: bool) -> None:
    """Give a CRM another token or key, as `tenure crm add` takes it; it is read on from where it was.

    Example: tenure crm secret hubspot < token.txt
    """
    from app.services.changes import utc_now
    from app.services.crm import NewSecret, replace_secret
    from app.services.secrets import Keyring

    with opened_database() as (settings, engine):
        parts = _ask_secret(_find(engine, name).kind, has_push=has_push)
        push = parts.pop("push", None)
        new = NewSecret(name, parts, push)
        with transaction(engine) as session:
            replace_secret(session, new, keyring=Keyring.of(settings), actor=ACTOR, at=utc_now())
    click.echo(f"{name} has another secret, and is read again.")


def _ask_secret(kind: str, *, has_push: bool) -> dict[str, str]:
    """Never an argument: those are seen in the list of processes and kept in the history of the shell."""
    from integrations.crm.registry import ADAPTERS

    names = (*ADAPTERS[kind].secrets, *(("push",) if has_push else ()))
    if sys.stdin.isatty():
        return {name: click.prompt(name.replace("_", " "), hide_input=True) for name in names}
    given = sys.stdin.read().strip()
    if not given:
        raise click.ClickException(f"Give the secret on standard input: {', '.join(names)}.")
    if not given.startswith("{"):
        if len(names) > 1:
            raise click.ClickException(f"Give a JSON object with {', '.join(names)} on standard input.")
        return {names[0]: given}
    try:
        parts = json.loads(given)
    except ValueError:
        raise click.ClickException("What came on standard input is no JSON object.") from None
    if not all(isinstance(value, str) and value for value in parts.values()):
        raise click.ClickException("Each part of the secret has to be a text.")
    return dict(parts)


@crm.command("list")
def list_() -> None:
    """List the CRMs, how far each was read, and what waits for somebody.

    Example: tenure crm list
    """
    from app.queries.crm import list_crm_states, list_refused
    from app.queries.crm_writes import find_failed_writes
    from app.queries.feeds import find_feed
    from app.services.changes import utc_now

    now = utc_now()
    with opened_database() as (_, engine), reading(engine) as session:
        for each in list_crm_states(session):
            name = each.connection.name
            paused_at, feed = each.connection.paused_at, find_feed(session, kind="sync", name=name)
            state = f"paused since {_instant(paused_at)}" if paused_at else "on"
            seen = _instant(feed.last_seen_at) if feed else "never"
            click.echo(f"{name}  {each.connection.kind}, {state}; last read whole: {seen}")
            if feed and feed.last_error:
                click.echo(f"    failed {_instant(feed.last_error_at)}: {feed.last_error}")
            if each.reading:
                click.echo(f"    {_progress(each, now)}")
            for review in each.reviews:
                gone = f"{len(review.gone):,} of {review.known:,} {review.noun}s"
                click.echo(f"    {gone} are gone: if it is so, `tenure crm confirm {name}`")
            unwritten, why = find_failed_writes(session, each.connection.id)
            if unwritten:
                click.echo(f"    {unwritten:,} things could not be written back: {why}")
            for thing in list_refused(session, each.connection.id, limit=MOST_SHOWN):
                click.echo(f"    {thing.noun} {thing.external_id}: {thing.reason}")
            if each.refused > MOST_SHOWN:
                click.echo(f"    and {each.refused - MOST_SHOWN:,} more that wait or were refused")


def _progress(state: "CrmState", now: datetime) -> str:
    """`first load: deal, 1,200 of 5,000, about 0:10:00 left`, and what comes after it."""
    from app.queries.crm import ORDER

    at = state.reading
    if at is None:
        return "nothing is being read"
    left = at.left(now)
    said = f"{'first load' if state.is_loading else 'reading'}: {at.noun}, {at.read:,}"
    said += (f" of {at.total:,}" if at.total else "") + (
        f", about {timedelta(seconds=round(left.total_seconds()))} left" if left else ""
    )
    begun = {each.noun for each in state.progress}
    later = [noun for noun in ORDER if noun not in begun and ORDER.index(noun) > ORDER.index(at.noun)]
    return said + (f"; then {', '.join(later)}" if later else "")


@crm.command("check")
@click.argument("name")
def check(*, name: str) -> None:
    """Connect, read, and show what would be mapped and what would not; nothing is written.

    Example: tenure crm check hubspot
    """
    from app.services.changes import utc_now
    from jobs.check_crm import check_crm
    from jobs.sync_crm import connect_over_network
    from jobs.work import Work

    with opened_database() as (settings, engine), _saying_errors():
        client = connect_over_network(Work(engine, settings), _find(engine, name))
        _show(check_crm(client, now=utc_now()))


def _show(found: "CrmCheck") -> None:
    about = found.about
    click.echo(f"{about.name} {about.version}".rstrip() + f", as {about.user}; currency {about.currency or 'not said'}")
    for title, options in found.options.items():
        click.echo(f"{title}:")
        for option in options:
            click.echo(f"    {option.id} ({option.label}) -> {option.meaning or 'NOTHING'}")
    for noun, total in found.totals.items():
        click.echo(f"{noun}: {'some' if total is None else f'{total:,}'}")
    deals = found.deals
    click.echo(f"deal: {deals.count:,} read" + (f" of {deals.total:,}" if deals.total else ""))
    for title, counts in (("stages", deals.stages), ("types", deals.types)):
        click.echo(f"    {title}: " + ", ".join(f"{word} {count:,}" for word, count in sorted(counts.items())))
    _show_counts("no meaning for", deals.unmapped)
    _show_counts("would be refused", deals.refused)


def _show_counts(title: str, counts: Mapping[str, int]) -> None:
    for word, count in sorted(counts.items(), key=lambda each: (-each[1], each[0]))[:MOST_SHOWN]:
        click.echo(f"    {title} {word}: {count:,}")


@crm.command("pause")
@click.argument("name")
def pause(*, name: str) -> None:
    """Stop reading a CRM until it is resumed.

    Example: tenure crm pause hubspot
    """
    _switch(name, is_paused=True)
    click.echo(f"{name} is paused; `tenure crm resume {name}` goes on from where it was read.")


@crm.command("resume")
@click.argument("name")
def resume(*, name: str) -> None:
    """Go on reading a CRM from where it was read.

    Example: tenure crm resume hubspot
    """
    _switch(name, is_paused=False)
    click.echo(f"{name} is read again.")


def _switch(name: str, *, is_paused: bool) -> None:
    from app.services.changes import utc_now
    from app.services.crm import pause_connection

    with opened_database() as (_, engine), transaction(engine) as session:
        pause_connection(session, name, is_paused=is_paused, actor=ACTOR, at=utc_now())


@crm.command("remove")
@click.argument("name")
def remove(*, name: str) -> None:
    """Forget a CRM with its secrets; what was read from it stays.

    Example: tenure crm remove hubspot
    """
    from app.services.changes import utc_now
    from app.services.crm import remove_connection

    with opened_database() as (_, engine), transaction(engine) as session:
        remove_connection(session, name, actor=ACTOR, at=utc_now())
    click.echo(f"{name} is gone; what was read from it is still here.")


@crm.command("confirm")
@click.argument("name")
def confirm(*, name: str) -> None:
    """Confirm that the deals which are gone from a CRM are to be withdrawn; each is asked for once more.

    Example: tenure crm confirm hubspot
    """
    from jobs.holding import hold
    from jobs.reconcile_crm import confirm_gone
    from jobs.sync_crm import connect_over_network
    from jobs.work import Work

    with (
        opened_database() as (settings, engine),
        _saying_errors(),
        hold(Work(engine, settings), "sync", patience_seconds=PATIENCE_SECONDS, report=click.echo) as work,
    ):
        connection = _find(engine, name)
        count = confirm_gone(work, connection, client=connect_over_network(work, connection), actor=ACTOR)
    click.echo(f"{count:,} deals were withdrawn.")


@click.command("sync")
@click.argument("names", nargs=-1)
@click.option("--full", "is_full", is_flag=True, help="Read everything again and look for what is gone.")
def sync(*, names: tuple[str, ...], is_full: bool) -> None:
    """Read CRMs now: what changed since the last time, or everything. Without NAMES all that are not paused.

    Example: tenure sync hubspot
    """
    from app.queries.crm import list_connections
    from jobs.holding import hold
    from jobs.sync_crm import Asked, sync_crms
    from jobs.work import Work

    with opened_database() as (settings, engine):
        for name in names:
            _find(engine, name)
        with reading(engine) as session:
            chosen = names or tuple(each.name for each in list_connections(session) if each.paused_at is None)
        asked = Asked(chosen or ("",), is_full=is_full, slice_seconds=float("inf"), tell=_tell())
        with hold(Work(engine, settings), "sync", patience_seconds=PATIENCE_SECONDS, report=click.echo) as work:
            done = sync_crms(work, asked)
    click.echo(f"{done.read:,} records on {done.pages:,} pages." if done.pages else "Nothing was new.")
    if done.failed:
        raise click.ClickException("Not everything could be read; `tenure crm list` says why.")


def _tell() -> Callable[[str], None]:
    """One line that moves on a terminal, lines of their own elsewhere."""
    if sys.stderr.isatty():
        return lambda said: click.echo(f"\r{said:<100}", nl=False, err=True)
    return lambda said: click.echo(said, err=True)


def _find(engine: "Engine", name: str) -> "ConnectionState":
    from app.errors import NotFound
    from app.queries.crm import find_connection

    with reading(engine) as session:
        found = find_connection(session, name)
    if found is None:
        raise NotFound(f"There is no CRM {name!r}; `tenure crm list` shows those that there are.")
    return found


def _instant(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%SZ}" if at else "never"
