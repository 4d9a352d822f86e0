"""Settings: what the dimensions of health weigh, by segment: what is in force, what was tried, what was in force."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import LazyString

from app.auth import current_actor, may, requires
from app.domain.health_replay import Weights
from app.errors import Invalid
from app.http import database, now
from app.queries.audit import name_actors
from app.queries.health_trials import Trial, WeightsVersion, find_trial, list_segments, list_trials, list_weights
from app.services.health_trials import LONGEST_NAME, make_trial, restore_weights
from app.services.settings import DIMENSIONS, MOST_SEGMENTS, MOST_WEIGHT
from app.web.expansion_words import actor_words
from app.web.formats import show_day, show_instant, show_number
from app.web.lists import is_id
from app.web.moment import Moment, load_moment
from app.web.texts import gettext as _
from app.web.texts import lazy_gettext as _l
from app.web.words import DIMENSIONS as DIMENSION_WORDS
from app.web.words import Words, word

EVERY_OTHER = ""
USUAL = 1.0
MOST_VERSIONS = 20
STATES: Words = {
    "waiting": _l("Waits for the worker"),
    "running": _l("Being replayed"),
    "replayed": _l("Replayed"),
    "published": _l("Published"),
    "failed": _l("Could not be replayed"),
}
PROBLEM: LazyString = _l("Give the trial a name, and weights from 0 to 3, such as 1.5.")


@dataclass(frozen=True, slots=True)
class WeightsRow:
    """What a segment's dimensions weigh, those that are not 1."""

    segment: str
    text: str


@dataclass(frozen=True, slots=True)
class Field:
    name: str
    label: str
    value: str


@dataclass(frozen=True, slots=True)
class Group:
    """The fields of a segment; closed until something in it is set."""

    key: str
    segment: str
    fields: tuple[Field, ...]
    is_open: bool


@dataclass(frozen=True, slots=True)
class TrialRow:
    name: str
    url: str
    state: str
    is_failed: bool
    weights: tuple[WeightsRow, ...]
    who: str
    when: str


@dataclass(frozen=True, slots=True)
class VersionRow:
    """`id` is None for the beginning, before anybody had set anything."""

    id: int | None
    weights: tuple[WeightsRow, ...]
    is_in_force: bool
    who: str
    when: str


@dataclass(frozen=True, slots=True)
class Done:
    """What was just let count, and the version that takes it back."""

    undo_id: int | None


@requires("accounts:read")
def show_health_weights() -> ResponseReturnValue:
    return _page(_start_from())


@requires("admin")
def try_weights() -> ResponseReturnValue:
    """Try out what the form says; what does not fit is shown again with what was wrong."""
    try:
        weights = read_weights(request.form)
        trial_id = make_trial(
            database(), request.form.get("name", ""), weights=weights, actor=current_actor(), at=now()
        )
    except Invalid:
        return _page(None, problem=str(PROBLEM)), 400
    return redirect(url_for("web.health_trial", trial_id=trial_id), 303)


@requires("admin")
def restore_health_weights() -> ResponseReturnValue:
    """Let an earlier version count again: how publishing is undone."""
    given = request.form.get("version", "")
    version_id = int(given) if is_id(given) else None
    restore_weights(database(), version_id, actor=current_actor(), at=now(), today=load_moment().today)
    return redirect(url_for("web.health_weights", done="yes"), 303)


def read_weights(form: Mapping[str, str]) -> dict[str, dict[str, float]]:
    """The weights that the form holds; a field that was left empty in a segment is as for every other.

    A segment of which all is empty has none of its own. Raises Invalid for what is no number.
    """
    every_other = _read_row(form, 0)
    weights = {EVERY_OTHER: every_other} if every_other else {}
    for number, segment in _read_segments(form).items():
        if own := _read_row(form, number):
            weights[segment] = every_other | own
    return weights


def _read_segments(form: Mapping[str, str]) -> dict[int, str]:
    """By the number in their fields. The form names them, for they may have changed since it was shown."""
    return {number: form[key] for number in range(1, MOST_SEGMENTS + 1) if form.get(key := f"s-{number}")}


def _read_row(form: Mapping[str, str], number: int) -> dict[str, float]:
    given = {name: form.get(f"w-{number}-{name}", "").strip() for name in DIMENSIONS}
    return {name: _read_weight(text) for name, text in given.items() if text}


def _read_weight(text: str) -> float:
    try:
        weight = float(text.replace(",", "."))
    except ValueError:
        weight = math.nan
    if not 0 <= weight <= MOST_WEIGHT:
        raise Invalid("A weight is a number from 0 to 3.")
    return weight


def _start_from() -> Weights | None:
    """The trial that the address names, to go on from; none: what is in force."""
    given = request.args.get("like", "")
    return find_trial(database(), int(given)).weights if is_id(given) else None


def _page(start: Weights | None, *, problem: str = "") -> str:
    moment = load_moment()
    versions = list_weights(database())
    in_force = moment.settings.health_weights
    trials = list_trials(database())
    names = name_actors(database(), [*(each.actor for each in trials), *(each.source for each in versions)])
    start = in_force if start is None else start
    segments = _list_segments(start, on=moment.today)
    return render_template(
        "health_weights.html",
        problem=problem,
        done=_describe_done(versions) if "done" in request.args else None,
        can_change=may("admin"),
        in_force=describe_weights(in_force),
        is_to_come=bool(versions) and (moment.run is None or versions[0].recorded_at > moment.run.known_at),
        groups=_describe_groups(start, segments=segments),
        left_out=len(segments) - MOST_SEGMENTS,
        name=request.form.get("name", "")[:LONGEST_NAME],
        trials=[_describe_trial(each, names, moment=moment) for each in trials],
        versions=_describe_versions(versions, names, moment=moment),
        longest_name=LONGEST_NAME,
    )


def _list_segments(start: Weights, *, on: date) -> list[str]:
    """Those of the form that was sent; else those of today's accounts, and those that are to be started from."""
    if request.method == "POST":
        return list(_read_segments(request.form).values())
    known = list_segments(database(), on=on)
    return [*known, *sorted(set(start) - {EVERY_OTHER, *known})]


def describe_weights(weights: Weights) -> tuple[WeightsRow, ...]:
    """By segment, every other one first; nothing where all is as calculated."""
    rows = []
    for segment in sorted(weights):
        own = weights[segment]
        parts = [
            _("%(dimension)s × %(weight)s", dimension=word(DIMENSION_WORDS, name), weight=_show_weight(own[name]))
            for name in DIMENSIONS
            if own.get(name, USUAL) != USUAL
        ]
        if parts or (segment and weights.get(EVERY_OTHER)):
            rows.append(WeightsRow(_name_segment(segment, weights), _(", ").join(parts) or _("as calculated")))
    return tuple(rows)


def _name_segment(segment: str, weights: Weights) -> str:
    if segment:
        return segment
    return _("Every other segment") if len(weights) > 1 else _("All segments")


def _show_weight(weight: float) -> str:
    digits = next(digits for digits in (0, 1, 2) if digits == 2 or round(weight, digits) == weight)
    return show_number(weight, digits=digits)


def _describe_groups(start: Weights, *, segments: list[str]) -> tuple[Group, ...]:
    """The form's fields: as they were sent, or as the weights to start from have them."""
    names = [EVERY_OTHER, *segments[:MOST_SEGMENTS]]
    return tuple(_describe_group(number, name, own=_spell_out(start, name)) for number, name in enumerate(names))


def _spell_out(weights: Weights, segment: str) -> Mapping[str, float]:
    """What a segment's fields hold: what it does not name weighs 1 there, whatever it weighs in every other."""
    own = weights.get(segment, {})
    return dict.fromkeys(weights.get(EVERY_OTHER, {}), USUAL) | dict(own) if own else {}


def _describe_group(number: int, segment: str, *, own: Mapping[str, float]) -> Group:
    fields = []
    for name in DIMENSIONS:
        key = f"w-{number}-{name}"
        value = f"{own[name]:g}" if name in own else ""
        fields.append(Field(key, word(DIMENSION_WORDS, name), request.form.get(key, value)[:20]))
    return Group(f"s-{number}", segment, tuple(fields), is_open=any(field.value for field in fields))


def _describe_trial(trial: Trial, names: Mapping[str, str], *, moment: Moment) -> TrialRow:
    return TrialRow(
        name=trial.name,
        url=url_for("web.health_trial", trial_id=trial.id),
        state=word(STATES, trial.state),
        is_failed=trial.state == "failed",
        weights=describe_weights(trial.weights),
        who=actor_words(trial.actor, name=names.get(trial.actor)),
        when=show_instant(trial.created_at, moment.settings.reporting_timezone),
    )


def _describe_versions(
    versions: list[WeightsVersion], names: Mapping[str, str], *, moment: Moment
) -> tuple[VersionRow, ...]:
    rows = [
        VersionRow(
            id=each.id,
            weights=describe_weights(each.weights),
            is_in_force=number == 0,
            who=actor_words(each.source, name=names.get(each.source)),
            when=_("%(instant)s, from %(day)s", instant=_instant(each, moment), day=show_day(each.valid_from)),
        )
        for number, each in enumerate(versions[:MOST_VERSIONS])
    ]
    return (*rows, VersionRow(None, (), not versions, "", _("from the beginning")))


def _instant(version: WeightsVersion, moment: Moment) -> str:
    return show_instant(version.recorded_at, moment.settings.reporting_timezone)


def _describe_done(versions: list[WeightsVersion]) -> Done | None:
    """None where nothing was ever published, whatever the address says."""
    return Done(versions[1].id if len(versions) > 1 else None) if versions else None
