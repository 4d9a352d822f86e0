"""Settings: who can log in, and as what."""

from dataclasses import dataclass

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app.auth import current_actor, current_user, requires
from app.errors import Conflict, Invalid
from app.http import database, now
from app.queries.users import UserSummary, list_users, load_user
from app.services.changes import recording
from app.services.users import (
    ROLES,
    NewUser,
    add_user,
    change_password,
    change_role,
    deactivate_user,
    reactivate_user,
)
from app.web.access_words import ROLES as ROLE_WORDS
from app.web.access_words import ROLES_EXPLAINED
from app.web.formats import show_day, show_instant
from app.web.moment import load_moment
from app.web.settings_account import password_rule
from app.web.texts import gettext as _
from app.web.words import word


@dataclass(frozen=True, slots=True)
class UserRow:
    id: int
    url: str
    name: str
    email: str
    role: str
    role_word: str
    is_active: bool
    added: str
    seen: str


@dataclass(frozen=True, slots=True)
class RoleChoice:
    name: str
    word: str
    explained: str
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class Done:
    """What was just done, and the form that takes it back, if it can be."""

    text: str
    undo_url: str | None = None
    undo_role: str | None = None


@requires("admin")
def show_users() -> ResponseReturnValue:
    """The list; and the form for another one, and what it sends."""
    if request.method == "GET":
        return _list_page({})
    given = {name: request.form.get(name, "") for name in ("name", "email", "role", "password")}
    try:
        with database().begin_nested(), recording(database(), current_actor(), clock=now) as change:
            user_id = add_user(database(), change, new=NewUser(**given))
    except Conflict:
        return _list_page(given, error=_("There is a user with that address already.")), 409
    except Invalid:
        error = _("Give a name, a mail address and a role.") + " " + password_rule()
        return _list_page(given, error=error), 400
    return redirect(url_for("web.settings_user", user_id=user_id, done="added"), 303)


def _list_page(given: dict[str, str], *, error: str | None = None) -> str:
    zone = load_moment().settings.reporting_timezone
    return render_template(
        "settings_users.html",
        users=[_describe(user, zone) for user in list_users(database())],
        roles=_role_choices(given.get("role", "csm")),
        given=given,
        rule=password_rule(),
        error=error,
    )


def _describe(user: UserSummary, zone: str) -> UserRow:
    return UserRow(
        id=user.id,
        url=url_for("web.settings_user", user_id=user.id),
        name=user.name,
        email=user.email or "",
        role=user.role,
        role_word=word(ROLE_WORDS, user.role),
        is_active=user.is_active,
        added=show_day(user.created_at.date()),
        seen=show_instant(user.last_seen_at, zone) if user.last_seen_at else _("not logged in"),
    )


def _role_choices(chosen: str) -> list[RoleChoice]:
    return [
        RoleChoice(role, word(ROLE_WORDS, role), word(ROLES_EXPLAINED, role), is_chosen=role == chosen)
        for role in ROLES
    ]


@requires("admin")
def show_user(user_id: int) -> ResponseReturnValue:
    return _page(user_id)


def _page(user_id: int, *, error: str | None = None) -> str:
    database().expire_all()
    user = load_user(database(), user_id)
    me = current_user()
    return render_template(
        "settings_user.html",
        user=_describe(user, load_moment().settings.reporting_timezone),
        is_oneself=me is not None and me.user_id == user_id,
        roles=_role_choices(user.role),
        rule=password_rule(),
        done=_done(user) if error is None else None,
        error=error,
    )


def _done(user: UserSummary) -> Done | None:
    """What the address says was done, as long as it is still so."""
    said, was = request.args.get("done", ""), request.args.get("was", "")
    if said == "added":
        return Done(_("%(name)s can log in.", name=user.name))
    if said == "password":
        return Done(_("The new password holds, and %(name)s is logged out everywhere.", name=user.name))
    if said == "role" and was in ROLES and was != user.role:
        text = _("%(name)s now has the role %(role)s.", name=user.name, role=word(ROLE_WORDS, user.role))
        return Done(text, url_for("web.settings_user_role", user_id=user.id), was)
    if said == "deactivated" and not user.is_active:
        text = _("%(name)s is logged out and cannot log in any more.", name=user.name)
        return Done(text, url_for("web.settings_user_reactivate", user_id=user.id))
    if said == "reactivated" and user.is_active:
        return Done(_("%(name)s can log in again.", name=user.name))
    return None


def _last_admin(user_id: int) -> ResponseReturnValue:
    error = _("This is the only active administrator. Make somebody else one first.")
    return _page(user_id, error=error), 409


def _back(user_id: int, done: str, *, was: str | None = None) -> ResponseReturnValue:
    return redirect(url_for("web.settings_user", user_id=user_id, done=done, was=was), 303)


@requires("admin")
def give_role(user_id: int) -> ResponseReturnValue:
    try:
        role = request.form.get("role", "")
        was = change_role(database(), user_id=user_id, role=role, actor=current_actor(), at=now())
    except Conflict:
        return _last_admin(user_id)
    return _back(user_id, "role", was=was)


@requires("admin")
def shut_out(user_id: int) -> ResponseReturnValue:
    try:
        deactivate_user(database(), user_id=user_id, actor=current_actor(), at=now())
    except Conflict:
        return _last_admin(user_id)
    return _back(user_id, "deactivated")


@requires("admin")
def let_in(user_id: int) -> ResponseReturnValue:
    reactivate_user(database(), user_id=user_id, actor=current_actor(), at=now())
    return _back(user_id, "reactivated")


@requires("admin")
def set_password(user_id: int) -> ResponseReturnValue:
    try:
        password = request.form.get("password", "")
        change_password(database(), user_id=user_id, password=password, actor=current_actor(), at=now())
    except Invalid:
        return _page(user_id, error=password_rule()), 400
    return _back(user_id, "password")
