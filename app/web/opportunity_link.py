"""The page behind a link of a message: it shows what will be done, and a button does it. No log-in is needed.

Whoever follows a link sees the account, the product, the worth and the reason that the message
named, and nothing else. Mail scanners follow links too: a GET only shows.
"""

from contextlib import suppress
from dataclasses import dataclass

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import LazyString

from app.auth import public
from app.domain.expansion_moves import ACCEPT, REASONS, REJECT, SNOOZE, SNOOZE_DAYS, SNOOZED
from app.errors import Conflict, Invalid, NotFound
from app.http import application, database, now
from app.queries.expansion import OpportunityDetail, find_opportunity
from app.services.expansion import Move, move_opportunity
from app.services.expansion_links import Linked, LinkExpired, read_link
from app.web.expansion_words import MOTIONS, STATES
from app.web.expansion_words import REASONS as REASON_WORDS
from app.web.formats import show_day, show_money
from app.web.opportunities import describe_row
from app.web.texts import gettext as _
from app.web.texts import lazy_gettext as _l
from app.web.words import word

HEADINGS: dict[str, LazyString] = {
    ACCEPT: _l("Accept this opportunity?"),
    REJECT: _l("Reject this opportunity?"),
    SNOOZE: _l("Put this opportunity off?"),
}
BUTTONS: dict[str, LazyString] = {ACCEPT: _l("Accept"), REJECT: _l("Reject"), SNOOZE: _l("Snooze")}
EXPIRED = (
    _l("This link has expired"),
    _l(
        "Links in messages are good for 14 days. Log in and find the opportunity under Expansion, or ask whoever "
        "looks after the account."
    ),
)
DAMAGED = (
    _l("This link is not complete"),
    _l(
        "Something of it was lost or changed on the way. Open it from the message itself, without copying a part "
        "of it; or log in and find the opportunity under Expansion."
    ),
)
GONE, UNKNOWN = 410, 404


@dataclass(frozen=True, slots=True)
class Shown:
    """What the page says; `can_do` is False where the opportunity is in another state by now."""

    heading: str
    account: str
    motion: str
    product: str
    worth: str
    why: str
    state: str
    explained: str
    button: str
    reasons: tuple[tuple[str, str], ...]
    can_do: bool


@public
def answer_opportunity(token: str) -> ResponseReturnValue:
    """GET shows, POST acts; a second click shows what came of the first."""
    try:
        settings = application().settings
        linked = read_link(token, secret_keys=(*settings.old_secret_keys, settings.secret_key), now=now())
        if request.method == "POST":
            return _act(linked, token)
        return _page(linked, error=None)
    except LinkExpired:
        return _refused(EXPIRED), GONE
    except (Invalid, NotFound):
        return _refused(DAMAGED), UNKNOWN


def _act(linked: Linked, token: str) -> ResponseReturnValue:
    reason = request.form.get("reason") if linked.action == REJECT else None
    if linked.action == REJECT and reason not in REASONS[REJECT]:
        return _page(linked, error=_("Choose a reason.")), 400
    detail = find_opportunity(database(), linked.opportunity_id, now=now())
    if _can_do(detail, linked.action):  # else somebody was faster, or it was a second click: the page shows it
        move = Move(linked.opportunity_id, linked.action, reason=reason)
        with suppress(Conflict):
            move_opportunity(database(), move, actor=f"link:{linked.opportunity_id}", at=now())
    return redirect(url_for("web.answer_opportunity", token=token), 303)


def _page(linked: Linked, *, error: str | None) -> str:
    detail = find_opportunity(database(), linked.opportunity_id, now=now())
    return render_template("opportunity_link.html", shown=_shown(detail, linked.action), error=error)


def _shown(detail: OpportunityDetail, action: str) -> Shown:
    row = detail.opportunity
    described = describe_row(row)
    can_do = _can_do(detail, action)
    state = word(STATES, row.state)
    until = show_day(row.snoozed_until) if row.snoozed_until else ""
    return Shown(
        heading=str(HEADINGS[action]) if can_do else _("This opportunity: %(state)s", state=state),
        account=row.account_name,
        motion=word(MOTIONS, row.motion),
        product=described.product,
        worth=_worth(row.measure, show_money(row.worth.minor, row.worth.currency)),
        why=described.why,
        state=f"{state} {until}".strip(),
        explained=_explained(action) if can_do else _("Nothing is left to do here. Log in to change it."),
        button=str(BUTTONS[action]),
        reasons=tuple((reason, word(REASON_WORDS, reason)) for reason in REASONS.get(action, ())),
        can_do=can_do,
    )


def _can_do(detail: OpportunityDetail, action: str) -> bool:
    """A snoozed one could be snoozed again; by the same link it was meant once."""
    return action in detail.actions and (action, detail.opportunity.state) != (SNOOZE, SNOOZED)


def _worth(measure: str, money: str) -> str:
    return _("%(money)s a year", money=money) if measure == "arr" else _("%(money)s once", money=money)


def _explained(action: str) -> str:
    if action == SNOOZE:
        return _("It will be flagged again in %(days)s days.", days=SNOOZE_DAYS)
    if action == REJECT:
        return _("It will not be flagged again for half a year.")
    return _("It will be marked as taken up by sales.")


def _refused(said: tuple[LazyString, LazyString]) -> str:
    title, text = said
    return render_template("opportunity_link_refused.html", title=title, text=text)
