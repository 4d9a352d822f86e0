"""What an opportunity is worth, to the minor unit."""

from fractions import Fraction

import pytest

from app.domain.expansion_worth import Price, expected_value, median_minor, price_for, seats_worth, typical_prices


def test_seats_are_worth_what_the_account_pays_for_one_rounded_once() -> None:
    assert seats_worth(1_000_00, Fraction(10), quantity=3) == 300_00
    assert seats_worth(100_00, Fraction(3), quantity=2) == 66_67
    assert seats_worth(5, Fraction(2), quantity=1) == 2, "half a minor unit goes to the even one"
    assert seats_worth(15, Fraction(2), quantity=1) == 8
    assert seats_worth(1_200, Fraction("7.5"), quantity=5) == 800
    assert seats_worth(2**53 - 1, Fraction(1), quantity=2) == 2**54 - 2, "no float comes near it"


def test_without_seats_there_is_no_price() -> None:
    with pytest.raises(ValueError, match="no seats"):
        seats_worth(100, Fraction(0), quantity=1)


def test_the_median_is_the_one_in_the_middle_or_the_even_mean_of_two() -> None:
    assert median_minor([300, 100, 200]) == 200
    assert median_minor([100, 103]) == 102
    assert median_minor([100, 101]) == 100
    assert median_minor([7]) == 7
    with pytest.raises(ValueError, match="no amount"):
        median_minor([])


def test_a_segment_has_its_own_price_from_three_sales_on() -> None:
    prices = typical_prices({(1, "smb"): [10, 20, 30], (1, "enterprise"): [900, 1_000], (1, None): [50]})
    assert price_for(prices, 1, segment="smb") == Price(20, "smb", 3)
    every = Price(40, None, 6)  # of 10, 20, 30, 50, 900, 1000
    assert price_for(prices, 1, segment="enterprise") == every
    assert price_for(prices, 1, segment=None) == every
    assert price_for(prices, 2, segment="smb") is None


def test_the_expected_value_by_pencil() -> None:
    # A quarter of 1,200.00 a year at 80 % margin, over 30 months of revenue: .25 x 100 x 30 x .8 = 600.00.
    assert expected_value(120_000, probability=0.25, margin=0.8, months=30.0) == 60_000
    assert expected_value(120_000, probability=0.25, margin=0.8, months=None) == 24_000
    assert expected_value(120_000, probability=0.0, margin=0.8, months=30.0) == 0
