from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.fx import MissingRate, Rate, RateTable
from app.domain.money import Money, MoneyError

RATES = RateTable(
    [
        Rate(date(2025, 2, 1), "USD", "JPY", Decimal(150)),
        Rate(date(2025, 1, 1), "USD", "JPY", Decimal(140)),
        Rate(date(2025, 1, 1), "EUR", "USD", Decimal("1.25")),
    ]
)


def test_the_latest_rate_on_or_before_the_day_counts():
    assert RATES.rate("USD", "JPY", on=date(2025, 1, 31)) == 140
    assert RATES.rate("USD", "JPY", on=date(2025, 2, 1)) == 150
    assert RATES.rate("USD", "JPY", on=date(2030, 1, 1)) == 150


def test_no_rate_is_carried_backwards_or_triangulated():
    with pytest.raises(MissingRate, match="no exchange rate from USD to JPY on or before 2024-12-31; add one"):
        RATES.rate("USD", "JPY", on=date(2024, 12, 31))
    with pytest.raises(MissingRate, match="from EUR to JPY"):
        RATES.rate("EUR", "JPY", on=date(2025, 3, 1))


def test_the_opposite_pair_serves_by_its_inverse():
    assert RATES.rate("USD", "EUR", on=date(2025, 1, 1)) == Decimal("0.8")
    assert RATES.convert(Money(15000, "JPY"), "USD", on=date(2025, 2, 1)) == Money(100_00, "USD")


def test_one_currency_needs_no_rate():
    assert RATES.rate("BRL", "BRL", on=date(1999, 1, 1)) == 1
    assert RATES.convert(Money(7, "BRL"), "BRL", on=date(1999, 1, 1)) == Money(7, "BRL")


def test_a_rate_needs_two_currencies_and_a_positive_number():
    with pytest.raises(MoneyError, match="'EURO' is not a currency"):
        Rate(date(2025, 1, 1), "EURO", "USD", Decimal(1))
    with pytest.raises(MoneyError, match="is not an exchange rate"):
        Rate(date(2025, 1, 1), "EUR", "USD", Decimal(0))


@given(st.integers(-(10**12), 10**12), st.decimals("0.01", "200", places=4))
def test_there_and_back_is_off_by_half_a_unit_of_each_at_most(minor, value):
    rates = RateTable([Rate(date(2025, 1, 1), "EUR", "USD", value)])
    money = Money(minor, "EUR")
    abroad = rates.convert(money, "USD", on=date(2025, 1, 1))
    home = rates.convert(abroad, "EUR", on=date(2025, 1, 1))
    assert abs(home.minor - minor) <= Decimal("0.5") + Decimal("0.5") / value + Decimal("1e-9")
