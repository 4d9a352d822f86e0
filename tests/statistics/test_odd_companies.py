"""Small and odd companies through the whole night, every page and every endpoint.

An answer, or plain words that there is not enough data; never an exception, a made-up number, or one that is none.
"""

import json
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, select

from app.db import reading, transaction
from app.models.scores import ModelRun, PublishedRun, Score
from app.services.changes import recording
from app.services.users import NewUser, add_user, start_session
from jobs.nightly import run_night
from tests.installation import work_on
from tests.statistics.odd_companies import AS_OF, Customer, began, record
from tests.web.conftest import make_app

NOW = datetime.combine(AS_OF, time(9), tzinfo=UTC)
NO_NUMBER = re.compile(r"(?<![\w-])([Nn]a[Nn]|inf|Infinity|NaT|undefined)(?![\w-])")
CUTS = ("all", "segment", "plan", "channel", "campaign", "cohort")


def _eighty_with_nine_churns() -> list[Customer]:
    stay = [began(1 + n % 40, term=(1, 12)[n % 2], segment="AB"[n % 3 == 0], uses=5 + n % 7) for n in range(71)]
    leave = [began(12 + 3 * n, leaves_after=3 + 2 * n, segment="AB"[n % 2], uses=2 + n % 3) for n in range(9)]
    return stay + leave


def _twenty_years() -> list[Customer]:
    """Somebody joins every quarter of a year, twice; most leave, at any age."""
    rng = np.random.default_rng(20)
    customers = []
    for months_ago in range(240, 2, -3):
        for _ in range(3):
            lives = int(rng.geometric(0.02))
            left = lives if lives < months_ago else None
            term = 12 if rng.random() < 0.5 else 1
            if left is not None and term == 12:
                left = 12 * max(1, round(left / 12))
                left = None if left >= months_ago else left
            customers.append(began(months_ago, leaves_after=left, term=term, uses=float(rng.integers(1, 9))))
    return customers


def _mixed(n: int, **more: Any) -> list[Customer]:
    return [
        began(6 + n % 30, leaves_after=3 + n % 20 if n % 5 == 0 and n % 30 > 16 else None, **more) for n in range(n)
    ]


COMPANIES: dict[str, tuple[Callable[[], list[Customer]], set[str]]] = {
    "no account": (list, {"not_applicable"}),
    "one account": (lambda: [began(7)], {"prior"}),
    "one account that begins today": (lambda: [began(0)], {"prior"}),
    "one account that began yesterday": (lambda: [Customer(date(2025, 12, 31))], {"prior"}),
    "one account that is yet to begin": (lambda: [began(-2)], {"prior", "not_applicable"}),
    "one account that has left": (lambda: [began(9, leaves_after=4)], {"prior"}),
    "one annual account": (lambda: [began(9, term=12, uses=3.0)], {"prior"}),
    "one account free of charge": (lambda: [began(9, monthly="0.00")], {"prior", "not_applicable"}),
    "two that left at once, of two": (lambda: [began(9, leaves_after=1), began(8, leaves_after=1)], {"prior"}),
    "eighty with nine churns": (_eighty_with_nine_churns, {"account"}),
    "none churned": (lambda: [began(1 + n % 30, term=(1, 12)[n % 2], uses=n % 9) for n in range(50)], {"prior"}),
    "all churned": (lambda: [began(6 + n, leaves_after=1 + n % 5 + n // 8, uses=2.0) for n in range(40)], {"account"}),
    "all left today": (lambda: [began(3 + n, leaves_after=3 + n) for n in range(30)], {"segment", "account"}),
    "all leave tomorrow": (lambda: [Customer(date(2025, 1, 1 + n), date(2026, 1, 2)) for n in range(20)], {"prior"}),
    "all annual": (
        lambda: [began(5 + n, term=12, leaves_after=12 if n % 6 == 5 and n > 6 else None) for n in range(60)],
        {"account"},
    ),
    "all of three years": (lambda: [began(2 + n, term=36, uses=4.0) for n in range(30)], {"prior"}),
    "a segment for each": (lambda: [began(3 + n, segment=f"S{n}", uses=1.0 + n) for n in range(40)], {"prior"}),
    "no segment at all": (lambda: [began(3 + n, segment="", uses=1.0 + n) for n in range(40)], {"prior"}),
    "all use it alike": (lambda: _mixed(80, uses=4.0), {"account"}),
    "nobody ever uses it": (lambda: _mixed(80, uses=0.0), {"account"}),
    "no usage feed": (lambda: _mixed(80), {"account"}),
    "a usage feed of one account": (lambda: [*_mixed(60), began(20, uses=5.0)], {"account"}),
    "one is all the revenue": (lambda: [*_mixed(60), began(20, monthly="9999999.99")], {"account"}),
    "every card fails": (
        lambda: (
            [began(30, leaves_after=1 + n % 25, cause="payment_failure") for n in range(40)]
            + [began(30) for _ in range(20)]
        ),
        {"account"},
    ),
    "all began on one day": (
        lambda: [began(24, leaves_after=n if 2 < n < 20 else None) for n in range(60)],
        {"account"},
    ),
    "all began on a leap day": (
        lambda: [
            Customer(date(2024, 2, 29), date(2024, 2 + n, 29) if 3 < n < 9 else None, term=(1, 12)[n % 2])
            for n in range(30)
        ],
        {"account"},
    ),
    "twenty years": (_twenty_years, {"account"}),
}


OFTEN = {
    *("no account", "one account", "eighty with nine churns", "none churned", "all churned", "all annual"),
    *("all use it alike", "no usage feed", "twenty years"),
}


@pytest.mark.one_database
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in OFTEN else pytest.mark.slow) for name in COMPANIES]
)
def test_the_night_the_pages_and_the_endpoints_answer(name: str, engine: Engine, tmp_path: Path) -> None:
    make, expected = COMPANIES[name]
    customers = make()
    if customers:
        record(engine, customers, tmp_path)
    results = run_night(work_on(engine, clock=lambda: NOW), AS_OF)
    run, scores = published(engine)
    assert run.basis in expected, run.basis_reason
    assert results["score"]["broken_curves"] == 0
    if run.basis == "prior":
        assert "Not enough data" in run.basis_reason
    for score in scores:
        check_score(score)
    with browsing(engine, tmp_path) as client:
        for path in addresses(client, scores):
            check_answer(client, path)


def published(engine: Engine) -> tuple[ModelRun, list[Score]]:
    with reading(engine) as session:
        run = session.get_one(ModelRun, session.scalars(select(PublishedRun.run_id)).one())
        return run, list(session.scalars(select(Score).where(Score.run_id == run.id).order_by(Score.account_id)))


def check_score(score: Score) -> None:
    """What a forecast may say at all: probabilities, curves that fall, bounds about the figure."""
    if score.survival is None:
        assert (score.churn_probability, score.health, score.ltv_residual_minor) == (None, None, None)
        return
    for name in ("survival", "retention"):
        curves = [getattr(score, f"{name}{bound}") for bound in ("_lower", "", "_upper")]
        if curves[1] is None:
            continue
        lower, curve, upper = (np.frombuffer(each, "<f4") for each in curves)
        assert np.isfinite([lower, curve, upper]).all()
        assert ((lower <= curve + 1e-6) & (curve <= upper + 1e-6) & (lower >= 0) & (upper <= 1)).all()
        assert (np.diff(curve) <= 0).all()
    assert 0 < score.churn_probability < 1
    assert score.ltv_residual_lower_minor <= score.ltv_residual_minor <= score.ltv_residual_upper_minor
    assert score.health is None or 0 <= score.health <= 100


@contextmanager
def browsing(engine: Engine, folder: Path) -> Iterator[FlaskClient]:
    app = make_app(engine.url.render_as_string(hide_password=False), folder)
    app.clock = lambda: NOW
    with transaction(engine) as session, recording(session, "test", clock=lambda: NOW) as change:
        user = add_user(session, change, new=NewUser("A", "a@example.com", "three unrelated words", role="admin"))
    with transaction(engine) as session:
        opened = start_session(session, user_id=user, now=NOW)
    client = app.test_client()
    client.set_cookie("tenure-session", opened.id)
    yield client
    app.engine.dispose()


def addresses(client: FlaskClient, scores: list[Score]) -> Iterator[str]:
    """Whatever may be read: all without a name in it, and of accounts the first of each state."""
    firsts = {score.status: score.account_id for score in reversed(scores)}
    for rule in client.application.url_map.iter_rules():
        if (
            "GET" not in rule.methods
            or rule.endpoint.startswith("docs")
            or "static" in rule.endpoint
            or "login" in rule.rule
        ):
            continue
        if rule.arguments == {"account_id"}:
            yield from (re.sub("<[^>]+>", str(account), rule.rule) for account in firsts.values())
        elif not rule.arguments:
            yield rule.rule
    for cut in CUTS:
        yield f"/retention?by={cut}"
        yield f"/api/v1/retention?group_by={cut}"
        yield f"/api/v1/ltv/summary?group_by={cut}&level=95&horizon_months=12"
    for cut in ("all", "segment", "channel"):
        yield f"/api/v1/ltv/new?group_by={cut}&level=80"
    yield "/api/v1/accounts?format=csv"
    yield "/api/v1/ltv?format=csv&horizon_months=24&level=95"
    yield "/accounts?status=all&sort=-ltv"


def check_answer(client: FlaskClient, path: str) -> None:
    answer = client.get(path)
    text = answer.text
    said = f"{path}: {answer.status_code} {text[:300]}"
    assert answer.status_code in {200, 302} or is_plain_refusal(answer), said
    if answer.mimetype == "application/json":
        check_value(json.loads(text, parse_constant=_refuse), path)
    elif answer.mimetype == "text/html":
        visible = re.sub(r"<(script|style|svg)\b.*?</\1>|<[^>]+>", " ", text, flags=re.DOTALL)
        assert NO_NUMBER.search(visible) is None, path
        assert re.search(r">\s*None\s*<", text) is None, path
        drawn = re.findall(r'\b(?:d|points|x|y|x1|x2|y1|y2|width|height|cx|cy)="([^"]*)"', text)
        assert not any(re.search(r"nan|inf", each, re.IGNORECASE) for each in drawn), path
    elif answer.mimetype == "text/csv":
        assert NO_NUMBER.search(text) is None, said


def is_plain_refusal(answer: Any) -> bool:
    """No such figure, and words that say so."""
    return answer.status_code in {404, 409, 422} and len(answer.text) > 20


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no number")


def check_value(value: Any, where: str) -> None:
    if isinstance(value, dict):
        for key, each in value.items():
            check_value(each, f"{where} {key}")
            if isinstance(each, float) and "probability" in key:
                assert 0 <= each <= 1, f"{where} {key}: {each}"
        bounds = [value.get(name) for name in ("lower", "value", "upper")]
        if all(isinstance(each, int | float) for each in bounds):
            assert bounds == sorted(bounds), f"{where}: {bounds}"
    elif isinstance(value, list):
        for each in value:
            check_value(each, where)
    elif isinstance(value, float):
        assert math.isfinite(value), where
