"""`GET /accounts/{id}/health?compare_with=`: what moved the health of an account since a day."""

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from app.db import transaction
from app.domain.health_change import PARTS
from app.http import Application
from app.models.health import HealthOverride
from app.models.persons import FreeText
from app.models.scores import FeatureSnapshot, ModelRun, Score
from tests.api.conftest import Ask
from tests.small_company import AS_OF

EARLIER = AS_OF - timedelta(days=28)
MOVES = (-6.0, 0.5, -0.25, 1.0, 0.0)  # they lead from 77.25 to the 72.5 of account 1


@pytest.fixture
def two_nights(company: Application) -> Application:
    """A night four weeks before the published one; of account 1 it is recorded what moved it since."""
    with transaction(company.engine) as session:
        _add_earlier_run(session)
        session.execute(update(ModelRun).where(ModelRun.id == 1).values(compared_with_id=2))
        moves = np.array(MOVES, dtype="<f8").tobytes()
        session.execute(
            update(Score).where(Score.run_id == 1, Score.account_id == 1).values(health_moves=moves, risk=0.045)
        )
        session.execute(update(Score).where(Score.run_id == 1, Score.account_id.in_([2, 3])).values(risk=0.2))
    return company


def _add_earlier_run(session: Session) -> None:
    run = session.get_one(ModelRun, 1)
    columns = {c.key: getattr(run, c.key) for c in ModelRun.__table__.columns if c.key not in {"id", "as_of"}}
    session.add(ModelRun(**columns | {"id": 2, "as_of": EARLIER}))
    session.flush()
    contributions = np.array([-2.0, 0.75, -1.0], dtype="<f8").tobytes()
    for account_id, health in ((1, 77.25), (2, 50.0), (3, 50.0)):
        session.add(
            Score(
                run_id=2, account_id=account_id, status="live", basis="account", arr_minor=1, risk=0.04, health=health,
                band="healthy", coverage=1.0, contributions=contributions,
            )
        )  # fmt: skip
        values = np.array([4.0, 0.5], dtype="<f8").tobytes()
        session.add(FeatureSnapshot(run_id=2, account_id=account_id, landmark=EARLIER, values=values, coverage=1.0))


def _override(app: Application, *, begins_at: datetime, **columns: Any) -> None:
    with transaction(app.engine) as session:
        reason = FreeText(body="They told us.", change_id=1)
        session.add(reason)
        session.flush()
        row = {"account_id": 1, "band": "at_risk", "score": 30.0, "expires_on": AS_OF + timedelta(days=90)} | columns
        session.add(HealthOverride(reason_id=reason.id, actor="mika", begins_at=begins_at, **row))


def parts_of(change: dict[str, Any]) -> dict[str, float]:
    return {part["name"]: part["points"] for part in change["parts"]}


def test_the_move_comes_in_six_parts_that_add_up(two_nights: Application, ask: Ask) -> None:
    found = ask(f"/accounts/1/health?compare_with={EARLIER}").json
    change = found["change"]
    assert parts_of(change) == dict(zip(PARTS, (*MOVES, 0.0), strict=True))
    assert change["moved"] == pytest.approx(72.5 - 77.25, abs=1e-9)
    assert (change["earlier"]["as_of"], change["later"]["as_of"]) == (str(EARLIER), str(AS_OF))
    assert (change["earlier"]["shown"], change["later"]["shown"], change["note"]) == (77.25, 72.5, None)
    assert found["meta"]["definitions"] == ["health@3", "churn@2", "health_change@1"]


def test_it_says_which_drivers_moved_most_and_what_they_were_and_are(two_nights: Application, ask: Ask) -> None:
    change = ask(f"/accounts/1/health?compare_with={EARLIER}").json["change"]
    assert change["drivers"] == [
        {"name": "tickets_90d", "dimension": "support", "earlier_value": 4.0, "later_value": 2.0, "moved": -0.5},
        {"name": "usage_level", "dimension": "adoption", "earlier_value": 0.5, "later_value": None, "moved": 0.25},
    ]


def test_an_override_is_a_part_of_its_own_and_the_calculated_score_stays_beside_it(
    two_nights: Application, ask: Ask
) -> None:
    _override(two_nights, begins_at=datetime(2026, 2, 20, 9, tzinfo=UTC))
    change = ask(f"/accounts/1/health?compare_with={EARLIER}").json["change"]
    assert parts_of(change) == dict(zip(PARTS, (*MOVES, 30.0 - 72.5), strict=True))
    assert change["moved"] == pytest.approx(30.0 - 77.25)
    later = change["later"]
    assert (later["health"], later["override"], later["override_band"], later["shown"]) == (72.5, 30.0, "at_risk", 30.0)
    on_its_eve = ask(f"/accounts/1/health?compare_with={EARLIER}&compare_until=2026-02-19").json["change"]
    assert on_its_eve["later"]["override"] is None


@pytest.mark.parametrize(
    "columns",
    [
        {"expires_on": AS_OF},
        {"ended_at": datetime(2026, 2, 28, 9, tzinfo=UTC), "ended_by": "omar"},
        {"account_id": 2},
    ],
)
def test_an_override_that_expired_was_ended_or_is_of_another_account_counts_no_more(
    two_nights: Application, ask: Ask, columns: dict[str, Any]
) -> None:
    _override(two_nights, begins_at=datetime(2026, 2, 20, 9, tzinfo=UTC), **columns)
    change = ask(f"/accounts/1/health?compare_with={EARLIER}").json["change"]
    assert parts_of(change)["override"] == 0.0
    assert change["later"]["shown"] == 72.5


def test_where_it_cannot_be_split_it_says_why(two_nights: Application, ask: Ask) -> None:
    withheld = ask(f"/accounts/3/health?compare_with={EARLIER}").json["change"]
    assert (withheld["parts"], withheld["moved"]) == ([], None)
    assert "withheld" in withheld["note"]
    assert "no score of its own" in ask(f"/accounts/4/health?compare_with={EARLIER}").json["change"]["note"]
    assert "did not record" in ask(f"/accounts/2/health?compare_with={EARLIER}").json["change"]["note"]


def test_without_a_day_to_compare_with_nothing_is_compared(two_nights: Application, ask: Ask) -> None:
    assert ask("/accounts/1/health").json["change"] is None


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("compare_until=2026-03-01", "goes with compare_with"),
        ("compare_with=2026-03-01&compare_until=2026-02-01", "change them over"),
        ("compare_with=2020-01-01", "first scores are of 2026-02-01"),
        ("compare_with=yesterday", "compare_with"),
    ],
)
def test_days_that_make_no_sense_are_refused_with_what_to_do(
    two_nights: Application, ask: Ask, query: str, words: str
) -> None:
    answer = ask(f"/accounts/1/health?{query}")
    assert answer.status_code in {400, 422}
    assert words in answer.get_data(as_text=True)
