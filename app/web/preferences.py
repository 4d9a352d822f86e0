"""Language and appearance: kept in a cookie, so that they hold before the log-in too."""

from flask import g, redirect, request
from flask.typing import ResponseReturnValue

from app.auth import public
from app.http import application
from app.queries.callers import SignedIn

LANGUAGES = {"en": "English", "ja": "日本語"}
THEMES = ("system", "light", "dark")
ONE_YEAR_SECONDS = 365 * 24 * 3600


def choose_language() -> str:
    """The one picked on a page, else the user's own, else the best of those that the browser asks for."""
    picked = request.cookies.get("tenure-language", "")
    if picked in LANGUAGES:
        return picked
    caller = g.get("caller")
    if isinstance(caller, SignedIn) and caller.language in LANGUAGES:
        return caller.language
    return request.accept_languages.best_match(list(LANGUAGES), default="en") or "en"


def chosen_theme() -> str:
    picked = request.cookies.get("tenure-theme", "")
    return picked if picked in THEMES else THEMES[0]


def safe_next(address: str) -> str:
    """A path of this service; anything that could lead elsewhere becomes the start page."""
    is_ours = address.startswith("/") and not address.startswith("//") and "\\" not in address and address.isprintable()
    return address if is_ours else "/"


@public
def keep_preferences() -> ResponseReturnValue:
    response = redirect(safe_next(request.form.get("next", "/")), 303)
    allowed = {"language": tuple(LANGUAGES), "theme": THEMES}
    for name, values in allowed.items():
        value = request.form.get(name)
        if value in values:
            response.set_cookie(
                f"tenure-{name}",
                value,
                max_age=ONE_YEAR_SECONDS,
                secure=application().settings.is_production,
                httponly=True,
                samesite="Lax",
            )
    return response
