from dataclasses import fields
from datetime import date

import numpy as np
import pytest

from app.domain.backtest import (
    NOTHING,
    STILL_THERE,
    View,
    counts_for_gate,
    draw_accounts,
    is_undecided,
    judge_forecast,
    judge_order,
    list_origins,
    months_until_churn,
    rewind_spells,
)
from app.domain.features import Spells
from tests.domain.awkward_facts import random_facts

ORIGIN = date(2025, 6, 30)


def forecast(year: np.ndarray) -> np.ndarray:
    """Twelve months that lead evenly up to the year's probability."""
    return year[:, None] * np.arange(1, 13) / 12


def years(n: int, *, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, and what they bring when they are the truth: the month of leaving, evenly over the year."""
    rng = np.random.default_rng(seed)
    p = rng.beta(1.5, 6, n)
    month = np.where(rng.random(n) < p, rng.integers(1, 13, n), STILL_THERE)
    return p, month


def judge(p: np.ndarray, month: np.ndarray):  # type: ignore[no-untyped-def]
    flat = np.full(len(p), (month <= 12).mean())
    return judge_forecast(forecast(p), month, reference=flat, undecided=0)


def test_a_year_by_pencil() -> None:
    """Four accounts, two left, in months 2 and 12; expected .9 + .2 + .4 + .1 = 1.6 of 2."""
    p, month = np.array([0.9, 0.2, 0.4, 0.1]), np.array([2, STILL_THERE, 12, STILL_THERE])
    found = judge_forecast(forecast(p), month, reference=np.full(4, 0.5), undecided=3)
    assert (found.accounts, found.churns, found.undecided) == (4, 2, 3)
    assert found.expected == pytest.approx(1.6)
    assert found.ratio.value == pytest.approx(0.8)
    assert [(r.months, r.churns) for r in found.rankings] == [(1, 0), (3, 1), (6, 1), (12, 2)]
    assert found.rankings[0].auc.value is None
    assert found.rankings[-1].auc.value == 1.0
    assert found.brier.value == pytest.approx((0.01 + 0.04 + 0.36 + 0.01) / 4)
    assert found.accuracy.value == pytest.approx(1 - 0.42 / 1.0)
    assert found.lift.value == pytest.approx(2.0)
    assert [(g.accounts, g.observed) for g in found.groups] == [(1, 0), (1, 0), (1, 1), (1, 1)]
    assert (found.ranking, found.total) == ("unknown", "unknown")


def test_the_truth_is_found_right_and_better_than_chance() -> None:
    found = judge(*years(3000))
    assert (found.ranking, found.total) == ("learned", "right")
    assert found.ratio.lower is not None
    assert found.ratio.lower < 1 < (found.ratio.upper or 0)
    assert found.slope.lower < 1 < found.slope.upper  # type: ignore[operator]
    assert found.calibration_error.value < found.error_by_chance  # type: ignore[operator]
    assert sum(group.accounts for group in found.groups) == 3000
    assert sum(group.expected for group in found.groups) == pytest.approx(found.expected)
    inside = [g.observed_share.lower <= g.forecast <= g.observed_share.upper for g in found.groups]  # type: ignore[operator]
    assert sum(inside) >= 8


def test_a_forecast_that_knows_nothing_is_called_no_better_than_chance() -> None:
    """Over many companies the interval holds one half about as often as it says."""
    verdicts = []
    for seed in range(60):
        p, month = years(300, seed=seed)
        shuffled = np.random.default_rng(seed + 1000).permutation(p)
        verdicts.append(judge(shuffled, month).ranking)
    assert verdicts.count("chance") >= 54


def test_a_forecast_of_half_or_twice_as_many_is_said_to_be() -> None:
    p, month = years(2000)
    assert judge(p / 2, month).total == "too_few"
    assert judge(np.minimum(p * 2, 0.99), month).total == "too_many"


def test_below_twenty_churns_nothing_is_concluded() -> None:
    p = np.linspace(0.01, 0.5, 100)
    month = np.where(np.arange(100) >= 81, 6, STILL_THERE)
    found = judge(p, month)
    assert (found.churns, found.ranking, found.total) == (19, "unknown", "unknown")
    assert found.rankings[-1].auc.lower is not None
    assert judge(p, np.where(np.arange(100) >= 80, 6, STILL_THERE)).ranking == "learned"


def test_a_year_without_churns_has_no_ratio_and_no_ranking() -> None:
    found = judge_forecast(forecast(np.full(30, 0.1)), np.full(30, STILL_THERE), reference=np.zeros(30), undecided=0)
    assert found.ratio.value is found.lift.value is found.slope.value is found.accuracy.value is None
    assert (found.top.churns, found.top.caught.value) == (0, None)
    assert found.expected == pytest.approx(3.0)


def test_what_the_team_can_work_on_by_pencil() -> None:
    """Of six, three left. The team calls two: one left. So half of its list, a third of those that left, as chance."""
    p, month = np.array([0.9, 0.8, 0.3, 0.2, 0.15, 0.1]), np.array([2, STILL_THERE, 7, STILL_THERE, 12, STILL_THERE])
    top = judge_forecast(forecast(p), month, reference=np.full(6, 0.5), undecided=0, view=View(capacity=2)).top
    assert (top.accounts, top.churns) == (2, 1)
    assert (top.precision.value, top.caught.value, top.lift.value) == pytest.approx((1 / 2, 1 / 3, 1.0))
    assert judge_order(p[:, None], month, undecided=0, view=View(capacity=2)).top == top
    everybody = judge_order(p[:, None], month, undecided=0, view=View(capacity=99)).top
    assert (everybody.accounts, everybody.caught.value, everybody.lift.value) == (6, 1.0, 1.0)


def test_expected_and_observed_by_segment_by_pencil() -> None:
    p, month = np.array([0.5, 0.25, 0.25, 0.5]), np.array([3, STILL_THERE, 1, 12])
    view = View(labels={"segment": ["Large", "Small", "Large", "Large"]})
    large, small = judge_forecast(forecast(p), month, reference=np.full(4, 0.5), undecided=0, view=view).slices
    assert (large.name, large.accounts, large.expected, large.observed) == ("Large", 3, 1.25, 3)
    assert large.ratio.value == pytest.approx(1.25 / 3)
    assert (small.name, small.accounts, small.expected, small.observed) == ("Small", 1, 0.25, 0)
    assert (small.ratio.value, small.ratio.lower, small.ratio.upper) == (None, pytest.approx(0.25 / 0.975), None)


def test_what_only_orders_expects_no_number() -> None:
    p, month = years(400)
    order, whole = judge_order(p[:, None], month, undecided=2), judge(p, month)
    assert (order.ranking, order.rankings[-1], order.lift) == (whole.ranking, whole.rankings[-1], whole.lift)
    assert (order.expected, order.ratio, order.groups, order.total) == (None, NOTHING, (), "unknown")


def test_a_random_order_is_no_better_than_chance_and_the_same_for_all_is_exactly_chance() -> None:
    _, month = years(500)
    rng = np.random.default_rng(11)
    found = [judge_order(rng.random((500, 1)), month, undecided=0).ranking for _ in range(60)]
    assert found.count("chance") >= 54
    flat = judge_order(np.zeros((500, 1)), month, undecided=0)
    assert flat.rankings[-1].auc.value == pytest.approx(0.5)
    assert (flat.lift.value, flat.top.lift.value) == pytest.approx((1.0, 1.0))


@pytest.mark.parametrize(
    ("tracked_from", "origins", "counted"),
    [
        (date(2026, 1, 15), ["2025-06-30"], 1),  # what cannot be looked back on is told by its own reason
        (date(2024, 9, 30), ["2025-06-30"], 1),
        (date(2024, 6, 30), ["2025-06-30", "2024-12-30"], 1),
        (date(2023, 6, 30), ["2025-06-30", "2024-06-30"], 1),
        (date(2022, 6, 30), ["2025-06-30", "2024-06-30", "2023-06-30"], 2),
        (date(2005, 6, 30), ["2025-06-30", "2024-06-30", "2023-06-30", "2022-06-30"], 4),
    ],
)
def test_two_to_four_origins_by_history(tracked_from: date, origins: list[str], counted: int) -> None:
    as_of = date(2026, 6, 30)
    found = list_origins(as_of, tracked_from)
    assert [day.isoformat() for day in found] == origins
    assert sum(counts_for_gate(day, as_of, tracked_from=tracked_from) for day in found) == counted


def spells(*rows: tuple[str, str | None, bool]) -> Spells:
    return Spells(
        account=np.arange(len(rows)),
        number=np.ones(len(rows), dtype=np.int64),
        started_on=np.array([row[0] for row in rows], dtype="datetime64[D]"),
        ended_on=np.array([row[1] or "NaT" for row in rows], dtype="datetime64[D]"),
        churned=np.array([row[2] for row in rows]),
        cause=np.full(len(rows), -1),
    )


def test_months_count_from_the_origin_and_a_cut_off_spell_is_no_churn() -> None:
    made = spells(
        ("2024-01-01", "2025-06-30", True),  # the very day of the origin
        ("2024-01-01", "2025-07-29", True),
        ("2024-01-01", "2025-07-30", True),  # the first day of the second month
        ("2024-01-01", "2026-06-29", True),
        ("2024-01-01", "2026-06-30", True),  # a day too late for the year
        ("2024-01-01", "2026-06-01", False),
        ("2024-01-01", None, False),
    )
    month = months_until_churn(made, np.arange(7), origin=ORIGIN)
    assert month.tolist() == [1, 1, 2, 12, 13, STILL_THERE, STILL_THERE]
    assert is_undecided(made, np.arange(7), before=date(2026, 6, 30)).tolist() == [False] * 5 + [True, False]
    assert not is_undecided(made, np.arange(7), before=date(2026, 6, 1)).any(), "it was still there by then"


def test_a_past_day_knows_neither_later_churns_nor_those_whose_grace_ran() -> None:
    made = spells(
        ("2024-01-01", "2025-01-01", True),
        ("2024-01-01", "2025-06-10", True),  # within the grace of 30 days
        ("2024-01-01", "2025-09-01", True),
        ("2024-01-01", "2025-09-01", False),
        ("2025-12-01", None, False),
    )
    then = rewind_spells(made, origin=ORIGIN, grace_days=30)
    assert then.churned.tolist() == [True, False, False, False, False]
    assert np.isnat(then.ended_on).tolist() == [False, False, True, True, True]


def test_a_drawn_part_of_the_facts_speaks_of_the_drawn_accounts_alone() -> None:
    facts = random_facts(5, accounts=12)
    drawn = draw_accounts(facts, most=len(facts.account_ids) // 2)
    assert draw_accounts(facts, most=len(facts.account_ids)) is facts
    assert set(drawn.account_ids.tolist()) < set(facts.account_ids.tolist())
    for name in ("spells", "lines", "usage", "touches"):
        whole, part = getattr(facts, name), getattr(drawn, name)
        kept = np.isin(facts.account_ids[whole.account], drawn.account_ids)
        assert drawn.account_ids[part.account].tolist() == facts.account_ids[whole.account[kept]].tolist()
        for field in fields(part)[1:]:
            np.testing.assert_array_equal(getattr(part, field.name), getattr(whole, field.name)[kept])
