"""Settings: one's own account, which is one's password."""

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app.auth import change_own_password, current_user, signed_in
from app.errors import Invalid, NotAllowed, TooMany
from app.web.access_words import ROLES
from app.web.texts import gettext as _
from app.web.words import word


@signed_in
def show_own_account() -> ResponseReturnValue:
    """Who one is here; and the form for a new password, and what it sends."""
    if request.method == "GET":
        done = _("Your password is changed. Everywhere else you are logged out.") if "done" in request.args else None
        return _page(done=done)
    if request.form.get("new") != request.form.get("again"):
        return _page(error=_("The new password was typed differently the second time. Type it again.")), 400
    try:
        change_own_password(request.form.get("old", ""), request.form.get("new", ""))
    except NotAllowed:
        return _page(error=_("That is not your present password.")), 403
    except TooMany as error:
        wait = _("Too many attempts. Try again in %(seconds)s seconds.", seconds=error.retry_after_seconds)
        return _page(error=wait), 429, {"Retry-After": str(error.retry_after_seconds)}
    except Invalid:
        return _page(error=password_rule()), 400
    return redirect(url_for("web.settings_account", done=""), 303)


def password_rule() -> str:
    return _("A password needs 12 characters that are not easy to guess; three unrelated words will do.")


def _page(*, done: str | None = None, error: str | None = None) -> str:
    user = current_user()
    role = word(ROLES, user.role) if user else ""
    return render_template("settings_account.html", user=user, role=role, rule=password_rule(), done=done, error=error)
