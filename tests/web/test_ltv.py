"""The page of lifetime value: the figures of the API, at the terms one asks for, and the form for costs."""

import html
import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import delete, select

from app.db import reading, transaction
from app.domain.months import add_months
from app.http import Application
from app.models.billing import AcquisitionCost
from app.models.scores import PublishedRun
from tests.web.own_company import client_of_role, copy_app, post

SQLITE = pytest.mark.parametrize("company_url", ["sqlite"], indirect=True)  # only such a one is copied quickly
Finance = tuple[FlaskClient, Application]


def rows_of(page: str, title: str) -> list[list[str]]:
    """The cells of the table with that caption."""
    table = re.search(rf"<caption[^>]*>{re.escape(title)}</caption>.*?<tbody>(.*?)</tbody>", page, re.DOTALL)
    assert table, title
    rows = re.findall(r"<tr>(.*?)</tr>", table[1], re.DOTALL)
    cells = (re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL) for row in rows)
    return [[html.unescape(re.sub(r"<[^>]+>", " ", each)).strip() for each in row] for row in cells]


def dollars(money: Any) -> str:
    return f"${Decimal(money['amount']).quantize(Decimal(1)):,}"


@pytest.fixture
def finance(company_url: str, tmp_path: Path) -> Iterator[Finance]:
    """Somebody of finance, before a company of their own."""
    app = copy_app(company_url, tmp_path)
    yield client_of_role(app, "finance"), app
    app.engine.dispose()


def shown_range(cells: str) -> tuple[float, float]:
    """Of what will come in, as $1.2M - $3.4M or whole dollars."""
    words = re.search(r"will come in: \$([\d.,]+)([KM]?) – \$([\d.,]+)([KM]?)", cells)
    assert words, cells
    lower, lower_unit, upper, upper_unit = words.groups()
    times = {"": 1, "K": 1_000, "M": 1_000_000}
    return float(lower.replace(",", "")) * times[lower_unit], float(upper.replace(",", "")) * times[upper_unit]


def test_groups_show_what_the_api_says_of_them(client: FlaskClient) -> None:
    page = client.get("/ltv?by=channel&horizon=24&discount=8&margin=70&level=95").text
    asked = "group_by=channel&horizon_months=24&annual_discount_rate=0.08&gross_margin=0.7&level=95"
    said = {each["group"]: each for each in client.get(f"/api/v1/ltv/summary?{asked}").json["data"]}
    shown = {row[0]: row for row in rows_of(page, "What the accounts of today are worth")}
    assert set(shown) == set(said)
    for name, each in said.items():
        cells = " ".join(shown[name])
        for figure in ("arr", "ltv_residual", "ltv_expansion", "ltv_total"):
            assert dollars(each[figure]) in cells, figure
        lower, upper = (float(each["realised"][bound]["amount"]) for bound in ("lower", "upper"))
        assert shown_range(cells) == (pytest.approx(lower, rel=0.01), pytest.approx(upper, rel=0.01))
    assert "over 24 months, margin 70.0%, discount 8.0% a year, intervals at 95%" in page
    assert 'name="discount" inputmode="decimal" value="8"' in page


def test_terms_that_cannot_be_read_are_said_and_the_companys_own_shown(client: FlaskClient) -> None:
    page = client.get("/ltv?discount=ten&margin=180&horizon=7&level=99").text
    assert "Give discount and margin as per cent" in page
    assert "over 60 months, margin 80.0%, discount 10.0% a year, intervals at 90%" in page


def test_a_new_account_has_a_value_or_the_reason_why_not(client: FlaskClient) -> None:
    page = client.get("/ltv").text
    for cut, title in (("segment", "by segment"), ("channel", "by channel")):
        said = {each["group"]: each for each in client.get(f"/api/v1/ltv/new?group_by={cut}").json["data"]}
        for row in rows_of(page, f"What a new account is worth, {title}"):
            each = said[row[0] if row[0] != "Unknown" else "(unknown)"]
            if each["ltv_new"] is None:
                assert f"Not enough data: {each['accounts']} began" in row[2]
            else:
                assert dollars(each["ltv_new"]) in row[3]


@SQLITE
@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"month": "soon"}, "Give a month"),
        ({"month": "0001-01"}, "Give a month"),
        ({"amount": "1,200"}, "Give an amount"),
        ({"amount": "-5"}, "Give an amount"),
        ({"amount": "1.005"}, "Give an amount"),
        ({"currency": "XXX"}, "Give a currency"),
        ({"channel": ""}, "Name the channel"),
        ({"channel": "x" * 101}, "Name the channel"),
    ],
)
def test_a_cost_that_is_none_is_refused_in_words_and_the_form_keeps_it(
    finance: Finance, given: dict[str, str], words: str
) -> None:
    form = {"channel": "Web", "month": "2026-01", "amount": "10", "currency": "USD"} | given
    answer = post(finance[0], "/ltv", **form)
    assert answer.status_code == 400
    assert words in answer.text
    assert f'name="channel" list="cost-channels" value="{form["channel"]}"' in answer.text


@SQLITE
def test_a_cost_that_is_entered_stands_on_the_page_and_in_the_ratio(finance: Finance) -> None:
    client, app = finance
    began = next(each for each in client.get("/api/v1/ltv/new?group_by=channel").json["data"] if each["accounts"])
    channel, until = began["group"], client.get("/api/v1/ltv/acquisition").json["until"]
    months = [f"{add_months(date.fromisoformat(until), -n):%Y-%m}" for n in range(12, 0, -1)]
    for month in months:
        assert post(client, "/ltv", channel=channel, month=month, amount="1200.50", currency="usd").status_code == 303
    page = client.get("/ltv").text
    assert [months[0], channel, "$1,200.50"] in rows_of(page, "Costs on record")
    said = next(each for each in client.get("/api/v1/ltv/acquisition").json["data"] if each["channel"] == channel)
    assert said["spent"]["amount"] == "14406.00"
    assert said["won"] > 0
    row = next(row for row in rows_of(page, "What winning an account costs") if row[0].startswith(channel))
    assert row[1].startswith("$14,406")
    assert row[2] == str(said["won"])
    assert row[3].startswith(dollars(said["cac"]["value"]))
    with reading(app.engine) as session:
        stored = session.scalars(select(AcquisitionCost)).all()
    assert {(each.channel, each.amount_minor, each.currency) for each in stored} == {(channel, 120_050, "USD")}


@SQLITE
def test_before_the_first_night_and_for_those_who_may_not_see_it_there_is_none(finance: Finance) -> None:
    assert client_of_role(finance[1], "csm").get("/ltv").status_code == 403
    assert client_of_role(finance[1], "sales").get("/ltv").status_code == 403
    with transaction(finance[1].engine) as session:
        session.execute(delete(PublishedRun))
    assert "There is no lifetime value to show." in finance[0].get("/ltv").text


def test_the_account_says_what_it_earned_to_date(client: FlaskClient) -> None:
    listed = client.get("/api/v1/ltv?limit=3").json["data"]
    for each in listed:
        page = client.get(f"/accounts/{each['account']['id']}").text
        assert f"<span>Earned to date</span><strong>{dollars(each['ltv_historical'])}</strong>" in page
