"""Settings: one trial of weights of health: how far its replay is, what it found, and publishing it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from flask import redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import LazyString

from app.auth import current_actor, may, requires
from app.domain.backtest import FEWEST_CHURNS
from app.errors import Conflict
from app.http import database, now
from app.queries.audit import name_actors
from app.queries.health_trials import FlippedAccount, Trial, find_trial, load_flipped
from app.services.health_trials import publish_trial
from app.web.expansion_words import actor_words
from app.web.formats import NONE, count_accounts, show_day, show_instant, show_money, show_number
from app.web.health import TONES
from app.web.health_weights import STATES, WeightsRow, describe_weights
from app.web.lists import Figure
from app.web.moment import Moment, load_moment
from app.web.texts import gettext as _
from app.web.texts import lazy_gettext as _l
from app.web.texts import ngettext
from app.web.words import BANDS, word

PATIENCE = timedelta(minutes=5)  # the worker looks every minute
VERDICTS: Mapping[str, LazyString] = {
    "nearer": _l("The weights tried would have been nearer to what happened, beyond chance."),
    "farther": _l("The weights tried would have been farther from what happened, beyond chance."),
    "no_difference": _l("Neither would have been nearer to what happened beyond chance."),
    "too_few": _l("Not enough data: it takes %(fewest)s accounts that left to say which would have been nearer."),
}
TONE = {"nearer": "good", "farther": "risk"}
REASONS: Mapping[str, LazyString] = {
    "There is no year behind": _l("There is no year behind to replay on: too little was on record a year ago."),
    "No health is calculated": _l("No health is calculated for this company yet, so there is nothing to weigh."),
    "Nothing has been computed": _l("Nothing has been computed yet: let a night run first."),
    "The published run was made": _l("The published scores were made by another version: let a night run first."),
}


@dataclass(frozen=True, slots=True)
class Move:
    before: str
    before_tone: str
    after: str
    after_tone: str
    accounts: str


@dataclass(frozen=True, slots=True)
class FlippedRow:
    name: str
    url: str
    segment: str
    arr: str
    before: str
    before_tone: str
    after: str
    after_tone: str


@dataclass(frozen=True, slots=True)
class Measure:
    name: str
    meaning: str
    in_force: str
    in_force_interval: str
    tried: str
    tried_interval: str


@dataclass(frozen=True, slots=True)
class Result:
    verdict: str
    verdict_tone: str
    figures: tuple[Figure, ...]
    moves: tuple[Move, ...]
    flipped: tuple[FlippedRow, ...]
    unseen: str
    about: str
    measures: tuple[Measure, ...]
    against: tuple[WeightsRow, ...]
    is_against_others: bool  # than those in force now


@dataclass(frozen=True, slots=True)
class TrialCard:
    id: int
    name: str
    state: str
    who: str
    when: str
    published: str
    weights: tuple[WeightsRow, ...]
    is_waiting: bool
    is_late: bool
    done_width: float
    progress: str
    reason: str
    result: Result | None
    is_in_force: bool


@requires("accounts:read")
def show_health_trial(trial_id: int) -> ResponseReturnValue:
    return _page(trial_id)


@requires("admin")
def publish_health_weights(trial_id: int) -> ResponseReturnValue:
    """Let the trial's weights count from the next night on."""
    try:
        publish_trial(database(), trial_id, actor=current_actor(), at=now(), today=load_moment().today)
    except Conflict:
        return _page(trial_id, problem=_("It has not been replayed on the past yet, so it cannot be published.")), 409
    return redirect(url_for("web.health_weights", done="yes"), 303)


def _page(trial_id: int, *, problem: str = "") -> str:
    moment, trial = load_moment(), find_trial(database(), trial_id)
    return render_template(
        "health_trial.html",
        problem=problem,
        can_change=may("admin"),
        trial=_describe(trial, moment=moment),
    )


def _describe(trial: Trial, *, moment: Moment) -> TrialCard:
    zone = moment.settings.reporting_timezone
    actors = [trial.actor, *([trial.published_by] if trial.published_by else [])]
    names = name_actors(database(), actors)
    replay = trial.replay or {}
    done, steps = replay.get("done", 0), replay.get("steps", 0)
    in_force, found = moment.settings.health_weights, replay.get("found")
    is_waiting = trial.error is None and trial.replayed_at is None
    return TrialCard(
        id=trial.id,
        name=trial.name,
        state=word(STATES, trial.state),
        who=actor_words(trial.actor, name=names.get(trial.actor)),
        when=show_instant(trial.created_at, zone),
        published=_describe_published(trial, names, zone=zone),
        weights=describe_weights(trial.weights),
        is_waiting=is_waiting,
        is_late=is_waiting and not replay and now() - trial.created_at > PATIENCE,
        done_width=100 * done / steps if steps else 0.0,
        progress=_("step %(done)s of %(steps)s", done=done, steps=steps) if steps else "",
        reason=_why_not(trial.error),
        result=_describe_result(found, moment=moment) if found and trial.error is None else None,
        is_in_force=trial.weights == in_force,
    )


def _describe_published(trial: Trial, names: Mapping[str, str], *, zone: str) -> str:
    if trial.published_at is None or trial.published_by is None:
        return ""
    who = actor_words(trial.published_by, name=names.get(trial.published_by))
    return _("published by %(who)s, %(instant)s", who=who, instant=show_instant(trial.published_at, zone))


def _why_not(error: str | None) -> str:
    """In the reader's language where the reason is known; else as it was noted."""
    if error is None:
        return ""
    return next((str(words) for begins, words in REASONS.items() if error.startswith(begins)), error)


def _describe_result(found: Mapping[str, Any], *, moment: Moment) -> Result:
    gain, seen = found["gain"], _load_seen(found, moment)
    verdict = str(VERDICTS[gain["verdict"]])
    unseen = sum(found["flips"].values()) - len(seen)
    return Result(
        verdict=verdict % {"fewest": FEWEST_CHURNS} if gain["verdict"] == "too_few" else verdict,
        verdict_tone=TONE.get(gain["verdict"], "none"),
        figures=_describe_figures(found),
        moves=tuple(_describe_move(name, count) for name, count in found["flips"].items()),
        flipped=tuple(_describe_flipped(each, moment) for each in seen),
        unseen=ngettext("%(num)s more is not listed.", "%(num)s more are not listed.", unseen) if unseen else "",
        about=_describe_year(found),
        measures=tuple(_describe_measures(found)),
        against=describe_weights(found["weights_in_force"]),
        is_against_others=found["weights_in_force"] != moment.settings.health_weights,
    )


def _load_seen(found: Mapping[str, Any], moment: Moment) -> list[FlippedAccount]:
    return load_flipped(database(), found["flipped"], run=moment.run, today=moment.today)


def _describe_figures(found: Mapping[str, Any]) -> tuple[Figure, ...]:
    flips, alerts, accuracy = sum(found["flips"].values()), found["alerts_a_day"], found["accuracy"]
    ranked = {way: accuracy[way]["auc"]["value"] for way in ("in_force", "tried")}
    day = show_day(date.fromisoformat(found["as_of"]))
    return (
        Figure(
            _("In another band"),
            count_accounts(flips),
            _("of %(accounts)s, as of %(day)s", accounts=show_number(found["accounts"]), day=day),
        ),
        Figure(
            _("Alerts a day"),
            _number(alerts["tried"], 2),
            _("accounts that came to be at risk; %(number)s in force", number=_number(alerts["in_force"], 2)),
        ),
        Figure(
            _("Ranked right"),
            _number(ranked["tried"], 2),
            _("AUC over the year behind; %(number)s in force", number=_number(ranked["in_force"], 2)),
        ),
    )


def _describe_year(found: Mapping[str, Any]) -> str:
    parts = [
        _(
            "A model was fitted on what was known on %(day)s and weighed both ways; %(judged)s of that day are held "
            "against the year after it, in which %(left)s left by choice.",
            day=show_day(date.fromisoformat(found["origin_on"])),
            judged=count_accounts(found["judged"]),
            left=show_number(found["left"]),
        )
    ]
    left_out = found["left_otherwise"] + found["undecided"]
    if left_out:
        text = ngettext(
            "%(num)s is left out: it left for another reason, or its renewal is still open.",
            "%(num)s are left out: they left for another reason, or their renewal is still open.",
            left_out,
        )
        parts.append(text)
    if found["is_sample"]:
        parts.append(
            _(
                "The year was replayed on a sample of %(accounts)s; alerts are counted up to the whole.",
                accounts=count_accounts(found["followed"]),
            )
        )
    return " ".join(parts)


def _describe_measures(found: Mapping[str, Any]) -> Iterator[Measure]:
    words = {
        "auc": (_("Ranked right"), _("who left was rated riskier than who stayed: 0.5 is chance, 1 is best"), 2),
        "brier": (_("Distance"), _("Brier score, the mean squared distance to what happened: 0 is best"), 3),
        "ratio": (_("Expected for each that left"), _("1 is right; more: it expected too many"), 2),
    }
    for name, (title, meaning, digits) in words.items():
        of = {way: found["accuracy"][way][name] for way in ("in_force", "tried")}
        cells = [text for way in ("in_force", "tried") for text in _cells(of[way], digits)]
        yield Measure(title, meaning, *cells)
    gain = found["gain"]["brier"]
    yield Measure(
        _("Nearer by"), _("the distance of those in force less that of those tried"), "", "", *_cells(gain, 4)
    )


def _cells(estimate: Mapping[str, float | None], digits: int) -> tuple[str, str]:
    value, lower, upper = (estimate[name] for name in ("value", "lower", "upper"))
    if lower is None or upper is None:
        return _number(value, digits), ""
    return _number(value, digits), _("%(low)s to %(high)s", low=_number(lower, digits), high=_number(upper, digits))


def _number(value: float | None, digits: int) -> str:
    return NONE if value is None else show_number(value, digits=digits)


def _describe_move(move: str, count: int) -> Move:
    before, _to, after = move.partition(">")
    return Move(_band(before), _tone(before), _band(after), _tone(after), show_number(count))


def _band(name: str) -> str:
    return word(BANDS, "none" if name == "withheld" else name)


def _tone(name: str) -> str:
    return TONES.get(name, "none")


def _describe_flipped(account: FlippedAccount, moment: Moment) -> FlippedRow:
    return FlippedRow(
        name=account.name,
        url=url_for("web.account", account_id=account.id),
        segment=account.segment or "",
        arr=show_money(account.arr_minor, moment.currency),
        before=_band(account.before),
        before_tone=_tone(account.before),
        after=_band(account.after),
        after_tone=_tone(account.after),
    )
