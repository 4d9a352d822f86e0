"""An account that has given notice, on its page, in the lists and in what programs read."""

import csv
import html
import io
import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from app.db import make_engine, transaction
from app.http import Application
from app.models.contracts import ChurnNotice
from app.queries.contract_lines import load_recurring_lines
from app.services.changes import recording
from app.services.users import NewUser, add_user
from jobs.nightly import run_night
from tests.installation import work_on
from tests.web.company import AS_OF, EMAIL, NOW, PASSWORD, write_company
from tests.web.conftest import log_in, make_app

GIVEN_ON, LEAVES_ON = date(2026, 9, 20), date(2026, 12, 15)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, _sqlite_template: Path) -> Application:
    """The company; its first account gives notice of all that it has, between two nights."""
    folder = tmp_path_factory.mktemp("notice")
    shutil.copy(_sqlite_template, folder / "tenure.db")
    engine = make_engine(f"sqlite:///{folder / 'tenure.db'}")
    with transaction(engine) as session, recording(session, "test", clock=lambda: NOW) as change:
        write_company(session, change)
        add_user(session, change, new=NewUser("Mika Sato", EMAIL, PASSWORD))
    run_night(work_on(engine, clock=lambda: NOW), AS_OF - timedelta(days=30))
    with transaction(engine) as session, recording(session, "test", clock=lambda: NOW) as change:
        lines = load_recurring_lines(session, known_at=NOW, grace_days=30, account_ids=[1])[1]
        for number, line in enumerate(lines):
            notice = ChurnNotice(
                system="test", external_id=f"leaves {number}", account_id=1, contract_line_id=line.life.line.key,
                occurred_on=GIVEN_ON, effective_on=LEAVES_ON, cause="voluntary", change_id=change.id,
                available_at=datetime(2026, 9, 20, tzinfo=UTC),
            )  # fmt: skip
            session.add(notice)
    run_night(work_on(engine, clock=lambda: NOW), AS_OF)
    engine.dispose()
    return make_app(f"sqlite:///{folder / 'tenure.db'}", folder)


@pytest.fixture
def client(app: Application) -> FlaskClient:
    client = app.test_client()
    assert log_in(client, EMAIL, password=PASSWORD).status_code == 303
    return client


def read(client: FlaskClient, path: str, language: str = "en") -> str:
    return html.unescape(client.get(path, headers={"Accept-Language": language}).text)


def test_the_account_says_that_it_leaves_and_when_it_said_so(client: FlaskClient) -> None:
    page = read(client, "/accounts/1")
    assert page.count("Notice given on Sep 20, 2026, leaves on Dec 15, 2026") == 2  # above it, and as the first driver
    assert "Still a customer with a probability of 0% in 12 months" in page
    assert "Notice taken back" not in page
    assert "Notice given" in page.partition("Which inputs are others now")[2].partition("</section>")[0]
    assert "2026/09/20に解約の申し出、2026/12/15に解約" in read(client, "/accounts/1", "ja")


def test_lists_say_the_day_instead_of_a_probability(client: FlaskClient) -> None:
    for path in ("/accounts?sort=-churn_probability", "/today?whose=all"):
        assert "leaving on Dec 15, 2026" in read(client, path)
        assert "2026/12/15に解約予定" in read(client, path, "ja")
    assert read(client, "/accounts").count("leaving on") == 1


def test_a_file_has_the_day_in_a_column_of_its_own(client: FlaskClient) -> None:
    text = client.get("/accounts.csv").get_data().decode("utf-8-sig")
    days = {row["account_id"]: row["leaves_on"] for row in csv.DictReader(io.StringIO(text))}
    assert {account: day for account, day in days.items() if day} == {"1": LEAVES_ON.isoformat()}


def test_programs_are_told_the_days_and_the_cause(client: FlaskClient) -> None:
    told = {"given_on": GIVEN_ON.isoformat(), "leaves_on": LEAVES_ON.isoformat(), "cause": "voluntary"}
    health = client.get("/api/v1/accounts/1/health").json
    assert health["leaving"] == told
    assert (health["band"], round(health["health"], 3)) == ("at_risk", 0.0)
    assert health["drivers"][0]["name"] == "notice"
    assert [each["probability"] for each in health["churn_within"]] == [0.0, 1.0, 1.0, 1.0]
    assert client.get("/api/v1/accounts/1").json["leaving"] == told
    items = client.get("/api/v1/accounts?limit=100").json["data"]
    assert [item["id"] for item in items if item["leaving"]] == [1]
