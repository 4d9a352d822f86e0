"""A task that died is taken up where it stopped; what a step wrote came with its mark or not at all."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

import pytest
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from app.db import reading, transaction
from app.models.runs import JobRun, JobStep
from app.models.versions import Change
from app.services.changes import recording
from jobs.steps import Result, Run, Step, Write, open_run, run_steps
from jobs.work import Work
from tests.installation import work_on

NIGHT = date(2026, 1, 2)


def clock() -> datetime:
    return datetime(2026, 1, 2, 3, tzinfo=UTC)


@dataclass
class Errand:
    work: Work
    run: Run
    computed: list[str] = field(default_factory=list)
    dies_in: str | None = None


class Died(Exception):
    pass


def step(name: str, *, dies_after_writing: bool = False) -> Step[Errand]:
    def compute(errand: Errand, results: Mapping[str, Result]) -> Write:
        errand.computed.append(name)
        if errand.dies_in == name and not dies_after_writing:
            raise Died(name)

        def write(session: Session) -> Result:
            session.add(Change(source=name, recorded_at=None))
            session.flush()
            if errand.dies_in == name and dies_after_writing:
                raise Died(name)
            return {"after": len(results)}

        return write

    return Step(name, compute)


STEPS = (step("one"), step("two", dies_after_writing=True), step("three"))


def opened(engine: Engine, *, is_again: bool = False) -> Run:
    return open_run(work_on(engine, clock=clock), "errand", as_of=NIGHT, is_again=is_again)


def written(engine: Engine) -> list[str]:
    with reading(engine) as session:
        return list(session.scalars(select(Change.source).order_by(Change.id)))


def test_steps_run_in_order_and_see_what_came_before(engine: Engine) -> None:
    errand = Errand(work_on(engine, clock=clock), opened(engine))
    assert run_steps(errand, STEPS) == {"one": {"after": 0}, "two": {"after": 1}, "three": {"after": 2}}
    assert errand.computed == ["one", "two", "three"]


def test_a_finished_task_is_not_done_again(engine: Engine) -> None:
    run_steps(Errand(work_on(engine, clock=clock), opened(engine)), STEPS)
    again = Errand(work_on(engine, clock=clock), opened(engine))
    assert again.run.is_finished
    assert run_steps(again, STEPS)["three"] == {"after": 2}
    assert again.computed == []
    assert written(engine) == ["one", "two", "three"]


def test_what_a_dying_step_wrote_is_gone_and_the_next_run_goes_on_from_there(engine: Engine) -> None:
    first = Errand(work_on(engine, clock=clock), opened(engine), dies_in="two")
    with pytest.raises(Died):
        run_steps(first, STEPS)
    assert written(engine) == ["one"]
    with reading(engine) as session:
        assert session.scalar(select(JobStep.error).where(JobStep.name == "two")) == "Died: two"
    second = Errand(work_on(engine, clock=clock), opened(engine))
    run_steps(second, STEPS)
    assert second.computed == ["two", "three"]
    assert written(engine) == ["one", "two", "three"]
    with reading(engine) as session:
        assert session.scalar(select(JobStep.error).where(JobStep.name == "two")) is None


def test_asked_for_again_it_is_done_anew_from_what_is_known_then(engine: Engine) -> None:
    first = opened(engine)
    run_steps(Errand(work_on(engine, clock=clock), first), STEPS[:1])
    with transaction(engine) as session, recording(session, "later", clock=clock) as change:
        assert change.id
    second = Errand(work_on(engine, clock=clock), opened(engine, is_again=True))
    run_steps(second, STEPS[:1])
    assert second.computed == ["one"]
    with reading(engine) as session:
        assert session.scalar(select(func.count()).select_from(JobRun)) == 1
