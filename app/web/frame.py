"""What stands around every page: who is logged in, where one can go, language and appearance."""

from dataclasses import dataclass
from typing import Any

from flask import g, request, url_for
from flask_babel import LazyString, get_locale
from markupsafe import Markup

from app.auth import csrf_token
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


def describe_frame() -> dict[str, Any]:
    caller = g.get("caller")
    return {
        "frame": Frame(
            user=caller if isinstance(caller, SignedIn) else None,
            navigation=tuple(
                Link(name, url_for(endpoints[0]), request.endpoint in endpoints) for name, endpoints in PAGES
            ),
            language=str(get_locale()),
            languages=tuple(LANGUAGES.items()),
            theme=chosen_theme(),
            here=request.full_path.rstrip("?") if request.method == "GET" else "/",
        )
    }


def csrf_field() -> Markup:
    return Markup('<input type="hidden" name="csrf_token" value="{}">').format(csrf_token())
