"""Weights that are tried out, replayed on the year behind a company that is known."""

from typing import Any

import pytest
from sqlalchemy import Engine

from app.db import reading, transaction
from app.queries.health_trials import Trial, find_trial
from app.services.health_trials import make_trial
from jobs.nightly import run_night
from jobs.replay import replay_trials
from tests.installation import work_on
from tests.jobs.test_evaluate import old_and_new
from tests.jobs.test_nightly import AS_OF, company, monthly  # noqa: F401  the fixture
from tests.small_company import NOW

pytestmark = pytest.mark.one_database


def replay(engine: Engine, weights: dict[str, Any]) -> Trial:
    with transaction(engine) as session:
        trial_id = make_trial(session, "a trial", weights=weights, actor="user:1", at=NOW)
    assert replay_trials(work_on(engine)).trial_id == trial_id
    with reading(engine) as session:
        return find_trial(session, trial_id)


@pytest.fixture
def grown(company: Any) -> Engine:  # noqa: F811
    engine: Engine = company(*old_and_new(left=24, stayed=60))
    run_night(work_on(engine), AS_OF)
    return engine


def test_a_factor_of_one_changes_nothing(grown: Engine) -> None:
    trial = replay(grown, {"": {"commercial": 1, "support": 1}})
    assert trial.replay is not None
    found = trial.replay["found"]
    assert (trial.state, trial.replay["done"], trial.replay["steps"]) == ("replayed", 13, 13)
    assert (found["flips"], found["flipped"], found["judged"], found["left"]) == ({}, [], 84, 24)
    assert found["alerts_a_day"]["tried"] == found["alerts_a_day"]["as_calculated"]
    for measure in ("auc", "brier", "ratio"):
        tried, calculated = (found["accuracy"][way][measure]["value"] for way in ("tried", "as_calculated"))
        assert tried == pytest.approx(calculated, abs=1e-9)


def test_other_weights_are_held_beside_those_calculated(grown: Engine) -> None:
    one, other = (replay(grown, weights).replay for weights in ({}, {"": {"commercial": 3.0}}))
    assert one is not None
    assert other is not None
    assert one["found"]["accuracy"]["as_calculated"] == other["found"]["accuracy"]["as_calculated"]
    tried, calculated = (other["found"]["accuracy"][way]["ratio"]["value"] for way in ("tried", "as_calculated"))
    assert tried != pytest.approx(calculated, abs=1e-3)
    assert sum(other["found"]["flips"].values()) >= len(other["found"]["flipped"])


def test_without_a_year_behind_it_says_so(company: Any) -> None:  # noqa: F811
    engine = company(*[monthly(5) for _ in range(10)])
    run_night(work_on(engine), AS_OF)
    trial = replay(engine, {"": {"support": 2}})
    assert trial.state == "failed"
    assert "no year behind" in str(trial.error)


def test_where_nothing_waits_nothing_is_done(grown: Engine) -> None:
    assert replay_trials(work_on(grown)).trial_id is None
