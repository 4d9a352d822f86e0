"""The worker: every task on its schedule, under its lease, each in a thread of its own. Read TASKS and you know it all.

Any number of workers may run. A task is done by the one that claims its lease, and its state is in the
database alone: a worker that dies at any moment leaves nothing behind but a lease that runs out.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from datetime import timedelta
from functools import partial
from pkgutil import resolve_name
from typing import Any

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.db import transaction
from app.services.leases import (
    LASTS,
    Ending,
    Lease,
    LeaseLost,
    claim_due_lease,
    claim_lease,
    release_lease,
)
from app.services.work_items import give_back_items
from jobs.holding import keep_lease, name_holder
from jobs.work import Fence, Work

log = logging.getLogger(__name__)

LONGEST_BACKOFF = timedelta(minutes=15)
PATIENCE_SECONDS = 10.0  # for what is under way when the worker is asked to end; a second signal ends at once


@dataclass(frozen=True, slots=True)
class Task:
    """`sweep` names a function of Work that does what is due, and returns what it did.

    It is imported when it first runs: a worker is there at once, and what it never does it never loads.
    """

    name: str
    every: timedelta
    sweep: str

    def __call__(self, work: Work) -> Any:
        return resolve_name(self.sweep)(work)

    def pause(self, failures: int) -> timedelta:
        """Until it is due again: its interval, doubled with every failure in a row."""
        doubled: timedelta = self.every * 2 ** min(failures, 12)
        return min(doubled, max(self.every, LONGEST_BACKOFF))


TASKS = (
    Task("sync", timedelta(minutes=1), "jobs.sync_crm:sync_everything"),
    Task("roll_up", timedelta(minutes=1), "jobs.roll_up:roll_up_events"),
    Task("nightly", timedelta(minutes=1), "jobs.due_night:make_due_night"),
    Task("deliver", timedelta(seconds=5), "jobs.deliver:deliver_due"),
    Task("replay", timedelta(minutes=1), "jobs.replay:replay_trials"),
    Task("watch", timedelta(minutes=5), "jobs.watch:watch_all_feeds"),
)


@dataclass
class Worker:
    """One process that works on tasks until `stopping` is set."""

    work: Work
    tasks: Sequence[Task] = TASKS
    lasts: timedelta = LASTS
    holder: str = field(default_factory=name_holder)
    stopping: threading.Event = field(default_factory=threading.Event)
    failed: list[str] = field(default_factory=list)
    _held: dict[str, Lease] = field(default_factory=dict)
    _is_abandoned: bool = False

    def run(self, *, is_alone: Callable[[], bool] = lambda: False) -> bool:
        """Work until asked to end, or left alone; whether everything under way came to its end."""
        log.info("%s works on %s", self.holder, ", ".join(task.name for task in self.tasks))
        threads = [_start(task.name, partial(self._follow, task)) for task in self.tasks]
        while not self.stopping.wait(1.0) and not is_alone():
            pass
        return self._end(threads)

    def run_once(self) -> bool:
        """Do every task once and in order, but for those that somebody else is at; `failed` names those that failed."""
        thread = _start("once", self._go_through)
        while thread.is_alive() and not self.stopping.is_set():
            thread.join(0.2)
        return self._end([thread])

    def _follow(self, task: Task) -> None:
        while not self.stopping.is_set():
            try:
                self._take_turn(task, claim_due_lease)
            except Exception as error:  # noqa: BLE001  the thread has to outlive it: a database that is busy or gone
                log.warning("%s could not be begun or ended: %s", task.name, error)
            self.stopping.wait(task.every.total_seconds())

    def _go_through(self) -> None:
        for task in self.tasks:
            if self.stopping.is_set():
                return
            try:
                self._take_turn(task, claim_lease)
            except Exception as error:  # noqa: BLE001  the other tasks have to be done all the same
                log.warning("%s could not be begun or ended: %s", task.name, error)
                self.failed.append(task.name)

    def _take_turn(self, task: Task, claim: Callable[..., Lease | None]) -> None:
        now = self.work.clock()
        with transaction(self.work.engine) as session:
            lease = claim(session, task.name, holder=self.holder, now=now, lasts=self.lasts)
        if lease is None:
            return
        self._held[task.name] = lease
        try:
            ending = self._sweep(task, lease)
            with transaction(self.work.engine) as session:
                release_lease(session, lease, now=self.work.clock(), ending=ending)
        finally:
            del self._held[task.name]

    def _sweep(self, task: Task, lease: Lease) -> Ending | None:
        try:
            with keep_lease(self.work, lease, lasts=self.lasts) as fenced:
                result = task(replace(fenced, fence=partial(self._pass, fenced.fence)))
        except LeaseLost as lost:
            log.warning("%s: %s", task.name, lost)
            return None
        except Exception as error:  # one task's failure never stops the others
            log.exception("%s failed", task.name)
            self.failed.append(task.name)
            pause = task.pause(lease.failures + 1)
            return Ending(f"{type(error).__name__}: {error}", self.work.clock() + pause)
        if told := _told(result):
            log.info("%s: %s", task.name, told)
        return Ending(due_at=self.work.clock() + task.every)

    def _pass(self, fence: Fence, session: Session) -> None:
        if self._is_abandoned:
            raise LeaseLost
        fence(session)

    def _end(self, threads: Sequence[threading.Thread]) -> bool:
        """Wait a little for what is under way; give back what does not end: nothing half-done is ever committed."""
        self.stopping.set()
        until = time.monotonic() + PATIENCE_SECONDS
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))
        if not any(thread.is_alive() for thread in threads):
            log.info("%s has ended", self.holder)
            return True
        self._is_abandoned = True
        for lease in list(self._held.values()):
            log.warning("%s is broken off; the next worker takes it up", lease.name)
            with suppress(DBAPIError):  # the lease runs out by itself
                self._give_back(lease)
        return False

    def _give_back(self, lease: Lease) -> None:
        with transaction(self.work.engine) as session:
            if self.work.engine.dialect.name == "postgresql":
                session.execute(text("SET LOCAL lock_timeout = '2s'"))  # what is broken off may be holding the row
            give_back_items(session, lease.name, begun_since=lease.claimed_at)
            release_lease(session, lease, now=self.work.clock())


def _start(name: str, target: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=target, name=name, daemon=True)
    thread.start()
    return thread


def _told(result: Any) -> str:
    """What a sweep did, in a line; nothing where it had nothing to do."""
    values = asdict(result) if is_dataclass(result) and not isinstance(result, type) else {}
    return ", ".join(f"{name} {value}" for name, value in values.items() if value)
