"""The example company comes in through the same doors as real data, and its night says what it must."""

from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Engine, func, select

from app.db import reading
from app.domain.feature_catalog import feature_specs
from app.domain.feature_table import build_features
from app.domain.features import Facts
from app.domain.survival import FitOptions, fit_hazard, predict, training_landmarks
from app.models.accounts import Account
from app.models.runs import JobStep
from app.models.scores import GroupDraws, ModelRun, PublishedRun, RetentionCurve, Score
from app.queries.explanations import load_explanations
from app.queries.facts import Known, load_facts
from app.queries.health_change import load_chain
from app.queries.known import resolve_known_at
from app.queries.settings import load_company_settings
from jobs.demo import SEED, make_example_company
from jobs.example_company.facts import read_facts
from jobs.example_company.world import World, simulate
from jobs.nightly import STEPS
from tests.installation import work_on

pytestmark = pytest.mark.one_database


@pytest.fixture(scope="module")
def world() -> World:
    return simulate(SEED)


@pytest.fixture
def through_the_doors(example_engine: Engine, world: World) -> Facts:
    with reading(example_engine) as session:
        known_at = resolve_known_at(session, None, now=datetime.now(UTC))
        return load_facts(session, Known(world.as_of, known_at, load_company_settings(session)))


def sorted_rows(value: Any) -> list[tuple[Any, ...]]:
    """The rows of a columnar value in an order of their own, so that two of them can be compared."""
    columns = [getattr(value, field.name) for field in fields(value)]
    return sorted(tuple(str(cell) for cell in row) for row in zip(*columns, strict=True))


@pytest.mark.parametrize("name", ["spells", "milestones", "tickets", "surveys", "touches", "trainings", "invoices"])
def test_facts_from_the_database_are_those_of_the_simulator(through_the_doors: Facts, world: World, name: str) -> None:
    straight = getattr(read_facts(world), name)
    assert is_dataclass(straight)
    assert sorted_rows(getattr(through_the_doors, name)) == sorted_rows(straight)


def test_features_from_the_database_are_those_of_the_simulator(through_the_doors: Facts, world: World) -> None:
    day = np.array([world.as_of], dtype="datetime64[D]")
    straight, imported = build_features(read_facts(world), day), build_features(through_the_doors, day)
    assert imported.names == straight.names
    assert imported.account.tolist() == straight.account.tolist()
    np.testing.assert_allclose(imported.values, straight.values, rtol=1e-9)
    np.testing.assert_allclose(imported.mrr, straight.mrr, rtol=1e-6)
    assert imported.renewal_on.tolist() == straight.renewal_on.tolist()


def test_the_night_published_a_score_for_every_account(example_engine: Engine, world: World) -> None:
    with reading(example_engine) as session:
        run = session.get_one(ModelRun, session.scalars(select(PublishedRun.run_id)).one())
        assert (run.as_of, run.basis) == (world.as_of, "account")
        accounts = session.scalar(select(func.count()).select_from(Account))
        scores = session.scalars(select(Score).where(Score.run_id == run.id)).all()
        assert len(scores) == accounts == 400
        explanations = load_explanations(
            session, run_id=run.id, account_ids=session.scalars(select(Score.account_id)).all()
        )
        done = session.scalars(select(JobStep.name).order_by(JobStep.id)).all()
        assert done == [step.name for step in STEPS]
    live = [score for score in scores if score.churn_probability is not None]
    assert len(live) > 200
    for score in live:
        assert score.survival is not None
        survival = np.frombuffer(score.survival, "<f4")
        assert len(survival) == 60
        assert (np.diff(survival) <= 0).all()
        assert score.churn_probability == pytest.approx(1 - survival[11], abs=1e-6)
        explanation = explanations[score.account_id]
        contributions = [driver["contribution"] for driver in explanation["drivers"]]
        dimensions = [dimension["contribution"] for dimension in explanation["dimensions"]]
        assert sum(contributions) == pytest.approx(sum(dimensions), abs=1e-9)
        risk = 1 / (1 + np.exp(-explanation["reference_logit"] - sum(contributions)))
        assert risk == pytest.approx(score.risk, abs=1e-9)


def test_what_the_doors_and_the_night_say_is_what_the_simulator_straight_into_the_model_says(
    example_engine: Engine, world: World
) -> None:
    """So the accuracy measured straight over twenty companies is that of the service."""
    facts = read_facts(world)
    options = FitOptions(as_of=world.as_of, tracked_from=min(facts.spells.started_on.tolist()))
    landmarks = training_landmarks(world.as_of, options.tracked_from, n_accounts=len(facts.account_ids))
    model = fit_hazard(build_features(facts, landmarks), facts.spells, specs=feature_specs(facts), options=options)
    day = np.array([world.as_of], dtype="datetime64[D]")
    made = predict(model, build_features(facts, day))
    with reading(example_engine) as session:
        live = select(Score).where(Score.churn_probability.is_not(None)).order_by(Score.account_id)
        scores = session.scalars(live).all()
    assert [score.churn_probability for score in scores] == pytest.approx(made.churn_within(12).tolist(), abs=1e-6)
    stored = np.array([np.frombuffer(score.retention or score.survival or b"", "<f4") for score in scores])
    np.testing.assert_allclose(stored, made.retention, atol=1e-5)


def test_the_groups_of_each_cut_add_up_to_all(example_engine: Engine) -> None:
    with reading(example_engine) as session:
        rows = session.scalars(select(GroupDraws)).all()
        scores = session.scalars(select(Score).where(Score.churn_probability.is_not(None))).all()
    whole = next(row for row in rows if row.group_by == "all")
    for cut in ("segment", "plan", "channel", "campaign", "cohort"):
        parts = [row for row in rows if row.group_by == cut]
        assert len(parts) > 1
        assert sum(row.accounts for row in parts) == whole.accounts == len(scores)
        assert (
            sum(row.arr_minor + row.left_out_arr_minor for row in parts) == whole.arr_minor + whole.left_out_arr_minor
        )
        for column in ("expected", "expected_expansion", "extrapolated"):
            total = sum(np.frombuffer(getattr(row, column), "<f8") for row in parts)
            np.testing.assert_allclose(total, np.frombuffer(getattr(whole, column), "<f8"), rtol=1e-9)
        draws = sum(np.frombuffer(row.draws, "<f4").astype(float) for row in parts)
        np.testing.assert_allclose(draws, np.frombuffer(whole.draws, "<f4"), rtol=1e-4)


def test_the_portfolio_is_the_sum_of_its_accounts(example_engine: Engine) -> None:
    with reading(example_engine) as session:
        whole = session.scalars(select(GroupDraws).where(GroupDraws.group_by == "all")).one()
        scores = session.scalars(select(Score).where(Score.churn_probability.is_not(None))).all()
    expected = np.frombuffer(whole.expected, "<f8")
    weights = 0.8 * 1.1 ** (-np.arange(1, 61) / 12)
    assert sum(score.ltv_residual_minor or 0 for score in scores) == pytest.approx((expected * weights).sum(), rel=1e-6)


def test_kaplan_meier_is_stored_for_every_group(example_engine: Engine) -> None:
    with reading(example_engine) as session:
        curves = session.scalars(select(RetentionCurve)).all()
    assert {curve.group_by for curve in curves} == {"all", "segment", "plan", "channel", "campaign", "cohort", "owner"}
    for row in curves:
        curve = row.curve
        assert curve["retention"][0] <= 1.0
        assert all(
            low <= s <= high for low, s, high in zip(curve["lower"], curve["retention"], curve["upper"], strict=True)
        )
        assert len(curve["months"]) == len(curve["at_risk"])


@pytest.mark.slow
def test_nights_before_it_leave_something_to_compare_with(engine: Engine, tmp_path: Path) -> None:
    make_example_company(work_on(engine, folder=tmp_path), tmp_path, report=lambda _line: None, days_back=(1, 35))
    with reading(engine) as session:
        runs = [session.get_one(ModelRun, link.run_id) for link in load_chain(session)]
        last = runs[0].as_of
        assert [(last - run.as_of).days for run in runs] == [0, 1, 35]
        moved = session.scalar(select(func.count()).where(Score.run_id == runs[0].id, Score.health_moves.is_not(None)))
    assert moved is not None
    assert moved > 250
