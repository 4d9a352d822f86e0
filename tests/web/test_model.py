import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from sqlalchemy import delete, select

from app.db import make_engine, reading, transaction
from app.domain.backtest import STILL_THERE, judge_forecast
from app.http import Application
from app.models.scores import Backtest, ModelRun
from tests.web.own_company import client_of_role, copy_app, counting

SQLITE = pytest.mark.parametrize("company_url", ["sqlite"], indirect=True)


def read(company_url: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the run says of its judging, and what is stored of the latest year by way."""
    engine = make_engine(company_url)
    with reading(engine) as session:
        said: dict[str, Any] = session.scalars(select(ModelRun.report)).one()["evaluation"]
        rows = session.scalars(select(Backtest).where(Backtest.kind == "churn").order_by(Backtest.origin)).all()
        stored = {row.way: row.report | {"origin": row.origin.isoformat()} for row in rows}
    engine.dispose()
    return said, stored


def change(app: Application, **changed: Any) -> None:
    """Put other figures into what was learned, of every year."""
    with transaction(app.engine) as session:
        for row in session.scalars(select(Backtest).where(Backtest.way == "learned")):
            row.report = row.report | {"ranking": "learned", "total": "right", "churns": 40} | changed


def say(app: Application, **changed: Any) -> None:
    with transaction(app.engine) as session:
        run = session.scalars(select(ModelRun)).one()
        run.report = run.report | {"evaluation": run.report["evaluation"] | changed}


def test_the_page_shows_what_the_night_found(client: FlaskClient, company_url: str) -> None:
    stored = read(company_url)[1]["learned"]
    page = client.get("/model").text
    assert f"It expected {stored['expected']:.1f} to leave, and {stored['churns']} did." in page
    assert f"forecast the {stored['accounts']} accounts of that day" in page
    assert page.count("safest of") == len(stored["missed"])
    for words in ("Contract and age alone", "Falling use, last 90 days", "Next to renew", "Counting bad signs"):
        assert words in page


def test_the_diagram_is_drawn_from_the_tenths(client: FlaskClient, company_url: str) -> None:
    groups = read(company_url)[1]["learned"]["groups"]
    page = client.get("/model").text
    svg = page[page.index('<svg class="reliability"') :].partition("</svg>")[0]
    dots = [(float(x), float(y)) for x, y in re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)"', svg)]
    assert len(dots) == len(groups)
    assert [x for x, _ in dots] == sorted(x for x, _ in dots)
    assert all(44 <= x <= 390 and 10 <= y <= 230 for x, y in dots)
    for group in groups:
        assert f"{100 * group['forecast']:.0f}% forecast" in svg or group["forecast"] < 0.01


def test_the_api_says_the_same(client: FlaskClient, company_url: str) -> None:
    said, stored = read(company_url)
    found = client.get("/api/v1/models/current").json
    assert found is not None
    assert "evaluation" not in found["report"]
    evaluation = found["evaluation"]
    assert evaluation["gate"] == said["gate"]
    assert evaluation["inputs"] == said["inputs"]
    latest = evaluation["years"][0]
    assert latest["origin_on"] == stored["learned"]["origin"]
    for figures in latest["ways"]:
        own = stored[figures["way"]]
        for name in set(figures) - {"way"}:
            assert figures[name] == own[name], (figures["way"], name)
    assert {figures["way"] for figures in latest["ways"]} == set(stored)
    assert [each["account_id"] for each in latest["missed"]] == [
        each["account_id"] for each in stored["learned"]["missed"]
    ]


def ranking(months: int, churns: int, *auc: float) -> dict[str, Any]:
    return {"months": months, "churns": churns, "auc": dict(zip(("value", "lower", "upper"), auc, strict=True))}


AS_CHANCE = [ranking(months, 30, 0.55, 0.45, 0.65) for months in (1, 3, 6, 12)]
SOONER = [ranking(3, 15, 0.9, 0.8, 0.95), ranking(6, 29, 0.76, 0.68, 0.83), ranking(12, 50, 0.58, 0.49, 0.67)]


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"ranking": "chance", "rankings": AS_CHANCE}, "No better than chance"),
        ({"ranking": "chance", "rankings": AS_CHANCE}, "Do not decide by its order who is called first."),
        ({"ranking": "chance", "rankings": SOONER}, "Yes, but only 6 months ahead"),
        ({"ranking": "chance", "rankings": SOONER}, "put 76% of all pairs into the right order (68% to 83%)"),
        ({"ranking": "learned"}, "Yes, better than chance"),
        ({"ranking": "unknown", "churns": 7, "total": "unknown"}, "below twenty nothing is concluded"),
        ({"total": "too_few"}, "No, it expected too few"),
        ({"total": "too_many"}, "No, it expected too many"),
        ({"total": "right"}, "Yes, within what chance allows"),
        ({"accuracy": {"value": 0.2, "lower": 0.1, "upper": 0.3}}, "Its error is 20.0% smaller (10.0% to 30.0%)"),
        ({"accuracy": {"value": -0.2, "lower": -0.3, "upper": -0.1}}, "No, less"),
        ({"accuracy": {"value": 0.0, "lower": -0.3, "upper": 0.2}}, "Cannot be told yet"),
        ({"undecided": 3}, "3 more are left out"),
        ({"n_missed": 0, "missed": []}, "Everyone who left had been rated among the riskier half."),
    ],
)
@SQLITE
def test_every_verdict_has_its_words(company_url: str, tmp_path: Path, changed: dict[str, Any], words: str) -> None:
    app = copy_app(company_url, tmp_path)
    change(app, **changed)
    page = client_of_role(app, "csm").get("/model")
    assert page.status_code == 200
    assert words in page.text
    app.engine.dispose()


GATES = [
    ({"reason": "passed"}, "What your own churns taught is shown."),
    ({"reason": "few"}, "to judge what was learned"),
    ({"reason": "less_accurate", "verdict": "defaults"}, "was less accurate than they are"),
    ({"reason": "wrong_total", "verdict": "defaults"}, "times as many to leave as did"),
]


@pytest.mark.parametrize(("changed", "words"), GATES)
@SQLITE
def test_what_is_shown_and_why_has_its_words(
    company_url: str, tmp_path: Path, changed: dict[str, Any], words: str
) -> None:
    app = copy_app(company_url, tmp_path)
    say(app, gate=read(company_url)[0]["gate"] | changed)
    assert words in client_of_role(app, "csm").get("/model").text
    app.engine.dispose()


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("too_young", "The record is too short"),
        ("no_fit", "could not be fitted to what was known then"),
        ("segment", "All churns fall into one calendar month"),
        ("nobody", "A year ago no account with recurring revenue was there"),
    ],
)
@SQLITE
def test_where_no_year_was_looked_back_on_it_says_why(
    company_url: str, tmp_path: Path, reason: str, words: str
) -> None:
    app = copy_app(company_url, tmp_path)
    with transaction(app.engine) as session:
        session.execute(delete(Backtest))
    say(app, reason=reason)
    page = client_of_role(app, "csm").get("/model")
    assert page.status_code == 200
    assert words in page.text
    app.engine.dispose()


@SQLITE
def test_what_published_runs_said_and_what_has_changed_since_is_shown(company_url: str, tmp_path: Path) -> None:
    app = copy_app(company_url, tmp_path)
    estimate = {"value": 0.5, "lower": 0.3, "upper": 0.7}
    since = {"months": 3, "accounts": 321, "churns": 24, "undecided": 0, "expected": 12.0, "total": "too_few"}
    drift = {"mean_then": 1.5, "mean_now": 3.25, "missing_then": 0.1, "missing_now": 0.4, "index": 0.4}
    chance = {"index_by_chance": 0.02}
    say(
        app,
        is_sample=True,
        since=[since | {"ratio": estimate, "auc": estimate, "run_id": 3, "as_of": "2025-12-01"}],
        inputs=[
            {"name": "tickets_90d", "verdict": "changed"} | drift | chance,
            {"name": "csat", "verdict": "stable"} | drift | chance,
        ],
    )
    page = client_of_role(app, "csm").get("/model").text
    assert "321 accounts, over 3 months" in page
    assert "expected too few" in page
    assert "1 of 2 inputs is another among today" in page
    assert "missing: 10%, now 40%" in page
    assert "These accounts are a part of all, drawn at random." in page
    app.engine.dispose()


@SQLITE
def test_a_year_without_a_churn_has_words_and_no_numbers(company_url: str, tmp_path: Path) -> None:
    flat = judge_forecast(np.full((30, 12), 0.1), np.full(30, STILL_THERE), reference=np.zeros(30), undecided=0)
    app = copy_app(company_url, tmp_path)
    change(app, **asdict(flat), n_missed=0, missed=[])
    page = client_of_role(app, "csm").get("/model").text
    assert "It expected 3.0 to leave, and 0 did." in page
    assert "Nobody left in that year, so nobody was missed." in page
    assert "nan" not in page.lower().replace("finance", "")
    app.engine.dispose()


def test_the_page_is_read_in_few_statements_and_weighs_little(client: FlaskClient, app: Application) -> None:
    with counting(app) as seen:
        page = client.get("/model")
    assert len(page.data) < 60_000
    assert len(seen) <= 9, len(seen)  # with what people said, judged beside the score
