"""How customers decide, by pencil and by counting."""

import numpy as np
import pytest

from jobs.example_company.dynamics import (
    LEAVING,
    NEVER,
    STAYING,
    UNDECIDED,
    Customers,
    renewal_hazard,
    running_hazard,
    start_spells,
    step,
)


def customers(n=1, **changes):
    usual = {
        "quality": 0.0,
        "is_small": False,
        "is_annual": False,
        "is_committed": False,
        "live": True,
        "joined": 0,
        "onboards_late": False,
        "renewal": NEVER,
        "decision": UNDECIDED,
        "engagement": 0.0,
        "people": 10.0,
        "seats": 20,
        "seat_price": 30.0,
        "price_rise": 0.0,
    } | changes
    columns = {name: np.full(n, value) for name, value in usual.items()}
    flat = {"add_on_prices": np.full((n, 2), 50.0), "add_on_taste": np.ones((n, 2))}
    return Customers(**flat, add_ons=np.zeros((n, 2), dtype=bool), **columns)


def expit(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize(
    ("changes", "engagement", "expected"),
    [
        ({}, 0.0, 0.12),
        ({"is_small": True}, 0.0, expit(np.log(0.12 / 0.88) + 0.35)),
        ({}, 1.0, expit(np.log(0.12 / 0.88) - 1.1 * 0.9)),
        ({}, -1.0, expit(np.log(0.12 / 0.88) + 1.1 * 1.1)),
        ({"onboards_late": True}, 0.0, expit(np.log(0.12 / 0.88) + 0.5)),
        ({"onboards_late": True, "joined": -12}, 0.0, 0.12),
    ],
)
def test_the_chance_of_leaving_at_a_renewal(changes, engagement, expected):
    one = customers(is_annual=True, renewal=12, **changes)
    assert renewal_hazard(one, np.array([engagement])) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("changes", "month", "expected"),
    [
        ({}, 10, 0.014),
        ({}, 3, expit(np.log(0.014 / 0.986) + 0.5)),
        ({"onboards_late": True}, 6, expit(np.log(0.014 / 0.986) + 0.8)),
        ({"onboards_late": True}, 7, 0.014),
        ({"is_annual": True}, 10, 0.002),
        ({"is_annual": True, "is_committed": True}, 10, 0.0),
    ],
)
def test_the_chance_of_leaving_in_a_month_that_ends_no_term(changes, month, expected):
    assert running_hazard(customers(**changes), np.zeros(1), month=month) == pytest.approx(expected)


def near(share, expected, n):
    return abs(share - expected) < 4 * np.sqrt(expected * (1 - expected) / n)


def test_monthly_customers_leave_as_often_as_the_hazard_says():
    n = 100_000
    many = customers(n, engagement=-0.5)
    moves = step(many, month=10, rng=np.random.default_rng(1))
    assert near(moves.left.mean(), expit(np.log(0.014 / 0.986) + 0.9 * 1.1 * 0.5), n)
    assert (moves.said_so[moves.left]).all()
    assert (many.live == ~moves.left).all()


def test_one_annual_customer_in_four_decides_a_month_ahead_and_keeps_to_it():
    n = 100_000
    many = customers(n, is_annual=True, is_committed=True, renewal=12)
    ahead = step(many, month=11, rng=np.random.default_rng(1))
    assert not ahead.left.any()
    assert near((ahead.told_early | ahead.signed_early).mean(), 0.25, n)
    assert near(ahead.told_early.sum() / (ahead.told_early | ahead.signed_early).sum(), 0.12, n / 4)
    assert (many.decision[ahead.told_early] == LEAVING).all()
    assert (many.decision[ahead.signed_early] == STAYING).all()
    many.engagement[:] = 0.0
    then = step(many, month=12, rng=np.random.default_rng(2))
    assert then.left[ahead.told_early].all()
    assert not then.left[ahead.signed_early].any()
    late = ~(ahead.told_early | ahead.signed_early)
    assert near(then.left[late].mean(), 0.12, late.sum())
    assert (then.renewed == (late & ~then.left)).all()
    assert (many.renewal[many.live] == 24).all()


def test_a_late_start_ends_more_spells_in_their_first_months():
    n, left = 20_000, {}
    for late in (False, True):
        rng, many = np.random.default_rng(5), customers(n, live=False, joined=NEVER)
        start_spells(many, np.ones(n, dtype=bool), month=0, rng=rng)
        many.onboards_late[:] = late
        for month in range(1, 7):
            step(many, month=month, rng=rng)
        left[late] = 1.0 - many.live.mean()
    assert left[True] > 1.7 * left[False]


def test_only_who_runs_out_of_seats_buys_more():
    n = 20_000
    roomy = step(customers(n, people=10.0, seats=20), month=10, rng=np.random.default_rng(3))
    tight = step(customers(n, people=20.0, seats=20), month=10, rng=np.random.default_rng(3))
    assert (roomy.added_seats > 0).mean() < 0.001
    assert 0.15 < (tight.added_seats > 0).mean() < 0.25


def test_nobody_expands_in_the_month_before_a_renewal_or_at_it():
    n = 20_000
    for month in (11, 12):
        full = customers(n, is_annual=True, is_committed=True, renewal=12, people=40.0)
        moves = step(full, month=month, rng=np.random.default_rng(4))
        assert not moves.added_seats.any()
        assert not moves.bought.any()


def test_money_is_seats_and_add_ons_of_those_who_are_there():
    two = customers(2)
    two.add_ons[0, 1] = True
    two.live[1] = False
    assert two.mrr.tolist() == [650.0, 0.0]
    assert two.take(np.array([0, 0, 1])).mrr.tolist() == [650.0, 650.0, 0.0]
