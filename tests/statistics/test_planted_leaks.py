"""What was written down after the fact, under an earlier date, must not make the years behind look better foreseen.

Each leak is planted twice: known only once the account had left, as it would be in truth, which must help nobody; and
as if it had been known on its own day, which shows that it would have helped.
"""

import sys
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

from app.domain.backtest import list_origins
from app.domain.calibration import auc
from app.domain.feature_table import build_features
from app.domain.features import Facts, TicketFacts, UsageFacts
from app.domain.months import MONTHS_OF_A_YEAR, Days, add_months
from app.domain.survival import training_landmarks
from jobs.example_company.facts import GRACE_DAYS, read_facts
from jobs.example_company.world import World, simulate
from jobs.look_back import LookBack, Past, look_back

DAYS_BEFORE = np.timedelta64(120, "D")
NAT = np.datetime64("NaT", "D")


@pytest.fixture(scope="module")
def world() -> World:
    return simulate(1)


def judge(facts: Facts, world: World) -> LookBack:
    """The forecast of a year ago, as the night makes it."""
    tracked_from = min(facts.spells.started_on.tolist())
    origin = list_origins(world.as_of, tracked_from)[0]
    landmarks = training_landmarks(origin, tracked_from, n_accounts=len(facts.account_ids))
    grid = np.append(landmarks, np.array([origin, add_months(origin, -3)], dtype="datetime64[D]"))
    past = Past(facts, build_features(facts, np.unique(grid)), tracked_from=tracked_from, grace_days=GRACE_DAYS)
    found = look_back(past, origin)
    assert isinstance(found, LookBack)
    return found


def ranking(found: LookBack) -> float:
    return auc(found.year.learned, found.month <= MONTHS_OF_A_YEAR)


def append(table: Any, extra: Any) -> Any:
    columns = {f.name: np.concatenate([getattr(table, f.name), getattr(extra, f.name)]) for f in fields(table)}
    return replace(table, **columns)


def plant_tickets(facts: Facts, *, told_late: bool) -> Facts:
    """Three cancellation tickets for each that left, dated months before."""
    left = np.repeat(np.flatnonzero(facts.spells.churned), 3)
    ended_on: Days = facts.spells.ended_on[left]
    opened_on = ended_on - DAYS_BEFORE + np.tile(np.array([0, 30, 60], dtype="timedelta64[D]"), len(left) // 3)
    known_on = ended_on if told_late else opened_on
    extra = TicketFacts(
        facts.spells.account[left], opened_on, np.ones(len(left), dtype=bool), known_on, np.full(len(left), NAT)
    )
    return replace(facts, tickets=append(facts.tickets, extra))


def plant_usage(facts: Facts, *, told_late: bool) -> Facts:
    """Who left is given a burst of activity months before: a mark that nothing else could leave."""
    left = np.flatnonzero(facts.spells.churned)
    ended_on: Days = facts.spells.ended_on[left]
    days = (ended_on[:, None] - np.arange(1, 121).astype("timedelta64[D]")).ravel()
    n = len(days)
    extra = UsageFacts(
        account=np.repeat(facts.spells.account[left], 120),
        day=days,
        available_on=np.repeat(ended_on, 120) if told_late else days,
        metric=np.full(n, facts.usage_metrics.index("activity")),
        feature=np.zeros(n, dtype=np.int64),
        amount=np.full(n, 1_000.0),
    )
    return replace(facts, usage=append(facts.usage, extra))


@pytest.mark.slow
@pytest.mark.parametrize("plant", [plant_tickets, plant_usage])
def test_what_was_told_late_does_not_raise_the_backtest(plant: Any, world: World) -> None:
    facts = read_facts(world)
    honest, leaked, foretold = (
        ranking(judge(each, world)) for each in (facts, plant(facts, told_late=True), plant(facts, told_late=False))
    )
    sys.stdout.write(f"\n{plant.__name__}: AUC12 {honest:.4f}; told late {leaked:.4f}; told in time {foretold:.4f}")
    assert leaked <= honest + 0.005  # who came back may be known by what was told of the time before
    assert foretold > honest + 0.03


@pytest.mark.slow
@pytest.mark.parametrize("plant", [plant_tickets, plant_usage])
def test_what_was_told_after_the_origin_changes_no_byte_of_the_forecast(plant: Any, world: World) -> None:
    facts = read_facts(world)
    honest = judge(facts, world)
    after = np.datetime64(honest.origin)
    later = replace(facts.spells, churned=facts.spells.churned & (facts.spells.ended_on > after))
    leaked = judge(replace(plant(replace(facts, spells=later), told_late=True), spells=facts.spells), world)
    assert leaked.learned.to_json() == honest.learned.to_json()
    assert leaked.year.learned.tobytes() == honest.year.learned.tobytes()
