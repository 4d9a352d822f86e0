"""The cross-sell ranker: by pencil, against plain Python, and by what must not matter."""

from datetime import date
from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.expansion_ranking import (
    FirstSales,
    Market,
    Ranked,
    Sales,
    find_candidates,
    first_sales,
    product_likelihood,
    rank_products,
    score_pairs,
    study_market,
)
from app.domain.months import add_months

AS_OF = date(2026, 7, 1)
OLD, NEW = np.datetime64("2025-06-30"), np.datetime64("2026-03-01")
NEVER = np.datetime64("NaT", "D")


def sold(rows, n_products: int) -> FirstSales:
    account, product, day = zip(*rows, strict=True)
    sales = Sales(np.array(account), np.array(product), np.array(day, dtype="datetime64[D]"), n_products)
    return first_sales(sales, as_of=AS_OF)


def market_of(sales: FirstSales, *, offers=None, candidates=None) -> Market:
    every = np.arange(sales.n_products)
    return study_market(
        sales,
        candidates=every if candidates is None else np.array(candidates, dtype=np.int64),
        offers=every if offers is None else np.array(offers),
        as_of=AS_OF,
    )


# Four accounts, three products. 0: A long ago, B lately. 1: A and B long ago. 2: A long ago. 3: C lately.
SMALL = [(0, 0, OLD), (0, 1, NEW), (1, 0, OLD), (1, 1, OLD), (2, 0, OLD), (3, 2, NEW)]


def test_adoption_ownership_and_lift_by_pencil() -> None:
    market = market_of(sold(SMALL, 3))
    assert market.n_accounts == 4
    assert market.owners.tolist() == [3, 2, 1]
    assert market.adopters.tolist() == [0, 1, 1]
    assert market.non_owners.tolist() == [1, 3, 4], "those who had it not when the six months began"
    assert market.together.tolist() == [[3, 2, 0], [2, 2, 0], [0, 0, 1]]
    average = 2.5 / 9  # half an adopter and one non-owner more than 2 of 8
    assert market.average_rate == pytest.approx(average)
    shrunk = (1 + 20 * average) / (3 + 20)
    assert market.adoption_logit[1] == pytest.approx(log(shrunk / (1 - shrunk)))
    assert market.log_lift[0, 1] == pytest.approx(log((2 + 10) / (3 * 2 / 4 + 10)))


def test_a_score_by_pencil_is_adoption_and_three_times_the_mean_lift() -> None:
    sales = sold(SMALL, 3)
    market = market_of(sales)
    score = score_pairs(market, sales.owned_by(np.array([0, 2])))
    assert score[0, :2].tolist() == [-np.inf, -np.inf]
    lifts = [log((0 + 10) / (3 * 1 / 4 + 10)), log((0 + 10) / (2 * 1 / 4 + 10))]
    assert score[0, 2] == pytest.approx(market.adoption_logit[2] + 3 * sum(lifts) / 2)
    assert score[1, 1] == pytest.approx(market.adoption_logit[1] + 3 * log(12 / 11.5))


def test_only_what_was_sold_or_first_offered_in_the_last_six_months_is_a_candidate() -> None:
    day = np.datetime64
    sold_on = np.array([day("2025-12-31"), day("2026-01-01"), NEVER, NEVER, NEVER, day("2026-07-01")])
    offered = np.array([NEVER, NEVER, day("2026-06-30"), day("2025-12-31"), day("2026-07-01"), NEVER])
    assert find_candidates(sold_on, offered, as_of=AS_OF).tolist() == [1, 2]


def test_the_first_sale_counts_and_what_was_sold_on_the_day_itself_is_not_known() -> None:
    rows = [(1, 0, NEW), (1, 0, OLD), (0, 1, np.datetime64(AS_OF)), (0, 0, NEW)]
    sales = sold(rows, 2)
    assert list(zip(sales.account.tolist(), sales.product.tolist(), sales.day.tolist(), strict=True)) == [
        (0, 0, date(2026, 3, 1)),
        (1, 0, date(2025, 6, 30)),
    ]


def test_who_has_a_plan_of_a_family_is_offered_none_of_its_others() -> None:
    sales = sold(SMALL, 3)
    market = market_of(sales, offers=[7, 3, 7])
    ranked = rank_products(market, sales, accounts=np.arange(4), top=3)
    assert ranked.product.tolist() == [[-1, -1, -1], [-1, -1, -1], [1, -1, -1], [1, -1, -1]]


def test_there_may_be_fewer_products_than_places_and_none_at_all() -> None:
    sales = sold(SMALL, 3)
    market = market_of(sales, candidates=[])
    ranked = rank_products(market, sales, accounts=np.arange(4), top=2)
    assert ranked.product.tolist() == [[-1, -1]] * 4
    assert (product_likelihood(market, ranked) == None).all()  # noqa: E711  element by element
    assert rank_products(market, sales, accounts=np.arange(0), top=2).product.shape == (0, 2)


def test_the_words_are_given_at_three_and_ten_times_the_odds_and_with_evidence_alone() -> None:
    market = market_of(sold([(n, 0, NEW) for n in range(5)] + [(5, 1, NEW)], 2))
    above = np.log([[2.99], [3.01], [9.99], [10.01], [100.0], [100.0]])
    product = np.array([[0], [0], [0], [0], [1], [0]])  # product 1 has a single adopter
    lift = np.array([[0.1], [0.1], [0.1], [0.1], [0.1], [0.0]])
    ranked = Ranked(np.arange(6), product, np.zeros(above.shape), above - 4.0, lift, average=-4.0)
    words = product_likelihood(market, ranked)[:, 0].tolist()
    assert words == [None, "medium", "medium", "high", None, None]


# --- Against plain Python ---


def naive_scores(rows, n_products: int, *, as_of: date) -> dict[tuple[int, int], float]:
    """Every pair that is not owned, with sets and dictionaries, straight from the definition."""
    since = np.datetime64(add_months(as_of, -6))
    first: dict[tuple[int, int], np.datetime64] = {}
    for account, product, day in rows:
        if day < np.datetime64(as_of):
            first[account, product] = min(day, first.get((account, product), day))
    accounts = {account for account, _ in first}
    owned = {account: {p for a, p in first if a == account} for account in accounts}
    owners = {p: {a for a in accounts if p in owned[a]} for p in range(n_products)}
    adopters = {p: {a for a in owners[p] if first[a, p] >= since} for p in range(n_products)}
    had_not = {p: len(accounts) - len(owners[p]) + len(adopters[p]) for p in range(n_products)}
    average = (sum(map(len, adopters.values())) + 0.5) / (sum(had_not.values()) + 1)
    scores = {}
    for account in accounts:
        for product in set(range(n_products)) - owned[account]:
            rate = (len(adopters[product]) + 20 * average) / (had_not[product] + 20)
            lifts = []
            for other in owned[account]:
                by_chance = len(owners[other]) * len(owners[product]) / len(accounts)
                lifts.append(log((len(owners[other] & owners[product]) + 10) / (by_chance + 10)))
            scores[account, product] = log(rate / (1 - rate)) + 3 * sum(lifts) / len(lifts)
    return scores


def random_rows(seed: int, *, accounts: int, products: int, sales: int):
    rng = np.random.default_rng(seed)
    days = np.datetime64("2024-01-01") + rng.integers(0, 1000, sales).astype("timedelta64[D]")
    popular = rng.zipf(1.6, sales) % products
    return list(zip(rng.integers(0, accounts, sales).tolist(), popular.tolist(), days, strict=True))


@pytest.mark.parametrize("seed", range(5))
def test_the_scores_are_those_of_plain_python(seed: int) -> None:
    rows = random_rows(seed, accounts=60, products=9, sales=300)
    sales = sold(rows, 9)
    accounts = np.unique(sales.account)
    score = score_pairs(market_of(sales), sales.owned_by(accounts))
    expected = naive_scores(rows, 9, as_of=AS_OF)
    found = {
        (int(accounts[row]), product): score[row, product]
        for row, product in zip(*np.nonzero(np.isfinite(score)), strict=True)
    }
    assert found.keys() == expected.keys()
    for pair, value in expected.items():
        assert found[pair] == pytest.approx(value, abs=1e-12)


def test_the_best_are_the_best_of_all_scores_whatever_the_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = random_rows(9, accounts=300, products=12, sales=2_000)
    sales = sold(rows, 12)
    market, accounts = market_of(sales), np.unique(sales.account)
    whole = rank_products(market, sales, accounts=accounts, top=3)
    monkeypatch.setattr("app.domain.expansion_ranking.CHUNK", 7)
    cut = rank_products(market_of(sales), sales, accounts=accounts, top=3)
    assert (whole.product == cut.product).all()
    np.testing.assert_allclose(whole.score, cut.score, atol=1e-12)
    expected = naive_scores(rows, 12, as_of=AS_OF)
    for row, account in enumerate(accounts.tolist()):
        best = sorted((value for (a, _), value in expected.items() if a == account), reverse=True)[:3]
        np.testing.assert_allclose(whole.score[row, : len(best)], best, atol=1e-12)
    assert whole.average == pytest.approx(np.mean(list(expected.values())))


# --- What must not matter, and what must never happen ---

SEEDS = st.integers(0, 10_000)


@settings(max_examples=40, deadline=None)
@given(SEEDS)
def test_nothing_owned_is_ever_offered_nor_what_is_no_candidate(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sales = sold(random_rows(seed, accounts=40, products=8, sales=160), 8)
    candidates = np.flatnonzero(rng.random(8) < 0.6)
    accounts = np.unique(sales.account)
    ranked = rank_products(market_of(sales, candidates=candidates), sales, accounts=accounts, top=8)
    owned = sales.owned_by(accounts)
    for row in range(len(accounts)):
        offered = ranked.product[row][ranked.product[row] >= 0]
        assert set(offered.tolist()) == set(candidates.tolist()) - set(np.flatnonzero(owned[row]).tolist())
        assert (np.diff(ranked.score[row][: len(offered)]) <= 0).all()


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_neither_the_order_of_accounts_nor_that_of_products_nor_of_rows_matters(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = random_rows(seed, accounts=30, products=6, sales=120)
    account_to, product_to = rng.permutation(30), rng.permutation(6)
    moved = [(int(account_to[a]), int(product_to[p]), day) for a, p, day in rows]
    shuffled = [moved[i] for i in rng.permutation(len(moved))]
    plain, other = sold(rows, 6), sold(shuffled, 6)
    accounts = np.unique(plain.account)
    score = score_pairs(market_of(plain), plain.owned_by(accounts))
    again = score_pairs(market_of(other), other.owned_by(account_to[accounts]))
    np.testing.assert_allclose(again[:, product_to], score, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_what_is_sold_from_the_day_on_changes_nothing(seed: int) -> None:
    rows = random_rows(seed, accounts=30, products=6, sales=120)
    later = [*rows, *((a, p, np.datetime64(AS_OF) + 3) for a, p, _ in rows)]
    plain, other = sold(rows, 6), sold(later, 6)
    accounts = np.unique(plain.account)
    before = rank_products(market_of(plain), plain, accounts=accounts, top=3)
    after = rank_products(market_of(other), other, accounts=accounts, top=3)
    assert (before.product == after.product).all()
    assert (before.score == after.score).all()
