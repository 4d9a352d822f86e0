import re
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from app.db import make_engine, reading, transaction
from app.domain.backtest import STILL_THERE, judge_forecast
from app.http import Application
from app.models.scores import ModelRun
from tests.web.own_company import client_of_role, copy_app, counting

SQLITE = pytest.mark.parametrize("company_url", ["sqlite"], indirect=True)


def backtest(company_url: str) -> dict[str, Any]:
    engine = make_engine(company_url)
    with reading(engine) as session:
        found: dict[str, Any] = session.scalars(select(ModelRun.report)).one()["backtest"]
    engine.dispose()
    return found


def test_the_page_shows_what_the_night_found(client: FlaskClient, company_url: str) -> None:
    stored = backtest(company_url)
    page = client.get("/model").text
    assert f"It expected {stored['expected']:.1f} to leave, and {stored['churns']} did." in page
    assert f"forecast the {stored['accounts']} accounts of that day" in page
    rows = re.findall(r'<th scope="row" class="number" data-v="([\d.]+)">', page)
    assert [float(row) for row in rows] == [round(group["forecast"], 4) for group in stored["groups"]]
    assert page.count("safest of") == len(stored["missed"])


def test_the_api_says_the_same(client: FlaskClient, company_url: str) -> None:
    stored = backtest(company_url)
    found = client.get("/api/v1/models/current").json
    assert found is not None
    assert "backtest" not in found["report"]
    evaluation = found["evaluation"]
    assert evaluation["origin_on"] == stored["origin"]
    figures = evaluation["backtest"]
    for name in ("accounts", "churns", "expected", "ratio", "rankings", "accuracy", "groups", "ranking", "total"):
        assert figures[name] == stored[name], name
    assert [each["account_id"] for each in evaluation["missed"]] == [each["account_id"] for each in stored["missed"]]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"ranking": "chance"}, "No better than chance"),
        ({"ranking": "chance"}, "Do not decide by its order who is called first."),
        ({"ranking": "learned"}, "Yes, better than chance"),
        ({"ranking": "unknown", "churns": 7, "total": "unknown"}, "below twenty nothing is concluded"),
        ({"total": "too_few"}, "No, it expected too few"),
        ({"total": "too_many"}, "No, it expected too many"),
        ({"total": "right"}, "Yes, within what chance allows"),
        ({"accuracy": {"value": 0.2, "lower": 0.1, "upper": 0.3}}, "Its error is 20.0% smaller (10.0% to 30.0%)"),
        ({"accuracy": {"value": -0.2, "lower": -0.3, "upper": -0.1}}, "No, less"),
        ({"accuracy": {"value": 0.0, "lower": -0.3, "upper": 0.2}}, "Cannot be told yet"),
        ({"is_sample": True}, "These accounts are a part of all, drawn at random."),
        ({"undecided": 3}, "3 more are left out"),
        ({"n_missed": 0, "missed": []}, "Everyone who left had been rated among the riskier half."),
        ({"reason": "too_young"}, "The record is too short"),
        ({"reason": "no_fit"}, "could not be fitted to what was known then"),
        ({"reason": "segment"}, "All churns fall into one calendar month"),
        ({"reason": "nobody"}, "A year ago no account with recurring revenue was there"),
    ],
)
@SQLITE
def test_every_verdict_has_its_words(company_url: str, tmp_path: Path, changed: dict[str, Any], words: str) -> None:
    app = copy_app(company_url, tmp_path)
    with transaction(app.engine) as session:
        run = session.scalars(select(ModelRun)).one()
        strong = {"ranking": "learned", "total": "right", "churns": 40}
        run.report = run.report | {"backtest": run.report["backtest"] | strong | changed}
    page = client_of_role(app, "csm").get("/model")
    assert page.status_code == 200
    assert words in page.text
    app.engine.dispose()


@SQLITE
def test_a_year_without_a_churn_has_words_and_no_numbers(company_url: str, tmp_path: Path) -> None:
    from dataclasses import asdict

    import numpy as np

    flat = judge_forecast(np.full((30, 12), 0.1), np.full(30, STILL_THERE), reference=np.zeros(30), undecided=0)
    app = copy_app(company_url, tmp_path)
    with transaction(app.engine) as session:
        run = session.scalars(select(ModelRun)).one()
        said = asdict(flat) | {"n_missed": 0, "missed": []}
        run.report = run.report | {"backtest": run.report["backtest"] | said}
    page = client_of_role(app, "csm").get("/model").text
    assert "It expected 3.0 to leave, and 0 did." in page
    assert "Nobody left in that year, so nobody was missed." in page
    assert "nan" not in page.lower().replace("finance", "")
    app.engine.dispose()


def test_the_page_is_read_in_few_statements_and_weighs_little(client: FlaskClient, app: Application) -> None:
    with counting(app) as seen:
        page = client.get("/model")
    assert len(page.data) < 60_000
    assert len(seen) <= 6, len(seen)
