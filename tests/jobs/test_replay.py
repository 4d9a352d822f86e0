"""Weights that are tried out, replayed on the year behind companies that are known."""

import shutil
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, select

import jobs.replay
from app.db import make_engine, reading, transaction
from app.models.accounts import AccountVersion
from app.models.contracts import ChurnNotice
from app.models.scores import ModelRun, Score
from app.queries.health_trials import Segments, Trial, find_trial, load_segments
from app.services.changes import recording
from app.services.health_trials import make_trial, publish_trial
from jobs.nightly import run_night
from jobs.replay import replay_trials
from tests.installation import work_on
from tests.jobs.test_evaluate import old_and_new
from tests.jobs.test_nightly import AS_OF, company, monthly  # noqa: F401  the fixture
from tests.small_company import NOW
from tests.web.company import AS_OF as LATER
from tests.web.company import NOW as MORNING
from tests.web.company import build_company

STRONG = {"": {"adoption": 3.0, "commercial": 0.5}, "Small": {"adoption": 0.0}}


def replay(engine: Engine, weights: dict[str, Any]) -> Trial:
    with transaction(engine) as session:
        trial_id = make_trial(session, "a trial", weights=weights, actor="user:1", at=NOW)
    assert replay_trials(work_on(engine)).trial_id == trial_id
    with reading(engine) as session:
        return find_trial(session, trial_id)


def found_of(trial: Trial) -> dict[str, Any]:
    assert trial.replay is not None, trial.error
    found: dict[str, Any] = trial.replay["found"]
    return found


@pytest.fixture(scope="module")
def _built(_sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lived in") / "tenure.db"
    shutil.copy(_sqlite_template, path)
    engine = make_engine(f"sqlite:///{path}")
    build_company(engine)
    engine.dispose()
    return path


@pytest.fixture
def grown(_built: Path, tmp_path: Path) -> Iterator[Engine]:
    """Eighty accounts of three segments that use what they have, more or less; some left, some for want of money."""
    shutil.copy(_built, tmp_path / "copy.db")
    engine = make_engine(f"sqlite:///{tmp_path / 'copy.db'}")
    yield engine
    engine.dispose()


@pytest.mark.one_database
def test_a_factor_of_one_changes_nothing(company: Any) -> None:  # noqa: F811
    engine = company(*old_and_new(left=24, stayed=60))
    run_night(work_on(engine), AS_OF)
    trial = replay(engine, {"": {"commercial": 1, "support": 1}})
    found = found_of(trial)
    assert trial.replay is not None
    assert (trial.state, trial.replay["done"], trial.replay["steps"]) == ("replayed", 14, 14)
    assert (found["flips"], found["flipped"], found["judged"], found["left"]) == ({}, [], 84, 24)
    assert found["alerts_a_day"]["tried"] == found["alerts_a_day"]["in_force"]
    assert found["accuracy"]["tried"] == found["accuracy"]["in_force"]
    assert found["gain"] == {"brier": {"value": 0, "lower": 0, "upper": 0}, "verdict": "no_difference"}
    assert not found["is_sample"]


def test_the_bands_of_today_are_those_that_are_shown_and_who_flips_is_named(grown: Engine) -> None:
    """From the published scores: before is the band on show, and each move that is counted is of a named account."""
    found = found_of(replay(grown, STRONG))
    with reading(grown) as session:
        shown = dict(session.execute(select(Score.account_id, Score.band).where(Score.risk.is_not(None))).all())
    assert found["accounts"] == len(shown)
    assert found["flipped"]
    for each in found["flipped"]:
        assert each["before"] == (shown[each["account_id"]] or "withheld") != each["after"]
    moves = [f"{each['before']}>{each['after']}" for each in found["flipped"]]
    assert {move: moves.count(move) for move in set(moves)} == found["flips"]


def test_those_tried_are_held_beside_those_in_force(grown: Engine) -> None:
    """Once they are published, trying the same ones changes nothing, and none at all is what flips back."""
    first = replay(grown, STRONG)
    with transaction(grown) as session:
        publish_trial(session, first.id, actor="user:1", at=NOW, today=LATER)
    same, none = found_of(replay(grown, STRONG)), found_of(replay(grown, {}))
    assert (same["flips"], same["weights_in_force"]) == ({}, STRONG)
    assert none["accuracy"]["tried"] == found_of(first)["accuracy"]["in_force"]
    assert none["accuracy"]["in_force"] == found_of(first)["accuracy"]["tried"]
    back = {">".join(reversed(move.split(">"))): n for move, n in none["flips"].items()}
    assert back == found_of(first)["flips"]


def test_who_left_for_another_cause_is_not_held_against_health(grown: Engine) -> None:
    """Had half of them closed down instead, these would be left out."""
    before = found_of(replay(grown, STRONG))
    with transaction(grown) as session:
        for notice in session.scalars(select(ChurnNotice).where(ChurnNotice.id % 2 == 0)):
            notice.cause = "closed"
    after = found_of(replay(grown, STRONG))
    assert 0 == before["left_otherwise"] < after["left_otherwise"] < before["left"]
    assert after["left"] + after["left_otherwise"] == before["left"]
    assert after["judged"] + after["left_otherwise"] == before["judged"]


def test_the_kind_of_model_that_is_shown_is_what_is_replayed(grown: Engine) -> None:
    """What was learned, or the default weights."""
    found = []
    for basis in ("account", "prior"):
        with transaction(grown) as session:
            session.scalars(select(ModelRun)).one().basis = basis
        found.append(found_of(replay(grown, STRONG))["accuracy"]["in_force"]["brier"]["value"])
    assert found[0] != found[1]


def test_of_many_a_sample_is_followed_and_alerts_are_those_of_the_company(
    grown: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = found_of(replay(grown, STRONG))
    monkeypatch.setattr(jobs.replay, "MOST_ACCOUNTS", 60)
    found = found_of(replay(grown, STRONG))
    assert (found["is_sample"], every["is_sample"]) == (True, False)
    assert found["followed"] < every["followed"]
    assert found["accounts"] == every["accounts"]
    accounts_a_look = found["alerts_a_day"]["in_force"] * (LATER - date(2025, 9, 30)).days
    counted = accounts_a_look * found["followed"] / every["followed"]
    assert counted == pytest.approx(round(counted))


@pytest.mark.parametrize("basis", ["segment", "not_applicable"])
def test_without_a_health_there_is_nothing_to_replay(grown: Engine, basis: str) -> None:
    with transaction(grown) as session:
        run = session.scalars(select(ModelRun)).one()
        run.basis, run.basis_reason = basis, "The reason."
    trial = replay(grown, STRONG)
    assert (trial.state, trial.error) == ("failed", "No health is calculated: The reason.")


@pytest.mark.one_database
def test_without_a_year_behind_it_says_so(company: Any) -> None:  # noqa: F811
    engine = company(*[monthly(5) for _ in range(10)])
    run_night(work_on(engine), AS_OF)
    trial = replay(engine, {"": {"support": 2}})
    assert trial.state == "failed"
    assert "no year behind" in str(trial.error)


def test_where_nothing_waits_nothing_is_done(grown: Engine) -> None:
    assert replay_trials(work_on(grown)).trial_id is None


def test_a_segment_is_that_of_the_day_and_before_anything_was_known_the_first() -> None:
    known = Segments({7: [(date(2025, 1, 1), "Small"), (date(2025, 6, 1), "Large")]})
    ids = np.array([7, 8])
    days = (date(2024, 1, 1), date(2025, 5, 31), date(2025, 6, 1))
    assert [known.on(ids, day) for day in days] == [["Small", None], ["Small", None], ["Large", None]]


def test_a_segment_that_was_put_right_is_as_it_was_before_it_was_known(grown: Engine) -> None:
    later = MORNING + timedelta(hours=1)
    with transaction(grown) as session, recording(session, "test", clock=lambda: later) as change:
        row = session.scalars(select(AccountVersion).order_by(AccountVersion.account_id).limit(1)).one()
        kept = {name: getattr(row, name) for name in ("account_id", "name", "valid_from", "custom", "available_at")}
        was, row.superseded_change_id = row.segment, change.id
        session.flush()
        session.add(AccountVersion(**kept, segment="Put right", change_id=change.id))
    ids = np.array([kept["account_id"]])
    with reading(grown) as session:
        before, after = (load_segments(session, known_at=known_at) for known_at in (MORNING, later))
    assert (before.on(ids, LATER), after.on(ids, LATER)) == ([was], ["Put right"])
