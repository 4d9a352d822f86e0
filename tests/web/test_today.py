import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, select

from app.db import make_engine, reading, transaction
from app.http import Application
from app.models.expansion import ExpansionOpportunity
from app.models.scores import Score
from app.services.changes import recording
from app.services.users import NewUser, add_user
from tests.installation import work_on
from tests.web.company import AS_OF, EMAIL, NOW, PASSWORD, Company
from tests.web.conftest import log_in, make_app
from tests.web.own_company import client_of_role, copy_app, counting, post

SQLITE = pytest.mark.parametrize("company_url", ["sqlite"], indirect=True)


def names(page: str) -> list[str]:
    part = page.split('id="needy-title"')[1].split("</section>", maxsplit=1)[0]
    return re.findall(r'<p class="need-name"><a href="[^"]+">([^<]+)</a>', part)


def money(page: str) -> list[int]:
    part = page.split('id="needy-title"')[1].split("</section>", maxsplit=1)[0]
    return [int(text.replace(",", "")) for text in re.findall(r'class="need-money">\$([\d,]+)<', part)]


def test_everybody_s_page_begins_with_the_most_arr_at_risk(client: FlaskClient, company_url: str) -> None:
    page = client.get("/today?whose=all").text
    engine = make_engine(company_url)
    with reading(engine) as session:
        statement = select(Score).where(Score.arr_at_risk_minor > 0).order_by(Score.arr_at_risk_minor.desc())
        scores = session.scalars(statement.limit(10)).all()
    engine.dispose()
    assert money(page) == [round(score.arr_minor * (score.churn_probability or 0) / 100) for score in scores]
    assert len(names(page)) == 10
    assert "the same for the 90% interval of that probability" in page


def test_one_s_own_accounts_are_found_by_one_s_mail_and_come_first(client: FlaskClient) -> None:
    mine = set(re.findall(r'<a href="/accounts/(\d+)">', client.get("/today").text.split('id="needy-title"')[1]))
    page = client.get("/accounts").text
    found = re.search(r'<option value="(\d+)">Mika Sato</option>', page)
    assert found
    own: set[str] = set()
    address = f"/accounts?csm={found[1]}&status=all"
    while address:
        page = client.get(address).text
        own |= set(re.findall(r'<td class="name"><a href="/accounts/(\d+)">', page))
        onward = re.search(r'id="page-next" href="([^"]+)"', page)
        address = onward[1].replace("&amp;", "&") if onward else ""
    assert mine
    assert mine <= own
    assert 'aria-current="true">My accounts' in client.get("/today").text


def test_each_is_listed_with_reasons_renewal_and_last_contact_in_words(client: FlaskClient) -> None:
    page = client.get("/today?whose=all").text
    entries = page.split('id="needy-title"')[1].split("</section>")[0].split('<li class="need">')[1:]
    for entry in entries:
        assert re.search(r"renewal on |month by month", entry)
        assert re.search(r"last contact \d+ days? ago|no contact on record", entry)
        assert 0 <= len(re.findall(r"<li>", entry)) <= 3
    assert any("<li>" in entry for entry in entries)


def test_a_first_night_has_nothing_to_be_compared_with(client: FlaskClient) -> None:
    assert "This was the first night: there is nothing to compare it with yet." in client.get("/today").text


def test_today_is_read_in_few_statements_and_weighs_little(client: FlaskClient, app: Application) -> None:
    client.get("/today")
    with counting(app) as seen:
        page = client.get("/today?whose=all")
    assert len(page.data) < 60_000
    assert len(seen) <= 21, len(seen)


@SQLITE
def test_an_opportunity_is_snoozed_from_here_and_brought_back(company_url: str, tmp_path: Path) -> None:
    app = copy_app(company_url, tmp_path)
    client = client_of_role(app, "csm")
    page = client.get("/today").text
    ready = page.split('id="ready-title"')[1].split("</section>")[0]
    found = re.search(r'action="/expansion/(\d+)"', ready)
    assert found
    answer = post(client, f"/expansion/{found[1]}", action="snooze", back="today", whose="all")
    assert answer.status_code == 303
    page = client.get(answer.location).text
    assert "Snoozed." in page
    assert f'action="/expansion/{found[1]}"' not in page.split('id="ready-title"')[1].split("</section>")[0]
    answer = post(client, f"/expansion/{found[1]}", action="undo", back="today", whose="all")
    assert f'action="/expansion/{found[1]}"' in client.get(answer.location).text.split('id="ready-title"')[1]
    app.engine.dispose()


@SQLITE
def test_each_role_begins_its_day_where_its_work_is(company_url: str, tmp_path: Path) -> None:
    app = copy_app(company_url, tmp_path)
    for role, home in (("csm", "/today"), ("sales", "/expansion"), ("finance", "/accounts"), ("admin", "/today")):
        client = client_of_role(app, role)
        assert client.get("/").location == home
        assert client.get(home).status_code == 200
    app.engine.dispose()


@SQLITE
def test_finance_sees_who_may_leave_but_no_opportunity(company_url: str, tmp_path: Path) -> None:
    app = copy_app(company_url, tmp_path)
    page = client_of_role(app, "finance").get("/today").text
    assert "Who needs me" in page
    assert "Who is ready for more" not in page
    assert 'href="/expansion"' not in page
    app.engine.dispose()


@SQLITE
def test_a_silent_feed_is_one_line_at_the_top(company_url: str, tmp_path: Path) -> None:
    from datetime import timedelta

    from app.services.feeds import expect_feed, note_feed, watch_feeds

    app = copy_app(company_url, tmp_path)
    with transaction(app.engine) as session:
        note_feed(session, kind="events", name="web-app", at=NOW - timedelta(days=3))
        expect_feed(session, 1, hours=24, actor="command", at=NOW)
        watch_feeds(session, at=NOW)
    page = client_of_role(app, "csm").get("/today").text
    assert "No data comes from web-app. Figures that rest on it grow old." in page
    app.engine.dispose()


@SQLITE
def test_what_changed_since_the_night_before(company_url: str, tmp_path: Path) -> None:
    from datetime import timedelta

    from jobs.nightly import run_night

    app = copy_app(company_url, tmp_path)
    at = NOW + timedelta(days=45)
    run_night(work_on(app.engine, clock=lambda: at), AS_OF + timedelta(days=45))
    app.clock = lambda: at
    page = client_of_role(app, "csm").get("/today").text
    part = page.split('id="changes-title"')[1].split("</section>")[0]
    assert re.search(r"\d+ worse", part)
    assert "→" in part
    assert "Their term is over" in page
    app.engine.dispose()


def fresh(engine: Engine, folder: Path) -> tuple[Application, FlaskClient]:
    app = make_app(engine.url.render_as_string(hide_password=False).replace("+psycopg", ""), folder)
    client = app.test_client()
    log_in(client, EMAIL, password=PASSWORD)
    return app, client


def test_an_empty_service_says_how_data_comes_in(engine: Engine, tmp_path: Path) -> None:
    with transaction(engine) as session, recording(session, "test", clock=lambda: NOW) as change:
        add_user(session, change, new=NewUser("Mika", EMAIL, PASSWORD))
    app, client = fresh(engine, tmp_path)
    page = client.get("/today").text
    assert "tenure import MAPPING.toml FILE" in page
    assert "tenure demo" in page
    for path in ("/expansion", "/model", "/feeds", "/settings/webhooks", "/expansion.csv"):
        assert client.get(path).status_code == 200, path
    assert "The look back is made every night. Run: tenure nightly" in client.get("/model").text
    assert "Opportunities are found by the night." in client.get("/expansion").text
    assert "No data has come yet." in client.get("/feeds").text
    app.engine.dispose()


def test_before_the_first_night_it_says_to_run_one(engine: Engine, tmp_path: Path) -> None:
    with transaction(engine) as session, recording(session, "test", clock=lambda: NOW) as change:
        add_user(session, change, new=NewUser("Mika", EMAIL, PASSWORD))
        company = Company(session, change)
        account_id = company.account("Ana", segment="Small", channel="Web", on=AS_OF)
        company.contract(account_id, plan="Team", starts_on=AS_OF, months=12)
    app, client = fresh(engine, tmp_path)
    assert "Run the first night: tenure nightly." in client.get("/today").text
    app.engine.dispose()


def test_the_opportunities_of_the_night_are_listed_by_worth(client: FlaskClient, company_url: str) -> None:
    engine = make_engine(company_url)
    with reading(engine) as session:
        rows = sorted(
            session.scalars(select(ExpansionOpportunity)),
            key=lambda row: (-row.amount_minor, row.likelihood != "high", -row.id),
        )
    engine.dispose()
    page = client.get("/today?whose=all").text.split('id="ready-title"')[1].split("</section>")[0]
    assert rows
    assert re.findall(r'<a href="/expansion/(\d+)">', page) == [str(row.id) for row in rows[:6]]
