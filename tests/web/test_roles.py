"""What each role sees of the same company: notes, margin, and whose accounts."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from app.db import reading, transaction
from app.http import Application
from app.models.accounts import AccountVersion, Assignment
from app.models.persons import Person
from app.models.users import User
from app.services.changes import recording
from app.services.settings import record_settings
from app.services.users import NewUser, add_user, start_session
from tests.web.company import NOW, SPECIAL

NOTE, CONTACT, REASON = "They want the export before the budget round", "田中 花子", "Budget"
OMAR = "Omar@csm.example.com"  # as the CRM has it; he logs in with small letters
Browse = Callable[[str], FlaskClient]


@pytest.fixture(scope="module")
def users(app: Application) -> dict[str, int]:
    """One of each role, and Omar, who looks after every second account."""
    wanted = {role: (role, f"{role}@roles.example.com") for role in ("admin", "csm", "sales", "finance")}
    wanted["omar"] = ("csm", "omar@csm.example.com")
    with transaction(app.engine) as session:
        session.scalars(select(Person).where(Person.name == "Omar Haddad")).one().email = OMAR
    found = {}
    for name, (role, email) in wanted.items():
        with transaction(app.engine) as session, recording(session, "test", clock=lambda: NOW) as change:
            found[name] = add_user(session, change, new=NewUser(name, email, "three unrelated words", role))
    return found


@pytest.fixture
def browse(app: Application, users: dict[str, int]) -> Browse:
    def as_(name: str) -> FlaskClient:
        with transaction(app.engine) as session:
            opened = start_session(session, user_id=users[name], now=NOW)
        client = app.test_client()
        client.set_cookie("tenure-session", opened.id)
        return client

    return as_


def account_id(app: Application, name: str) -> int:
    with reading(app.engine) as session:
        return int(session.scalars(select(AccountVersion.account_id).where(AccountVersion.name == name)).one())


@pytest.mark.parametrize(("role", "sees"), [("admin", True), ("csm", True), ("sales", False), ("finance", False)])
def test_what_was_written_and_with_whom_is_for_customer_success(
    app: Application, browse: Browse, role: str, sees: bool
) -> None:
    path = f"/accounts/{account_id(app, SPECIAL[0])}"
    pages = browse(role).get(path).text + browse(role).get(f"{path}?kind=touch").text
    assert "Meeting" in pages  # that it happened is for all
    assert (NOTE in pages) is sees
    assert (CONTACT in pages) is sees


@pytest.mark.parametrize(("role", "sees"), [("admin", True), ("csm", True), ("sales", False), ("finance", True)])
def test_lifetime_value_and_margin_are_not_for_sales(app: Application, browse: Browse, role: str, sees: bool) -> None:
    client = browse(role)
    page = client.get(f"/accounts/{account_id(app, SPECIAL[0])}").text
    assert ("Lifetime value" in page) is sees
    assert ("margin" in page) is sees
    listed = client.get("/accounts").text
    assert (re.search(r"\bLTV\b", listed) is not None) is sees
    assert ("sort-ltv" in listed) is sees
    rows = [line.split(",") for line in client.get("/accounts.csv").data.decode("utf-8-sig").splitlines()]
    columns = [rows[0].index(name) for name in ("ltv_residual", "ltv_residual_lower", "ltv_residual_upper")]
    assert any(row[column] for row in rows[1:] for column in columns) is sees
    answer = client.get("/api/v1/accounts?limit=1000").json["data"]
    assert any(item["ltv_residual"] for item in answer) is sees
    assert client.get("/api/v1/accounts?sort=-ltv").status_code == (200 if sees else 403)


def test_an_order_by_what_one_may_not_see_is_not_given(browse: Browse) -> None:
    names = [
        re.findall(r'/accounts/(\d+)"', browse("sales").get(f"/accounts?{query}").text) for query in ("", "sort=-ltv")
    ]
    assert names[0] == names[1] != []


@pytest.mark.parametrize("role", ["admin", "csm", "sales", "finance"])
def test_the_menu_shows_what_one_may_open_and_all_of_it_opens(browse: Browse, role: str) -> None:
    client = browse(role)
    home = client.get("/")
    assert home.status_code == 302
    menu = re.findall(
        r'<a href="([^"]+)"', re.findall(r'<nav class="nav".*?</nav>', client.get(home.location).text, re.DOTALL)[0]
    )
    assert home.location in menu
    for path in menu:
        assert client.get(path, follow_redirects=True).status_code == 200, path
    assert ("/expansion" in menu) is (role != "finance")
    assert "/accounts" in menu


# --- A manager's own accounts ---


def set_sight(app: Application, value: str) -> None:
    with transaction(app.engine) as session, recording(session, "test", clock=lambda: NOW) as change:
        record_settings(session, change, values={"csm_sees": value})


@contextmanager
def only_the_book(app: Application) -> Iterator[None]:
    set_sight(app, "book")
    try:
        yield
    finally:
        set_sight(app, "all")


def accounts_of(app: Application, email: str) -> tuple[set[str], set[str]]:
    """The names of the accounts whose manager has the mail address, and of all others."""
    with reading(app.engine) as session:
        own = set(
            session.scalars(
                select(AccountVersion.name)
                .join(Assignment, Assignment.account_id == AccountVersion.account_id)
                .join(Person, Person.id == Assignment.person_id)
                .where(Person.email == email)
            )
        )
        return own, set(session.scalars(select(AccountVersion.name))) - own


def names_in(text: str, names: set[str]) -> set[str]:
    return {name for name in names if name in text}


PATHS = (
    *("/accounts?status=all", "/accounts.csv?status=all", "/today", "/expansion", "/expansion.csv"),
    *("/retention", "/model", "/feeds"),
    *("/api/v1/accounts?limit=1000", "/api/v1/accounts?format=csv", "/api/v1/expansion-opportunities"),
)


def test_with_the_book_a_manager_sees_their_own_accounts_and_no_others(app: Application, browse: Browse) -> None:
    own, others = accounts_of(app, OMAR)
    assert len(own) > 20
    assert len(others) > 20
    with only_the_book(app):
        client = browse("omar")
        for path in PATHS:
            answer = client.get(path)
            assert answer.status_code == 200, path
            assert not names_in(answer.text, others), path
        listed = client.get("/api/v1/accounts?limit=1000").json["data"]
        assert {item["name"] for item in listed} == own
        for number, name in enumerate(sorted(others)):
            if number % 10 == 0:
                other_id = account_id(app, name)
                assert client.get(f"/accounts/{other_id}").status_code == 404
                for part in ("", "/health", "/retention", "/ltv"):
                    assert client.get(f"/api/v1/accounts/{other_id}{part}").status_code == 404
        assert client.get(f"/accounts/{account_id(app, min(own))}").status_code == 200


def test_the_sums_of_a_book_are_of_the_book(app: Application, browse: Browse) -> None:
    own, _ = accounts_of(app, OMAR)
    with only_the_book(app):
        page = browse("omar").get("/accounts?status=all").text
    assert f"{len(own)} accounts" in page


def test_the_book_limits_nobody_but_customer_success(app: Application, browse: Browse) -> None:
    def count(name: str) -> int:
        return len(browse(name).get("/api/v1/accounts?limit=1000").json["data"])

    everything = {name: count(name) for name in ("admin", "csm", "sales", "finance", "omar")}
    assert len(set(everything.values())) == 1
    with only_the_book(app):
        limited = {name: count(name) for name in everything}
    assert limited.pop("csm") == 0  # nobody with that address looks after an account
    assert limited.pop("omar") < everything["omar"]
    assert limited == {name: everything[name] for name in limited}


def test_a_manager_who_becomes_sales_is_limited_no_more(
    app: Application, browse: Browse, users: dict[str, int]
) -> None:
    def become(role: str) -> None:
        with transaction(app.engine) as session:
            user = session.get_one(User, users["omar"])
            user.role = role

    def count() -> int:
        return len(browse("omar").get("/api/v1/accounts?limit=1000").json["data"])

    with only_the_book(app):
        before = count()
        become("sales")
        after = count()
        become("csm")
    assert before < after
