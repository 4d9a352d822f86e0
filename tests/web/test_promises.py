"""What sales promised, on the page of the account and on Today: seen, moved, taken back, by those who may."""

import re
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from app.db import make_engine, reading, transaction
from app.http import Application
from app.models.crm import DealPromise
from app.models.deals import DealVersion
from app.models.persons import FreeText
from app.services.changes import recording
from tests.web.company import AS_OF, EMAIL, NOW, PASSWORD, build_company
from tests.web.conftest import log_in, make_app
from tests.web.own_company import client_of_role, post

GOAL = "Ten teams <live> by autumn"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, _sqlite_template: Path) -> Path:
    """The company, with a promise of its first deal that was due ten days ago."""
    path = tmp_path_factory.mktemp("promised") / "tenure.db"
    shutil.copy(_sqlite_template, path)
    engine = make_engine(f"sqlite:///{path}")
    build_company(engine)
    with transaction(engine) as session, recording(session, "sync of crm", clock=lambda: NOW) as change:
        text = FreeText(body=GOAL, change_id=change.id)
        session.add(text)
        session.flush()
        session.add(
            DealPromise(
                deal_id=1, promise_key="goal", kind="goal", text_id=text.id, due_on=AS_OF - timedelta(days=10),
                state="open", available_at=NOW, change_id=change.id,
            )
        )  # fmt: skip
    engine.dispose()
    return path


@pytest.fixture
def app(built: Path, tmp_path: Path) -> Iterator[Application]:
    shutil.copy(built, tmp_path / "tenure.db")
    app = make_app(f"sqlite:///{tmp_path / 'tenure.db'}", tmp_path)
    yield app
    app.engine.dispose()


@pytest.fixture
def promised(app: Application) -> tuple[int, int, str]:
    """The account, the promise as it stands, and the name of its deal."""
    with reading(app.engine) as session:
        account_id, deal = session.execute(
            select(DealVersion.account_id, DealVersion.name).where(DealVersion.deal_id == 1)
        ).one()
        in_force = select(DealPromise.id).where(DealPromise.superseded_change_id.is_(None))
        return account_id, session.scalars(in_force).one(), deal


def card(page: str, title: str) -> str:
    found = re.search(rf'<section[^>]*aria-labelledby="{title}-title".*?</section>', page, re.DOTALL)
    return found[0] if found else ""


def standing(app: Application) -> tuple[int, str]:
    with reading(app.engine) as session:
        row = session.scalars(select(DealPromise).where(DealPromise.superseded_change_id.is_(None))).one()
        return row.id, row.state


@pytest.fixture
def client(app: Application) -> FlaskClient:
    client = app.test_client()
    assert log_in(client, EMAIL, password=PASSWORD).status_code == 303
    return client


def test_a_promise_stands_on_the_account_page_with_its_deal_and_on_today_once_overdue(
    client: FlaskClient, promised: tuple[int, int, str]
) -> None:
    account_id, _, deal = promised
    section = card(client.get(f"/accounts/{account_id}").text, "promises")
    assert "Ten teams &lt;live&gt; by autumn" in section
    assert f"from the deal {deal}" in section
    assert "Overdue" in section
    today = card(client.get("/today?whose=all").text, "promised")
    assert "Ten teams &lt;live&gt; by autumn" in today
    assert f"/accounts/{account_id}#promises" in today
    assert "10 days" in today


def test_it_is_said_to_be_broken_with_the_reason_and_taken_back(
    app: Application, client: FlaskClient, promised: tuple[int, int, str]
) -> None:
    account_id, promise_id, _ = promised
    answer = post(client, f"/promises/{promise_id}", state="broken", reason="The export came too late.")
    assert (answer.status_code, answer.location) == (303, f"/accounts/{account_id}#promises")
    section = card(client.get(f"/accounts/{account_id}").text, "promises")
    assert "Broken" in section
    assert "The export came too late." in section
    assert "Mika Sato" in section
    assert card(client.get("/today?whose=all").text, "promised") == ""
    broken_id, _ = standing(app)
    assert post(client, f"/promises/{broken_id}", state="open").status_code == 303
    assert standing(app)[1] == "open"
    assert card(client.get("/today?whose=all").text, "promised")


@pytest.mark.parametrize(("form", "status"), [({"state": "dropped"}, 400), ({"state": "won"}, 400), ({}, 400)])
def test_what_does_not_fit_changes_nothing_and_says_so(
    app: Application, client: FlaskClient, promised: tuple[int, int, str], form: dict[str, str], status: int
) -> None:
    answer = post(client, f"/promises/{promised[1]}", **form)
    assert answer.status_code == status
    assert 'role="alert"' in answer.text
    assert standing(app)[1] == "open"


def test_the_second_of_two_people_is_told(
    app: Application, client: FlaskClient, promised: tuple[int, int, str]
) -> None:
    post(client, f"/promises/{promised[1]}", state="kept")
    answer = post(client, f"/promises/{promised[1]}", state="broken", reason="No.")
    assert (answer.status_code, standing(app)[1]) == (409, "kept")
    assert "Somebody was faster" in answer.text
    assert post(client, "/promises/999", state="kept").status_code == 404


def test_sales_sees_that_there_is_a_promise_but_neither_its_words_nor_a_form(
    app: Application, promised: tuple[int, int, str]
) -> None:
    account_id, promise_id, deal = promised
    sales = client_of_role(app, "sales")
    section = card(sales.get(f"/accounts/{account_id}").text, "promises")
    assert deal in section
    assert "Ten teams" not in section
    assert "<form" not in section
    assert "Ten teams" not in sales.get("/today?whose=all").text
    assert post(sales, f"/promises/{promise_id}", state="kept").status_code == 403
    assert standing(app)[1] == "open"
