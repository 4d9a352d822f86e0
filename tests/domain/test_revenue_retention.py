"""What is kept of recurring revenue: by pencil, and what must hold of every company."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.revenue_retention import (
    Category,
    Ratio,
    annual_churn,
    committed_arr,
    gross_revenue_retention,
    gross_revenue_retention_of_movements,
    left_between,
    logo_retention,
    net_movements,
    net_revenue_retention,
    net_revenue_retention_of_movements,
    net_revenue_retention_with_reactivation,
    quick_ratio,
    renewal_rate,
)

A, B, C, D, E = range(1, 6)
# A grows by 120, B shrinks by 90, C leaves and comes back, D stays, E is won inside the window and grows by 10.
OPENING = {A: 500, B: 400, C: 30, D: 70}
CLOSING = {A: 620, B: 310, C: 30, D: 70, E: 60}
LEFT = {C}
MOVED = {
    Category.NEW: 50,
    Category.EXPANSION: 120 + 10,
    Category.CONTRACTION: -90,
    Category.CHURN: -30,
    Category.REACTIVATION: 30,
}
companies = st.dictionaries(st.integers(1, 6), st.integers(-5, 1_000))
moves = st.dictionaries(st.sampled_from(Category), st.integers(-1_000, 1_000))


def test_one_company_has_four_retentions_by_four_definitions() -> None:
    assert net_revenue_retention(OPENING, CLOSING, left=LEFT).value == Decimal("1.000000")
    assert net_revenue_retention_with_reactivation(OPENING, CLOSING).value == Decimal("1.030000")
    assert net_revenue_retention_of_movements(1_000, MOVED).value == Decimal("1.040000")
    assert gross_revenue_retention(OPENING, CLOSING, left=LEFT).value == Decimal("0.880000")
    assert gross_revenue_retention_of_movements(1_000, MOVED).value == Decimal("0.880000")
    assert logo_retention(OPENING, CLOSING).value == Decimal("1.000000")
    assert quick_ratio(MOVED).value == Decimal("1.750000")


def test_a_ratio_is_rounded_once_half_even_and_keeps_what_it_is_made_of() -> None:
    assert Ratio(2, 3).value == Decimal("0.666667")
    assert Ratio(5, 10**7).value == Decimal("0.000000")
    assert Ratio(15, 10**7).value == Decimal("0.000002")
    assert Ratio(2**60, 2**60 - 1).value == Decimal("1.000000")
    assert f"{Ratio(1, 8).value}" == "0.125000"


def test_what_is_undefined_has_no_value_and_says_why() -> None:
    undefined = (
        net_revenue_retention({}, {A: 5}, left=()),
        net_revenue_retention_with_reactivation({A: 0, B: -3}, {A: 5}),
        gross_revenue_retention({}, {}, left=()),
        logo_retention((), (A,)),
        net_revenue_retention_of_movements(0, MOVED),
        gross_revenue_retention_of_movements(-1, MOVED),
        renewal_rate([]),
        quick_ratio({Category.NEW: 5}),
    )
    for ratio in undefined:
        assert ratio.value is None
        assert ratio.reason


def test_a_renewal_counts_for_no_more_than_was_due() -> None:
    rate = renewal_rate([(100, 150), (100, 40), (200, 0), (0, 10)])
    assert (rate.numerator, rate.denominator, rate.value) == (140, 400, Decimal("0.350000"))
    with pytest.raises(ValueError, match="below zero"):
        renewal_rate([(-1, 0)])


def test_committed_revenue_adds_what_is_signed_and_takes_off_what_gave_notice() -> None:
    assert committed_arr(1_000, signed=250, notified=100) == 1_150


def test_a_years_churn_is_not_twelve_times_a_months() -> None:
    assert annual_churn(Decimal("0.02")) == Decimal("0.215283")  # 1 - 0.98^12 = 0.21528...
    assert annual_churn(Decimal(0)) == 0
    assert annual_churn(Decimal(1)) == 1
    with pytest.raises(ValueError, match="between 0 and 1"):
        annual_churn(Decimal("1.01"))


def test_net_movements_compare_two_days_and_see_nothing_between() -> None:
    found = net_movements(OPENING, CLOSING, paid_before={A, B, C, D})
    assert found == {Category.EXPANSION: 120, Category.CONTRACTION: -90, Category.NEW: 60}
    assert net_movements({}, {C: 9}, paid_before={C}) == {Category.REACTIVATION: 9}
    assert net_movements({C: 9}, {}, paid_before={C}) == {Category.CHURN: -9}


def test_an_account_has_left_where_it_had_nothing_at_the_end_of_a_day() -> None:
    opening = {(A, "USD"): 10, (A, "JPY"): 5, (B, "USD"): 10, (C, "USD"): 10, (D, "USD"): -1}
    steps = [
        (A, date(2026, 3, 1), "USD", -10),  # the line in yen is still there
        (B, date(2026, 5, 1), "USD", 10),
        (B, date(2026, 4, 1), "USD", -10),
        (C, date(2026, 4, 1), "USD", -10),  # a swap: gone and back on one day
        (C, date(2026, 4, 1), "EUR", 9),
        (D, date(2026, 4, 1), "USD", -1),  # had nothing to begin with
        (E, date(2026, 4, 1), "USD", 7),
        (E, date(2026, 5, 1), "USD", -7),  # won inside the window
    ]
    assert left_between(opening, steps) == {B}


@settings(max_examples=300, derandomize=True)
@given(companies, companies, st.sets(st.integers(1, 6)))
def test_gross_is_at_most_one_and_at_most_net_which_is_at_most_net_with_those_that_came_back(
    opening: dict[int, int], closing: dict[int, int], left: set[int]
) -> None:
    gross = gross_revenue_retention(opening, closing, left=left)
    net = net_revenue_retention(opening, closing, left=left)
    both = net_revenue_retention_with_reactivation(opening, closing)
    assert 0 <= gross.numerator <= gross.denominator
    assert gross.numerator <= net.numerator <= both.numerator
    assert gross.denominator == net.denominator == both.denominator
    assert (gross.value is None) == (gross.denominator == 0)


@settings(max_examples=300, derandomize=True)
@given(companies, companies, st.sets(st.integers(1, 6)))
def test_net_movements_add_up_to_the_difference_of_the_two_days(
    opening: dict[int, int], closing: dict[int, int], paid_before: set[int]
) -> None:
    found = net_movements(opening, closing, paid_before=paid_before)
    assert sum(found.values()) == sum(closing.values()) - sum(opening.values())


@settings(max_examples=300, derandomize=True)
@given(st.integers(-10, 10_000), moves)
def test_what_movements_say_is_never_not_a_number(opening: int, moved: dict[Category, int]) -> None:
    for ratio in (net_revenue_retention_of_movements(opening, moved), quick_ratio(moved)):
        assert (ratio.value is None) == (ratio.reason is not None)
