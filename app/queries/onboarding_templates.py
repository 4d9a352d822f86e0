"""The templates that onboarding plans are opened from.

A template is never changed: one that is written for the same products and segment later takes its place, and one
without steps ends it. So a plan's name says which version it came from.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models.products import ProductVersion
from app.models.success import OnboardingTemplate, TemplateMilestone
from app.models.versions import Change

Fit = tuple[str | None, str | None]


@dataclass(frozen=True, slots=True)
class TemplateStep:
    name: str
    due_days: int  # after the contract's start


@dataclass(frozen=True, slots=True)
class Template:
    """For a product family and a segment (None: any); `names` are also those of its earlier versions."""

    id: int
    name: str
    product_family: str | None
    segment: str | None
    steps: tuple[TemplateStep, ...]
    names: frozenset[str]
    written_at: datetime | None
    actor: str


def load_templates(session: Session) -> tuple[Template, ...]:
    """The templates in force: of each fit the newest, unless that has no steps."""
    table = OnboardingTemplate
    rows = session.execute(
        select(table.id, table.name, table.product_family, table.segment, Change.recorded_at, Change.source)
        .join(Change, Change.id == table.change_id)
        .order_by(table.id)
    ).all()
    if not rows:
        return ()
    names: dict[Fit, set[str]] = defaultdict(set)
    newest = {}
    for row in rows:
        fit = row.product_family, row.segment
        names[fit].add(row.name)
        newest[fit] = row
    steps = _load_steps(session, [row.id for row in newest.values()])
    return tuple(
        Template(
            row.id, row.name, row.product_family, row.segment, steps[row.id], frozenset(names[fit]),
            row.recorded_at, row.source,
        )
        for fit, row in newest.items()
        if row.id in steps
    )  # fmt: skip


def _load_steps(session: Session, template_ids: list[int]) -> dict[int, tuple[TemplateStep, ...]]:
    step = TemplateMilestone
    found: dict[int, list[TemplateStep]] = defaultdict(list)
    rows = session.execute(
        select(step.template_id, step.name, step.due_days)
        .where(step.template_id.in_(template_ids))
        .order_by(step.template_id, step.position)
    )
    for row in rows:
        found[row.template_id].append(TemplateStep(row.name, row.due_days))
    return {template_id: tuple(steps) for template_id, steps in found.items()}


def list_families(session: Session) -> tuple[str, ...]:
    """The product families that there are, by name."""
    family = ProductVersion.family
    statement = select(family).where(ProductVersion.superseded_change_id.is_(None), family.is_not(None)).distinct()
    return tuple(sorted(each for each in session.scalars(statement) if each))
