"""A notice that was given, in the curves: by pencil, and what holds of every one."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.causes import CAUSES
from app.domain.feature_clock import read_clock
from app.domain.features import FeatureTable
from app.domain.hazard_draws import Groups, expected_draws
from app.domain.hazard_guards import find_broken_curves
from app.domain.leaving import end_retention, leaving_months
from app.domain.ltv import LtvTerms, lifetime_value
from app.domain.survival import HazardModel, band, predict, take_rows
from tests.domain.awkward_facts import NAT, days
from tests.domain.reference_world import AS_OF, fit_world, simulate_world, table_at
from tests.domain.test_feature_clock import lines

CLOSED = CAUSES.index("closed")
ALL = slice(None)


def read(facts, landmark: str = "2025-06-01", months: int = 12):
    return read_clock(facts, days(landmark), months_ahead=months)


def test_an_account_leaves_on_the_last_day_that_its_notices_name() -> None:
    facts = lines(
        (("2025-01-01", "2025-08-15", 12, 60.0), {"leaves_on": "2025-08-15", "leaves_for": 0}),
        (("2025-01-01", "2025-10-01", 12, 40.0), {"leaves_on": "2025-10-01", "leaves_for": CLOSED}),
    )
    found = read(facts)
    assert (found.leaves_on[0], found.leaves_for[0]) == (np.datetime64("2025-10-01"), CLOSED)
    # From 1 June: 15 August lies in the third month, 1 October is the first day of the fifth.
    assert found.kept[0, :6] == pytest.approx([1, 1, 0.4, 0.4, 0, 0])


def test_where_some_lines_go_on_their_share_of_the_revenue_is_kept() -> None:
    facts = lines(
        (("2025-01-01", "2025-08-15", 12, 60.0), {"leaves_on": "2025-08-15", "leaves_for": 0}),
        (("2025-01-01", NAT, 1, 40.0), {}),
    )
    found = read(facts)
    assert np.isnat(found.leaves_on[0])
    assert found.leaves_for[0] == -1
    assert found.kept[0, :4] == pytest.approx([1, 1, 0.4, 0.4])


def test_a_line_that_is_signed_for_the_time_after_takes_the_place_of_what_ends() -> None:
    ending = (("2025-01-01", "2025-08-01", 12, 60.0), {"leaves_on": "2025-08-01", "leaves_for": 0})
    signed = (("2025-08-01", NAT, 1, 45.0), {"available_on": "2025-05-20"})
    found = read(lines(ending, signed))
    assert np.isnat(found.leaves_on[0])
    assert found.kept[0, :4] == pytest.approx([1, 1, 0.75, 0.75])
    unknown = (("2025-08-01", NAT, 1, 45.0), {"available_on": "2025-06-01"})
    assert read(lines(ending, unknown)).leaves_on[0] == np.datetime64("2025-08-01")
    ends_too = (("2025-08-01", "2025-11-01", 12, 45.0), signed[1] | {"leaves_on": "2025-11-01", "leaves_for": 0})
    found = read(lines(ending, ends_too))
    assert found.leaves_on[0] == np.datetime64("2025-11-01")
    assert found.kept[0, :7] == pytest.approx([1, 1, 0.75, 0.75, 0.75, 0, 0])


def test_a_renewal_that_is_signed_makes_up_for_no_line_but_its_own() -> None:
    facts = lines(
        (("2025-01-01", "2025-08-01", 12, 100.0), {}),
        (("2025-08-01", NAT, 12, 100.0), {"available_on": "2025-05-01"}),
        (("2025-01-01", "2025-09-01", 12, 50.0), {"leaves_on": "2025-09-01", "leaves_for": 0}),
    )
    assert read(facts).kept[0, :5] == pytest.approx([1, 1, 1, 2 / 3, 2 / 3])


def test_a_notice_counts_only_from_the_day_after_it_was_known() -> None:
    shared = {"available_on": "2024-12-01"}
    facts = lines(
        (("2025-01-01", "2025-12-31", 12, 60.0), shared | {"replaced_on": "2025-05-04"}),
        (("2025-01-01", "2025-12-31", 12, 60.0), {"available_on": "2025-05-04", "leaves_on": "2025-12-31"}),
    )
    known = read_clock(facts, days("2025-05-03", "2025-05-04", "2025-05-05"))
    assert np.isnat(known.leaves_on).tolist() == [True, True, False]


@pytest.fixture(scope="module")
def world() -> tuple[HazardModel, FeatureTable]:
    made = simulate_world(250, seed=5)
    return fit_world(made, tracked_from_month=30)[0], table_at(made, np.array([0]))


def told(table: FeatureTable, *, row: int, leaves_on: str, cause: int = 0):
    n = len(table.account)
    leaves, why = np.full(n, NAT), np.full(n, -1)
    leaves[row], why[row] = np.datetime64(leaves_on), cause
    return replace(table, leaves_on=leaves, leaves_for=why, kept=np.ones((n, 60)))


def test_who_leaves_is_there_until_the_month_of_the_first_unpaid_day_and_gone_from_it_on(world) -> None:
    model, table = world
    assert date(2024, 12, 1) == AS_OF
    plain, found = predict(model, table), predict(model, told(table, row=3, leaves_on="2025-03-01", cause=CLOSED))
    assert found.survival[3, :6].tolist() == [1, 1, 1, 0, 0, 0]
    assert found.retention[3].tolist() == found.survival[3].tolist()
    for curve, sd in ((found.survival, found.log_survival_sd), (found.retention, found.log_retention_sd)):
        lower, upper = band(curve, sd, level=0.9)
        assert lower[3] == pytest.approx(curve[3], abs=1e-9)
        assert upper[3] == pytest.approx(curve[3], abs=1e-9)
    # Within 1, 3, 6 and 12 months: nothing, nothing, all, all.
    assert found.cause_probabilities[3, :, CLOSED].tolist() == [0, 0, 1, 1]
    assert found.cause_probabilities[3].sum(axis=1).tolist() == [0, 0, 1, 1]
    assert not len(find_broken_curves(found))
    others = np.arange(len(table.account)) != 3
    assert found.survival[others].tobytes() == plain.survival[others].tobytes()
    assert found.cause_probabilities[others].tobytes() == plain.cause_probabilities[others].tobytes()


def test_three_months_of_lifetime_value_with_a_notice_by_pencil(world) -> None:
    model, table = world
    found = predict(model, told(table, row=0, leaves_on="2025-02-28"))
    terms = LtvTerms(horizon_months=3, annual_discount_rate=0.0, gross_margin=0.8)
    # 28 February lies in the third month from 1 December: two months are paid.
    assert lifetime_value(np.array([100.0]), found.retention[:1], terms=terms) == pytest.approx([160.0])
    yearly = replace(terms, annual_discount_rate=0.21)
    worth = lifetime_value(np.array([100.0]), found.retention[:1], terms=yearly)
    assert worth == pytest.approx([80 / 1.21 ** (1 / 12) + 80 / 1.21 ** (2 / 12)])


def test_where_half_of_the_revenue_ends_the_rest_keeps_its_hazard(world) -> None:
    model, table = world
    half = replace(table, kept=np.where(np.arange(1, 61) < 4, 1.0, 0.5) * np.ones((len(table.account), 1)))
    plain, found = predict(model, table), predict(model, half)
    assert found.survival.tobytes() == plain.survival.tobytes()
    assert found.retention[:, 2] == pytest.approx(plain.retention[:, 2])
    assert found.retention[:, 3:] == pytest.approx(plain.retention[:, 3:] / 2)


def test_draws_of_who_leaves_are_all_alike_and_the_others_stay_as_they_are(world) -> None:
    model, table = world
    some = take_rows(table, np.arange(6))
    alone = Groups(np.arange(6), np.full(6, 10.0), 6)
    leaving = told(some, row=2, leaves_on="2025-03-01")

    def draw(one: FeatureTable) -> np.ndarray:
        return expected_draws(model, one, cuts=[alone], retention=predict(model, one).retention, seed=1)[0]

    plain, found = draw(some), draw(leaving)
    assert found[:, 2, :3] == pytest.approx(10.0)
    assert (found[:, 2, 3:] == 0).all()
    assert found[:, [0, 1, 3, 4, 5]].tobytes() == plain[:, [0, 1, 3, 4, 5]].tobytes()


@given(
    data=st.lists(
        st.tuples(
            st.integers(1, 500),  # revenue
            st.integers(0, 400),  # the line began so many days before
            st.none() | st.integers(1, 900),  # and ends by notice so many days after
        ),
        min_size=1,
        max_size=4,
    ),
    loss=st.lists(st.floats(0, 0.3), min_size=60, max_size=60),
)
def test_no_notice_raises_a_curve_or_a_value(data, loss) -> None:
    today = np.datetime64("2025-06-01")
    rows = [
        ((str(today - began), NAT if ends is None else str(today + ends), 12, float(mrr)),
         {"available_on": str(today - began - 10), "leaves_on": NAT if ends is None else str(today + ends)})
        for mrr, began, ends in data
    ]  # fmt: skip
    found = read_clock(lines(*rows), np.array([today]), months_ahead=60)
    assert ((np.diff(found.kept, axis=1) <= 0) & (found.kept[:, 1:] >= 0) & (found.kept[:, 1:] <= 1)).all()
    assert np.isnat(found.leaves_on[0]) == any(ends is None for *_, ends in data)
    table = FeatureTable(
        account=np.zeros(1, int), spell=np.zeros(1, int), landmark=np.array([today]), started_on=np.array([today]),
        term_months=np.array([12]), renewal_on=np.array([NAT]), committed_until=np.array([NAT]),
        leaves_on=found.leaves_on, leaves_for=found.leaves_for, kept=found.kept,
        mrr=found.mrr, names=(), values=np.empty((1, 0)),
    )  # fmt: skip
    plain = np.multiply.accumulate(1.0 - np.array([loss]), axis=1)
    ended = end_retention(plain, table)
    if np.isnat(found.leaves_on[0]):
        assert ended == pytest.approx(plain * found.kept)
        assert (ended <= plain).all()
    else:
        month = int(leaving_months(table)[0])
        assert (ended[0, month - 1 :] == 0).all()
        assert ended[0] == pytest.approx(found.kept[0])
