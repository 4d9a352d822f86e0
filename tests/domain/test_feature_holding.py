"""A feed that dies raises nobody's score: what it last said for an account is gone, what it said against it stays."""

import dataclasses
from datetime import date, timedelta

import numpy as np
import pytest

from app.domain.feature_catalog import feature_specs
from app.domain.feature_holding import count_as_unknown, hold_bad_news
from app.domain.feature_table import build_features
from app.domain.health import assess_health, health_score, yearly_risk
from app.domain.months import add_months
from app.domain.survival import FitOptions, fit_hazard, training_landmarks
from jobs.example_company.facts import read_facts
from jobs.example_company.world import simulate

FEEDS = {
    "usage": "day",
    "tickets": "opened_on",
    "surveys": "answered_on",
    "touches": "occurred_on",
    "trainings": "occurred_on",
}
DIED_ON = {"usage": 20, "tickets": 100, "surveys": 190, "touches": 100, "trainings": 190}


@pytest.fixture(scope="module")
def world():
    return simulate(4, accounts=120, months=36)


@pytest.fixture(scope="module")
def facts(world):
    return read_facts(world)


@pytest.fixture(scope="module")
def model(world, facts):
    tracked_from = add_months(world.as_of, -30)
    landmarks = training_landmarks(world.as_of, tracked_from, n_accounts=120)
    options = FitOptions(world.as_of, tracked_from)
    return fit_hazard(build_features(facts, landmarks), facts.spells, specs=feature_specs(facts), options=options)


def until(facts, feed, last_day):
    """The facts as if the feed had sent nothing after that day."""
    table = getattr(facts, feed)
    kept = getattr(table, FEEDS[feed]) <= np.datetime64(last_day)
    return dataclasses.replace(
        facts,
        **{
            feed: dataclasses.replace(
                table, **{f.name: getattr(table, f.name)[kept] for f in dataclasses.fields(table)}
            )
        },
    )


def risk_of(model):
    return lambda table: yearly_risk(model, table)


@pytest.mark.parametrize("feed", FEEDS)
def test_no_score_is_higher_on_the_day_that_a_feed_is_found_dead_than_the_day_before(world, facts, model, feed):
    """Between the two days nothing happens: neither age nor clock moves, only the feed ceases to be fresh."""
    died_on = world.as_of - timedelta(days=DIED_ON[feed])
    dead = until(facts, feed, died_on)
    silent = hold_bad_news(
        dead, table := build_features(dead, days_of(world.as_of)), specs=model.specs, risk=risk_of(model)
    )
    heard_on = getattr(getattr(dead, feed), FEEDS[feed]).max().item()
    last_fresh = heard_on + timedelta(days={"usage": 7, "surveys": 180, "trainings": 180}.get(feed, 90))
    before = build_features(dead, days_of(last_fresh))
    columns = [number for number, spec in enumerate(model.specs) if spec.feed == feed]
    both = np.isin(table.spell, before.spell)
    assert np.isnan(table.values[:, columns]).all()
    assert np.isfinite(before.values[:, columns]).any()
    # As if the feed had said on the day itself what it last said.
    as_before = table.values.copy()
    as_before[np.ix_(both, columns)] = before.values[np.isin(before.spell, table.spell)][:, columns]
    last_known = yearly_risk(model, dataclasses.replace(table, values=as_before))
    missing, held = yearly_risk(model, table), yearly_risk(model, silent.table)
    np.testing.assert_allclose(held, np.maximum(last_known, missing), rtol=1e-12)
    assert (health_score(held) <= health_score(last_known) + 1e-9).all()
    worse = last_known > missing
    assert not worse.all(), "some were well spoken of"
    # Tickets count for 90 days, after which the feed is found dead: by then it speaks ill of nobody.
    assert worse.any() == (feed != "tickets")
    assert silent.held.any(axis=1).tolist() == worse.tolist()
    assert not silent.held[:, [n for n in range(len(model.specs)) if n not in columns]].any()


def days_of(day):
    return np.array([day], dtype="datetime64[D]")


def test_what_is_held_counts_as_unknown_and_the_parts_still_add_up(world, facts, model):
    dead = until(facts, "usage", world.as_of - timedelta(days=20))
    table = build_features(dead, days_of(world.as_of))
    silent = hold_bad_news(dead, table, specs=model.specs, risk=risk_of(model))
    plain = assess_health(model, table)
    held = assess_health(model, silent.table)
    shown = count_as_unknown(held, silent.held, values=silent.table.values, specs=model.specs, limit=0.3)
    alive = assess_health(model, build_features(facts, days_of(world.as_of)))
    np.testing.assert_array_equal(shown.coverage, plain.coverage)
    np.testing.assert_array_equal(shown.known, plain.known)
    np.testing.assert_array_equal(shown.dimension_known, plain.dimension_known)
    assert (shown.coverage < alive.coverage).all()
    logit = np.log(shown.risk / (1 - shown.risk))
    np.testing.assert_allclose(shown.contributions.sum(axis=1), logit - shown.reference_logit, atol=1e-9)
    assert (held.coverage > shown.coverage).any()
    none = count_as_unknown(held, silent.held, values=silent.table.values, specs=model.specs, limit=1.0)
    assert none.withheld.all()
    assert np.isnan(none.score).all()
    assert (none.band == -1).all()


def test_where_every_feed_is_fresh_nothing_is_held_and_nobody_is_asked_for_a_risk(world, facts, model):
    table = build_features(facts, days_of(world.as_of))

    def refuse(_table):
        raise AssertionError("asked for a risk")

    silent = hold_bad_news(facts, table, specs=model.specs, risk=refuse)
    assert not silent.held.any()
    np.testing.assert_array_equal(silent.table.values, table.values)


def test_who_came_after_the_feed_died_has_nothing_held(world, facts, model):
    died_on = world.as_of - timedelta(days=120)
    dead = until(facts, "usage", died_on)
    table = build_features(dead, days_of(world.as_of))
    silent = hold_bad_news(dead, table, specs=model.specs, risk=risk_of(model))
    young = table.started_on > np.datetime64(died_on + timedelta(days=7))
    assert young.any()
    assert not silent.held[young].any()


def test_a_company_without_the_feed_has_nothing_that_could_be_held(world, facts, model):
    never = until(facts, "usage", date(2000, 1, 1))
    table = build_features(never, days_of(world.as_of))
    assert not hold_bad_news(never, table, specs=model.specs, risk=risk_of(model)).held.any()
    nobody = build_features(never, days_of(date(2000, 1, 1)))
    assert not hold_bad_news(never, nobody, specs=model.specs, risk=risk_of(model)).held.any()
