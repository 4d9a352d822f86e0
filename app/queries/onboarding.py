"""The onboarding plans of an account: which steps are done, which are late."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from app.models.persons import Person
from app.models.success import Milestone, OnboardingPlan
from app.queries.known import in_force

AnyRow = Row[*tuple[Any, ...]]


class StepState(StrEnum):
    DONE = "done"
    DONE_LATE = "done_late"
    OVERDUE = "overdue"
    UPCOMING = "upcoming"


@dataclass(frozen=True, slots=True)
class Step:
    """`id` is that of the version that stands."""

    id: int
    name: str
    owner: str | None
    due_on: date
    done_on: date | None
    state: StepState
    days_late: int  # until it was done, or so far; 0 where it is not late


@dataclass(frozen=True, slots=True)
class Plan:
    template: str
    started_on: date
    steps: tuple[Step, ...]

    @property
    def done(self) -> int:
        return sum(step.done_on is not None for step in self.steps)


def load_onboarding_plans(session: Session, account_id: int, *, known_at: datetime, as_of: date) -> tuple[Plan, ...]:
    """The account's plans, the newest first, with each step as it stood on `as_of`."""
    steps: dict[int, list[Step]] = defaultdict(list)
    plans = session.execute(
        select(OnboardingPlan.id, OnboardingPlan.template, OnboardingPlan.started_on)
        .where(OnboardingPlan.account_id == account_id)
        .order_by(OnboardingPlan.started_on.desc(), OnboardingPlan.id.desc())
    ).all()
    for row in _milestones(session, [plan.id for plan in plans], known_at=known_at):
        steps[row.plan_id].append(_step(row, as_of))
    return tuple(Plan(plan.template, plan.started_on, tuple(steps[plan.id])) for plan in plans if steps[plan.id])


def find_account_of_step(session: Session, step_id: int) -> int | None:
    """The account of a plan, by the id of any version of one of its steps; None: there is none."""
    return session.scalar(
        select(OnboardingPlan.account_id)
        .join(Milestone, Milestone.plan_id == OnboardingPlan.id)
        .where(Milestone.id == step_id)
    )


def _milestones(session: Session, plan_ids: Sequence[int], *, known_at: datetime) -> Sequence[AnyRow]:
    return session.execute(
        select(
            Milestone.id,
            Milestone.plan_id,
            Milestone.name,
            Milestone.due_on,
            Milestone.done_on,
            Person.name.label("owner"),
        )
        .join(Person, Person.id == Milestone.owner_id, isouter=True)
        .where(Milestone.plan_id.in_(plan_ids), in_force(Milestone, known_at))
        .order_by(Milestone.plan_id, Milestone.position)
    ).all()


def _step(row: AnyRow, as_of: date) -> Step:
    done_on = row.done_on if row.done_on is not None and row.done_on <= as_of else None
    days_late = max(0, ((done_on or as_of) - row.due_on).days)
    if done_on:
        state = StepState.DONE_LATE if days_late else StepState.DONE
    else:
        state = StepState.OVERDUE if days_late else StepState.UPCOMING
    return Step(row.id, row.name, row.owner, row.due_on, done_on, state, days_late)
