"""What one account that begins now is to bring: how it is laid out, and how its groups hang together."""

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.domain.feature_catalog import feature_specs
from app.domain.feature_table import build_features
from app.domain.features import Facts
from app.domain.ltv import LtvTerms, draws_interval, draws_value, month_weights
from app.domain.months import add_months
from app.domain.survival import FitOptions, fit_hazard, predict, take_rows, training_landmarks
from app.queries.facts import Known
from app.queries.settings import CompanySettings
from jobs.example_company.company import CHANNELS, SEGMENTS
from jobs.example_company.facts import read_facts
from jobs.example_company.world import World, simulate
from jobs.ledger import Labels, Ledger, Owned, Page
from jobs.new_customers import new_customer_rows, set_back
from jobs.night import Night
from jobs.scoring import Scoring
from jobs.shelf import Shelf
from jobs.steps import Run
from tests.installation import work_on

TERMS = LtvTerms()


def scoring_of(world: World, facts: Facts, engine: Any, *, basis: str = "account") -> Scoring:
    """A night on the example company without a database: its facts are given."""
    tracked_from = min(facts.spells.started_on.tolist())
    landmarks = training_landmarks(world.as_of, tracked_from, n_accounts=len(facts.account_ids))
    model = fit_hazard(
        build_features(facts, landmarks),
        facts.spells,
        specs=feature_specs(facts),
        options=FitOptions(as_of=world.as_of, tracked_from=tracked_from),
    )
    night = Night(work_on(engine), Run(1, world.as_of, datetime(2026, 1, 1, tzinfo=UTC), is_finished=False))
    profile = world.history.profile
    labels = {
        "all": np.full(len(profile.segment), "all", dtype=object),
        "segment": np.array([SEGMENTS[code] for code in profile.segment], dtype=object),
        "channel": np.array([CHANNELS[code] for code in profile.channel], dtype=object),
    }
    vars(night).update(ledger=ledger_of(facts, labels), known=Known(world.as_of, night.run.known_at, CompanySettings()))
    return Scoring(night, basis=basis, model=model)


def ledger_of(facts: Facts, labels: dict[str, np.ndarray]) -> Ledger:
    """A company of one part, of whose revenue nothing is known."""
    shelf, nothing = Shelf(Path()), np.zeros(0, dtype=np.int64)
    shelf.add(facts)
    cuts = {name: np.unique(each.astype(str), return_inverse=True) for name, each in labels.items()}
    size = len(facts.account_ids)
    page = Page(
        ids=facts.account_ids,
        status=np.full(size, "live", dtype=object),
        arr_minor=np.zeros(size, dtype=np.int64),
        started_on=np.full(size, "NaT", dtype="datetime64[D]"),
        earned_minor=np.full(size, None, dtype=object),
        everyone=facts,
        is_live=np.zeros(size, dtype=bool),
        labels={name: Labels(names.astype(object), code) for name, (names, code) in cuts.items()},
        owned=Owned(nothing, nothing, nothing, []),
    )
    return Ledger(page, shelf, [(int(facts.account_ids[0]), int(facts.account_ids[-1]))])


@pytest.fixture(scope="module")
def world() -> World:
    return simulate(4, accounts=150)


@pytest.fixture(scope="module")
def facts(world: World) -> Facts:
    return read_facts(world)


@pytest.fixture
def scoring(world: World, facts: Facts, engine: Any) -> Scoring:
    return scoring_of(world, facts, engine)


@pytest.fixture
def rows(scoring: Scoring) -> dict[tuple[str, str], dict[str, Any]]:
    return {(row["group_by"], row["group"]): row for row in new_customer_rows(scoring)[1]}


def money(row: dict[str, Any], name: str = "expected") -> np.ndarray:
    return np.frombuffer(row[name], dtype="<f8")


def draws(row: dict[str, Any]) -> np.ndarray:
    return np.frombuffer(row["draws"], dtype="<f4").astype(np.float64).reshape(-1, 60)


def began(world: World, facts: Facts, *, months: int) -> np.ndarray:
    """Accounts whose first spell began in the months before `as_of`, counted from the contracts themselves."""
    since = np.datetime64(add_months(world.as_of, -months), "D")
    return facts.spells.account[(facts.spells.number == 1) & (facts.spells.started_on >= since)]


def test_an_account_is_set_back_to_its_first_day_with_its_own_term(world: World, facts: Facts) -> None:
    landmark = np.array([world.as_of], dtype="datetime64[D]")
    table = build_features(facts, landmark)
    back = set_back(table, as_of=date(2026, 1, 31))
    assert set(back.started_on.tolist()) == set(back.landmark.tolist()) == {date(2026, 1, 31)}
    annual, committed = ~np.isnat(table.renewal_on), ~np.isnat(table.committed_until)
    assert annual.any()
    assert (table.term_months[annual] == 12).all()
    assert set(back.renewal_on[annual].tolist()) == {date(2027, 1, 31)}
    assert np.isnat(back.renewal_on[~annual]).all()
    assert (np.isnat(back.committed_until) == ~committed).all()
    assert back.values is table.values
    assert back.mrr is table.mrr


def test_who_gave_notice_at_once_is_set_back_with_it(facts: Facts, world: World) -> None:
    table = build_features(facts, np.array([world.as_of], dtype="datetime64[D]"))
    told = np.arange(len(table.account)) < 3
    leaves_on = np.where(told, table.started_on + 60, np.datetime64("NaT"))
    back = set_back(replace(table, leaves_on=leaves_on), as_of=date(2026, 1, 31))
    assert back.leaves_on[:3].tolist() == [date(2026, 4, 1)] * 3
    assert np.isnat(back.leaves_on[3:]).all()


def test_those_that_began_in_the_last_year_are_counted_and_by_month(
    world: World, facts: Facts, rows: dict[tuple[str, str], dict[str, Any]]
) -> None:
    year, two = began(world, facts, months=12), began(world, facts, months=24)
    everyone = rows["all", "all"]
    assert sum(everyone["began"].values()) == len(two)
    assert 0.9 * len(year) <= everyone["accounts"] <= len(year)  # some leave before their first landmark
    for cut in ("segment", "channel"):
        parts = [row for (by, _), row in rows.items() if by == cut]
        assert sum(row["accounts"] for row in parts) == everyone["accounts"]
        for month, count in everyone["began"].items():
            assert sum(row["began"].get(month, 0) for row in parts) == count


def test_the_mean_of_all_is_that_of_its_groups(rows: dict[tuple[str, str], dict[str, Any]]) -> None:
    everyone = rows["all", "all"]
    for cut in ("segment", "channel"):
        parts = [row for (by, _), row in rows.items() if by == cut and row["accounts"]]
        for name in ("expected", "expected_expansion", "extrapolated"):
            total = sum(row["accounts"] * money(row, name) for row in parts)
            assert total == pytest.approx(everyone["accounts"] * money(everyone, name), rel=1e-9)
        mrr = sum(row["accounts"] * row["mrr_minor"] for row in parts)
        assert mrr == pytest.approx(everyone["accounts"] * everyone["mrr_minor"], rel=1e-9)


def test_the_curve_is_that_of_each_accounts_first_month_from_tenure_0(
    world: World, facts: Facts, scoring: Scoring, rows: dict[tuple[str, str], dict[str, Any]]
) -> None:
    """One by one: the first monthly landmark at which each is a customer, and the curve from its first day."""
    back = [np.datetime64(add_months(world.as_of, -n), "D") for n in range(12, -1, -1)]
    total, count = np.zeros(60), 0
    for account in began(world, facts, months=12).tolist():
        spell = np.flatnonzero((facts.spells.account == account) & (facts.spells.number == 1))[0]
        for day in (day for day in back if day >= facts.spells.started_on[spell]):
            table = build_features(facts, np.array([day]))
            own = np.flatnonzero(table.spell == spell)
            if len(own):
                alone = set_back(take_rows(table, own), as_of=world.as_of)
                total += 100 * alone.mrr[0] * predict(scoring.model, alone).retention[0]
                count += 1
                break
    everyone = rows["all", "all"]
    assert count == everyone["accounts"]
    assert money(everyone) == pytest.approx(total / count, rel=1e-9)


def test_draws_lie_about_the_mean_and_those_of_few_accounts_lie_wider(
    rows: dict[tuple[str, str], dict[str, Any]],
) -> None:
    weights = month_weights(TERMS, months=60)
    for row in rows.values():
        if row["accounts"] < 5:
            continue
        values = draws_value(draws(row)[:, None], terms=TERMS)[:, 0]
        lower, upper = draws_interval(values, level=0.9)
        assert lower < money(row) @ weights < upper
        assert values.mean() == pytest.approx(money(row) @ weights, rel=0.1)
    first_month = draws(rows["all", "all"])[:, 0]
    assert first_month.std() / first_month.mean() > 0.03  # who begins is chance, even where nobody can leave yet


def test_where_nothing_can_be_learned_everyone_has_the_curve_of_the_segment(
    world: World, facts: Facts, engine: Any
) -> None:
    scoring = scoring_of(world, facts, engine, basis="segment")
    rows = {(row["group_by"], row["group"]): row for row in new_customer_rows(scoring)[1]}
    for name in SEGMENTS:
        curve = scoring.curves("segment")[name]  # which the forecast draws a little towards that of all
        row = rows["segment", name]
        assert money(row)[11] / row["mrr_minor"] == pytest.approx(float(curve.at(np.array([12.0]))[0]), abs=0.02)
        lower, upper = np.quantile(draws(row)[:, 11], [0.05, 0.95])
        assert lower < money(row)[11] < upper


def test_the_same_night_gives_the_same_bytes(scoring: Scoring) -> None:
    assert new_customer_rows(scoring) == new_customer_rows(scoring)


def test_a_company_in_which_nobody_began_lately_has_no_rows(engine: Any) -> None:
    world = simulate(4, accounts=40)
    facts = read_facts(world)
    scoring = scoring_of(world, facts, engine)
    late = Run(1, add_months(world.as_of, 40), scoring.night.run.known_at, is_finished=False)
    night = Night(scoring.night.work, late)
    vars(night).update(ledger=scoring.night.ledger, known=scoring.night.known)
    later = Scoring(night, basis="account", model=scoring.model)
    assert new_customer_rows(later)[1] == []
