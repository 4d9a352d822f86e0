"""What somebody says became of a promise, from the page of its account."""

from flask import redirect, request, url_for
from flask.typing import ResponseReturnValue

from app.auth import current_actor, requires
from app.errors import Conflict, Invalid, NotFound
from app.http import database, now
from app.queries.moments import load_moment
from app.queries.promises import find_account_of_promise
from app.services.health import Said
from app.services.promises import PromiseMove, move_promise
from app.web.account import render_account
from app.web.texts import gettext as _


@requires("health:write")
def move(promise_id: int) -> ResponseReturnValue:
    """Do what the form says; what does not fit shows the account as it is, with what was wrong."""
    account_id = find_account_of_promise(database(), promise_id)
    if account_id is None:
        raise NotFound("There is no such promise.")
    today = load_moment(database(), as_of=None, known_at=None, now=now()).as_of
    wanted = PromiseMove(promise_id, request.form.get("state", ""), request.form.get("reason", ""))
    try:
        with database().begin_nested():
            move_promise(database(), wanted, said=Said(current_actor(), now(), today))
    except Conflict:
        problem = _("Somebody was faster: this promise has changed since you saw it. This is how it stands now.")
        return render_account(account_id, problem=problem), 409
    except Invalid:
        problem = _("Say why a promise was broken or dropped, in at most 2,000 characters.")
        return render_account(account_id, problem=problem), 400
    return redirect(url_for("web.account", account_id=account_id, _anchor="promises"), 303)
