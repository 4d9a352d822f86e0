"""What the company is known by: the same whether its accounts are looked at together or a part at a time."""

from dataclasses import fields, replace

import numpy as np
import pytest

from app.domain.backtest import draw_accounts, rank_accounts
from app.domain.fact_tables import keep_accounts
from app.domain.feature_catalog import feature_specs, optional_feeds
from app.domain.feature_company import join_companies, observe_company
from app.domain.feature_table import build_features, describe_company
from app.domain.features import FeatureTable
from tests.domain.awkward_facts import AS_OF, days, landmarks_before, random_facts


def in_parts(facts, n):
    """The facts of every n-th account, each part with what the company as a whole sends."""
    whole = replace(facts, feeds=optional_feeds(facts))
    number = np.arange(len(facts.account_ids)) % n
    return [keep_accounts(whole, number == part) for part in range(n)]


def rows_by_account(facts, table):
    """Every column of each row as bytes, by account and landmark; the number of a spell means nothing elsewhere."""
    names = [field.name for field in fields(FeatureTable) if field.name not in {"account", "spell", "names"}]
    return {
        (int(facts.account_ids[table.account[row]]), str(table.landmark[row])): [
            getattr(table, name)[row].tobytes() for name in names
        ]
        for row in range(len(table.account))
    }


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("n", [2, 5])
def test_features_of_a_part_of_the_accounts_are_those_they_have_among_all(seed, n):
    facts = random_facts(seed, accounts=30)
    landmarks = landmarks_before(AS_OF[0])
    parts = in_parts(facts, n)
    company = describe_company(parts, landmarks, panel=facts)
    together = rows_by_account(facts, build_features(facts, landmarks))
    apart, alone = {}, {}
    for part in parts:
        apart |= rows_by_account(part, build_features(part, landmarks, company=company))
        alone |= rows_by_account(part, build_features(part, landmarks))
    assert apart == together
    assert alone != together, "without the company a part would be held against itself"


def test_some_landmarks_of_an_observed_company_are_what_would_have_been_observed_of_them():
    facts, landmarks = random_facts(3, accounts=20), landmarks_before(AS_OF[1])
    whole, some = observe_company(facts, landmarks), landmarks[[1, 4]]
    one, two = whole.at(some), observe_company(facts, some)
    for side in ("first", "last"):
        for kind in getattr(two, side):
            np.testing.assert_array_equal(getattr(one, side)[kind], getattr(two, side)[kind])
    np.testing.assert_array_equal(one.features_so_far(), two.features_so_far())
    with pytest.raises(ValueError, match="not observed"):
        whole.at(days("1999-01-01"))


def test_joining_one_part_changes_nothing_and_the_order_of_parts_has_no_say():
    landmarks = landmarks_before(AS_OF[2])
    parts = [observe_company(part, landmarks) for part in in_parts(random_facts(2, accounts=25), 3)]
    one, two = join_companies(parts), join_companies(parts[::-1])
    np.testing.assert_array_equal(one.used_since, two.used_since)
    for kind in one.last:
        np.testing.assert_array_equal(one.last[kind], two.last[kind])
    assert join_companies(parts[:1]) is parts[0]


def test_what_is_drawn_from_a_draw_is_what_would_have_been_drawn_from_all():
    facts = random_facts(6, accounts=40)
    many, few = draw_accounts(facts, most=25), draw_accounts(facts, most=10)
    assert (len(many.account_ids), len(few.account_ids)) == (25, 10)
    np.testing.assert_array_equal(draw_accounts(many, most=10).account_ids, few.account_ids)
    assert sorted(rank_accounts(facts.account_ids)) == list(range(len(facts.account_ids)))


def test_a_part_without_facts_of_a_feed_has_its_columns_where_the_company_sends_it():
    facts = random_facts(1, accounts=20)
    assert optional_feeds(facts)
    nobody = keep_accounts(facts, np.zeros(len(facts.account_ids), dtype=bool))
    assert feature_specs(nobody) != feature_specs(facts)
    assert feature_specs(replace(nobody, feeds=optional_feeds(facts))) == feature_specs(facts)
