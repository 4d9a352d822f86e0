"""Running a task as ordered steps: each computed, then committed with its mark, so that a dead run is taken up again.

A step first computes (reading only, however long that takes) and then hands back a function that
writes. The write and the step's mark are one short transaction: after a `kill -9` at any moment a
step either happened whole or not at all.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Generic, Protocol, TypeVar

from sqlalchemy import Select, delete, select
from sqlalchemy.orm import Session

from app.models.runs import JobRun, JobStep
from app.queries.known import resolve_known_at
from app.services.leases import LeaseLost
from jobs.work import Work

log = logging.getLogger(__name__)

Result = dict[str, Any]
Write = Callable[[Session], Result]


@dataclass(frozen=True, slots=True)
class Run:
    """A task of a date that was opened, or found open."""

    id: int
    as_of: date
    known_at: datetime
    is_finished: bool


class AnyTask(Protocol):
    """What running the steps needs to know of a task; the steps know more of theirs."""

    @property
    def work(self) -> Work: ...
    @property
    def run(self) -> Run: ...


Task = TypeVar("Task", bound=AnyTask)


@dataclass(frozen=True, slots=True)
class Step(Generic[Task]):
    """`compute` gets the task and the results of the steps before it."""

    name: str
    compute: Callable[[Task, Mapping[str, Result]], Write]


def open_run(work: Work, name: str, *, as_of: date, is_again: bool) -> Run:
    """The run of the task for that date: begun now, or taken up where it stopped.

    `is_again` begins it anew, from what is known now. What an earlier run published stays until
    this one publishes.
    """
    with work.writing() as session:
        row = session.scalar(select(JobRun).where(JobRun.task == name, JobRun.scheduled_for == as_of))
        if row is not None and is_again:
            session.execute(delete(JobStep).where(JobStep.job_run_id == row.id))
            session.delete(row)
            session.flush()
            row = None
        if row is None:
            known_at = resolve_known_at(session, None, now=work.clock())
            row = JobRun(task=name, scheduled_for=as_of, known_at=known_at, started_at=work.clock())
            session.add(row)
            session.flush()
        return Run(row.id, row.scheduled_for, row.known_at, row.finished_at is not None)


def run_steps(task: Task, steps: Sequence[Step[Task]]) -> dict[str, Result]:
    """Do the steps that are not done yet, in order; the results of all by name."""
    results: dict[str, Result] = {}
    for number, step in enumerate(steps, start=1):
        done = _begin(task, step.name)
        if done is None:
            log.info("step %d of %d: %s", number, len(steps), step.name)
            done = _do(task, step, results=results)
        results[step.name] = done
    if not task.run.is_finished:
        with task.work.writing() as session:
            session.get_one(JobRun, task.run.id).finished_at = task.work.clock()
    return results


def _begin(task: AnyTask, name: str) -> Result | None:
    """The step's result if it is done; else mark that it has begun."""
    with task.work.writing() as session:
        row = session.scalar(_step(task, name))
        if row is not None and row.finished_at is not None:
            return row.result or {}
        if row is None:
            row = JobStep(job_run_id=task.run.id, name=name)
            session.add(row)
        row.started_at, row.error = task.work.clock(), None
    return None


def _do(task: Task, step: Step[Task], *, results: Mapping[str, Result]) -> Result:
    try:
        write = step.compute(task, results)
        with task.work.writing() as session:
            result = write(session)
            row = session.scalars(_step(task, step.name)).one()
            row.finished_at, row.result = task.work.clock(), result
    except LeaseLost:
        raise  # whoever has the work now tells how it goes
    except Exception as error:
        with task.work.writing() as session:
            session.scalars(_step(task, step.name)).one().error = f"{type(error).__name__}: {error}"
        raise
    return result


def _step(task: AnyTask, name: str) -> Select[JobStep]:
    return select(JobStep).where(JobStep.job_run_id == task.run.id, JobStep.name == name)
