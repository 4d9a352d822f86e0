"""What stands around every page: who is logged in, where one can go, language and appearance."""

from dataclasses import dataclass
from typing import Any

from flask import g, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import LazyString, get_locale
from markupsafe import Markup

from app.auth import csrf_token, may_open, signed_in
from app.queries.callers import SignedIn
from app.web.preferences import LANGUAGES, chosen_theme
from app.web.texts import lazy_gettext as _l

# The pages that there are, in the order of a day's work. The endpoints of a page's details follow its own.
PAGES: tuple[tuple[LazyString, tuple[str, ...]], ...] = (
    (_l("Accounts"), ("web.accounts", "web.account")),
    (_l("Retention"), ("web.retention",)),
)


@dataclass(frozen=True, slots=True)
class Link:
    name: LazyString
    url: str
    is_current: bool


@dataclass(frozen=True, slots=True)
class Frame:
    user: SignedIn | None
    navigation: tuple[Link, ...]
    language: str
    languages: tuple[tuple[str, str], ...]
    theme: str
    here: str


@signed_in
def go_home() -> ResponseReturnValue:
    """The first page of those that one may see."""
    return redirect(url_for(next(endpoints[0] for _name, endpoints in PAGES if may_open(endpoints[0]))))


def describe_frame() -> dict[str, Any]:
    caller = g.get("caller")
    pages = [page for page in PAGES if may_open(page[1][0])] if isinstance(caller, SignedIn) else []
    return {
        "frame": Frame(
            user=caller if isinstance(caller, SignedIn) else None,
            navigation=tuple(
                Link(name, url_for(endpoints[0]), request.endpoint in endpoints) for name, endpoints in pages
            ),
            language=str(get_locale()),
            languages=tuple(LANGUAGES.items()),
            theme=chosen_theme(),
            here=request.full_path.rstrip("?") if request.method == "GET" else "/",
        )
    }


def csrf_field() -> Markup:
    return Markup('<input type="hidden" name="csrf_token" value="{}">').format(csrf_token())
