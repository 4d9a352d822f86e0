from datetime import date

import pytest
from sqlalchemy import Engine

from app.db import reading, transaction
from app.queries.onboarding import StepState, load_onboarding_plans
from app.services.changes import recording
from tests.web.company import NOW, Company

START = date(2026, 1, 1)


@pytest.fixture
def account_id(engine: Engine) -> int:
    with transaction(engine) as session, recording(session, "test", clock=lambda: NOW) as change:
        company = Company(session, change)
        account_id = company.account("Ana", segment=None, channel="Web", on=START)
        company.onboarding(account_id, started_on=START, done_days=(14, 29, 30, None))
        return account_id


@pytest.mark.parametrize(
    ("as_of", "states", "days_late"),
    [
        (date(2026, 1, 20), ["done", "upcoming", "upcoming", "upcoming"], [0, 0, 0, 0]),
        (date(2026, 1, 29), ["done", "upcoming", "upcoming", "upcoming"], [0, 0, 0, 0]),
        (date(2026, 1, 30), ["done", "done_late", "upcoming", "upcoming"], [0, 1, 0, 0]),
        (date(2026, 3, 1), ["done", "done_late", "done", "overdue"], [0, 1, 0, 3]),
    ],
)
def test_steps_stand_as_they_did_on_the_day(
    engine: Engine, account_id: int, as_of: date, states: list[str], days_late: list[int]
) -> None:
    with reading(engine) as session:
        (plan,) = load_onboarding_plans(session, account_id, known_at=NOW, as_of=as_of)
    assert [step.state for step in plan.steps] == [StepState(state) for state in states]
    assert [step.days_late for step in plan.steps] == days_late
    assert plan.done == sum(state.startswith("done") for state in states)
    assert plan.steps[0].owner == "Mika Sato"
