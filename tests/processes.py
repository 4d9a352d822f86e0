"""What tests of dying and stopped workers run in processes of their own, forked off one that has all loaded."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select

from app.db import make_engine, reading, transaction
from app.models.runs import JobRun, JobStep
from app.services.leases import claim_lease, release_lease
from app.services.work_items import Item
from jobs.attempts import SetAside, attempt
from jobs.holding import keep_lease
from jobs.nightly import run_night
from jobs.work import Work
from jobs.worker import Task, Worker
from tests.installation import work_on

AS_OF = date(2026, 1, 1)
LASTS = timedelta(seconds=0.5)
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.processes", "tests.alerting"])


def start(target: Callable[..., None], *arguments: Any) -> BaseProcess:
    process = CONTEXT.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


def send(process: BaseProcess, number: signal.Signals) -> None:
    assert process.pid is not None
    os.kill(process.pid, number)


def make_night(work: Work) -> None:
    run_night(work, AS_OF)


def die_at_the_first_of_two(work: Work) -> None:
    """Work of two items, of which the first takes the process with it."""
    for name in ("deadly", "harmless"):
        with suppress(SetAside), attempt(work, Item("odd jobs", name)):
            if name == "deadly":
                os.kill(os.getpid(), signal.SIGKILL)


def be_a_worker(url: str, folder: Path, sweeps: dict[str, str], lasts: timedelta = LASTS) -> None:
    """A worker on these tasks until it is asked to end, as `tenure worker` is.

    Where others wait for their turn, give leases that last: on a busy machine renewing may be late.
    """
    engine = make_engine(url)
    tasks = tuple(Task(name, timedelta(milliseconds=50), sweep) for name, sweep in sweeps.items())
    worker = Worker(work_on(engine, folder=folder), tasks, lasts)
    signal.signal(signal.SIGTERM, lambda _number, _frame: worker.stopping.set())
    os._exit(0 if worker.run() else 1)


def make_the_night_once(url: str, folder: Path, told: Connection) -> None:
    """Wait for the lease, make the night under it, and tell how that went."""
    engine = make_engine(url)
    work = work_on(engine, folder=folder)
    lease = None
    while lease is None:
        time.sleep(0.02)
        with transaction(engine) as session:
            lease = claim_lease(session, "nightly", holder=str(os.getpid()), now=datetime.now(UTC), lasts=LASTS)
    try:
        with keep_lease(work, lease, lasts=LASTS) as fenced:
            run_night(fenced, AS_OF)
    except Exception as error:  # noqa: BLE001  to be told to the test, whatever it is
        told.send(type(error).__name__)
        return
    with transaction(engine) as session:
        release_lease(session, lease, now=datetime.now(UTC))
    told.send("made")


@contextmanager
def told_by_a_night(url: str, folder: Path) -> Iterator[tuple[BaseProcess, Connection]]:
    ours, theirs = CONTEXT.Pipe(duplex=False)
    process = start(make_the_night_once, url, folder, theirs)
    theirs.close()
    yield process, ours
    process.kill()
    process.join()


def unfinished_steps(engine: Engine) -> set[str]:
    with reading(engine) as session:
        return set(session.scalars(select(JobStep.name).where(JobStep.finished_at.is_(None))))


def finished_steps(engine: Engine) -> list[str]:
    with reading(engine) as session:
        return list(session.scalars(select(JobStep.name).where(JobStep.finished_at.is_not(None)).order_by(JobStep.id)))


def is_night_made(engine: Engine) -> bool:
    with reading(engine) as session:
        return session.scalar(select(JobRun.id).where(JobRun.finished_at.is_not(None))) is not None
