"""What a deal comes to: amounts, terms, yearly worth."""

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.services.deal_terms import DealRefused, settle
from integrations.files.rows import ClosedDeal, DealRow, LineRow

DEAL = DealRow("D1", "A", closed_on=date(2024, 1, 1), currency="USD")


def line(amount="1200", **said):
    return LineRow("D1", "Gold", Decimal(amount), **{"key": "1", "price_months": 12, **said})


def terms(*lines, **deal):
    row = DealRow(**{"id": "D1", "account": "A", "closed_on": date(2024, 1, 1), "currency": "USD", **deal})
    return settle(ClosedDeal(row, lines))


def test_a_deal_without_an_amount_is_the_sum_of_its_lines_rounded_once():
    settled = terms(line("10.004", key="1"), line("10.004", key="2"), line("10.004", key="3"))
    assert settled.exact == Decimal("30.012")
    assert settled.amount is not None
    assert settled.amount.text == "30.01"
    assert [each.amount.minor for each in settled.lines] == [1001, 1000, 1000]


def test_a_deal_whose_amount_differs_from_its_lines_keeps_both():
    settled = terms(line("10.00"), amount=Decimal(12))
    assert settled.amount is not None
    assert (settled.amount.minor, settled.lines[0].amount.minor) == (1200, 1000)


def test_a_deal_of_no_amount_and_no_lines_is_open():
    assert terms(currency=None).amount is None


@pytest.mark.parametrize(
    ("said", "ends_on", "term_months", "arr"),
    [
        ({"price_months": None, "ends_on": date(2024, 12, 31)}, date(2024, 12, 31), 12, 120_000),
        ({"price_months": 1, "ends_on": date(2024, 12, 31)}, date(2024, 12, 31), 12, 1_440_000),
        ({"price_months": None, "term_months": 24}, date(2025, 12, 31), 24, 60_000),
        ({"price_months": None, "term_months": 24, "auto_renew": True}, None, 24, 60_000),
        ({"price_months": 1, "term_months": 12, "auto_renew": True}, None, 12, 1_440_000),
        ({"price_months": 1}, None, 1, 1_440_000),
        ({"price_months": None, "ends_on": date(2024, 2, 14)}, date(2024, 2, 14), 1, 973_333),  # 45 days
        ({"kind": "one_time", "price_months": None}, None, None, None),
        ({"kind": "trial"}, None, None, None),
    ],
)
def test_terms_and_prices_as_the_documentation_has_them(said, ends_on, term_months, arr):
    (settled,) = terms(line("1200", **said)).lines
    assert (settled.ends_on, settled.term_months, settled.arr_minor) == (ends_on, term_months, arr)


def test_a_line_starts_with_its_own_day_or_else_the_deals():
    assert terms(line()).lines[0].starts_on == date(2024, 1, 1)
    assert terms(line(starts_on=date(2024, 2, 1))).lines[0].starts_on == date(2024, 2, 1)


@pytest.mark.parametrize(
    ("lines", "deal", "field", "part", "reason"),
    [
        ([line(), line()], {}, "key", 1, "two lines '1'; each needs its own key"),
        ([line(currency="EUR")], {}, "currency", None, "mixes EUR and USD; a deal has one currency"),
        ([line()], {"currency": None}, "currency", None, "an amount needs a currency"),
        ([line(ends_on=date(2023, 1, 1))], {}, "ends_on", 0, "ends on 2023-01-01, before it begins on 2024-01-01"),
        ([line()], {"closed_on": None}, "starts_on", 0, "no first day"),
        ([line("9" * 20)], {}, "amount", 0, "is more than can be booked"),
        ([], {"amount": Decimal("9" * 20)}, "amount", None, "is more than can be booked"),
    ],
)
def test_what_cannot_be_recorded_names_the_field_and_the_line(lines, deal, field, part, reason):
    with pytest.raises(DealRefused, match=reason) as refused:
        terms(*lines, **deal)
    assert (refused.value.field, refused.value.line) == (field, part)


@given(
    st.lists(st.decimals(-10_000, 10_000, places=4), min_size=1, max_size=20), st.sampled_from(["JPY", "USD", "KWD"])
)
def test_the_lines_always_add_up_to_what_is_booked(amounts, currency):
    lines = [line(str(amount), key=str(number)) for number, amount in enumerate(amounts)]
    settled = terms(*lines, currency=currency)
    assert settled.amount is not None
    assert sum(each.amount.minor for each in settled.lines) == settled.amount.minor
