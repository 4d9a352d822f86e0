"""Each kind of difference by pencil, one at a time: what is found, how much, and by which records."""

from dataclasses import replace
from datetime import date

import pytest

from app.domain.reconciliation import Part, Position, Reason
from app.domain.reconciliation_checks import CHECKS, compare_stranger, rows_under_another_id
from tests.domain.reconciliation_cases import CASES, MOMENT, YEAR, Case, charge, compare, line, told


def test_a_month_that_is_charged_as_it_was_sold_agrees() -> None:
    [position] = compare([line()], [charge()])
    assert (position.ledger_minor, position.other_minor, position.parts) == (120_000, 120_000, ())
    assert position.is_agreed


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_kind_of_difference_is_found_alone(case: Case) -> None:
    positions = compare(case.lines, case.charges)
    assert told(positions) == [case.found]
    assert sum(position.difference_minor for position in positions) == case.found[2]


def test_every_check_of_the_table_is_shown_by_a_case() -> None:
    shown = {case.found[1] for case in CASES} | {"other_id"}  # below
    assert {check.name for check in CHECKS} <= shown


def test_two_reasons_at_once_are_both_found() -> None:
    """May again on another invoice (+1,200), and 10 % off on both (-240): 2 x 1,080 against 1,200."""
    off = charge(minor=9_000, discount_minor=1_000)
    [position] = compare([line()], [off, replace(off, row=3)])
    assert position.difference_minor == 96_000
    assert [(part.reason, part.minor) for part in position.parts] == [
        (Reason.DUPLICATE, 108_000),
        (Reason.DISCOUNT, -12_000),
    ]


def test_products_are_compared_each_with_its_own() -> None:
    [position] = compare(
        [line(), line(key=2, product=2, arr=60_000)], [charge(), charge(row=3, product=2, minor=4_000)]
    )
    assert told([position]) == [("unexplained", "unexplained", -12_000, (3,), (2,))]


def test_a_charge_without_a_product_is_held_against_all_there_is() -> None:
    lines = [line(), line(key=2, product=2, arr=60_000)]
    assert compare(lines, [charge(minor=15_000, product=None)])[0].is_agreed


def test_what_is_charged_under_another_products_name_agrees_if_the_sum_does() -> None:
    assert compare([line()], [charge(product=9)])[0].is_agreed
    [position] = compare([line()], [charge(product=9, minor=9_000)])
    assert told([position]) == [
        ("missing_in_billing", "nothing_billed", -120_000, (), (1,)),
        ("missing_in_ledger", "nothing_sold", 108_000, (2,), ()),
    ]


def test_currencies_without_a_rate_are_never_held_against_each_other() -> None:
    """The two sides stand alone: one line nobody charges, one charge nobody sold."""
    positions = compare([line(currency="JPY", arr=180_000)], [charge()])
    assert [(each.currency, each.difference_minor) for each in positions] == [("JPY", -180_000), ("USD", 120_000)]
    assert {part.reason for each in positions for part in each.parts} == {
        Reason.MISSING_IN_BILLING,
        Reason.MISSING_IN_LEDGER,
    }


def test_another_currency_at_a_rate_that_never_was_is_unexplained() -> None:
    [position] = compare([line(arr=100_000, currency="EUR")], [charge(minor=130_000, period=YEAR)])
    assert [(part.reason, part.minor) for part in position.parts] == [(Reason.UNEXPLAINED, 8_333)]


def test_an_id_that_looks_like_the_accounts_explains_both_sides() -> None:
    guess = charge(is_guess=True)
    [known] = compare([line()], [guess])
    rows = rows_under_another_id([known])
    [stranger] = compare_stranger([replace(guess, is_guess=False)], MOMENT, customer="CUS 7", elsewhere=rows)
    assert told([known]) == [("id_mismatch", "other_id", -120_000, (2,), ())]
    assert told([stranger]) == [("id_mismatch", "other_id", 120_000, (2,), ())]
    assert (stranger.account, stranger.customer, stranger.ledger_minor) == (None, "CUS 7", 0)
    assert known.difference_minor + stranger.difference_minor == 0


def test_an_id_that_looks_like_one_that_is_charged_already_explains_nothing() -> None:
    guess = charge(row=3, is_guess=True)
    [known] = compare([line()], [charge(), guess])
    assert known.is_agreed
    [stranger] = compare_stranger([guess], MOMENT, customer="CUS 7", elsewhere=rows_under_another_id([known]))
    assert told([stranger]) == [("missing_in_ledger", "nothing_sold", 120_000, (3,), ())]


def test_a_name_in_common_with_somebody_far_larger_explains_nothing() -> None:
    """1,200 a year are not charged; the customer of the same name is charged 24,000."""
    [known] = compare([line()], [charge(minor=200_000, is_guess=True)])
    assert told([known]) == [("missing_in_billing", "nothing_billed", -120_000, (), (1,))]


def test_a_discount_shows_under_another_id_too() -> None:
    [known] = compare([line()], [charge(minor=9_000, discount_minor=1_000, is_guess=True)])
    assert [(part.reason, part.minor) for part in known.parts] == [
        (Reason.ID_MISMATCH, -108_000),
        (Reason.DISCOUNT, -12_000),
    ]


def test_a_line_that_is_paused_is_not_in_the_ledger_of_the_day() -> None:
    """Paused from 10 March and charged no longer, both sides have nothing; charged all the same, it is not sold."""
    paused = line(pauses=((date(2026, 3, 10), None),))
    assert compare([paused], [])[0].is_agreed
    [charged] = compare([paused], [charge()])
    assert told([charged]) == [("missing_in_ledger", "nothing_sold", 120_000, (2,), ())]
    back = line(pauses=((date(2026, 3, 10), date(2026, 5, 1)),))
    assert compare([back], [charge()])[0].is_agreed
    [late] = compare([line(pauses=((date(2026, 3, 10), date(2026, 6, 10)),))], [charge()])
    assert told([late]) == [("timing", "other_day", 120_000, (), (1,))]  # paid again from 10 June on


def test_unexplained_is_gross() -> None:
    lines = [line(), line(key=2, product=2)]
    [position] = compare(lines, [charge(minor=9_000), charge(row=3, product=2, minor=11_000)])
    assert position.difference_minor == 0
    assert position.unexplained_minor == 24_000
    assert not position.is_agreed


def test_parts_that_do_not_add_up_are_refused() -> None:
    with pytest.raises(ValueError, match="add up"):
        Position(1, None, "USD", 100, 90, (Part(Reason.TIMING, "other_day", -9),))


@pytest.mark.parametrize(
    ("period", "months", "annual"),
    [
        ((date(2026, 5, 1), date(2026, 5, 31)), None, 120_000),
        ((date(2026, 4, 30), date(2026, 5, 29)), None, 120_000),  # a month from the 30th
        ((date(2026, 1, 1), date(2026, 12, 31)), None, 10_000),
        ((date(2026, 5, 1), date(2026, 5, 10)), None, 365_000),  # ten days: x 365 / 10
        ((date(2026, 5, 1), date(2026, 5, 10)), 1, 120_000),  # a month's price, however long the period
    ],
)
def test_a_charge_is_worth_what_a_line_of_its_amount_and_period_would_be(
    period: tuple[date, date], months: int | None, annual: int
) -> None:
    assert charge(period=period, price_months=months).annual(10_000) == annual
