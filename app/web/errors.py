"""What went wrong, as a page in words that say what to do."""

from flask import g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import LazyString

from app.auth import current_caller, may_open
from app.db import reading
from app.http import Problem, application
from app.web.frame import find_home
from app.web.texts import gettext as _
from app.web.texts import lazy_gettext as _l

WORDS: dict[int, tuple[LazyString, LazyString]] = {
    400: (_l("That request cannot be read"), _l("The address or the form holds something that does not belong there.")),
    403: (
        _l("You may not do this"),
        _l("Your role does not include it, or the form has expired. Load the page again, or ask an administrator."),
    ),
    404: (
        _l("There is nothing here"),
        _l("The address may be mistyped, or what it showed may be gone. The accounts can be searched by name."),
    ),
    405: (_l("That cannot be done here"), _l("Go back and use the buttons on the page.")),
    413: (_l("That is too large"), _l("The form holds more than this service takes at once.")),
    503: (
        _l("Back in a moment"),
        _l("The database is busy or cannot be reached. Nothing was lost; try again in a minute."),
    ),
}
ROLE_LACKS = (
    _l("Your role does not include this"),
    _l("An administrator can give you another role, under Settings and Users. The menu shows what yours includes."),
)
OTHERWISE = (
    _l("Something went wrong here"),
    _l(
        "It has been logged, and it was not your fault. Try again; if it stays, tell an administrator when it happened."
    ),
)


def show_error(problem: Problem) -> ResponseReturnValue:
    """The page of a problem; who is not logged in is asked to, and comes back to where they wanted to go."""
    if problem.status == 401:
        return _ask_to_log_in()
    is_broken = problem.status >= 500  # then nothing more is asked of the database
    if not is_broken:
        _recognise_caller()
    title, text = ROLE_LACKS if _lacks_role(problem) else WORDS.get(problem.status, OTHERWISE)
    home = None if is_broken else find_home()
    page = render_template(
        "error.html",
        status=problem.status,
        title=title,
        text=text,
        show_menu=not is_broken,
        back_url=home.url if home else url_for("web.home"),
        back_text=_("Back to %(page)s", page=home.name) if home else _("Back to the beginning"),
    )
    return page, problem.status


def _lacks_role(problem: Problem) -> bool:
    return problem.status == 403 and request.endpoint is not None and not may_open(request.endpoint)


def _ask_to_log_in() -> ResponseReturnValue:
    wanted = request.full_path.rstrip("?") if request.method == "GET" else "/"
    address = url_for("web.log_in", next=wanted) if wanted != "/" else url_for("web.log_in")
    if request.headers.get("HX-Request"):
        return "", 401, {"HX-Redirect": address}  # a redirect would put the form into the middle of the page
    return redirect(address)


def _recognise_caller() -> None:
    """An address that does not exist passes no gate, so nobody has asked yet who is calling."""
    if "caller" not in g:
        with reading(application().engine) as g.session:
            current_caller()
