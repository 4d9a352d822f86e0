"""New accounts of the example company over sixteen seeds, against what becomes of 30,000 of them in truth.

`pytest -m slow -s tests/jobs/test_new_customers_truth.py` shows the figures.
"""

import sys
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from sqlalchemy import create_engine

from app.domain.ltv import LtvTerms, formula_lifetime_value, lifetime_value, month_weights
from app.domain.months import Ints
from jobs.curves import observe_spells
from jobs.example_company.company import FOUNDED_ON, SEGMENTS, draw_customers, draw_profile
from jobs.example_company.dynamics import Floats, start_spells, step
from jobs.example_company.facts import read_facts
from jobs.example_company.world import simulate
from jobs.new_customers import new_customer_rows
from tests.jobs.test_new_customers import draws, money, scoring_of

SEEDS = range(16)
TERMS = LtvTerms()
WEIGHTS = month_weights(TERMS, months=60)
BEGAN_IN = 42  # the middle of the last of the four years

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Outcome:
    accounts: int
    value: float
    interval: tuple[float, float]
    per_mrr: float
    formula_per_mrr: float


@dataclass(frozen=True)
class Fate:
    segment: Ints
    mrr: Floats
    kept: Floats  # accounts x months: still there at the month's end

    def value(self, name: str, *, is_per_mrr: bool) -> float:
        rows = np.full(len(self.segment), True) if name == "all" else self.segment == SEGMENTS.index(name)
        total = lifetime_value(self.mrr[rows], self.kept[rows], terms=TERMS).sum()
        return float(total / (self.mrr[rows].sum() if is_per_mrr else rows.sum()))


@pytest.fixture(scope="module")
def fate() -> Fate:
    """Customers like those of the last year, and each one's months; who is gone on its billing day paid to the eve."""
    rng, accounts = np.random.default_rng(99), 30_000
    profile = draw_profile(rng, accounts=accounts, months=48, founded_on=FOUNDED_ON)
    customers = draw_customers(rng, profile)
    for month in range(BEGAN_IN):
        step(customers, month=month, rng=rng)
    start_spells(customers, np.ones(accounts, dtype=bool), month=BEGAN_IN, rng=rng)
    mrr, kept = customers.mrr.copy(), np.ones((accounts, 60))
    for k in range(1, 60):
        step(customers, month=BEGAN_IN + k, rng=rng)
        kept[:, k] = customers.live
    return Fate(profile.segment, mrr, kept)


@pytest.fixture(scope="module")
def outcomes() -> dict[str, list[Outcome]]:
    found: dict[str, list[Outcome]] = defaultdict(list)
    for seed in SEEDS:
        world = simulate(seed)
        facts = read_facts(world)
        scoring = scoring_of(world, facts, create_engine("sqlite://"))
        observed = observe_spells(facts, as_of=world.as_of, tracked_from=None)
        for row in new_customer_rows(scoring)[1]:
            if row["group_by"] != "channel" and row["accounts"] >= 5:
                members = scoring.page.labels[row["group_by"]][observed.account] == row["group"]
                churn = observed.recent_monthly_churn(members)
                found[row["group"]].append(_judge(row, churn))
    return found


def _judge(row: dict[str, Any], churn: float | None) -> Outcome:
    value, mrr = float(money(row) @ WEIGHTS) / 100, row["mrr_minor"] / 100
    lower, upper = np.quantile(draws(row) @ WEIGHTS / 100, [0.05, 0.95])
    formula = formula_lifetime_value(1.0, churn, gross_margin=TERMS.gross_margin) or np.nan
    return Outcome(row["accounts"], value, (float(lower), float(upper)), value / mrr, formula)


def show(text: str) -> None:
    sys.stdout.write(f"\n{text}")


def test_the_value_of_a_new_account_a_unit_of_mrr_is_nearly_unbiased(
    outcomes: dict[str, list[Outcome]], fate: Fate
) -> None:
    for name in ("all", *SEGMENTS):
        true = fate.value(name, is_per_mrr=True)
        bias = np.mean([o.per_mrr for o in outcomes[name]]) / true - 1
        formula = np.nanmean([o.formula_per_mrr for o in outcomes[name]]) / true - 1
        show(f"{name}: value of a new account a unit of MRR {100 * bias:+.1f} %, the formula's {100 * formula:+.1f} %")
        assert abs(bias) <= (0.05 if name == "all" else 0.10)
        assert abs(bias) < abs(formula)


def test_the_true_value_of_a_new_account_lies_in_most_90_percent_intervals(
    outcomes: dict[str, list[Outcome]], fate: Fate
) -> None:
    inside = total = 0
    for name in ("all", *SEGMENTS):
        true = fate.value(name, is_per_mrr=False)
        own = [low <= true <= high for low, high in (o.interval for o in outcomes[name])]
        bias = np.mean([o.value for o in outcomes[name]]) / true - 1
        show(f"{name}: true value inside {sum(own)} of {len(own)} intervals, mean value {100 * bias:+.1f} %")
        inside, total = inside + sum(own), total + len(own)
    assert inside / total >= 0.75
