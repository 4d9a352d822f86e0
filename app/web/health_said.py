"""What somebody says of an account's health: setting it by hand, ending that, taking a step back, the pulse."""

from datetime import date

from flask import redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import LazyString

from app.auth import current_actor, requires
from app.errors import Conflict, Invalid
from app.http import database, now
from app.queries.moments import load_moment
from app.services.health import Said, WantedOverride, end_override, give_pulse, set_override, undo_override
from app.web.account import render_account
from app.web.texts import lazy_gettext as _l

PROBLEMS: dict[type[Exception], LazyString] = {
    Conflict: _l("Somebody was faster, or it is too late for that. This is how it stands now."),
    Invalid: _l(
        "Something is missing or does not fit: choose from the list, say why, and give a day from tomorrow on."
    ),
}


@requires("health:write")
def say_health(account_id: int) -> ResponseReturnValue:
    """Do what the form says; what does not fit shows the account as it is, with what was wrong."""
    today = load_moment(database(), as_of=None, known_at=None, now=now()).as_of
    said = Said(current_actor(), now(), today)
    try:
        with database().begin_nested():
            _act(account_id, said)
    except (Conflict, Invalid) as error:
        page = render_account(account_id, problem=str(PROBLEMS[type(error)]))
        return page, 409 if isinstance(error, Conflict) else 400
    anchor = "pulse" if request.form.get("action") == "pulse" else "by-hand"
    return redirect(url_for("web.account", account_id=account_id, _anchor=anchor), 303)


def _act(account_id: int, said: Said) -> None:
    """Raises Invalid, Conflict."""
    form = request.form
    match form.get("action"):
        case "set":
            wanted = WantedOverride(
                account_id, form.get("band", ""), form.get("reason", ""), _read_day(form.get("expires_on", ""))
            )
            set_override(database(), wanted, said=said)
        case "end":
            end_override(database(), account_id, said=said)
        case "undo":
            undo_override(database(), account_id, said=said)
        case "pulse":
            give_pulse(
                database(), account_id, value=_read_value(form.get("value", "")), note=form.get("note"), said=said
            )
        case _:
            raise Invalid("There is no such action; there are: set, end, undo, pulse.")


def _read_day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Invalid("Give the day as YYYY-MM-DD.") from None


def _read_value(text: str) -> int:
    return int(text) if len(text) == 1 and text.isascii() and text.isdecimal() else 0
