"""What other systems are told: `tenure webhook`."""

from datetime import datetime, timedelta

import click

from app.cli.opened import opened_database
from app.db import reading, transaction

ACTOR = "command"


@click.group()
def webhook() -> None:
    """Where messages go, and what became of each."""


@webhook.command("add")
@click.argument("url")
@click.option("--name", help="As colleagues know the receiver; else its host.")
@click.option("--type", "types", multiple=True, help="Which messages it gets; can be given several times; else all.")
def add(*, url: str, name: str | None, types: tuple[str, ...]) -> None:
    """Add an endpoint and print its signing secret, this once.

    Example: tenure webhook add https://hooks.example.com/in --type expansion_opportunity.flagged
    """
    from app.services.changes import utc_now
    from app.services.messages import CHOSEN_TYPES
    from app.services.secrets import Keyring
    from app.services.webhooks import NewEndpoint, check_address, create_endpoint
    from integrations.http_client import Policy

    with opened_database() as (settings, engine):
        address = check_address(url, policy=Policy(private_targets=settings.private_targets))
        new = NewEndpoint(name or address.origin.partition("://")[2], address, types or CHOSEN_TYPES)
        with transaction(engine) as session:
            made = create_endpoint(session, new, keyring=Keyring.of(settings), actor=ACTOR, at=utc_now())
    click.echo(f"Endpoint {made.id} gets messages at {made.origin}. Give its secret to the receiver; it is shown once:")
    click.echo(made.secret)
    click.echo(f"Try it: tenure webhook test {made.id}")


@webhook.command("list")
def list_() -> None:
    """List the endpoints, without their secrets.

    Example: tenure webhook list
    """
    from app.queries.webhooks import list_endpoints
    from app.services.changes import utc_now
    from app.services.webhooks import DISABLED_REASONS

    with opened_database() as (_, engine), reading(engine) as session:
        for each in list_endpoints(session, at=utc_now()):
            state = f"off: {DISABLED_REASONS[each.disabled_reason]}" if each.disabled_reason else "on"
            click.echo(f"{each.id:>4} {each.name}  {each.origin}  {', '.join(each.types)}")
            last = _instant(each.last_delivered_at) or "never"
            click.echo(f"     {state}; {each.pending} pending, {each.dead} dead; last delivered: {last}")


@webhook.command("test")
@click.argument("endpoint_id", type=int)
def test(*, endpoint_id: int) -> None:
    """Send a test message now and say what came of it.

    Example: tenure webhook test 1
    """
    from functools import partial

    from app.services.changes import utc_now
    from app.services.deliveries import Sender, send_test

    with opened_database() as (settings, engine):
        sender = Sender.of(settings, utc_now)
        tested = send_test(partial(transaction, engine), endpoint_id, sender=sender, actor=ACTOR)
    answer = f"answered {tested.status}" if tested.status else tested.error
    click.echo(f"{tested.message_id} {tested.state}: {answer}, after {tested.duration_ms} ms")
    if tested.state != "delivered":
        raise SystemExit(1)


@webhook.command("rotate")
@click.argument("endpoint_id", type=int)
@click.option("--at-once", is_flag=True, help="The old secret became known: it counts no longer.")
def rotate(*, endpoint_id: int, at_once: bool) -> None:
    """Make a new signing secret and print it, this once; for 24 hours messages carry both signatures.

    Example: tenure webhook rotate 1
    """
    from app.services.changes import utc_now
    from app.services.secrets import Keyring
    from app.services.webhooks import OVERLAP, Rotation, rotate_secret

    rotation = Rotation(endpoint_id, timedelta(0) if at_once else OVERLAP)
    with opened_database() as (settings, engine), transaction(engine) as session:
        new = rotate_secret(session, rotation, keyring=Keyring.of(settings), actor=ACTOR, at=utc_now())
    click.echo(f"The old secret counts until {_instant(new.old_until)}. The new one is shown once:")
    click.echo(new.secret)


@webhook.command("disable")
@click.argument("endpoint_id", type=int)
def disable(*, endpoint_id: int) -> None:
    """Switch an endpoint off; what is pending is dropped, and nothing is kept for it meanwhile.

    Example: tenure webhook disable 1
    """
    _switch(endpoint_id, is_enabled=False)
    click.echo(f"Endpoint {endpoint_id} is off; `tenure webhook enable {endpoint_id}` switches it on.")


@webhook.command("enable")
@click.argument("endpoint_id", type=int)
def enable(*, endpoint_id: int) -> None:
    """Switch an endpoint on again; what was dropped can be replayed.

    Example: tenure webhook enable 1
    """
    _switch(endpoint_id, is_enabled=True)
    click.echo(f"Endpoint {endpoint_id} is on.")


def _switch(endpoint_id: int, *, is_enabled: bool) -> None:
    from app.services.changes import utc_now
    from app.services.secrets import Keyring
    from app.services.webhooks import EndpointChange, update_endpoint

    change = EndpointChange(endpoint_id, is_enabled=is_enabled)
    with opened_database() as (settings, engine), transaction(engine) as session:
        update_endpoint(session, change, keyring=Keyring.of(settings), actor=ACTOR, at=utc_now())


@webhook.command("remove")
@click.argument("endpoint_id", type=int)
def remove(*, endpoint_id: int) -> None:
    """Delete an endpoint with its address and secrets; the log of what was sent to it stays.

    Example: tenure webhook remove 1
    """
    from app.services.changes import utc_now
    from app.services.webhooks import delete_endpoint

    with opened_database() as (_, engine), transaction(engine) as session:
        delete_endpoint(session, endpoint_id, actor=ACTOR, at=utc_now())
    click.echo(f"Endpoint {endpoint_id} is gone.")


@webhook.command("deliveries")
@click.option("--endpoint", "endpoint_id", type=int, help="Only those to this endpoint.")
@click.option(
    "--state", "states", multiple=True, help="pending, delivered, dead or dropped; can be given several times."
)
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000), help="The newest so many.")
def deliveries(*, endpoint_id: int | None, states: tuple[str, ...], limit: int) -> None:
    """List what was sent, is on its way, or was given up, the newest first.

    Example: tenure webhook deliveries --state dead
    """
    from app.queries.webhooks import DeliveriesAsked, list_deliveries

    asked = DeliveriesAsked(endpoint_id, _known(states), limit=limit)
    with opened_database() as (_, engine), reading(engine) as session:
        for row in list_deliveries(session, asked).rows:
            last = f" (last: {row.last_status or row.last_error})" if row.attempts else ""
            when = f"next {_instant(row.due_at)}" if row.ended_at is None else f"ended {_instant(row.ended_at)}"
            click.echo(
                f"{row.id:>6} {row.state:<9} {row.type:<30} to {row.endpoint_id} {row.endpoint_name}, "
                f"{row.attempts} attempts{last}, {when}, {row.message_id}"
            )


def _known(states: tuple[str, ...]) -> tuple[str, ...]:
    from app.queries.webhooks import STATES

    unknown = [state for state in states if state not in STATES]
    if unknown:
        raise click.ClickException(f"There is no state {unknown[0]!r}; there are: {', '.join(STATES)}.")
    return states


@webhook.command("replay")
@click.argument("delivery_ids", type=int, nargs=-1)
@click.option("--endpoint", "endpoint_id", type=int, help="All that was given up or dropped there in the last 14 days.")
def replay(*, delivery_ids: tuple[int, ...], endpoint_id: int | None) -> None:
    """Send ended deliveries again, under the same ids and with ten attempts more; the worker does it.

    Example: tenure webhook replay --endpoint 1
    """
    from app.queries.webhooks import find_replayable
    from app.services.changes import utc_now
    from app.services.deliveries import REPLAYABLE, replay_delivery

    if bool(delivery_ids) == (endpoint_id is not None):
        raise click.ClickException("Name deliveries by their ids, or an endpoint with --endpoint.")
    with opened_database() as (_, engine), transaction(engine) as session:
        now = utc_now()
        if endpoint_id is not None:
            delivery_ids = tuple(find_replayable(session, endpoint_id, ended_after=now - REPLAYABLE))
        for delivery_id in delivery_ids:
            replay_delivery(session, delivery_id, actor=ACTOR, at=now)
    click.echo(f"Due again: {len(delivery_ids)}.")


@webhook.command("deliver")
def deliver() -> None:
    """Deliver what is due now, once: what the worker does every few seconds.

    Example: tenure webhook deliver
    """
    from dataclasses import asdict

    from jobs.deliver import deliver_due
    from jobs.work import Work

    with opened_database() as (settings, engine):
        done = asdict(deliver_due(Work(engine, settings)))
    click.echo(", ".join(f"{count} {outcome}" for outcome, count in done.items() if count) or "Nothing is due.")


def _instant(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%SZ}" if at else ""
