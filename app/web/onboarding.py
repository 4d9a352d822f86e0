"""Onboarding of an account on its page."""

from dataclasses import dataclass

from app.auth import may
from app.queries.onboarding import Plan, Step, StepState
from app.web.formats import show_day
from app.web.texts import gettext as _
from app.web.texts import ngettext
from app.web.words import STEP_STATES, word


@dataclass(frozen=True, slots=True)
class StepRow:
    id: int
    name: str
    about: str
    state: str
    word: str
    is_done: bool
    can_mark: bool


@dataclass(frozen=True, slots=True)
class PlanCard:
    template: str
    started: str
    done_text: str
    done_width: float  # of 100
    steps: tuple[StepRow, ...]


def describe_plan(plan: Plan) -> PlanCard:
    total = len(plan.steps)
    return PlanCard(
        template=plan.template,
        started=show_day(plan.started_on),
        done_text=_("%(done)s of %(total)s steps done", done=plan.done, total=total),
        done_width=round(100 * plan.done / total, 1),
        steps=tuple(_describe_step(step) for step in plan.steps),
    )


def _describe_step(step: Step) -> StepRow:
    if step.done_on:
        about = _("done on %(day)s", day=show_day(step.done_on))
    else:
        about = _("due %(due)s", due=show_day(step.due_on))
    if step.owner:
        about = f"{step.owner} · {about}"
    state = word(STEP_STATES, step.state)
    if step.state in (StepState.OVERDUE, StepState.DONE_LATE):
        late = ngettext("%(num)s day", "%(num)s days", step.days_late)
        state = f"{state} · {late}"
    return StepRow(step.id, step.name, about, step.state.value, state, step.done_on is not None, may("health:write"))
