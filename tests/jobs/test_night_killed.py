"""kill -9 and SIGSTOP in the middle of the night: the next worker completes it, and an old one writes nothing."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.exc import OperationalError

from app.db import reading, transaction
from app.models.expansion import ExpansionOpportunity
from app.models.leases import Lease
from app.models.runs import JobRun, JobStep
from app.models.scores import ModelRun, Score
from app.models.webhooks import WebhookMessage
from jobs.nightly import STEPS, run_night
from tests.databases import copied, everything, figures
from tests.installation import work_on
from tests.jobs.growing_company import ACCOUNTS, AS_OF, import_company
from tests.processes import be_a_worker, is_night_made, send, start, told_by_a_night, unfinished_steps

NIGHT = {"nightly": "tests.processes:make_night"}
LONG = 100.0


def wait_until(condition: Callable[[], object], *, seconds: float = LONG) -> None:
    """Look again and again; it is the other process that takes its time."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "the other process did not get there"
        time.sleep(0.001)


def count(engine: Engine, table: type) -> int:
    with reading(engine) as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


@pytest.fixture
def company(engine: Engine, tmp_path: Path) -> Engine:
    import_company(engine, tmp_path)
    return engine


@contextmanager
def gate(engine: Engine) -> Iterator[None]:
    """Hold what every write of the night has to pass first, so that nobody gets beyond it."""
    with transaction(engine) as session:
        session.execute(select(Lease).where(Lease.name == "nightly").with_for_update(nowait=True))
        yield


def die_computing(worker: BaseProcess, _engine: Engine) -> None:
    worker.kill()


def die_about_to_write(worker: BaseProcess, engine: Engine) -> None:
    with suppress(OperationalError), gate(engine):  # it is writing already: then it dies at that
        send(worker, signal.SIGCONT)
        wait_until(lambda: is_idle(worker))
        worker.kill()
        worker.join()
    worker.kill()


def is_idle(process: BaseProcess) -> bool:
    """Whether it takes no more time of the processor: it waits at the gate."""
    before = processor_ticks(process)
    time.sleep(0.2)
    return processor_ticks(process) == before


def processor_ticks(process: BaseProcess) -> list[str]:
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]


@pytest.mark.one_database
@pytest.mark.parametrize("die", [pytest.param(die_computing, marks=pytest.mark.slow), die_about_to_write])
def test_killed_in_the_middle_of_each_step_the_night_is_completed_as_if_nothing_had_been(
    company: Engine, database_url: str, tmp_path: Path, die: Callable[[BaseProcess, Engine], None]
) -> None:
    with copied(company) as undisturbed:
        run_night(work_on(undisturbed), AS_OF)
        expected = figures(undisturbed)
    killed_in: set[str] = set()

    def is_in_another() -> bool:
        return bool(unfinished_steps(company) - killed_in) or is_night_made(company)

    while not is_night_made(company):
        worker = start(be_a_worker, database_url, tmp_path, NIGHT)
        wait_until(is_in_another)
        send(worker, signal.SIGSTOP)  # so that it dies where it was seen
        killed_in |= unfinished_steps(company)
        die(worker, company)
        worker.join()
    assert len(killed_in) >= len(STEPS) - 2, "the quickest may have been missed; without more this shows little"
    assert {"fit", "score", "flag"} <= killed_in
    found = figures(company)
    assert {name: rows for name, rows in found.items() if rows != expected[name]} == {}
    assert (count(company, JobRun), count(company, JobStep)) == (1, len(STEPS))
    assert (count(company, ModelRun), count(company, Score)) == (1, ACCOUNTS)
    assert count(company, ExpansionOpportunity) == count(company, WebhookMessage) == 15


@pytest.mark.parametrize("step", ["score", "flag"])
def test_a_worker_that_was_stopped_past_its_lease_writes_nothing_when_it_goes_on(
    company: Engine, database_url: str, tmp_path: Path, step: str
) -> None:
    with told_by_a_night(database_url, tmp_path) as (old, told):
        stop_computing(old, company, step=step)
        with told_by_a_night(database_url, tmp_path) as (_, told_by_the_new):
            assert told_by_the_new.recv() == "made"
        before = everything(company)
        send(old, signal.SIGCONT)
        assert told.recv() == "LeaseLost"
    assert everything(company) == before
    assert (count(company, ModelRun), count(company, Score)) == (1, ACCOUNTS)
    with reading(company) as session:
        assert session.scalars(select(Lease.token)).one() == 2


def stop_computing(process: BaseProcess, engine: Engine, *, step: str) -> None:
    """Stop the process when it has begun the step, or a later one, and is not writing."""
    names = [each.name for each in STEPS]
    while True:
        wait_until(lambda: unfinished_steps(engine) & set(names[names.index(step) :]))
        send(process, signal.SIGSTOP)
        with suppress(OperationalError), gate(engine):
            if unfinished_steps(engine):
                return
        send(process, signal.SIGCONT)
