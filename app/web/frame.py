"""What stands around every page: who is logged in, where one can go, language and appearance."""

from dataclasses import dataclass
from typing import Any

from flask import g, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import LazyString, get_locale
from markupsafe import Markup

from app.auth import csrf_token, current_user, may_open, signed_in
from app.queries.callers import SignedIn
from app.web.preferences import LANGUAGES, chosen_theme
from app.web.texts import lazy_gettext as _l

SETTINGS = (
    *("web.settings", "web.settings_account", "web.settings_users", "web.settings_user"),
    *("web.settings_tokens", "web.settings_token", "web.settings_audit"),
    *("web.webhooks", "web.create_webhook", "web.webhook", "web.change_webhook", "web.delivery", "web.replay"),
    *("web.health_weights", "web.try_health_weights", "web.health_trial", "web.publish_health_weights"),
)
# Where a role's day begins; all others begin with the first page.
HOMES = {"sales": "web.expansion", "finance": "web.accounts"}
# The pages that there are, in the order of a day's work. The endpoints of a page's details follow its own.
PAGES: tuple[tuple[LazyString, tuple[str, ...]], ...] = (
    (_l("Today"), ("web.today",)),
    (_l("Accounts"), ("web.accounts", "web.account")),
    (_l("Expansion"), ("web.expansion", "web.opportunity", "web.move_opportunity")),
    (_l("Retention"), ("web.retention",)),
    (_l("Lifetime value"), ("web.ltv", "web.record_cost")),
    (_l("Is the model right?"), ("web.model", "web.model_inputs")),
    (_l("Feeds"), ("web.feeds",)),
    (_l("Settings"), SETTINGS),
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
    place: LazyString | None  # of the pages, the one that this one belongs to
    language: str
    languages: tuple[tuple[str, str], ...]
    theme: str
    here: str


@signed_in
def go_home() -> ResponseReturnValue:
    """Where one's day begins."""
    home = find_home()
    return redirect(home.url if home else url_for("web.settings"))


def find_home() -> Link | None:
    """The page of one's role, or the first that one may open; none for who is not logged in."""
    user = current_user()
    allowed = {endpoints[0]: name for name, endpoints in PAGES if user and may_open(endpoints[0])}
    own = HOMES.get(user.role, "") if user else ""
    endpoint = own if own in allowed else next(iter(allowed), None)
    return Link(allowed[endpoint], url_for(endpoint), is_current=False) if endpoint else None


def describe_frame() -> dict[str, Any]:
    caller = g.get("caller")
    pages = [page for page in PAGES if may_open(page[1][0])] if isinstance(caller, SignedIn) else []
    links = tuple(Link(name, url_for(endpoints[0]), request.endpoint in endpoints) for name, endpoints in pages)
    return {
        "frame": Frame(
            user=caller if isinstance(caller, SignedIn) else None,
            navigation=links,
            place=next((link.name for link in links if link.is_current), None),
            language=str(get_locale()),
            languages=tuple(LANGUAGES.items()),
            theme=chosen_theme(),
            here=request.full_path.rstrip("?") if request.method == "GET" else "/",
        )
    }


def csrf_field() -> Markup:
    return Markup('<input type="hidden" name="csrf_token" value="{}">').format(csrf_token())
