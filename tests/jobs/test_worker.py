"""Any number of workers, each task under its lease: what they do between them, and how they end."""

import logging
import signal
import threading
import time
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from pkgutil import resolve_name

import pytest
from sqlalchemy import Engine, func, select, text

from app.db import make_engine, reading, transaction
from app.models.runs import JobRun, JobStep
from app.models.scores import ModelRun
from app.queries.leases import TaskState, find_lease, list_set_aside
from app.queries.nights import BEFORE
from app.services.changes import recording
from app.services.leases import Ending, claim_lease, release_lease
from app.services.settings import record_settings
from jobs.due_night import NightMade, make_due_night
from jobs.nightly import STEPS
from jobs.work import Work
from jobs.worker import LONGEST_BACKOFF, TASKS, Task, Worker
from tests.installation import work_on
from tests.jobs.growing_company import import_company
from tests.processes import be_a_worker, is_night_made, send, start

SOON = timedelta(milliseconds=20)
done: list[str] = []
let_go = threading.Event()


@dataclass(frozen=True)
class Swept:
    swept: int = 0
    nothing: int = 0


def sweep_well(_work: Work) -> Swept:
    done.append("well")
    return Swept(swept=1)


def sweep_badly(_work: Work) -> Swept:
    done.append("badly")
    raise RuntimeError("out of luck")


def sweep_without_end(work: Work) -> Swept:
    done.append("began")
    let_go.wait(60)
    with work.writing() as session, recording(session, "without end"):
        done.append("wrote")
    return Swept()


@pytest.fixture(autouse=True)
def _begin_anew() -> None:
    done.clear()
    let_go.clear()


def tasks(*names: str, every: timedelta = SOON) -> tuple[Task, ...]:
    return tuple(Task(name, every, f"{__name__}:sweep_{name}") for name in names)


@pytest.fixture(autouse=True)
def _resolve_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The functions of this file, which pytest imports under a name of its own."""
    here = {name: value for name, value in globals().items() if name.startswith("sweep_")}
    monkeypatch.setattr("jobs.worker.resolve_name", lambda name: here.get(name.partition(":")[2]) or resolve_name(name))


def state(engine: Engine, name: str) -> TaskState:
    with reading(engine) as session:
        found = find_lease(session, name)
    assert found is not None
    return found


def test_every_task_of_the_table_is_a_function_that_is_there() -> None:
    assert len({task.name for task in TASKS}) == len(TASKS)
    assert all(callable(resolve_name(task.sweep)) for task in TASKS)


def test_once_does_every_task_in_order_and_one_that_fails_stops_none(
    engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "jobs")
    worker = Worker(work_on(engine), tasks("badly", "well"))
    assert worker.run_once()
    assert (done, worker.failed) == (["badly", "well"], ["badly"])
    assert "well: swept 1" in caplog.text
    assert "out of luck" in caplog.text
    assert (state(engine, "badly").failures, state(engine, "badly").error) == (1, "RuntimeError: out of luck")
    assert (state(engine, "well").failures, state(engine, "well").error) == (0, None)


def test_a_task_that_somebody_else_is_at_is_left_to_them(engine: Engine) -> None:
    work = work_on(engine)
    with transaction(engine) as session:
        assert claim_lease(session, "well", holder="elsewhere", now=work.clock())
    assert Worker(work, tasks("well")).run_once()
    assert done == []


def test_what_fails_is_tried_again_after_longer_and_longer_pauses() -> None:
    task = Task("deliver", timedelta(seconds=5), "")
    assert [task.pause(failures).total_seconds() for failures in (0, 1, 2, 3)] == [5, 10, 20, 40]
    assert task.pause(100) == LONGEST_BACKOFF
    assert Task("nightly", timedelta(days=1), "").pause(5) == timedelta(days=1)


def test_a_failing_task_waits_while_the_others_go_on(engine: Engine) -> None:
    worker = Worker(work_on(engine), (*tasks("well"), *tasks("badly", every=timedelta(minutes=1))))
    thread = threading.Thread(target=worker.run)
    thread.start()
    while done.count("well") < 5:
        time.sleep(0.01)
    worker.stopping.set()
    thread.join()
    assert done.count("badly") == 1
    failed = state(engine, "badly")
    assert failed.due_at is not None
    assert failed.claimed_at + timedelta(minutes=2) <= failed.due_at <= failed.claimed_at + timedelta(minutes=3)


def test_a_database_that_went_away_and_came_back_is_worked_on_again(engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        pytest.skip("a file does not go away")
    lasts = timedelta(seconds=0.2)  # what could not be given back runs out
    worker = Worker(work_on(engine), tasks("well"), lasts)
    thread = threading.Thread(target=worker.run)
    thread.start()
    for more in range(1, 4):
        while done.count("well") < 5 * more:
            time.sleep(0.01)
        other = make_engine(engine.url.render_as_string(hide_password=False))
        with other.connect() as connection:
            everybody = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
            connection.execute(text(f"{everybody} AND datname = current_database()"))
        other.dispose()
    while done.count("well") < 20:
        time.sleep(0.01)
    worker.stopping.set()
    thread.join()


def test_a_worker_that_is_left_alone_ends(engine: Engine) -> None:
    assert Worker(work_on(engine), tasks("well")).run(is_alone=lambda: True)


def test_what_does_not_end_in_time_is_broken_off_given_back_and_writes_nothing(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jobs.worker.PATIENCE_SECONDS", 0.2)
    worker = Worker(work_on(engine), tasks("without_end"))
    ended: list[bool] = []
    thread = threading.Thread(target=lambda: ended.append(worker.run()))
    thread.start()
    while done != ["began"]:
        time.sleep(0.01)
    worker.stopping.set()
    thread.join()
    assert ended == [False]
    given_back = state(engine, "without_end")
    assert not given_back.is_held(datetime.now(UTC))
    assert (given_back.failures, given_back.error) == (0, None)
    let_go.set()
    for other in threading.enumerate():
        if other.name == "without_end":
            other.join()
    assert done == ["began"], "the fence let nothing through"


@pytest.fixture
def company(engine: Engine, tmp_path: Path) -> Engine:
    import_company(engine, tmp_path)
    with transaction(engine) as session, recording(session, "test") as change:
        record_settings(session, change, values={"night_at": "00:00"})
    end_what_comes_before(engine, at=datetime.now(UTC))
    return engine


def end_what_comes_before(engine: Engine, *, at: datetime) -> None:
    with transaction(engine) as session:
        for name in BEFORE:
            lease = claim_lease(session, name, holder="a test", now=at)
            assert lease is not None
            release_lease(session, lease, now=at, ending=Ending())


@pytest.mark.parametrize("workers", [2, 10])
def test_however_many_workers_there_are_the_night_is_made_once(
    company: Engine, database_url: str, tmp_path: Path, workers: int
) -> None:
    sweeps = {"nightly": "jobs.due_night:make_due_night"}
    lasts = timedelta(minutes=1)
    running = [start(be_a_worker, database_url, tmp_path, sweeps, lasts) for _ in range(workers)]
    while not is_night_made(company):
        time.sleep(0.05)
    for process in running:
        send(process, signal.SIGTERM)
    for process in running:
        process.join()
    assert {process.exitcode for process in running} == {0}
    with reading(company) as session:
        counts = [session.scalar(select(func.count()).select_from(table)) for table in (JobRun, ModelRun, JobStep)]
    assert counts == [1, 1, len(STEPS)]


def test_a_missed_night_is_caught_up_and_only_the_newest(company: Engine, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    work = replace(work_on(company, folder=tmp_path), clock=lambda: now)
    made = make_due_night(work)
    assert made == NightMade(now.date(), is_published=True)
    assert make_due_night(work) == NightMade()
    later = replace(work, clock=lambda: now + timedelta(days=9))
    end_what_comes_before(company, at=later.clock())
    assert make_due_night(later).day == now.date() + timedelta(days=9)
    with reading(company) as session:
        assert len(session.scalars(select(JobRun.id)).all()) == 2


def test_work_that_kills_its_worker_three_times_is_set_aside_and_stops_nobody(
    engine: Engine, database_url: str, tmp_path: Path
) -> None:
    sweeps = {"odd jobs": "tests.processes:die_at_the_first_of_two"}
    for _ in range(3):
        dead = start(be_a_worker, database_url, tmp_path, sweeps)
        dead.join(60)
        assert dead.exitcode == -signal.SIGKILL
    survivor = start(be_a_worker, database_url, tmp_path, sweeps)
    while state(engine, "odd jobs").ended_at is None:
        time.sleep(0.02)
    send(survivor, signal.SIGTERM)
    survivor.join()
    with reading(engine) as session:
        (aside,) = list_set_aside(session)
    assert (aside.item, aside.begun) == ("deadly", 3)


def test_a_night_that_fails_is_set_aside_after_three_attempts_and_the_next_day_is_another(
    company: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_work: Work, day: date) -> None:
        done.append(str(day))
        raise RuntimeError("no exchange rate")

    monkeypatch.setattr("jobs.nightly.run_night", fail)
    now = datetime.now(UTC)
    work = replace(work_on(company, folder=tmp_path), clock=lambda: now)
    for _ in range(3):
        with pytest.raises(RuntimeError):
            make_due_night(work)
    assert make_due_night(work) == NightMade()
    assert len(done) == 3
    with reading(company) as session:
        assert [(each.item, each.error) for each in list_set_aside(session)] == [
            (str(now.date()), "RuntimeError: no exchange rate")
        ]
