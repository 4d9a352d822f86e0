"""Where data comes from, and how often it should: `tenure feed`."""

import click

from app.cli.opened import opened_database
from app.db import reading, transaction


@click.group()
def feed() -> None:
    """Sources of data, and whether it still comes."""


@feed.command("list")
def feed_list() -> None:
    """List the feeds.

    Example: tenure feed list
    """
    from app.queries.feeds import list_feeds

    with opened_database() as (_, engine), reading(engine) as session:
        feeds = list_feeds(session)
    for each in feeds:
        seen = f"{each.last_seen_at:%Y-%m-%d %H:%M:%SZ}" if each.last_seen_at else "never"
        expected = f"every {each.expected_hours} h" if each.expected_hours else "not watched"
        silent = f"  silent since {each.silent_since:%Y-%m-%d %H:%M:%SZ}" if each.silent_since else ""
        click.echo(f"{each.kind:<8}{each.name:<24}last {seen:<22}{expected}{silent}  {each.last_error or ''}".rstrip())


@feed.command("expect")
@click.argument("kind")
@click.argument("name")
@click.argument("hours", type=int, required=False)
def feed_expect(kind: str, name: str, *, hours: int | None) -> None:
    """Expect data of a feed at least every so many HOURS; without them it is not watched any more.

    Example: tenure feed expect sync our_crm 26
    """
    from app.errors import NotFound
    from app.queries.feeds import find_feed
    from app.services.changes import utc_now
    from app.services.feeds import expect_feed

    with opened_database() as (_, engine), transaction(engine) as session:
        found = find_feed(session, kind=kind, name=name)
        if found is None:
            raise NotFound(f"There is no feed {kind} {name}; `tenure feed list` lists them once data has come.")
        expect_feed(session, found.id, hours=hours, actor="command", at=utc_now())
    click.echo(f"{kind} {name} is expected every {hours} hours." if hours else f"{kind} {name} is not watched.")
