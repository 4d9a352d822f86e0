"""Settings: the templates that onboarding plans are opened from."""

import re
from dataclasses import dataclass

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import LazyString

from app.auth import current_actor, requires
from app.errors import Conflict, Invalid
from app.http import database, now
from app.queries.audit import name_actors
from app.queries.health_trials import list_segments
from app.queries.moments import load_moment as load_known
from app.queries.onboarding_templates import Template, TemplateStep, list_families, load_templates
from app.services.health import Said
from app.services.onboarding_templates import WantedTemplate, write_template
from app.web.expansion_words import actor_words
from app.web.formats import show_instant
from app.web.moment import Moment, load_moment
from app.web.texts import gettext as _
from app.web.texts import lazy_gettext as _l

STEP = re.compile(r"\s*(\d{1,4})[ \t\u3000]+(\S.*?)\s*", re.ASCII)

# Shipped as a start: what the form holds until somebody writes their own.
STARTER: tuple[tuple[int, LazyString], ...] = (
    (7, _l("Kick-off: goals and dates agreed")),
    (21, _l("Data connected")),
    (35, _l("Everybody invited and trained")),
    (60, _l("First value: the goal is in use")),
    (90, _l("Review: what was promised, what comes next")),
)


@dataclass(frozen=True, slots=True)
class TemplateCard:
    name: str
    fits: str
    written: str
    family: str
    segment: str
    steps: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Given:
    name: str
    family: str
    segment: str
    steps: str


@requires("health:write")
def show_templates() -> ResponseReturnValue:
    return _page()


@requires("health:write")
def write() -> ResponseReturnValue:
    """Write a template in the place of the one for the same products and segment; without steps: end that one."""
    form = request.form
    is_end = form.get("action") == "end"
    given = Given(form.get("name", ""), form.get("family", ""), form.get("segment", ""), form.get("steps", ""))
    today = load_known(database(), as_of=None, known_at=None, now=now()).as_of
    try:
        with database().begin_nested():
            steps = () if is_end else _read_steps(given.steps)
            wanted = WantedTemplate(given.name, given.family or None, given.segment or None, steps)
            write_template(database(), wanted, said=Said(current_actor(), now(), today))
    except Conflict:
        return _page(problem=_("Somebody was faster: that template had ended already.")), 409
    except Invalid:
        problem = _(
            "Give a name and one step a line: the days after the start, a space, and what is to be done by then."
        )
        return _page(given=None if is_end else given, problem=problem), 400
    return redirect(url_for("web.onboarding_templates"), 303)


def _read_steps(text: str) -> tuple[TemplateStep, ...]:
    """A line each, such as `14 Data connected`; by day. Raises Invalid."""
    found = [STEP.fullmatch(line) for line in text.splitlines() if line.strip()]
    if not found or not all(found):
        raise Invalid("A step is a line such as: 14 Data connected.", {"steps": ["do not fit"]})
    steps = [TemplateStep(each[2], int(each[1])) for each in found if each]
    return tuple(sorted(steps, key=lambda step: step.due_days))


def _page(*, given: Given | None = None, problem: str = "") -> str:
    moment = load_moment()
    templates = load_templates(database())
    names = name_actors(database(), [each.actor for each in templates])
    return render_template(
        "settings_onboarding.html",
        problem=problem,
        templates=[_describe(each, names, moment=moment) for each in templates],
        given=given or Given(_("Standard onboarding"), "", "", "\n".join(f"{days} {text}" for days, text in STARTER)),
        families=list_families(database()),
        segments=list_segments(database(), on=moment.today),
    )


def _describe(template: Template, names: dict[str, str], *, moment: Moment) -> TemplateCard:
    family = template.product_family or _("any product")
    segment = template.segment or _("any segment")
    when = show_instant(template.written_at, moment.settings.reporting_timezone) if template.written_at else ""
    return TemplateCard(
        name=template.name,
        fits=f"{family} · {segment}",
        written=f"{actor_words(template.actor, name=names.get(template.actor))} · {when}",
        family=template.product_family or "",
        segment=template.segment or "",
        steps=tuple((step.due_days, step.name) for step in template.steps),
    )
