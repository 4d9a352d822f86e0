from decimal import Decimal
from fractions import Fraction

import pytest
from babel.core import get_global
from babel.numbers import get_currency_precision
from hypothesis import given
from hypothesis import strategies as st

from app.domain.money import (
    MAX_MINOR,
    MINOR_DIGITS,
    Money,
    MoneyError,
    convert,
    divide_half_even,
    exact_sum,
    minor_digits,
    parse_decimal,
    parse_money,
    round_to_money,
    spread,
)

CURRENCIES = st.sampled_from(["JPY", "USD", "KWD", "CLF"])
EXACT = st.decimals(-(10**9), 10**9, places=6)


def test_the_digits_of_well_known_currencies():
    assert [minor_digits(code) for code in ("JPY", "USD", "EUR", "KWD", "CLF", "ISK")] == [0, 2, 2, 3, 4, 0]


def test_every_legal_tender_of_today_is_known():
    tenders = [row for rows in get_global("territory_currencies").values() for row in rows]
    assert {code for code, _, ended, is_tender in tenders if ended is None and is_tender} <= set(MINOR_DIGITS)


def test_the_digits_agree_with_unicode_save_where_unicode_follows_the_purse():
    # CLDR gives the digits people still use; ISO 4217 gives those that are owed.
    without_digits_in_daily_use = {
        *("AFN", "ALL", "IQD", "IRR", "KPW", "LAK", "LBP", "MGA", "MMK"),
        *("MRO", "RSD", "SLL", "SOS", "STD", "SYP", "YER", "ZWL"),
    }
    differing = {code for code, digits in MINOR_DIGITS.items() if digits != get_currency_precision(code)}
    assert differing <= without_digits_in_daily_use


@pytest.mark.parametrize("code", ["usd", "US", "XXX", "XAU", "¥", "", "EURO"])
def test_an_unknown_currency_is_refused_with_its_name(code):
    with pytest.raises(MoneyError, match="is not a currency; use an ISO 4217 code"):
        Money(1, code)


def test_the_sources_text_becomes_minor_units():
    assert parse_money("1200.00", "JPY") == Money(1200, "JPY")
    assert parse_money("1234.5", "USD") == Money(123450, "USD")
    assert parse_money("-0.125", "KWD") == Money(-125, "KWD")
    assert parse_money("+.5", "EUR") == Money(50, "EUR")
    assert parse_money("7.", "EUR") == Money(700, "EUR")


def test_what_is_finer_than_the_currency_is_refused():
    with pytest.raises(MoneyError, match=r"1200\.50 is finer than JPY allows, which has 0 digits"):
        parse_money("1200.50", "JPY")


@pytest.mark.parametrize(
    "text",
    ["NaN", "-Infinity", "inf", "1e400", "1E3", "1,234.50", "１２３", "0x10", "1_000", "--1", ".", "$5", "1 2", "١"],
)
def test_what_is_not_a_plain_number_is_refused_with_its_text(text):
    with pytest.raises(MoneyError, match=r"is not a plain decimal number such as 1234\.50"):
        parse_decimal(text)


def test_nothing_at_all_is_refused():
    for text in ("", "  "):
        with pytest.raises(MoneyError, match="the amount is empty"):
            parse_decimal(text)


def test_a_number_of_4300_digits_is_refused_without_repeating_it():
    with pytest.raises(MoneyError, match="has 4300 characters; at most 40") as refused:
        parse_decimal("9" * 4300)
    assert len(str(refused.value)) < 100


def test_more_than_can_be_booked_is_refused():
    assert round_to_money(Decimal(MAX_MINOR), "JPY").minor == MAX_MINOR
    with pytest.raises(MoneyError, match="is more than can be booked"):
        round_to_money(Decimal(MAX_MINOR + 1), "JPY")
    with pytest.raises(MoneyError, match="is not an amount"):
        round_to_money(Decimal("NaN"), "USD")


def test_rounding_is_half_even():
    cents = [round_to_money(Decimal(text), "USD").minor for text in ("0.005", "0.015", "0.025", "-0.005", "-0.015")]
    assert cents == [0, 2, 2, 0, -2]


def test_money_is_written_with_all_digits_of_its_currency():
    assert Money(123450, "USD").text == "1234.50"
    assert Money(-5, "USD").text == "-0.05"
    assert Money(1200, "JPY").text == "1200"
    assert Money(0, "KWD").text == "0.000"
    assert Money(10**30, "JPY").text == "1" + "0" * 30


def test_two_currencies_are_never_added():
    assert Money(5, "USD") + Money(7, "USD") - Money(2, "USD") == Money(10, "USD")
    with pytest.raises(MoneyError, match="USD and EUR cannot be added without an exchange rate"):
        Money(5, "USD") + Money(5, "EUR")
    with pytest.raises(MoneyError, match="cannot be added"):
        Money(5, "USD") - Money(5, "EUR")


def test_a_rounded_deal_is_spread_over_its_lines_by_largest_remainder():
    lines = [Decimal("2024.994"), Decimal("6074.982"), Decimal("28.8404")]
    total = round_to_money(exact_sum(lines), "USD")
    assert total == Money(812882, "USD")  # 8128.8164
    # rounded down 2024.99 + 6074.98 + 28.84 = 8128.81; one cent is missing; remainders .4, .2, .04
    assert [part.minor for part in spread(total, lines)] == [202500, 607498, 2884]


def test_equal_remainders_go_to_the_earlier_line():
    total = Money(100, "USD")
    thirds = [Decimal("0.333333333")] * 3
    assert [part.minor for part in spread(total, thirds)] == [34, 33, 33]


def test_lines_that_do_not_add_up_to_the_deal_are_refused():
    with pytest.raises(MoneyError, match=r"the lines add up to 10 USD, which does not round to 10\.05"):
        spread(Money(1005, "USD"), [Decimal(4), Decimal(6)])
    with pytest.raises(MoneyError, match="does not round to"):
        spread(Money(1, "USD"), [])
    assert spread(Money(0, "USD"), []) == []


def test_conversion_rounds_once():
    assert convert(Money(100_00, "USD"), "JPY", rate=Decimal("151.235")) == Money(15124, "JPY")  # 15123.5, half to even
    assert convert(Money(1000, "JPY"), "KWD", rate=Decimal("0.0020475")) == Money(2048, "KWD")
    for rate in ("0", "-1", "NaN", "Infinity"):
        with pytest.raises(MoneyError, match="is not an exchange rate"):
            convert(Money(1, "USD"), "EUR", rate=Decimal(rate))


@given(st.integers(-(10**18), 10**18), st.integers(1, 10**6))
def test_division_agrees_with_the_rounding_of_fractions(numerator, denominator):
    assert divide_half_even(numerator, denominator) == round(Fraction(numerator, denominator))


def test_division_by_nothing_is_refused():
    with pytest.raises(ValueError, match="above 0"):
        divide_half_even(1, 0)


@given(EXACT, CURRENCIES)
def test_rounding_agrees_with_fractions(exact, currency):
    assert round_to_money(exact, currency).minor == round(Fraction(exact) * 10 ** minor_digits(currency))


@given(st.integers(-MAX_MINOR, MAX_MINOR), CURRENCIES)
def test_what_is_written_is_read_back(minor, currency):
    assert parse_money(Money(minor, currency).text, currency) == Money(minor, currency)


@given(st.lists(EXACT, min_size=1, max_size=30), CURRENCIES)
def test_spread_lines_add_up_and_stay_within_one_minor_unit(lines, currency):
    total = round_to_money(exact_sum(lines), currency)
    parts = spread(total, lines)
    assert sum(part.minor for part in parts) == total.minor
    unit = Decimal(1).scaleb(-minor_digits(currency))
    assert all(abs(part.amount - line) < unit for part, line in zip(parts, lines, strict=True))


@given(st.text(max_size=50))
def test_any_text_is_read_exactly_or_refused(text):
    try:
        number = parse_decimal(text)
    except MoneyError:
        return
    assert Fraction(number) == Fraction(Decimal(text))
