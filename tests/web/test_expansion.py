import csv
import io
import re
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from app.db import reading
from app.domain.expansion_moves import REASONS, STATES
from app.domain.expansion_rankers import RANKERS
from app.domain.expansion_words import SENTENCES, evidence_sentences
from app.http import Application
from app.models.audit import AuditEntry
from app.models.expansion import ExpansionOpportunity
from app.queries.expansion_report import ExpansionReport, RankerRecord, SeatRecord, load_expansion_report
from app.queries.runs import find_run
from app.web.expansion_evidence import SENTENCES as WEB_SENTENCES
from app.web.expansion_report import WAYS as RANKER_WORDS
from app.web.expansion_report import describe_report
from app.web.expansion_words import REASONS as REASON_WORDS
from app.web.expansion_words import STATES as STATE_WORDS
from tests.web.conftest import csrf_token
from tests.web.own_company import client_of_role, copy_app, counting, post

SQLITE = pytest.mark.parametrize("company_url", ["sqlite"], indirect=True)


def ids(page: str) -> list[int]:
    return [int(found) for found in re.findall(r'<td class="name"><a href="/expansion/(\d+)">', page)]


def count(page: str) -> int:
    found = re.search(r'role="status">([\d,]+) opportunit', page)
    assert found, page
    return int(found[1].replace(",", ""))


def download(client: FlaskClient, query: str = "") -> list[dict[str, str]]:
    answer = client.get(f"/expansion.csv{query}")
    assert answer.status_code == 200
    return list(csv.DictReader(io.StringIO(answer.data.decode("utf-8-sig"))))


def test_the_list_goes_by_worth_and_its_sum_is_that_of_its_rows(client: FlaskClient) -> None:
    rows = download(client)
    page = client.get("/expansion").text
    assert count(page) == len(rows) > 3
    worths = [Decimal(row["worth"]) for row in rows]
    assert worths == sorted(worths, reverse=True)
    yearly = sum(Decimal(row["worth"]) for row in rows if row["measure"] == "arr")
    assert f"${yearly:,.0f} a year" in page


@pytest.mark.parametrize("sort", ["worth", "-worth", "flagged", "-flagged", "nonsense", ""])
def test_every_opportunity_is_on_the_list_once_in_any_order(client: FlaskClient, sort: str) -> None:
    page = client.get(f"/expansion?sort={sort}").text
    seen = ids(page)
    assert len(seen) == len(set(seen)) == count(page)
    if sort == "worth":
        assert seen == list(reversed(ids(client.get("/expansion?sort=-worth").text)))


@pytest.mark.parametrize(
    ("query", "column", "value"),
    [
        ("?motion=upsell", "motion", "upsell"),
        ("?motion=cross_sell", "motion", "cross_sell"),
        ("?likelihood=high", "likelihood", "high"),
        ("?likelihood=medium", "likelihood", "medium"),
        ("?state=flagged", "state", "flagged"),
    ],
)
def test_a_filter_lets_through_all_that_fit_and_nothing_else(
    client: FlaskClient, query: str, column: str, value: str
) -> None:
    every = [row for row in download(client, "?state=all") if row[column] == value]
    found = download(client, query)
    assert [row["opportunity_id"] for row in found] == [row["opportunity_id"] for row in every]
    assert count(client.get(f"/expansion{query}").text) == len(every)


def test_the_owner_and_the_product_filter(client: FlaskClient) -> None:
    page = client.get("/expansion").text
    omar = re.search(r'<option value="(\d+)">Omar Haddad</option>', page)
    assert omar
    assert {row["csm"] for row in download(client, f"?csm={omar[1]}")} <= {"Omar Haddad"}
    products = re.search(r'id="f-product".*?</select>', page, re.DOTALL)
    assert products
    for number, name in re.findall(r'<option value="(\d+)">([^<]+)</option>', products[0]):
        rows = download(client, f"?product={number}")
        assert rows
        assert {row["product"] for row in rows} == {name}


@pytest.mark.parametrize("query", ["?state=x", "?csm=x", "?product=99999999999999999", "?likelihood=1", "?x=1"])
def test_what_makes_no_sense_in_the_address_is_left_out(client: FlaskClient, query: str) -> None:
    assert count(client.get(f"/expansion{query}").text) == count(client.get("/expansion").text)


def test_nothing_found_says_what_to_do(client: FlaskClient) -> None:
    page = client.get("/expansion?state=won").text
    assert "No opportunity fits this filter." in page
    assert "Clear the filter" in page


def test_a_damaged_cursor_is_a_page_that_says_so(client: FlaskClient) -> None:
    assert client.get("/expansion?cursor=abc").status_code == 400


def test_every_kind_of_evidence_state_and_reason_has_words() -> None:
    assert set(RANKER_WORDS) == set(RANKERS)
    assert set(WEB_SENTENCES) == set(SENTENCES)
    assert set(STATE_WORDS) == set(STATES)
    assert {reason for reasons in REASONS.values() for reason in reasons} <= set(REASON_WORDS)


def test_the_evidence_on_the_page_has_the_numbers_of_the_message(client: FlaskClient, app: Application) -> None:
    with reading(app.engine) as session:
        rows = {row.id: row.evidence for row in session.scalars(select(ExpansionOpportunity))}
    for opportunity_id, evidence in list(rows.items())[:12]:
        page = client.get(f"/expansion/{opportunity_id}").text
        for sentence in evidence_sentences(evidence):
            for number in re.findall(r"\d[\d,]*(?:\.\d+)?", sentence):
                plain = number.replace(",", "")
                assert number in page or f"{Decimal(plain):,}" in page, (sentence, number)


def test_an_upsell_shows_seats_in_use_beside_seats_paid_for(client: FlaskClient) -> None:
    found = ids(client.get("/expansion?motion=upsell").text)
    assert found
    page = client.get(f"/expansion/{found[0]}").text
    assert 'data-chart="usage"' in page
    assert "Seats paid for" in page


def test_below_the_list_stands_how_right_the_ways_were(client: FlaskClient, app: Application) -> None:
    page = client.get("/expansion").text
    section = page[page.index('id="how-right"') :]
    with reading(app.engine) as session:
        run = find_run(session)
        assert run is not None
        report = load_expansion_report(session, run.id)
    assert {each.way for each in report.rankers} <= set(RANKERS)
    assert sum(each.is_used for each in report.rankers) == (1 if report.rankers else 0)
    for each in (each for each in report.rankers if each.buyers):
        assert str(RANKER_WORDS[each.way]) in section
        assert f"{each.hits} of {each.buyers}" in section
    for each in report.seats:
        assert f">{each.observed}<" in section
        assert f">{each.expected:.1f}<" in section
    said = re.findall(r"\d+% in six months", page)
    assert bool(said) <= (report.cross_sell_has_level or report.upsell_has_level)


def test_a_report_in_words(app: Application) -> None:
    ranker, other = RankerRecord("lift", 40, 22, 3.14, True), RankerRecord("popularity", 40, 4, None, False)
    seats = SeatRecord(date(2026, 1, 1), 120, 24.6, 21)
    report = ExpansionReport((other, ranker), "chosen", 3, False, (seats,), True)
    with app.test_request_context("/expansion"):
        said = describe_report(report)
    assert [(row.hits, row.lift, row.is_used) for row in said.rankers] == [
        ("10% (4 of 40)", "–", False),
        ("55% (22 of 40)", "3.1 times", True),
    ]
    assert (said.seats[0].expected, said.seats[0].observed) == ("24.6", "21")
    assert "in words only" in said.cross_sell_text
    assert "in percent" in said.upsell_text


def test_one_that_is_not_there_is_a_page_that_says_so(client: FlaskClient) -> None:
    assert client.get("/expansion/999999").status_code == 404


@SQLITE
def test_each_move_is_kept_shown_and_on_record_and_can_be_taken_back(company_url: str, tmp_path: Path) -> None:
    app = copy_app(company_url, tmp_path)
    client = client_of_role(app, "sales")
    first, second, third = ids(client.get("/expansion").text)[:3]
    steps = [
        (first, {"action": "accept", "note": "Called them"}, "Accepted"),
        (first, {"action": "win"}, "Won"),
        (first, {"action": "undo"}, "Accepted"),
        (first, {"action": "lose", "reason": "price"}, "Lost · Price"),
        (second, {"action": "reject", "reason": "no_budget"}, "Rejected · No budget"),
        (third, {"action": "snooze", "until": "2026-12-24"}, "Snoozed"),
    ]
    for number, form, words in steps:
        answer = post(client, f"/expansion/{number}", **form)
        assert answer.status_code == 303, form
        page = client.get(answer.location).text
        assert words in page.split('id="history-title"')[1]
        assert "A sales" in page.split('id="history-title"')[1]
    assert "Called them" in client.get(f"/expansion/{first}").text
    assert "until Dec 24, 2026" in client.get(f"/expansion/{third}").text
    with reading(app.engine) as session:
        acts = session.scalars(
            select(AuditEntry.action).where(AuditEntry.action.startswith("expansion_opportunity."))
        ).all()
    assert [act.partition(".")[2] for act in acts][-6:] == ["accept", "win", "undo", "lose", "reject", "snooze"]
    app.engine.dispose()


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"action": "reject"}, 400),
        ({"action": "reject", "reason": "price"}, 400),
        ({"action": "snooze", "until": "2020-01-01"}, 400),
        ({"action": "snooze", "until": "tomorrow"}, 400),
        ({"action": "win"}, 409),
        ({"action": "nothing"}, 409),
        ({}, 409),
    ],
)
@SQLITE
def test_what_does_not_fit_changes_nothing_and_says_so(
    company_url: str, tmp_path: Path, form: dict[str, str], status: int
) -> None:
    app = copy_app(company_url, tmp_path)
    client = client_of_role(app, "csm")
    number = ids(client.get("/expansion").text)[0]
    answer = post(client, f"/expansion/{number}", **form)
    assert answer.status_code == status
    assert 'role="alert"' in answer.text
    with reading(app.engine) as session:
        assert session.get_one(ExpansionOpportunity, number).state == "flagged"
    app.engine.dispose()


@SQLITE
def test_finance_may_neither_see_nor_move_and_a_form_without_its_token_does_nothing(
    company_url: str, tmp_path: Path
) -> None:
    app = copy_app(company_url, tmp_path)
    finance = client_of_role(app, "finance")
    assert finance.get("/expansion").status_code == 403
    assert finance.get("/expansion.csv").status_code == 403
    assert post(finance, "/expansion/1", action="accept").status_code == 403
    sales = client_of_role(app, "sales")
    assert csrf_token(sales, "/expansion")
    assert sales.post("/expansion/1", data={"action": "accept"}).status_code == 403
    app.engine.dispose()


def test_the_list_is_read_in_few_statements_and_weighs_little(client: FlaskClient, app: Application) -> None:
    with counting(app) as seen:
        page = client.get("/expansion")
    assert len(page.data) < 120_000
    assert len(seen) <= 12, len(seen)
