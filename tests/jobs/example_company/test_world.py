"""One example company: its records agree with its history, and its signals foretell what they should."""

import dataclasses

import numpy as np
import pytest

from app.domain.contracts import ChurnNotice, ContractLine, LineKind, conflicting_notices
from app.domain.feature_clock import read_clock
from app.domain.feature_table import build_features
from app.domain.months import add_months_to_days
from jobs.example_company.company import FOUNDED_ON
from jobs.example_company.dynamics import running_hazard
from jobs.example_company.facts import read_facts
from jobs.example_company.truth import foresee
from jobs.example_company.world import simulate


@pytest.fixture(scope="module")
def world():
    return simulate(5)


@pytest.fixture(scope="module")
def facts(world):
    return read_facts(world)


@pytest.fixture(scope="module")
def table(world, facts):
    months = np.arange(12, 37)
    return build_features(facts, add_months_to_days(np.full(25, np.datetime64(FOUNDED_ON)), months))


def column(table, name):
    return table.values[:, table.names.index(name)]


def test_the_same_seed_gives_the_same_company(world):
    again, other = simulate(5), simulate(6)
    for field in dataclasses.fields(world.usage):
        assert getattr(world.usage, field.name).tobytes() == getattr(again.usage, field.name).tobytes()
    assert world.history.ledger.deals == again.history.ledger.deals
    assert world.history.ledger.deals != other.history.ledger.deals


def test_the_company_is_of_the_size_and_the_mix_that_it_should_be(world):
    profile, deals = world.history.profile, world.history.ledger.deals
    assert len(set(profile.name)) == 400
    assert set(profile.currency) == {"USD", "EUR", "JPY"}
    assert {deal.type for deal in deals} == {"new", "renewal", "expansion"}
    assert len({line.product.sku for deal in deals for line in deal.lines}) == 6
    assert 250_000 < len(world.usage.day) < 350_000
    assert 0.9 < np.is_busday(world.usage.day).mean() < 1.0
    assert 240 < world.history.customers.live.sum() < 320


def test_spells_of_the_contracts_are_those_of_the_history(world, facts):
    live = facts.spells.account[np.isnat(facts.spells.ended_on)]
    assert live.tolist() == np.flatnonzero(world.history.customers.live).tolist()
    starts = sum(deal.type == "new" for deal in world.history.ledger.deals)
    assert len(facts.spells.account) == starts
    assert starts > 400, "somebody came back"
    assert (facts.spells.number > 1).sum() == starts - 400
    in_grace = ~np.isnat(facts.spells.ended_on) & ~facts.spells.churned
    assert (facts.spells.ended_on[in_grace] > np.datetime64(world.as_of) - 31).all()


def test_seats_and_money_of_the_contracts_are_those_of_the_history(world, facts):
    months = np.arange(6, 49, 6)
    clock = read_clock(facts.lines, add_months_to_days(np.full(8, np.datetime64(FOUNDED_ON)), months))
    account, at = clock.cell // len(months), clock.cell % len(months)
    assert clock.seats.tolist() == world.history.diary.seats[account, months[at] - 1].tolist()
    today = at == len(months) - 1
    assert account[today].tolist() == np.flatnonzero(world.history.customers.live).tolist()
    assert clock.mrr[today] == pytest.approx(world.history.customers.mrr[account[today]], rel=1e-3)


def test_no_notice_contradicts_the_contracts(world):
    ledger = world.history.ledger
    for account in {notice.account for notice in ledger.notices}:
        lines = [line for deal in ledger.deals if deal.account == account for line in deal.lines]
        agreed = [
            ContractLine(key, LineKind.RECURRING, line.starts_on, line.ends_on, arr_minor=1)
            for key, line in enumerate(lines)
        ]
        said = [
            ChurnNotice(key, notice.effective_on, notice.given_on)
            for key, notice in enumerate(ledger.notices)
            if notice.account == account
        ]
        assert conflicting_notices(agreed, said) == ()


def test_nothing_is_recorded_of_the_day_as_of_or_later(world, facts):
    as_of = np.datetime64(world.as_of)
    days = [facts.usage.day, facts.tickets.opened_on, facts.surveys.answered_on, facts.touches.occurred_on]
    days += [facts.trainings.occurred_on, facts.invoices.issued_on]
    days += [facts.invoices.paid_on[~np.isnat(facts.invoices.paid_on)]]
    days += [facts.lines.available_on, facts.milestones.done_on[~np.isnat(facts.milestones.done_on)]]
    assert all(day.max() < as_of for day in days)
    assert max(notice.given_on for notice in world.history.ledger.notices) < world.as_of


def test_every_feature_is_known_for_most_and_differs_among_them(table):
    for name, values in zip(table.names, table.values.T, strict=True):
        assert np.isfinite(values).mean() > (0.35 if name in {"nps", "csat"} else 0.75), name
        assert np.nanstd(values) > 0, name


def test_little_use_foretells_leaving(table, facts):
    ended = facts.spells.ended_on[table.spell]
    leaves = facts.spells.churned[table.spell] & (ended < table.landmark + 183)
    level = column(table, "usage_level")
    known = np.isfinite(level)
    low = level < np.nanmedian(level)
    assert leaves[known & low].mean() > 1.5 * leaves[known & ~low].mean()


def test_full_seats_foretell_more_seats(world, table):
    month = world.history.profile.months_of(table.landmark)
    seats = world.history.diary.seats
    grows = seats[table.account, np.minimum(month + 5, 47)] > seats[table.account, month - 1]
    used = column(table, "seats_used")
    most, least = used > np.nanquantile(used, 0.75), used < np.nanquantile(used, 0.25)
    assert grows[most].mean() > 1.5 * grows[least].mean()


def test_a_late_start_shows_in_the_plan(world):
    plan, late = world.milestones, world.history.diary.onboards_late
    last = plan.position == 5
    slipped = (plan.done_on[last] > plan.due_on[last] + 10) | np.isnat(plan.done_on[last])
    began_late = late[plan.account[last], world.history.profile.months_of(plan.planned_on[last])]
    assert slipped[began_late].mean() > 0.6
    assert slipped[~began_late].mean() < 0.35


def test_the_truth_of_the_first_month_is_the_hazard_itself(world):
    customers, month = world.history.customers, 48
    truth = foresee(world, months=1, paths=2000)
    is_open = customers.is_annual & (customers.renewal > month + 1)
    sure = truth.churn_within(1)[(is_open & customers.is_committed)[truth.account]]
    assert len(sure) > 20
    assert not sure.any()
    expected = running_hazard(customers, customers.quality + customers.engagement, month=month)[truth.account]
    monthly = ~customers.is_annual[truth.account] & (customers.joined[truth.account] < month)
    error = np.sqrt(expected * (1 - expected) / 2000)
    deviation = (truth.churn_within(1) - expected)[monthly] / error[monthly]
    assert abs(deviation.mean()) < 4 / np.sqrt(monthly.sum())
    assert 0.8 < deviation.std() < 1.2


def test_the_truth_is_a_curve_and_its_margin_a_sum_by_pencil(world):
    truth = foresee(world, months=24, paths=50)
    assert (np.diff(truth.survival, axis=1) <= 0).all()
    one = truth.margin(1, annual_discount_rate=0.1, with_expansion=False)
    assert one == pytest.approx(0.8 * truth.mrr * truth.survival[:, 0] / 1.1 ** (1 / 12))
    with_growth = truth.margin(24, annual_discount_rate=0.0, with_expansion=True)
    assert with_growth == pytest.approx(0.8 * truth.expected_mrr.sum(axis=1))
    assert with_growth.sum() > truth.margin(24, annual_discount_rate=0.0, with_expansion=False).sum()


def test_looking_ahead_changes_nothing_of_the_world(world):
    before = world.history.customers.engagement.tobytes()
    foresee(world, months=2, paths=3)
    assert world.history.customers.engagement.tobytes() == before
