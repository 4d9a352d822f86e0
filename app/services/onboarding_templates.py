"""Writing the templates of onboarding plans: a new version takes the place of the one with the same fit."""

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.texts import is_one_line
from app.errors import Conflict, Invalid
from app.models.success import OnboardingTemplate, TemplateMilestone
from app.queries.onboarding_templates import TemplateStep, load_templates
from app.services.audit import Act, record_act
from app.services.changes import recording
from app.services.health import Said

MOST_STEPS = 50
MOST_DAYS = 730
LONGEST_NAME = 150  # what tells its versions apart comes behind


@dataclass(frozen=True, slots=True)
class WantedTemplate:
    """For a product family and a segment (None: any); without steps: no plan is opened for these any more."""

    name: str
    product_family: str | None
    segment: str | None
    steps: tuple[TemplateStep, ...]


def write_template(session: Session, wanted: WantedTemplate, *, said: Said) -> int:
    """Write a template in the place of the one with the same fit, if any; its id. Plans that are open stay.

    Raises Invalid for a name, steps or days that do not fit, Conflict where there is nothing to end.
    """
    _check(wanted)
    in_force = {(each.product_family, each.segment): each for each in load_templates(session)}
    before = in_force.get((wanted.product_family, wanted.segment))
    if not wanted.steps and before is None:
        raise Conflict("There is no template for these any more.")
    with recording(session, said.actor, clock=lambda: said.at) as change:
        template = OnboardingTemplate(
            name=_free_name(session, wanted.name.strip()),
            product_family=wanted.product_family,
            segment=wanted.segment,
            change_id=change.id,
        )
        session.add(template)
        session.flush()
        session.add_all(
            TemplateMilestone(
                template_id=template.id, position=position, name=step.name, due_days=step.due_days, change_id=change.id
            )
            for position, step in enumerate(wanted.steps, start=1)
        )
        act = Act(
            f"onboarding_template.{'written' if wanted.steps else 'ended'}",
            f"onboarding_template:{template.id}",
            {"steps": len(wanted.steps)},
        )
        record_act(session, act, actor=said.actor, at=said.at)
        return template.id


def _check(wanted: WantedTemplate) -> None:
    name = wanted.name.strip()
    if not name or not is_one_line(name) or len(name) > LONGEST_NAME:
        raise Invalid(f"Give a name of at most {LONGEST_NAME} characters.", {"name": ["is missing, or too long"]})
    for text, longest in ((wanted.product_family, 200), (wanted.segment, 100)):
        if text is not None and (not is_one_line(text) or len(text) > longest):
            raise Invalid("A product family or segment is one line.", {"product_family": ["is too long"]})
    if len(wanted.steps) > MOST_STEPS:
        raise Invalid(f"Give at most {MOST_STEPS} steps.", {"steps": ["are too many"]})
    for step in wanted.steps:
        if (
            not step.name.strip()
            or not is_one_line(step.name)
            or len(step.name) > 200
            or not 0 <= step.due_days <= MOST_DAYS
        ):
            raise Invalid(
                f"A step has a name of at most 200 characters, and is due 0 to {MOST_DAYS} days after the start.",
                {"steps": ["do not fit"]},
            )


def _free_name(session: Session, name: str) -> str:
    """`name`, or with the number of its version behind where it was given before."""
    taken = set(session.scalars(select(OnboardingTemplate.name).where(OnboardingTemplate.name.startswith(name))))
    number = 1
    while (free := name if number == 1 else f"{name} ({number})") in taken:
        number += 1
    return free
