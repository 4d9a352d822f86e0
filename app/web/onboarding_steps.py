"""Ticking a step of an onboarding plan, from the page of its account."""

from flask import redirect, request, url_for
from flask.typing import ResponseReturnValue

from app.auth import current_actor, requires
from app.errors import Conflict, NotFound
from app.http import database, now
from app.queries.moments import load_moment
from app.queries.onboarding import find_account_of_step
from app.services.health import Said
from app.services.onboarding import mark_step
from app.web.account import render_account
from app.web.texts import gettext as _


@requires("health:write")
def mark(step_id: int) -> ResponseReturnValue:
    """Tick a step as done today, or take that back."""
    account_id = find_account_of_step(database(), step_id)
    if account_id is None:
        raise NotFound("There is no such step.")
    today = load_moment(database(), as_of=None, known_at=None, now=now()).as_of
    try:
        with database().begin_nested():
            is_done = request.form.get("action") == "done"
            mark_step(database(), step_id, is_done=is_done, said=Said(current_actor(), now(), today))
    except Conflict:
        problem = _("Somebody was faster: this step has changed since you saw it. This is how it stands now.")
        return render_account(account_id, problem=problem), 409
    return redirect(url_for("web.account", account_id=account_id, _anchor="onboarding"), 303)
