"""Every address, asked by everybody: answered as the table here says, and no address is missing from it."""

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from app import auth
from app.api.v1 import ENDPOINTS
from app.config import Settings
from app.db import transaction
from app.factory import create_app
from app.http import PROGRAM_PATHS, SAFE_METHODS, Application
from app.services.changes import recording
from app.services.tokens import SCOPES, WantedToken, create_token, revoke_token
from app.services.users import NewUser, add_user, start_session
from tests.small_company import NOW

# What each may, written down a second time: a slip in the code's own table shows here.
ALLOWED: dict[str, set[str]] = {
    "the role admin": set(SCOPES) - {"ingest:write"} | {"signed in"},
    "the role csm": {
        *("accounts:read", "notes:read", "health:write", "ltv:read", "opportunities:read", "opportunities:write"),
        "signed in",
    },
    "the role sales": {"accounts:read", "opportunities:read", "opportunities:write", "signed in"},
    "the role finance": {"accounts:read", "finance:read", "finance:write", "ltv:read", "signed in"},
    "nobody": set(),
    "an ingest key": {"ingest:write"},
    "a token for accounts:read": {"accounts:read"},
    "a token for notes:read": {"notes:read"},
    "a token for health:write": {"health:write"},
    "a token for ltv:read": {"ltv:read"},
    "a token for finance:read": {"finance:read", "ltv:read"},
    "a token for finance:write": {"finance:write"},
    "a token for opportunities:read": {"opportunities:read"},
    "a token for opportunities:write": {"opportunities:write"},
    "a token for signals:write": {"signals:write"},
    "a token for webhooks:admin": {"webhooks:admin"},
    "a token for admin": set(SCOPES),
    "a revoked token": set(),
}

PUBLIC = {
    *("docs.show_docs", "docs.show_openapi", "docs.static", "api.list_definitions", "api.show_definition"),
    "api.push_crm",
    *("health.show_health", "health.show_readiness"),
    *("web.log_in", "web.preferences", "web.static", "web.answer_opportunity"),
}
NEEDS: dict[str, set[str]] = {
    "public": PUBLIC,
    "signed in": {"web.home", "web.log_out", "web.settings", "web.settings_account"},
    "accounts:read": {
        *("web.today", "web.accounts", "web.accounts_csv", "web.account", "web.retention", "web.model", "web.feeds"),
        "web.model_inputs",
        *("api.list_accounts", "api.show_account", "api.show_account_health", "api.show_account_retention"),
        *("api.show_retention", "api.show_current_model", "api.list_feeds"),
        *("api.list_health_overrides", "api.judge_health_overrides", "api.list_pulses"),
        "api.list_promises",
        *("api.list_health_trials", "api.show_health_trial", "web.health_weights", "web.health_trial"),
    },
    "health:write": {
        *("api.set_health_override", "api.end_health_override", "api.undo_health_override", "api.give_pulse"),
        *("web.say_health", "api.move_promise"),
        *("web.move_promise", "web.mark_step", "web.onboarding_templates", "web.write_onboarding_template"),
    },
    "ltv:read": {"api.show_account_ltv"},
    "finance:read": {
        *("api.list_ltv", "api.show_ltv_summary", "api.show_new_ltv", "api.show_arr", "api.show_bookings"),
        *("api.show_acquisition", "api.list_acquisition_costs", "web.ltv"),
        *("api.list_reconciliations", "api.show_reconciliation"),
        *("api.show_movements", "api.show_revenue_retention", "api.show_renewals", "api.list_renewal_lines"),
        *("api.list_periods", "api.show_period", "api.show_current_period", "api.show_restatements"),
    },
    "finance:write": {
        *("api.record_acquisition_cost", "web.record_cost"),
        *("api.make_reconciliation", "api.override_reconciliation", "api.close_period"),
    },
    "opportunities:read": {
        *("web.expansion", "web.expansion_csv", "web.opportunity"),
        *("api.list_opportunities", "api.show_opportunity"),
    },
    "opportunities:write": {
        "web.move_opportunity",
        *(f"api.{act}_opportunity" for act in ("accept", "reject", "snooze", "win", "lose", "undo")),
    },
    "ingest:write": {
        f"ingest.{name}{below}"
        for name in ("batch", "track", "page", "screen", "identify", "group", "alias")
        for below in ("", "_below")
    },
    "signals:write": {f"api.send_{name}" for name in ("surveys", "tickets", "touches", "trainings", "invoices")},
    "webhooks:admin": {
        *("web.webhooks", "web.create_webhook", "web.webhook", "web.change_webhook", "web.delivery", "web.replay"),
        *("api.list_webhook_endpoints", "api.make_webhook_endpoint", "api.show_webhook_endpoint"),
        *("api.change_webhook_endpoint", "api.end_webhook_endpoint", "api.rotate_webhook_secret"),
        *("api.test_webhook_endpoint", "api.list_webhook_deliveries", "api.show_webhook_delivery"),
        "api.replay_webhook_delivery",
    },
    "admin": {
        "web.ring_crm",
        *("web.feed", "web.retry", "web.settings_audit", "web.settings_audit_csv"),
        *("web.settings_tokens", "web.settings_token", "web.settings_users", "web.settings_user"),
        *(f"web.settings_user_{act}" for act in ("role", "password", "deactivate", "reactivate")),
        *("api.list_tokens", "api.make_token", "api.end_token", "api.list_audit"),
        *("api.make_health_trial", "api.publish_health_trial"),
        *("web.try_health_weights", "web.publish_health_weights", "web.restore_health_weights"),
        *("api.list_users", "api.make_user", "api.give_role", "api.set_password", "api.shut_out", "api.let_in"),
    },
}

Ask = Callable[..., Any]


@pytest.fixture
def app(settings: Settings) -> Iterator[Application]:
    app = create_app(settings)
    app.clock = lambda: NOW
    yield app
    app.engine.dispose()


def routes(app: Application) -> Iterator[tuple[str, str, str]]:
    """Endpoint, method and an address of each: of things that are not there, so that asking changes nothing."""
    for rule in app.url_map.iter_rules():
        values = {name: "nothing" if name in {"token", "filename"} else 999_999 for name in rule.arguments}
        with app.test_request_context():
            path = app.url_for(rule.endpoint, **values)
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            if (rule.endpoint, method) != ("web.log_in", "POST"):  # its 401 speaks of the password it was sent
                yield rule.endpoint, method, path


def rule_of(endpoint: str) -> str:
    return next(rule for rule, endpoints in NEEDS.items() if endpoint in endpoints)


def test_every_address_is_in_the_table_and_declares_what_it_says(app: Application) -> None:
    declared = {endpoint: auth.access_rule(app, endpoint) for endpoint in app.view_functions}
    assert declared == {endpoint: rule for rule, endpoints in NEEDS.items() for endpoint in endpoints}


def test_the_roles_hold_what_is_written_here() -> None:
    for role, scopes in auth.ROLE_SCOPES.items():
        implied = scopes.union(*(auth.IMPLIED.get(scope, ()) for scope in scopes))
        assert implied - {"ingest:write"} | {"signed in"} == ALLOWED[f"the role {role}"]


def callers(app: Application) -> dict[str, Ask]:
    """How each asks; a person with a session of its own each time, for some addresses end it."""
    found: dict[str, Ask] = {"nobody": send}
    for role in auth.ROLE_SCOPES:
        with transaction(app.engine) as session, recording(session, "test") as change:
            new = NewUser(role, f"{role}@example.com", secrets.token_urlsafe(12), role)
            found[f"the role {role}"] = as_person(app, add_user(session, change, new=new))
    for name in ALLOWED:
        if name.startswith("a token for "):
            found[name] = as_program(app, name.removeprefix("a token for "))
    found["an ingest key"] = as_program(app, "ingest:write", source="web")
    found["a revoked token"] = as_program(app, "admin", is_revoked=True)
    return found


def as_person(app: Application, user_id: int) -> Ask:
    def ask(client: FlaskClient, *asked: str) -> Any:
        with transaction(app.engine) as session:
            opened = start_session(session, user_id=user_id, now=NOW)
        client.set_cookie("tenure-session", opened.id)
        return send(client, *asked, csrf=opened.csrf_token)

    return ask


def as_program(app: Application, scope: str, *, source: str | None = None, is_revoked: bool = False) -> Ask:
    """The admin's token has a source too: without one no event is taken from anybody."""
    is_admin = scope == "admin"
    wanted = WantedToken(scope, [scope, "ingest:write"] if is_admin else [scope], source="x" if is_admin else source)
    with transaction(app.engine) as session:
        made = create_token(session, wanted, actor="command", now=NOW)
        if is_revoked:
            revoke_token(session, token_id=made.id, actor="command", now=NOW)
    return lambda client, *asked: send(client, *asked, bearer=made.token)


def send(client: FlaskClient, method: str, path: str, *, csrf: str | None = None, bearer: str | None = None) -> Any:
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {"X-CSRF-Token": csrf or ""}
    is_form = not path.startswith(PROGRAM_PATHS) and method not in SAFE_METHODS
    # Two passwords that differ: the page that changes one's own refuses it before it looks at anything else.
    return client.open(path, method=method, headers=headers, data={"again": "x"} if is_form else None)


def outcome(answer: Any) -> str:
    """Asked to say who they are, refused, or let through to an answer that is no fault of ours."""
    if answer.status_code == 401 or (answer.status_code == 302 and answer.location.startswith("/login")):
        return "who?"
    if answer.status_code == 403:
        return "no"
    assert answer.status_code < 500 or answer.status_code == 503, answer.text
    return "yes"


def expected(name: str, rule: str, method: str, path: str) -> str:
    if rule in ALLOWED[name]:
        return "yes"
    is_person = name.startswith("the role")
    is_known = is_person or name.startswith(("a token", "an ingest"))
    if rule == "public":
        # A form of a page comes from one of our pages, or is refused, whoever sends it.
        is_programs = method in SAFE_METHODS or path.startswith(PROGRAM_PATHS)
        return "yes" if is_known or name == "a revoked token" or is_programs else "no"
    if name == "nobody" and method not in SAFE_METHODS and not path.startswith(PROGRAM_PATHS):
        return "no"
    if not is_known or (rule == "signed in") or (rule == "ingest:write" and is_person):
        return "who?"
    return "no"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_every_address_answers_everybody_as_declared(app: Application) -> None:
    asking, wrong = callers(app), []
    assert set(asking) == set(ALLOWED)
    for endpoint, method, path in routes(app):
        for name, ask in asking.items():
            got = outcome(ask(app.test_client(), method, path))
            should = expected(name, rule_of(endpoint), method, path)
            if got != should:
                wrong.append(f"{method} {path} ({endpoint}) said {got!r} to {name}, not {should!r}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_write_key_as_the_user_of_basic_opens_the_event_addresses_and_no_other(app: Application) -> None:
    with transaction(app.engine) as session:
        wanted = WantedToken("a key", ["admin", "ingest:write"], source="web")
        key = create_token(session, wanted, actor="command", now=NOW).token
    for endpoint, method, path in routes(app):
        if rule_of(endpoint) in {"public", "ingest:write"}:
            continue
        answer = app.test_client().open(path, method=method, auth=(key, ""))
        assert outcome(answer) in {"who?", "no"}, path


def test_every_endpoint_of_the_api_is_in_the_table_with_its_own_scope() -> None:
    assert {f"api.{each.name}": each.scope for each in ENDPOINTS} == {
        endpoint: rule for rule, endpoints in NEEDS.items() for endpoint in endpoints if endpoint.startswith("api.")
    }
