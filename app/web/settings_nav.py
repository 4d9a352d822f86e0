"""The pages of Settings, and the menu that leads from one to the other."""

from flask import current_app, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import LazyString

from app.auth import may_open, signed_in
from app.web.frame import Link
from app.web.texts import lazy_gettext as _l

# The endpoints of a page's details follow its own.
SETTINGS_PAGES: tuple[tuple[LazyString, tuple[str, ...]], ...] = (
    (_l("Your account"), ("web.settings_account",)),
    (_l("Users"), ("web.settings_users", "web.settings_user")),
    (_l("Tokens"), ("web.settings_tokens", "web.settings_token")),
    (_l("Webhooks"), ("web.webhooks", "web.webhook")),
    (
        _l("Health weights"),
        ("web.health_weights", "web.try_health_weights", "web.health_trial", "web.publish_health_weights"),
    ),
    (_l("Onboarding templates"), ("web.onboarding_templates", "web.write_onboarding_template")),
    (_l("Audit"), ("web.settings_audit",)),
)


def list_settings() -> tuple[Link, ...]:
    """Those that whoever is calling may open."""
    return tuple(
        Link(name, url_for(endpoints[0]), request.endpoint in endpoints)
        for name, endpoints in SETTINGS_PAGES
        if endpoints[0] in current_app.view_functions and may_open(endpoints[0])
    )


@signed_in
def go_to_settings() -> ResponseReturnValue:
    return redirect(url_for("web.settings_account"))
