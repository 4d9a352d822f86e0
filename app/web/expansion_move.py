"""One opportunity: its evidence, its history, and what can be done with it; and doing that."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import LazyString

from app.auth import current_actor, may, requires
from app.domain.expansion_moves import REASONS
from app.errors import Conflict, Invalid, NotFound
from app.http import database, now
from app.queries.account_list import load_companions
from app.queries.audit import name_actors
from app.queries.expansion import OpportunityDetail, OpportunityMove, find_opportunity
from app.services.expansion import Move, move_opportunity
from app.web.expansion_evidence import describe_evidence
from app.web.expansion_words import REASONS as REASON_WORDS
from app.web.expansion_words import STATES, actor_words
from app.web.formats import show_instant
from app.web.moment import Moment, describe_freshness, load_moment
from app.web.opportunities import describe_row
from app.web.texts import gettext as _
from app.web.texts import lazy_gettext as _l
from app.web.usage import UsageCard, describe_usage
from app.web.words import word

WRITE = "opportunities:write"
BACK = {"today": "web.today", "list": "web.expansion"}
ACTION_WORDS: dict[str, LazyString] = {
    "accept": _l("Accept"),
    "reject": _l("Reject"),
    "snooze": _l("Snooze"),
    "win": _l("Won"),
    "lose": _l("Lost"),
    "undo": _l("Undo"),
}
PROBLEMS: dict[type[Exception], LazyString] = {
    Conflict: _l("Somebody has moved it in the meantime, or it is too late for that. This is how it stands now."),
    Invalid: _l("Something is missing or does not fit: say a reason from the list, and a day from tomorrow on."),
}


@dataclass(frozen=True, slots=True)
class Moved:
    """What was just done, and the way back. `undo_id` is None where it cannot be undone, or not by this person."""

    text: str
    undo_id: int | None


@dataclass(frozen=True, slots=True)
class Step:
    when: str
    what: str
    who: str
    note: str


@dataclass(frozen=True, slots=True)
class Action:
    name: str
    word: str
    reasons: tuple[tuple[str, str], ...]
    is_main: bool


@requires("opportunities:read")
def show_opportunity(opportunity_id: int) -> ResponseReturnValue:
    return _page(opportunity_id, problem="")


@requires(WRITE)
def move(opportunity_id: int) -> ResponseReturnValue:
    """Do what the form says; an answer that does not fit shows the opportunity as it is, with what was wrong."""
    form = request.form
    try:
        asked = Move(
            opportunity_id,
            form.get("action", ""),
            reason=form.get("reason") or None,
            note=form.get("note") or None,
            until=_read_day(form.get("until", "")),
        )
        with database().begin_nested():
            move_opportunity(database(), asked, actor=current_actor(), at=now())
    except (Conflict, Invalid) as error:
        return _page(opportunity_id, problem=str(PROBLEMS[type(error)])), 409 if isinstance(error, Conflict) else 400
    back = BACK.get(form.get("back", ""))
    if back:
        return redirect(url_for(back, moved=opportunity_id, whose=form.get("whose") or None), 303)
    return redirect(url_for("web.opportunity", opportunity_id=opportunity_id, moved=opportunity_id), 303)


def _read_day(text: str) -> date | None:
    """Raises Invalid."""
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Invalid("Give the day as YYYY-MM-DD.") from None


def describe_moved() -> Moved | None:
    """Of the opportunity that the address says was just moved."""
    given = request.args.get("moved", "")
    if not (given.isascii() and given.isdecimal() and len(given) <= 15):
        return None
    try:
        detail = find_opportunity(database(), int(given), now=now())
    except NotFound:
        return None
    opportunity = detail.opportunity
    text = _(
        "%(account)s, %(product)s: %(state)s.",
        account=opportunity.account_name,
        product=opportunity.product_name,
        state=word(STATES, opportunity.state),
    )
    return Moved(text, opportunity.id if "undo" in detail.actions and may(WRITE) else None)


def _page(opportunity_id: int, *, problem: str) -> str:
    moment = load_moment()
    detail = find_opportunity(database(), opportunity_id, now=now())
    opportunity = detail.opportunity
    companion = load_companions(database(), [opportunity.account_id], run=None, today=moment.today)
    return render_template(
        "opportunity.html",
        fresh=describe_freshness(moment),
        problem=problem,
        moved=describe_moved(),
        row=describe_row(opportunity, companion[opportunity.account_id]),
        evidence=[describe_evidence(item) for item in opportunity.evidence],
        actions=_actions(detail) if may(WRITE) else [],
        steps=_steps(detail.moves, moment),
        usage=_usage(detail, moment),
    )


def _usage(detail: OpportunityDetail, moment: Moment) -> UsageCard | None:
    """Seats in use beside seats paid for, where it is about seats."""
    if detail.opportunity.motion != "upsell":
        return None
    card = describe_usage(detail.opportunity.account_id, moment=moment)
    return card if card.has_people else None


def _actions(detail: OpportunityDetail) -> list[Action]:
    return [
        Action(
            name,
            str(ACTION_WORDS[name]),
            reasons=tuple((reason, word(REASON_WORDS, reason)) for reason in REASONS.get(name, ())),
            is_main=name in {"accept", "win"},
        )
        for name in detail.actions
    ]


def _steps(moves: Sequence[OpportunityMove], moment: Moment) -> list[Step]:
    names = name_actors(database(), [step.actor for step in moves])
    return [
        Step(
            when=show_instant(step.moved_at, moment.settings.reporting_timezone),
            what=" · ".join(part for part in (word(STATES, step.to_state), word(REASON_WORDS, step.reason)) if part),
            who=actor_words(step.actor, name=names.get(step.actor)),
            note=step.note or "",
        )
        for step in reversed(moves)
    ]
