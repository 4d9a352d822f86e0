"""Settings: users, tokens, one's own account and the audit, as pages without JavaScript."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient

from app.auth import ROLE_SCOPES
from app.config import Settings
from app.db import reading, transaction
from app.factory import create_app
from app.http import Application
from app.queries.callers import find_program
from app.services.audit import Act, record_act
from app.services.changes import recording
from app.services.users import ROLES, NewUser, add_user
from tests.web.company import NOW
from tests.web.conftest import csrf_token, log_in

PASSWORD = "three unrelated words"
PAGES = (
    "/settings/account",
    "/settings/users",
    "/settings/tokens",
    "/settings/audit",
    "/settings/webhooks",
    "/settings/health-weights",
    "/settings/onboarding",
)


@pytest.fixture
def app(settings: Settings) -> Iterator[Application]:
    """An empty company with one user of each role; the admin is user 1."""
    app = create_app(settings)
    app.clock = lambda: NOW
    for role in ROLES:
        with transaction(app.engine) as session, recording(session, "test", clock=lambda: NOW) as change:
            add_user(session, change, new=NewUser(f"{role.title()} Person", f"{role}@example.com", PASSWORD, role))
    yield app
    app.engine.dispose()


def enter(app: Application, role: str) -> FlaskClient:
    client = app.test_client()
    assert log_in(client, f"{role}@example.com", password=PASSWORD).status_code == 303
    return client


@pytest.fixture
def admin(app: Application) -> FlaskClient:
    return enter(app, "admin")


def send(client: FlaskClient, path: str, **form: Any) -> Any:
    return client.post(path, data=form | {"csrf_token": csrf_token(client, "/settings/account")})


def test_settings_shows_each_what_they_may_open(app: Application) -> None:
    menus = {
        role: re.findall(r'class="chip" href="([^"]+)"', enter(app, role).get("/settings/account").text)
        for role in ROLES
    }
    assert set(menus["admin"]) <= set(PAGES)
    assert {"/settings/account", "/settings/users", "/settings/tokens", "/settings/audit"} <= set(menus["admin"])
    # What health weighs is for all to read; who may try and publish weights is asked of each act.
    assert menus["sales"] == menus["finance"] == ["/settings/account", "/settings/health-weights"]
    assert menus["csm"] == [*menus["sales"], "/settings/onboarding"]


@pytest.mark.parametrize("role", ["csm", "sales", "finance"])
@pytest.mark.parametrize("path", ["/settings/users", "/settings/tokens", "/settings/audit", "/settings/audit.csv"])
def test_what_a_role_does_not_include_is_said_on_a_page_that_leads_on(app: Application, role: str, path: str) -> None:
    answer = enter(app, role).get(path)
    assert answer.status_code == 403
    assert "Your role does not include this" in answer.text
    assert "An administrator can give you another role" in answer.text
    assert 'href="/accounts"' in answer.text  # the menu


@pytest.mark.parametrize(
    ("role", "scopes", "page", "url"),
    [
        ("csm", None, "Today", "/today"),
        ("sales", None, "Expansion", "/expansion"),
        ("finance", None, "Accounts", "/accounts"),
        ("finance", {"opportunities:read"}, "Expansion", "/expansion"),
        ("csm", set(), "Settings", "/settings"),
    ],
)
def test_what_one_may_not_open_leads_back_to_a_page_that_one_may(
    app: Application, monkeypatch: pytest.MonkeyPatch, role: str, scopes: set[str] | None, page: str, url: str
) -> None:
    if scopes is not None:
        monkeypatch.setitem(ROLE_SCOPES, role, frozenset(scopes))
    client = enter(app, role)
    for path in ("/settings/users", "/no-such-page"):
        assert f'<a class="button" href="{url}">Back to {page}</a>' in client.get(path).text
    assert client.get("/").location == url
    assert client.get(url, follow_redirects=True).status_code == 200


def test_whoever_is_not_logged_in_is_led_back_to_the_beginning(app: Application) -> None:
    page = app.test_client().get("/no-such-page").text
    assert '<a class="button" href="/">Back to the beginning</a>' in page


def test_somebody_is_added_and_comes_in_with_their_role(app: Application, admin: FlaskClient) -> None:
    form = {"name": "Bo <b>", "email": "Bo@example.com", "role": "csm", "password": PASSWORD}
    added = send(admin, "/settings/users", **form)
    assert added.status_code == 303
    page = admin.get(added.location).text
    assert "Bo &lt;b&gt; can log in." in page
    assert "Bo &lt;b&gt;" in admin.get("/settings/users").text
    visitor = app.test_client()
    assert log_in(visitor, "bo@example.com", password=PASSWORD).status_code == 303
    assert visitor.get("/settings/users").status_code == 403


@pytest.mark.parametrize(
    ("wrong", "status", "said"),
    [
        ({"email": "csm@example.com"}, 409, "There is a user with that address already."),
        ({"password": "short"}, 400, "A password needs 12 characters"),
        ({"role": "root"}, 400, "Give a name, a mail address and a role."),
        ({"name": " "}, 400, "Give a name, a mail address and a role."),
    ],
)
def test_a_form_that_cannot_be_taken_says_why_and_keeps_what_was_typed(
    admin: FlaskClient, wrong: dict[str, str], status: int, said: str
) -> None:
    form = {"name": "Bo Typed", "email": "typed@example.com", "role": "sales", "password": PASSWORD} | wrong
    answer = send(admin, "/settings/users", **form)
    assert answer.status_code == status
    assert said in answer.text
    assert f'value="{PASSWORD}"' not in answer.text
    if "email" not in wrong:
        assert 'value="typed@example.com"' in answer.text
    assert admin.get("/settings/users").text.count("@example.com") == 4


def test_a_role_is_given_and_taken_back(admin: FlaskClient) -> None:
    changed = send(admin, "/settings/users/2/role", role="finance")
    page = admin.get(changed.location).text
    assert "Csm Person now has the role Finance." in page
    undo = re.search(r'action="([^"]+)">\s*<input[^>]+>\s*<input type="hidden" name="role" value="([^"]+)"', page)
    assert undo is not None
    assert undo.groups() == ("/settings/users/2/role", "csm")
    assert "Undo" not in admin.get(send(admin, undo[1], role=undo[2]).location.partition("?")[0]).text
    assert "Customer success" in admin.get("/settings/users/2").text


def test_whoever_is_shut_out_is_out_at_once_and_can_be_let_in_again(app: Application, admin: FlaskClient) -> None:
    csm = enter(app, "csm")
    done = admin.get(send(admin, "/settings/users/2/deactivate").location).text
    assert "cannot log in any more" in done
    assert 'action="/settings/users/2/reactivate"' in done
    assert csm.get("/accounts").status_code == 302
    assert log_in(app.test_client(), "csm@example.com", password=PASSWORD).status_code == 401
    assert "can log in again" in admin.get(send(admin, "/settings/users/2/reactivate").location).text
    enter(app, "csm")


def test_the_only_administrator_cannot_be_taken_away(admin: FlaskClient) -> None:
    for path, form in (("role", {"role": "csm"}), ("deactivate", {})):
        answer = send(admin, f"/settings/users/1/{path}", **form)
        assert answer.status_code == 409
        assert "Make somebody else one first." in answer.text
    assert admin.get("/settings/users").status_code == 200


def test_an_administrator_sets_a_password_and_its_owner_is_out(app: Application, admin: FlaskClient) -> None:
    csm = enter(app, "csm")
    assert send(admin, "/settings/users/2/password", password="short").status_code == 400
    assert send(admin, "/settings/users/2/password", password="four quite unrelated words").status_code == 303
    assert csm.get("/accounts").status_code == 302
    assert log_in(csm, "csm@example.com", password="four quite unrelated words").status_code == 303


def test_one_changes_ones_own_password_and_stays_in_here_alone(app: Application) -> None:
    here, elsewhere = enter(app, "sales"), enter(app, "sales")
    new = "four quite unrelated words"
    wrong = send(here, "/settings/account", old="not my password", new=new, again=new)
    assert (wrong.status_code, "That is not your present password." in wrong.text) == (403, True)
    assert send(here, "/settings/account", old=PASSWORD, new=new, again="else").status_code == 400
    assert send(here, "/settings/account", old=PASSWORD, new="short", again="short").status_code == 400
    assert elsewhere.get("/settings/account").status_code == 200
    done = send(here, "/settings/account", old=PASSWORD, new=new, again=new)
    assert "Your password is changed." in here.get(done.location).text
    assert elsewhere.get("/settings/account").status_code == 302
    assert log_in(app.test_client(), "sales@example.com", password=PASSWORD).status_code == 401


def test_ones_own_password_cannot_be_guessed_through_an_open_session(app: Application) -> None:
    client = enter(app, "sales")
    form = {"old": "not my password", "new": PASSWORD, "again": PASSWORD}
    statuses = [send(client, "/settings/account", **form).status_code for _ in range(7)]
    assert statuses == [403, 403, 403, 403, 403, 429, 429]


def test_a_token_is_shown_once_and_works_until_it_is_revoked(app: Application, admin: FlaskClient) -> None:
    form = {"name": "BI tool", "scope": ["accounts:read", "finance:read"], "days": "30", "source": ""}
    made = send(admin, "/settings/tokens", **form)
    assert made.status_code == 201
    found = re.search(r"tnr_[\w-]{43}", made.text)
    assert found is not None
    page = admin.get("/settings/tokens").text
    assert found[0] not in page
    assert found[0][:12] in page
    assert "never used" in page
    bearer = {"Authorization": f"Bearer {found[0]}"}
    assert app.test_client().get("/api/v1/accounts", headers=bearer).status_code == 200
    asked = admin.get("/settings/tokens/1")
    assert "Revoke this token?" in asked.text
    assert app.test_client().get("/api/v1/accounts", headers=bearer).status_code == 200  # asking does nothing yet
    assert send(admin, "/settings/tokens/1").location == "/settings/tokens"
    assert app.test_client().get("/api/v1/accounts", headers=bearer).status_code == 401
    assert "revoked on" in admin.get("/settings/tokens").text
    assert "It does not work any more." in admin.get("/settings/tokens/1").text
    assert admin.get("/settings/tokens/99").status_code == 404


def test_a_write_key_belongs_to_its_source(app: Application, admin: FlaskClient) -> None:
    made = send(admin, "/settings/tokens", name="Shop", scope="ingest:write", days="0", source="backend")
    assert "as its write key" in made.text
    found = re.search(r"tnr_[\w-]{43}", made.text)
    assert found is not None
    with reading(app.engine) as session:
        program = find_program(session, token=found[0], now=NOW)
    assert program is not None
    assert program.source == "backend"
    assert "source backend" in admin.get("/settings/tokens").text


@pytest.mark.parametrize(
    "wrong",
    [{"scope": []}, {"scope": "root"}, {"name": " "}, {"source": "web"}, {"days": "7"}, {"days": "x"}],
)
def test_a_token_that_cannot_be_is_refused(admin: FlaskClient, wrong: dict[str, Any]) -> None:
    form = {"name": "BI", "scope": "accounts:read", "days": "30", "source": ""} | wrong
    answer = send(admin, "/settings/tokens", **form)
    assert answer.status_code == 400
    assert "Give a name and at least one thing" in answer.text
    assert "There are no tokens yet." in admin.get("/settings/tokens").text


def test_the_audit_shows_who_did_what_by_name_and_can_be_narrowed(app: Application, admin: FlaskClient) -> None:
    log_in(app.test_client(), "nobody@example.com", password="not the right words")
    send(admin, "/settings/users/2/role", role="sales")
    page = admin.get("/settings/audit").text
    assert "Admin Person (user:1)" in page
    assert "changed a role" in page
    assert "from: Customer success · to: Sales" in page
    assert "failed to log in" in page
    assert "nobody@example.com" not in page
    failed = admin.get("/settings/audit?action=log&actor=nobody").text
    assert failed.count("failed to log in") == 1
    assert "changed a role" not in failed
    assert "Nothing of this kind is on record." in admin.get("/settings/audit?actor=user:99").text


@pytest.mark.parametrize(
    ("action", "details", "said"),
    [
        ("user.added", {"role": "csm"}, "role: Customer success"),
        (
            "token.created",
            {"scopes": ["ingest:write", "admin"], "source": "web"},
            "may: Send usage events, and nothing else; Everything · source: web",
        ),
        ("token.created", {"scopes": ["new:scope"], "source": None}, "may: new:scope<"),
        (
            "expansion_opportunity.reject",
            {"from": "flagged", "to": "rejected", "reason": "no_budget"},
            "from: New · reason: No budget · to: Rejected",
        ),
        ("webhook_endpoint.changed", {"types": ["webhook.test"], "origin": "https://a.b"}, "messages: Test"),
        ("webhook_endpoint.changed", {"types": []}, "messages: –"),
        ("feed.expected", {"hours": None}, "expected every so many hours: –"),
        ("setting.changed", {"grace_days": 0, "valid_from": "1900-01-01"}, "grace_days: 0 · valid from: always"),
        (
            "setting.changed",
            {"tracked_from": None, "valid_from": "2026-02-01"},
            "tracked_from: – · valid from: Feb 1, 2026",
        ),
        ("setting.changed", {"a": {"b": {"c": 0.5, "d": 1}, "e": True}}, "a: b (c 0.5; d 1); e yes"),
        ("setting.changed", {"name": "<b>"}, "name: &lt;b&gt;"),
    ],
)
def test_the_details_of_the_audit_are_in_words(
    app: Application, admin: FlaskClient, action: str, details: dict[str, Any], said: str
) -> None:
    with transaction(app.engine) as session:
        record_act(session, Act(action, None, details), actor="night", at=NOW)
    row = admin.get("/settings/audit?actor=night").text.split("<tbody>")[1].split("</tbody>")[0]
    assert f" · {said}" in row
    assert not re.search(r"[\[\]{}]|null|&#34;", row)


def test_the_audit_is_read_page_by_page_and_as_a_file(app: Application, admin: FlaskClient) -> None:
    with transaction(app.engine) as session:
        for _ in range(60):
            record_act(session, Act("user.role_changed", "user:2"), actor="command", at=NOW)
    first = admin.get("/settings/audit").text
    older = re.search(r'href="(/settings/audit\?before=\d+)"', first)
    assert older is not None
    second = admin.get(older[1]).text
    assert first.count("<tr>") == 51
    assert second.count("<tr>") == 1 + 65 - 50
    assert "Newest" in second
    table = admin.get("/settings/audit.csv?action=user.")
    lines = table.data.decode("utf-8-sig").splitlines()
    assert lines[0] == "id,at,actor,action,subject,details,digest"
    assert len(lines) == 1 + 4 + 60


@pytest.mark.parametrize("query", ["before=x", "before=-1", "action=%00", "actor=%00", "action=nonsense"])
def test_an_address_of_the_audit_that_makes_no_sense_is_read_as_far_as_it_does(admin: FlaskClient, query: str) -> None:
    assert admin.get(f"/settings/audit?{query}").status_code == 200


def test_a_user_who_is_not_there(admin: FlaskClient) -> None:
    assert admin.get("/settings/users/99").status_code == 404
    assert send(admin, "/settings/users/99/deactivate").status_code == 404


def test_after_the_log_in_one_is_on_a_page_that_one_may_see(app: Application) -> None:
    def lands(role: str, next_: str) -> str:
        client = app.test_client()
        answer = log_in(client, f"{role}@example.com", password=PASSWORD, next_=next_)
        assert client.get(answer.location, follow_redirects=True).status_code in {200, 404}
        return str(answer.location)

    assert lands("admin", "/settings/users") == "/settings/users"
    assert lands("csm", "/settings/users") == "/"
    assert lands("finance", "/expansion?state=won") == "/"
    assert lands("sales", "/expansion?state=won") == "/expansion?state=won"
    assert lands("sales", "/nowhere") == "/nowhere"


def test_whoever_has_to_wait_is_told_how_long_on_the_log_in_page(app: Application) -> None:
    client = app.test_client()
    for _ in range(5):
        log_in(client, "csm@example.com", password="not the right words")
    refused = log_in(client, "csm@example.com", password=PASSWORD)
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "1"
    assert "Try again in 1 seconds." in refused.text


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/settings/tokens", {"name": "a\0b", "scope": "accounts:read", "days": "30"}),
        ("/settings/tokens", {"name": "keys", "scope": "ingest:write", "days": "30", "source": "a\0b"}),
        ("/settings/webhooks", {"name": "a\0b", "url": "http://127.0.0.1:8787/", "types": "feed.stale"}),
        ("/feeds/retry", {"task": "sync", "item": "a\0b"}),
    ],
)
def test_a_nul_in_a_form_is_refused_on_every_database(admin: FlaskClient, path: str, form: dict[str, str]) -> None:
    answer = send(admin, path, **form)
    assert (answer.status_code, "That request cannot be read" in answer.text) == (400, True)
