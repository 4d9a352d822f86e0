import csv
import io
import re
from decimal import Decimal

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, select

from app.db import make_engine, reading
from app.models.scores import Score
from tests.web.company import AS_OF, EMAIL, PASSWORD, SPECIAL
from tests.web.conftest import log_in, make_app


def names(page: str) -> list[str]:
    return re.findall(r'<td class="name"><a href="[^"]+">([^<]+)</a>', page)


def count(page: str) -> int:
    found = re.search(r'role="status">([\d,]+) accounts?', page)
    assert found, page
    return int(found[1].replace(",", ""))


def cells(page: str, label: str) -> list[str]:
    return re.findall(rf'data-label="{re.escape(label)}">([^<]+)<', page)


def download(client: FlaskClient, query: str = "") -> list[dict[str, str]]:
    answer = client.get(f"/accounts.csv{query}")
    assert answer.status_code == 200
    return list(csv.DictReader(io.StringIO(answer.data.decode("utf-8-sig"))))


def test_the_list_begins_with_whoever_is_most_likely_to_leave(client: FlaskClient) -> None:
    shares = [float(text.rstrip("%")) for text in cells(client.get("/accounts").text, "Churn, 12 mo")]
    assert len(shares) == 50
    assert shares == sorted(shares, reverse=True)


@pytest.mark.parametrize("sort", ["name", "-name", "arr", "-arr", "health", "tenure", "-ltv", "renewal", "-renewal"])
def test_every_account_is_on_exactly_one_page_whatever_the_order(client: FlaskClient, sort: str) -> None:
    page = client.get(f"/accounts?sort={sort}&status=all").text
    seen = names(page)
    expected = count(page)
    while found := re.search(r'id="page-next" href="([^"]+)"', page):
        page = client.get(found[1].replace("&amp;", "&")).text
        seen += names(page)
    assert len(seen) == len(set(seen)) == expected == 83


def test_the_sums_are_those_of_the_rows(client: FlaskClient) -> None:
    rows = [row for row in download(client, "?segment=Small") if row["arr"]]
    arr = sum(Decimal(row["arr"]) for row in rows)
    at_risk = sum(Decimal(row["arr"]) * Decimal(row["churn_probability_12_months"]) for row in rows if row["band"])
    at_risk += sum(
        Decimal(row["arr"]) * Decimal(row["churn_probability_12_months"])
        for row in rows
        if not row["band"] and row["churn_probability_12_months"]
    )
    page = client.get("/accounts?segment=Small").text
    assert f"${arr:,.0f}" in page
    assert f"{100 * at_risk / arr:.1f}% of ARR, expected within 12 months" in page
    assert count(page) == len(rows) > 0


@pytest.mark.parametrize(
    ("query", "column", "values"),
    [
        ("?segment=Small", "segment", {"Small"}),
        ("?plan=Business", "plan", {"Business"}),
        ("?channel=Partner", "channel", {"Partner"}),
        ("?band=at_risk", "band", {"at_risk"}),
        ("?status=churned", "status", {"churned"}),
        ("?status=none", "status", {"not_applicable"}),
        ("?segment=Small&plan=Team&band=healthy", "band", {"healthy"}),
    ],
)
def test_a_filter_lets_through_all_that_fit_and_nothing_else(
    client: FlaskClient, query: str, column: str, values: set[str]
) -> None:
    rows = download(client, query)
    assert {row[column] for row in rows} == values
    fitting = [row for row in download(client, "?status=all") if fits(row, query)]
    assert {row["account_id"] for row in rows} == {row["account_id"] for row in fitting}


def fits(row: dict[str, str], query: str) -> bool:
    asked = dict(part.split("=") for part in query.lstrip("?").split("&"))
    statuses = {"churned": {"churned"}, "none": {"not_applicable"}, None: {"live", "in_grace", "upcoming"}}
    status = asked.pop("status", None)
    return row["status"] in statuses[status] and all(row[name] == value for name, value in asked.items())


def test_the_csm_filter_is_by_person(client: FlaskClient) -> None:
    page = client.get("/accounts").text
    found = re.search(r'<option value="(\d+)">Omar Haddad</option>', page)
    assert found
    assert {row["csm"] for row in download(client, f"?csm={found[1]}")} == {"Omar Haddad"}


@pytest.mark.parametrize("days", [30, 180])
def test_the_renewal_filter_counts_days_from_the_date_of_the_figures(client: FlaskClient, days: int) -> None:
    from datetime import date

    every = [row for row in download(client) if row["renewal_on"]]
    due = {row["name"] for row in every if (date.fromisoformat(row["renewal_on"]) - AS_OF).days <= days}
    assert {row["name"] for row in download(client, f"?renewal={days}")} == due


def test_the_search_takes_part_of_a_name_in_any_case_and_no_wildcards(client: FlaskClient) -> None:
    assert names(client.get("/accounts?search=BRIGHTW").text) == ["Brightwater Logistics"]
    assert names(client.get("/accounts?search=ロボ").text) == [SPECIAL[0]]
    assert names(client.get("/accounts?search=%25").text) == []
    assert names(client.get("/accounts?search=_").text) == []
    assert names(client.get("/accounts?search=Bright%00water").text) == ["Brightwater Logistics"]


def test_nothing_found_says_what_to_do(client: FlaskClient) -> None:
    page = client.get("/accounts?search=nosuchname").text
    assert "No account fits this filter." in page
    assert count(page) == 0
    assert "Clear the filter" in page


def test_a_name_is_never_taken_for_markup(client: FlaskClient) -> None:
    page = client.get("/accounts?search=Cobalt").text
    assert "Cobalt &amp; Sons &lt;b&gt;Ltd&lt;/b&gt;" in page


@pytest.mark.parametrize(
    "query", ["?sort=nothing", "?band=red", "?csm=x", "?csm=99999999999999999999", "?renewal=1", "?status=?", "?x=1"]
)
def test_what_makes_no_sense_in_the_address_is_left_out(client: FlaskClient, query: str) -> None:
    assert count(client.get(f"/accounts{query}").text) == count(client.get("/accounts").text)


def test_a_damaged_cursor_is_a_page_that_says_so(client: FlaskClient) -> None:
    answer = client.get("/accounts?cursor=abc")
    assert answer.status_code == 400
    assert "That request cannot be read" in answer.text


def test_a_segment_that_does_not_exist_is_empty(client: FlaskClient) -> None:
    assert count(client.get("/accounts?segment=Nowhere").text) == 0


def test_states_without_a_score_are_words(client: FlaskClient) -> None:
    page = client.get("/accounts?status=churned").text
    assert page.count('<span class="pill-word">Churned</span>') == len(names(page)) > 5
    assert "Not applicable" in client.get("/accounts?search=Zephyr&status=all").text
    assert "Not started" in client.get("/accounts?search=Yonder").text


def test_the_csv_holds_the_figures_of_the_run(client: FlaskClient, company_url: str) -> None:
    rows = {int(row["account_id"]): row for row in download(client, "?status=all")}
    engine = make_engine(company_url)
    with reading(engine) as session:
        scores = session.scalars(select(Score)).all()
    engine.dispose()
    assert len(scores) == len(rows)
    for score in scores:
        row = rows[score.account_id]
        assert Decimal(row["arr"]) * 100 == score.arr_minor
        assert row["health"] == ("" if score.health is None else str(score.health))
        assert row["as_of"] == AS_OF.isoformat()


def test_before_the_first_night_the_list_works_and_says_why_it_has_no_figures(engine: Engine, tmp_path) -> None:  # type: ignore[no-untyped-def]
    from app.db import transaction
    from app.services.changes import recording
    from app.services.users import NewUser, add_user
    from tests.web.company import NOW, Company

    with transaction(engine) as session, recording(session, "test", clock=lambda: NOW) as change:
        add_user(session, change, new=NewUser("Mika", EMAIL, PASSWORD))
        company = Company(session, change)
        account_id = company.account("Ana", segment="Small", channel="Web", on=AS_OF)
        company.contract(account_id, plan="Team", starts_on=AS_OF, months=12)
    app = make_app(engine.url.render_as_string(hide_password=False).replace("+psycopg", ""), tmp_path)
    client = app.test_client()
    log_in(client, EMAIL, password=PASSWORD)
    page = client.get("/accounts").text
    assert names(page) == ["Ana"]
    assert '<option value="Small">' in page
    assert "Nothing has been computed yet." in page
    assert "Not scored yet" in page
    assert "Team plan" in client.get(f"/accounts/{account_id}").text
    assert "There is no retention to show." in client.get("/retention").text
    app.engine.dispose()


def test_an_empty_service_says_how_accounts_come_in(engine: Engine, tmp_path) -> None:  # type: ignore[no-untyped-def]
    from app.db import transaction
    from app.services.changes import recording
    from app.services.users import NewUser, add_user
    from tests.web.company import NOW

    with transaction(engine) as session, recording(session, "test", clock=lambda: NOW) as change:
        add_user(session, change, new=NewUser("Mika", EMAIL, PASSWORD))
    app = make_app(engine.url.render_as_string(hide_password=False).replace("+psycopg", ""), tmp_path)
    client = app.test_client()
    log_in(client, EMAIL, password=PASSWORD)
    assert "There are no accounts yet." in client.get("/accounts").text
    app.engine.dispose()
