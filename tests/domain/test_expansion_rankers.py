"""Choosing how products are ranked: by pencil, on made-up companies with a known answer, and where data are few."""

from datetime import date

import numpy as np
import pytest

from app.domain.expansion_rankers import (
    DEFAULT,
    PLAIN,
    RANKERS,
    Past,
    choose_ranker,
    list_origins,
    look_back,
)
from app.domain.expansion_ranking import Sales, find_candidates, first_sales, study_market
from app.domain.months import add_months

AS_OF = date(2026, 7, 1)
NEVER = np.datetime64("NaT", "D")


def past_of(sales: Sales, origin: date) -> Past:
    own = first_sales(sales, as_of=origin)
    last = np.full(sales.n_products, np.datetime64("0001-01-01", "D"))
    before = sales.day < np.datetime64(origin)
    np.maximum.at(last, sales.product[before], sales.day[before])
    candidates = find_candidates(last, np.full(sales.n_products, NEVER), as_of=origin)
    market = study_market(own, candidates=candidates, offers=np.arange(sales.n_products), as_of=origin)
    return look_back(sales, origin, market=market, own=own)


def pasts_of(sales: Sales) -> list[Past]:
    return [past_of(sales, origin) for origin in list_origins(sales.day.min(), AS_OF)]


def company_of_pairs(n_accounts: int = 400, *, seed: int = 1) -> Sales:
    """Ten products in pairs (0 and 1, 2 and 3, ...): who has one of a pair sooner or later buys the other."""
    random = np.random.default_rng(seed)
    rows = []
    for account in range(n_accounts):
        first_on = random.integers(0, 1_000)
        pair = int(random.integers(5))
        rows.append((account, 2 * pair + int(random.integers(2)), first_on))
        rows.append((account, 2 * pair + int(random.integers(2)), first_on + int(random.integers(30, 500))))
        rows.append((account, int(random.integers(10)), first_on + int(random.integers(30, 900))))
    account, product, days = (np.array(column) for column in zip(*rows, strict=True))
    return Sales(account, product, np.datetime64("2023-01-01") + days.astype("timedelta64[D]"), 10)


def test_origins_are_half_years_back_with_a_year_of_sales_before_them() -> None:
    assert list_origins(np.datetime64("2020-01-01"), AS_OF) == [
        date(2026, 1, 1), date(2025, 7, 1), date(2025, 1, 1), date(2024, 7, 1),
    ]  # fmt: skip
    assert list_origins(np.datetime64("2024-07-01"), AS_OF) == [date(2026, 1, 1), date(2025, 7, 1)]
    assert list_origins(np.datetime64("2025-01-02"), AS_OF) == []


def test_a_past_knows_what_was_bought_first_in_the_six_months_after_and_nothing_later() -> None:
    day = np.array(["2025-03-01", "2025-09-01", "2026-02-01", "2026-07-01"], dtype="datetime64[D]")
    sales = Sales(np.zeros(4, dtype=np.int64), np.array([0, 1, 2, 3]), day, 4)
    past = past_of(sales, date(2026, 1, 1))
    assert past.owned.tolist() == [[True, True, False, False]]
    assert past.bought.tolist() == [[False, False, True, False]]


def test_what_is_sold_after_an_origin_changes_no_score_of_it() -> None:
    sales = company_of_pairs()
    origin = date(2025, 1, 1)
    later = sales.day >= np.datetime64(origin)
    changed = Sales(sales.account, np.where(later, (sales.product + 3) % 10, sales.product), sales.day, 10)
    for score in PLAIN.values():
        assert np.array_equal(past_of(sales, origin).scores(score), past_of(changed, origin).scores(score))


def test_where_products_go_together_the_company_is_ranked_by_what_is_owned() -> None:
    choice = choose_ranker(pasts_of(company_of_pairs()))
    assert choice.reason == "chosen"
    assert choice.way == "lift"
    by_way = {way: [each for each in choice.results if each.way == way] for way in RANKERS}
    share = {way: sum(each.hits for each in own) / sum(each.buyers for each in own) for way, own in by_way.items()}
    assert share["lift"] > share["popularity"] + 0.2


def test_where_what_is_owned_tells_nothing_neither_lift_nor_propensity_is_used() -> None:
    random = np.random.default_rng(2)
    n = 3_000
    product = random.choice(10, n, p=np.array([30, 20, 14, 10, 8, 6, 5, 3, 2, 2]) / 100)
    day = np.datetime64("2023-01-01") + random.integers(0, 1_270, n).astype("timedelta64[D]")
    choice = choose_ranker(pasts_of(Sales(random.integers(0, 700, n), product, day, 10)))
    assert choice.reason == "chosen"
    assert choice.way in {"popularity", "adoption"}


def test_a_level_that_was_right_twice_in_a_row_may_be_said_and_agrees_with_what_comes() -> None:
    sales = company_of_pairs(4_000)
    pasts = pasts_of(sales)
    choice = choose_ranker(pasts)
    ratios = [each.ratio for each in choice.results if each.way == choice.way and each.ratio is not None]
    assert all(0.7 <= ratio <= 1.4 for ratio in ratios[:2])
    found, bought = pasts[0].best(choice.score)
    shown = np.isfinite(found)
    said = choice.probability(found[shown])
    assert said is not None
    assert said.mean() == pytest.approx(bought[shown].mean(), rel=0.02)
    assert ((said > 0) & (said < 1)).all()


def test_a_level_that_was_wrong_is_not_said() -> None:
    sales = company_of_pairs(2_000)
    stopped = sales.day < np.datetime64("2025-10-01")  # then hardly anybody bought anything more
    kept = stopped | (sales.account % 10 == 0)
    choice = choose_ranker(pasts_of(Sales(sales.account[kept], sales.product[kept], sales.day[kept], 10)))
    assert choice.level is None
    assert choice.probability(np.zeros(2)) is None


def test_few_buyers_and_young_companies_get_the_default_with_the_reason() -> None:
    few = choose_ranker(pasts_of(company_of_pairs(12)))
    assert (few.way, few.reason, few.level) == (DEFAULT, "too_few", None)
    young = choose_ranker([])
    assert (young.way, young.reason, young.results) == (DEFAULT, "too_young", ())


def test_the_order_of_the_sales_does_not_matter() -> None:
    sales = company_of_pairs()
    order = np.random.default_rng(5).permutation(len(sales.day))
    mixed = Sales(sales.account[order], sales.product[order], sales.day[order], 10)
    one, other = choose_ranker(pasts_of(sales)), choose_ranker(pasts_of(mixed))
    assert one.results == other.results
    assert add_months(AS_OF, -6) == one.results[0].origin
