from datetime import date
from decimal import Decimal

import pytest

from app.domain.contracts import ContractLine, LineKind, line_lives
from app.domain.fx import MissingRate, Rate, RateTable
from app.domain.money import Money
from app.domain.revenue import (
    Booking,
    Conversion,
    FxBasis,
    LineRevenue,
    arr_by_group,
    bookings_by_group,
)

RATES = RateTable(
    [
        Rate(date(2024, 1, 1), "EUR", "USD", Decimal("1.10")),
        Rate(date(2024, 6, 1), "EUR", "USD", Decimal("1.20")),
        Rate(date(2024, 12, 1), "EUR", "USD", Decimal("1.30")),
    ]
)
BOOKINGS = [
    Booking("north", 1, 1, date(2024, 1, 31), Money(100_00, "USD")),
    Booking("north", 2, 1, date(2024, 6, 30), Money(50_00, "USD")),
    Booking("north", 3, 2, date(2024, 7, 1), Money(7_00, "USD")),
    Booking("south", 4, 3, date(2024, 6, 1), Money(10_00, "EUR")),
    Booking("south", 5, 3, date(2024, 6, 2), Money(-1_00, "USD")),
]


def revenue(group, currency, ends_on=None, arr_minor=120_00):
    line = ContractLine(1, LineKind.RECURRING, date(2024, 1, 1), ends_on, arr_minor)
    return LineRevenue(group, 1, currency, date(2024, 1, 1), *line_lives([line], [], grace_days=30))


def figures(totals):
    return [(total.group, total.amount.text, total.amount.currency, total.accounts, total.items) for total in totals]


def test_bookings_count_both_days_of_the_period_and_keep_currencies_apart():
    totals = bookings_by_group(BOOKINGS, first_on=date(2024, 1, 31), last_on=date(2024, 6, 30))
    assert figures(totals) == [
        ("north", "150.00", "USD", 1, 2),
        ("south", "10.00", "EUR", 1, 1),
        ("south", "-1.00", "USD", 1, 1),
    ]


@pytest.mark.parametrize(
    ("basis", "constant_on", "south"),
    [
        (FxBasis.BOOKED, None, "11.00"),
        (FxBasis.CONSTANT, date(2024, 1, 1), "10.00"),
        (FxBasis.PERIOD_END, None, "12.00"),
    ],
)
def test_bookings_are_converted_at_the_rate_that_is_asked_for(basis, constant_on, south):
    conversion = Conversion(RATES, "USD", basis, constant_on)
    totals = bookings_by_group(BOOKINGS, first_on=date(2024, 1, 1), last_on=date(2024, 12, 31), conversion=conversion)
    assert figures(totals) == [("north", "157.00", "USD", 2, 3), ("south", south, "USD", 1, 2)]


def test_a_converted_deal_is_rounded_once_and_has_the_same_sum_by_part_as_whole():
    """EUR 0.15 x 1.10 = 16.5 cents, half-even 16; its thirds are 5.5 cents, which alone would round to 6 each."""
    first, second = date(2024, 1, 31), date(2024, 2, 1)
    parts = [Booking(group, 1, 1, first, Money(5, "EUR")) for group in ("a", "b", "b")]
    parts += [Booking("a", 2, 1, second, Money(-5, "EUR")), Booking("b", 2, 1, second, Money(105, "EUR"))]
    whole = [Booking("all", 1, 1, first, Money(15, "EUR")), Booking("all", 2, 1, second, Money(100, "EUR"))]
    conversion = Conversion(RATES, "USD", FxBasis.BOOKED)

    def total(bookings):
        return figures(bookings_by_group(bookings, first_on=first, last_on=second, conversion=conversion))

    assert total(parts) == [("a", "0.01", "USD", 1, 2), ("b", "1.25", "USD", 1, 2)]
    assert total(whole) == [("all", "1.26", "USD", 1, 2)]


def test_a_deal_with_two_lines_of_one_product_is_one_deal():
    lines = [Booking("gold", 1, 1, date(2024, 1, 1), Money(amount, "USD")) for amount in (1_00, 2_00)]
    assert figures(bookings_by_group(lines, first_on=date(2024, 1, 1), last_on=date(2024, 1, 1))) == [
        ("gold", "3.00", "USD", 1, 1)
    ]


def test_arr_holds_what_is_live_and_marks_what_is_in_grace():
    lines = [
        revenue("gold", "USD"),
        revenue("gold", "USD", ends_on=date(2024, 5, 31), arr_minor=12_00),
        revenue("gold", "EUR"),
        revenue("gone", "USD", ends_on=date(2024, 3, 31)),
    ]
    totals = arr_by_group(lines, as_of=date(2024, 6, 15))
    assert figures(totals) == [("gold", "120.00", "EUR", 1, 1), ("gold", "132.00", "USD", 1, 2)]
    assert [total.in_grace and total.in_grace.text for total in totals] == ["0.00", "12.00"]
    assert figures(arr_by_group(lines, as_of=date(2023, 12, 31))) == []


@pytest.mark.parametrize(
    ("basis", "constant_on", "text"),
    [
        (FxBasis.BOOKED, None, "0.32"),  # 15 x 1.1 = 16.5, to even 16
        (FxBasis.CONSTANT, date(2024, 7, 1), "0.36"),  # 18
        (FxBasis.PERIOD_END, None, "0.40"),  # 19.5, to even 20
    ],
)
def test_each_line_is_converted_and_rounded_once_before_it_is_added(basis, constant_on, text):
    lines = [revenue("gold", "EUR", arr_minor=15), revenue("gold", "EUR", arr_minor=15)]
    totals = arr_by_group(lines, as_of=date(2024, 12, 31), conversion=Conversion(RATES, "USD", basis, constant_on))
    assert [total.amount.text for total in totals] == [text]


def test_a_currency_without_a_rate_is_an_error_not_a_guess():
    with pytest.raises(MissingRate, match="from JPY to USD"):
        arr_by_group(
            [revenue("gold", "JPY")], as_of=date(2024, 6, 1), conversion=Conversion(RATES, "USD", FxBasis.BOOKED)
        )


def test_only_a_constant_rate_needs_its_day():
    for basis, day in ((FxBasis.CONSTANT, None), (FxBasis.BOOKED, date(2024, 1, 1))):
        with pytest.raises(ValueError, match="a constant rate, and only that"):
            Conversion(RATES, "USD", basis, day)
