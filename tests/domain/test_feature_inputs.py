"""What the score looks at: named, dated, and counted for how many it is known."""

import dataclasses
from datetime import date

import numpy as np
import pytest

from app.domain.feature_catalog import CADENCE_DAYS, FEATURES, feature_specs
from app.domain.feature_company import observe_company
from app.domain.feature_inputs import describe_inputs, is_fresh
from app.domain.feature_table import build_features
from tests.domain.awkward_facts import AS_OF, days, random_facts


def described(facts, as_of):
    table = build_features(facts, days(as_of))
    share = dict(zip(table.names, np.isfinite(table.values).mean(axis=0), strict=True))
    company = observe_company(facts, days(as_of))
    found = describe_inputs(feature_specs(facts), company=company, known_share=share, as_of=as_of)
    return table, {each.name: each for each in found}


@pytest.mark.parametrize("as_of", AS_OF)
def test_each_input_is_there_once_and_known_for_as_many_as_the_table_says(as_of):
    table, inputs = described(random_facts(2), as_of)
    assert tuple(inputs) == (*(spec.name for spec in FEATURES), *table.names[len(FEATURES) :])
    for name, column in zip(table.names, table.values.T, strict=True):
        assert inputs[name].known_share == np.isfinite(column).mean(), name


@pytest.mark.parametrize("seed", range(3))
def test_an_input_of_a_feed_that_is_not_fresh_is_known_for_nobody(seed):
    stale = 0
    for as_of in [*AS_OF, date(2024, 8, 20), date(2025, 3, 1)]:
        for each in described(random_facts(seed), as_of)[1].values():
            if not each.is_fresh:
                assert each.known_share == 0, (each.name, as_of)
                stale += 1
    assert stale > 20


def test_the_last_fact_is_the_last_that_was_known_by_then():
    facts = random_facts(1)
    tickets = dataclasses.replace(
        facts.tickets,
        account=np.zeros(3, int),
        opened_on=days("2024-05-01", "2024-05-20", "2024-06-01"),
        escalated=np.zeros(3, bool),
        available_on=days("2024-05-01", "2024-06-02", "2024-06-01"),
        replaced_on=days("NaT", "NaT", "NaT"),
    )
    facts = dataclasses.replace(facts, tickets=tickets)
    asked = [date(2024, 5, 1), date(2024, 5, 2), date(2024, 6, 1), date(2024, 6, 2), date(2024, 6, 3)]
    company = observe_company(facts, days(*asked))
    found = [company.heard_on("tickets", as_of=day) for day in asked]
    assert found == [None, date(2024, 5, 1), date(2024, 5, 1), date(2024, 6, 1), date(2024, 6, 1)]


def test_a_feed_is_fresh_up_to_its_cadence():
    last = date(2024, 6, 1)
    assert is_fresh("usage", last, as_of=date(2024, 6, 8))
    assert not is_fresh("usage", last, as_of=date(2024, 6, 9))
    assert not is_fresh("usage", None, as_of=last)
    assert set(CADENCE_DAYS) == {spec.feed for spec in FEATURES} - {None}
