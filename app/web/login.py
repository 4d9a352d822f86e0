"""Logging in and out."""

from urllib.parse import urlsplit

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from app import auth
from app.errors import NotAuthenticated, TooMany
from app.http import application
from app.web.preferences import safe_next
from app.web.texts import gettext as _


@auth.public
def log_in() -> ResponseReturnValue:
    """The form; and what it sends. A wrong address and a wrong password get the same answer."""
    if request.method == "GET":
        if auth.current_user():
            return redirect(url_for("web.home"))
        return _form(email="", error=None)
    email = request.form.get("email", "")
    try:
        auth.log_in(email, request.form.get("password", ""))
    except NotAuthenticated:
        error = _("That address and password do not belong together. Check both; an administrator can set a new one.")
        return _form(email=email[:200], error=error), 401
    except TooMany as refused:
        error = _("Too many attempts. Try again in %(seconds)s seconds.", seconds=refused.retry_after_seconds)
        return _form(email=email[:200], error=error), 429, {"Retry-After": str(refused.retry_after_seconds)}
    return redirect(_landing(safe_next(request.form.get("next", "/"))), 303)


def _landing(address: str) -> str:
    """Where one wanted to go, unless one's role does not include it: then where its day begins."""
    try:
        endpoint, _values = application().url_map.bind("").match(urlsplit(address).path, method="GET")
    except HTTPException:
        return address  # the page that says so
    return address if auth.may_open(endpoint) else url_for("web.home")


def _form(*, email: str, error: str | None) -> str:
    return render_template("login.html", email=email, error=error, next=safe_next(request.values.get("next", "/")))


@auth.signed_in
def log_out() -> ResponseReturnValue:
    auth.log_out()
    return redirect(url_for("web.log_in"), 303)
