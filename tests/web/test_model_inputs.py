"""The page that says what the score looks at."""

import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from markupsafe import escape
from sqlalchemy import select

from app.db import make_engine, reading, transaction
from app.domain.feature_catalog import FEATURES
from app.models.scores import ModelRun
from app.web.input_words import FEEDS, MEANINGS, UNITS
from tests.web.company import AS_OF
from tests.web.own_company import client_of_role, copy_app

SQLITE = pytest.mark.parametrize("company_url", ["sqlite"], indirect=True)


def stored_inputs(company_url: str) -> list[dict[str, Any]]:
    engine = make_engine(company_url)
    with reading(engine) as session:
        found: list[dict[str, Any]] = session.scalars(select(ModelRun.report)).one()["inputs"]
    engine.dispose()
    return found


def test_the_page_names_every_input_in_the_words_of_the_catalog(client: FlaskClient, company_url: str) -> None:
    page = client.get("/model/inputs").text
    for spec in FEATURES:
        assert str(escape(spec.meaning)) in page, spec.name
        assert f"unit: {escape(spec.unit)}" in page, spec.name
    assert set(MEANINGS) >= {spec.name for spec in FEATURES}
    assert set(UNITS) >= {spec.unit for spec in FEATURES}
    assert set(FEEDS) == {spec.feed for spec in FEATURES} - {None}
    stored = stored_inputs(company_url)
    assert [each["name"] for each in stored][: len(FEATURES)] == [spec.name for spec in FEATURES]
    for each in stored:
        if each["feed"] and each["last_on"]:
            assert date.fromisoformat(each["last_on"]) < AS_OF


def test_the_api_says_the_same(client: FlaskClient, company_url: str) -> None:
    found = client.get("/api/v1/models/current").json
    assert found is not None
    assert found["report"]["inputs"] == stored_inputs(company_url)


def test_what_a_company_never_sent_is_named_as_what_it_could_send(client: FlaskClient, company_url: str) -> None:
    inputs = {each["name"]: each for each in stored_inputs(company_url)}
    assert (inputs["overdue_days"]["last_on"], inputs["overdue_days"]["known_share"]) == (None, 0.0)
    page = client.get("/model/inputs").text
    at = page.index("Days that an invoice is overdue")
    assert "no data" in page[at : at + 400]


@SQLITE
def test_a_feed_that_fell_silent_is_named_first(company_url: str, tmp_path: Path) -> None:
    app = copy_app(company_url, tmp_path)
    with transaction(app.engine) as session:
        run = session.scalars(select(ModelRun)).one()
        inputs = [dict(each) for each in run.report["inputs"]]
        for each in inputs:
            if each["feed"] == "usage":
                each |= {"last_on": "2026-09-01", "is_fresh": False, "known_share": 0.0}
        run.report = run.report | {"inputs": inputs}
    page = client_of_role(app, "csm").get("/model/inputs").text
    assert "Silent for longer than expected: Usage." in page
    assert "Usage: last on Sep 1, 2026, 29 days before" in page


@SQLITE
def test_before_the_night_writes_them_down_the_page_says_how(company_url: str, tmp_path: Path) -> None:
    app = copy_app(company_url, tmp_path)
    with transaction(app.engine) as session:
        run = session.scalars(select(ModelRun)).one()
        run.report = {name: value for name, value in run.report.items() if name != "inputs"}
    page = client_of_role(app, "csm").get("/model/inputs")
    assert page.status_code == 200
    assert "The inputs are written down every night." in page.text


def test_the_pages_that_rest_on_it_lead_there(client: FlaskClient) -> None:
    found = re.search(r'<td class="name"><a href="([^"]+)"', client.get("/accounts?status=live&band=watch").text)
    assert found
    for path in ("/model", "/feeds", found[1]):
        assert 'href="/model/inputs"' in client.get(path).text, path
