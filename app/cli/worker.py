"""The worker: `tenure worker`, its state, and what waits for a person."""

import logging
import os
import signal
import sys
from datetime import datetime

import click

from app.cli.opened import opened_database, say_warnings
from app.db import reading, transaction


@click.group(invoke_without_command=True)
@click.option("--once", is_flag=True, help="Do every task once and end, for a scheduler that starts it again.")
@click.option("--parent", type=int, hidden=True, help="End when the process of this id has.")
@click.pass_context
def worker(context: click.Context, *, once: bool, parent: int | None) -> None:
    """Do what is due: take in files, roll up events, make the night, deliver messages, watch feeds.

    Any number may run on PostgreSQL, and on the one machine of a SQLite database. Ctrl-C or SIGTERM
    ends it within seconds; killed at any moment, another takes up where it was.

    Example: tenure worker
    """
    if context.invoked_subcommand is None:
        _work(is_once=once, parent=parent)


def _work(*, is_once: bool, parent: int | None) -> None:
    from jobs.work import Work
    from jobs.worker import Worker

    if parent is None:
        logging.getLogger("jobs").setLevel(logging.INFO)
    else:
        os.nice(10)  # beside a server: people come first
    with opened_database() as (settings, engine):
        if parent is None:  # else the server has said them
            say_warnings(settings)
        one = Worker(Work(engine, settings))

        def end(_number: int, _frame: object) -> None:
            if one.stopping.is_set():
                os._exit(1)  # asked twice: as good as killed, and that is safe
            one.stopping.set()

        signal.signal(signal.SIGTERM, end)
        signal.signal(signal.SIGINT, end)
        has_ended = one.run_once() if is_once else one.run(is_alone=lambda: parent not in {None, os.getppid()})
        if not has_ended:
            logging.shutdown()
            os._exit(1 if is_once else 0)  # what is broken off still computes; it can write nothing any more
    sys.exit(1 if is_once and one.failed else 0)


@worker.command()
def status() -> None:
    """List the tasks, when each ran and will run, who is at it, and what was set aside.

    Example: tenure worker status
    """
    from app.queries.leases import list_set_aside, list_tasks
    from app.queries.nights import NIGHTLY, find_next_night, load_night_plan
    from app.services.changes import utc_now
    from jobs.worker import TASKS

    now = utc_now()
    with opened_database() as (settings, engine), reading(engine) as session:
        states = {state.name: state for state in list_tasks(session)}
        aside = list_set_aside(session)
        next_night = find_next_night(session, now=now)
        is_off = load_night_plan(session).at is None
    click.echo(f"{'task':<10}{'last run':<22}{'next':<22}{'at work':<30}outcome")
    for task in TASKS:
        state = states.get(task.name)
        if state is None:
            click.echo(f"{task.name:<10}{'never':<22}")
            continue
        due = _instant(next_night if task.name == NIGHTLY and next_night else state.due_at)
        due = "off" if task.name == NIGHTLY and is_off else due
        holder = state.holder if state.is_held(now) else ""
        outcome = f"failed {state.failures} in a row: {state.error}" if state.error else "well"
        click.echo(f"{task.name:<10}{_instant(state.ended_at):<22}{due:<22}{holder:<30}{outcome}")
    for item in aside:
        click.echo(f"set aside on {_instant(item.set_aside_at)}: {item.task} {item.item!r}: {item.error}")
    if aside:
        click.echo("Once the cause is gone: tenure worker retry TASK ITEM")
    say_warnings(settings)


def _instant(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%SZ}" if at else ""


@worker.command()
@click.argument("task")
@click.argument("item")
def retry(task: str, item: str) -> None:
    """Try again what was set aside.

    Example: tenure worker retry nightly 2026-01-01
    """
    from app.services.audit import Act, record_act
    from app.services.changes import utc_now
    from app.services.work_items import Item, retry_item

    with opened_database() as (_, engine), transaction(engine) as session:
        retry_item(session, Item(task, item))
        record_act(session, Act("work_item.retried", f"work_item:{task}"), actor="command", at=utc_now())
    click.echo(f"{task} will try {item!r} again.")
