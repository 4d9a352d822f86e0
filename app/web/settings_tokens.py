"""Settings: the keys of programs."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app.auth import current_actor, requires
from app.errors import Invalid, NotFound
from app.http import database, now
from app.queries.callers import TokenSummary, list_tokens
from app.services.tokens import INGEST, SCOPES, NewToken, WantedToken, create_token, revoke_token
from app.web.access_words import SCOPES as SCOPE_WORDS
from app.web.formats import show_day, show_instant
from app.web.moment import load_moment
from app.web.texts import gettext as _
from app.web.texts import ngettext
from app.web.words import word

LIFETIMES_DAYS = (30, 90, 365, 0)  # 0: it never ends


@dataclass(frozen=True, slots=True)
class TokenRow:
    id: int
    url: str
    name: str
    prefix: str
    about: str
    used: str
    ends: str
    is_over: bool


@requires("admin")
def show_tokens() -> ResponseReturnValue:
    """The list; and the form for a new one, and what it sends. The secret is in that one answer."""
    if request.method == "GET":
        return _page()
    try:
        made = create_token(database(), _wanted(), actor=current_actor(), now=now())
    except Invalid:
        error = _(
            "Give a name and at least one thing that the token may do; only a token that sends events has a source."
        )
        return _page(error=error), 400
    return _page(made=made), 201


def _wanted() -> WantedToken:
    form = request.form
    source, days = form.get("source", "").strip(), form.get("days", "365")
    if days not in {str(days) for days in LIFETIMES_DAYS}:
        raise Invalid("There is no such lifetime.")
    return WantedToken(
        form.get("name", ""),
        form.getlist("scope"),
        lifetime=timedelta(days=int(days)) if days != "0" else None,
        source=source or None,
    )


def _page(*, made: NewToken | None = None, error: str | None = None) -> str:
    zone = load_moment().settings.reporting_timezone
    return render_template(
        "settings_tokens.html",
        tokens=[_describe(token, zone) for token in reversed(list_tokens(database()))],
        scopes=[(scope, word(SCOPE_WORDS, scope), scope in request.form.getlist("scope")) for scope in SCOPES],
        lifetimes=[(days, _lifetime(days)) for days in LIFETIMES_DAYS],
        given=request.form if error else {},
        made=made,
        is_write_key=made is not None and made.scopes == [INGEST],
        error=error,
    )


def _lifetime(days: int) -> str:
    return ngettext("%(num)s day", "%(num)s days", days) if days else _("does not end")


def _describe(token: TokenSummary, zone: str) -> TokenRow:
    source = _("source %(name)s", name=token.source) if token.source else ""
    return TokenRow(
        id=token.id,
        url=url_for("web.settings_token", token_id=token.id),
        name=token.name,
        prefix=token.prefix,
        about=" · ".join(part for part in (", ".join(token.scopes), source) if part),
        used=show_instant(token.last_used_at, zone) if token.last_used_at else _("never used"),
        ends=_ends(token),
        is_over=_is_over(token, now()),
    )


def _ends(token: TokenSummary) -> str:
    if token.revoked_at:
        return _("revoked on %(day)s", day=show_day(token.revoked_at.date()))
    if token.expires_at is None:
        return _("does not end")
    ends = show_day(token.expires_at.date())
    return _("ended on %(day)s", day=ends) if _is_over(token, now()) else _("ends on %(day)s", day=ends)


def _is_over(token: TokenSummary, moment: datetime) -> bool:
    return token.revoked_at is not None or (token.expires_at is not None and token.expires_at <= moment)


@requires("admin")
def show_token(token_id: int) -> ResponseReturnValue:
    """Asks whether to revoke it; and what that sends."""
    if request.method == "POST":
        revoke_token(database(), token_id=token_id, actor=current_actor(), now=now())
        return redirect(url_for("web.settings_tokens"), 303)
    token = next((token for token in list_tokens(database()) if token.id == token_id), None)
    if token is None:
        raise NotFound("There is no such token.")
    return render_template("settings_token.html", token=_describe(token, load_moment().settings.reporting_timezone))
