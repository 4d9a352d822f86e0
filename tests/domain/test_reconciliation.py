"""Each kind of difference by pencil, one at a time: what is found, how much, and by which records."""

from dataclasses import dataclass, replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.contracts import LineKind
from app.domain.fx import Rate, RateTable
from app.domain.reconciliation import Part, Position, Reason
from app.domain.reconciliation_billing import Charge, LedgerLine, Moment, Sides
from app.domain.reconciliation_checks import CHECKS, compare_account, compare_stranger, rows_under_another_id

AS_OF = date(2026, 5, 31)
RATES = RateTable(
    [
        Rate(date(2026, 1, 1), "EUR", "USD", Decimal("1.10")),
        Rate(date(2026, 5, 1), "EUR", "USD", Decimal("1.20")),
    ]
)
MOMENT = Moment(AS_OF, 31, RATES)
MAY = (date(2026, 5, 1), date(2026, 5, 31))
JUNE = (date(2026, 6, 1), date(2026, 6, 30))
YEAR = (date(2026, 1, 1), date(2026, 12, 31))


def line(key: int = 1, arr: int = 120_000, **said: Any) -> LedgerLine:
    """USD 1,200 a year since January, without an end."""
    made = LedgerLine(
        key=key,
        product=1,
        kind=LineKind.RECURRING,
        currency="USD",
        minor=arr,
        arr_minor=arr,
        starts_on=date(2026, 1, 1),
        stops_on=None,
        leaves_on=None,
        booked_on=date(2026, 1, 1),
    )
    return replace(made, **said)


def charge(row: int = 2, minor: int = 10_000, period: tuple[date, date] = MAY, **said: Any) -> Charge:
    """USD 100 for May."""
    made = Charge(row, 1, LineKind.RECURRING, "USD", minor, *period)
    return replace(made, **said)


def compare(lines: list[LedgerLine], charges: list[Charge], moment: Moment = MOMENT) -> list[Position]:
    return compare_account(Sides(lines, charges), moment, account=7)


def told(positions: list[Position]) -> list[tuple[str, str, int, tuple[int, ...], tuple[int, ...]]]:
    parts = [part for position in positions for part in position.parts]
    return [(part.reason.value, part.check, part.minor, part.theirs, part.ours) for part in parts]


def test_a_month_that_is_charged_as_it_was_sold_agrees() -> None:
    [position] = compare([line()], [charge()])
    assert (position.ledger_minor, position.other_minor, position.parts) == (120_000, 120_000, ())
    assert position.is_agreed


@dataclass(frozen=True)
class Case:
    name: str
    lines: list[LedgerLine]
    charges: list[Charge]
    found: tuple[str, str, int, tuple[int, ...], tuple[int, ...]]


ONCE = LineKind.ONE_TIME
CASES = (
    Case("nothing charged", [line()], [], ("missing_in_billing", "nothing_billed", -120_000, (), (1,))),
    Case("nothing sold", [], [charge()], ("missing_in_ledger", "nothing_sold", 120_000, (2,), ())),
    Case(
        "one of two lines is not charged",
        [line(), line(key=2, arr=60_000)],
        [charge()],
        ("missing_in_billing", "line_not_billed", -60_000, (), (2,)),
    ),
    Case(
        "one of two charges was not sold",
        [line()],
        [charge(), charge(row=3, minor=2_500)],
        ("missing_in_ledger", "charge_not_sold", 30_000, (3,), ()),
    ),
    Case(
        "the same row again",
        [line()],
        [charge(), charge(row=9, repeats=2)],
        ("duplicate", "repeated_row", 120_000, (2, 9), ()),
    ),
    Case(
        "the same month on another invoice",
        [line()],
        [charge(), charge(row=3)],
        ("duplicate", "billed_twice", 120_000, (2, 3), ()),
    ),
    Case("charged from June on", [line()], [charge(period=JUNE)], ("timing", "other_day", -120_000, (2,), ())),
    Case(
        "a price that is charged a month after it was agreed: 12 x (120 - 100)",
        [line(arr=144_000)],
        [charge(), charge(row=3, minor=12_000, period=JUNE)],
        ("timing", "other_day", -24_000, (2, 3), ()),
    ),
    Case(
        "it left the ledger on 15 May, and May was charged whole",
        [line(stops_on=date(2026, 5, 15), leaves_on=date(2026, 5, 15))],
        [charge()],
        ("timing", "other_day", 120_000, (), (1,)),
    ),
    Case(
        "the term ended on 9 May: in grace until 8 June",
        [line(stops_on=date(2026, 5, 10), leaves_on=date(2026, 6, 9))],
        [],
        ("timing", "in_grace", -120_000, (), (1,)),
    ),
    Case(
        # 16 of May's 31 days: 100 x 16 / 31 = 51.61, and 51.61 x 365 / 16 = 1,177.35
        "half of May, by the days of May",
        [line(starts_on=date(2026, 5, 16))],
        [charge(minor=5_161, period=(date(2026, 5, 16), AS_OF))],
        ("timing", "part_month", -2_265, (2,), ()),
    ),
    Case(
        # EUR 1,000 at the day's 1.20 is USD 1,200; it was charged at January's 1.10
        "dollars for euros, at the rate of the sale",
        [line(arr=100_000, currency="EUR")],
        [charge(minor=110_000, period=YEAR)],
        ("fx", "other_rate", -8_333, (2,), (1,)),
    ),
    Case(
        "a set-up of 100 that the export takes for a month's charge",
        [line(), line(key=5, arr=0, minor=10_000, kind=ONCE)],
        [charge(), charge(row=3)],
        ("duplicate", "billed_twice", 120_000, (2, 3), ()),
    ),
    Case(
        "a set-up of 500 that the export takes for a year's charge",
        [line(), line(key=5, arr=0, minor=50_000, kind=ONCE)],
        [charge(), charge(row=3, minor=50_000, period=YEAR)],
        ("one_time", "sold_once", 50_000, (3,), (5,)),
    ),
    Case(
        "a year that the export takes for one charge",
        [line()],
        [charge(minor=120_000, kind=ONCE, period=(date(2026, 1, 1), date(2026, 1, 1)))],
        ("one_time", "charged_once", -120_000, (2,), (1,)),
    ),
    Case(
        "10 % off each month",
        [line()],
        [charge(minor=9_000, discount_minor=1_000)],
        ("discount", "billing_discount", -12_000, (2,), ()),
    ),
    Case(
        "sold with 20 % off, charged in full",
        [line(arr=96_000, discount=Decimal("0.2"))],
        [charge()],
        ("discount", "ledger_discount", 24_000, (), (1,)),
    ),
    Case(
        "a rebate that was sold as a line below zero, and never given",
        [line(), line(key=2, arr=-12_000)],
        [charge()],
        ("discount", "credit", 12_000, (), (2,)),
    ),
    Case(
        "1,000 a year in twelve parts of 83.33",
        [line(arr=100_000)],
        [charge(minor=8_333)],
        ("rounding", "rounding", -4, (2,), (1,)),
    ),
    Case(
        "a cent more a month is a price, not rounding",
        [line()],
        [charge(minor=10_001)],
        ("unexplained", "unexplained", 12, (2,), (1,)),
    ),
    Case(
        "ninety instead of a hundred, and no reason",
        [line()],
        [charge(minor=9_000)],
        ("unexplained", "unexplained", -12_000, (2,), (1,)),
    ),
    Case(
        "nothing since February is not a matter of some days",
        [line()],
        [charge(period=(date(2026, 2, 1), date(2026, 2, 28)))],
        ("missing_in_billing", "nothing_billed", -120_000, (), (1,)),
    ),
)


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


def test_a_discount_shows_under_another_id_too() -> None:
    [known] = compare([line()], [charge(minor=9_000, discount_minor=1_000, is_guess=True)])
    assert [(part.reason, part.minor) for part in known.parts] == [
        (Reason.ID_MISMATCH, -108_000),
        (Reason.DISCOUNT, -12_000),
    ]


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


DAYS = st.dates(date(2026, 3, 1), date(2026, 7, 31))
CURRENCIES = st.sampled_from(["USD", "EUR", "JPY"])
PRODUCTS = st.sampled_from([1, 2, 3])
MINORS = st.one_of(st.sampled_from([9_000, 10_000, 120_000]), st.integers(-1_000_000, 1_000_000))
KINDS = st.sampled_from([LineKind.RECURRING, LineKind.RECURRING, LineKind.ONE_TIME, LineKind.USAGE_BASED])


@st.composite
def any_line(draw: st.DrawFn) -> LedgerLine:
    kind, starts_on, stops_on = draw(KINDS), draw(DAYS), draw(st.none() | DAYS)
    arr = draw(MINORS) if kind is LineKind.RECURRING else 0
    return line(
        key=draw(st.integers(1, 10**6)),
        arr=arr,
        minor=draw(MINORS),
        kind=kind,
        product=draw(PRODUCTS),
        currency=draw(CURRENCIES),
        starts_on=starts_on,
        stops_on=stops_on,
        leaves_on=stops_on and stops_on + timedelta(days=draw(st.sampled_from([0, 30]))),
        discount=draw(st.none() | st.sampled_from([Decimal("0.1"), Decimal("0.333"), Decimal(1), Decimal(-1)])),
    )


@st.composite
def any_charge(draw: st.DrawFn) -> Charge:
    starts_on, days = draw(DAYS), draw(st.integers(0, 400))
    row = draw(st.integers(2, 10**6))
    return charge(
        row=row,
        minor=draw(MINORS),
        period=(starts_on, starts_on + timedelta(days=days)),
        product=draw(st.none() | PRODUCTS),
        kind=draw(KINDS),
        currency=draw(CURRENCIES),
        price_months=draw(st.none() | st.sampled_from([1, 3, 12])),
        discount_minor=draw(st.sampled_from([0, 0, 1_000])),
        repeats=draw(st.none() | st.just(1)),
        is_guess=draw(st.booleans()),
    )


@settings(max_examples=300, derandomize=True, deadline=None, database=None)
@given(st.lists(any_line(), max_size=5), st.lists(any_charge(), max_size=6))
def test_whatever_is_on_the_two_sides_the_reasons_add_up(lines: list[LedgerLine], charges: list[Charge]) -> None:
    """Parts add up in every position (Position refuses others); and nothing that is in ARR or in force is lost."""
    positions = compare(lines, charges)
    for currency in ("USD", "EUR", "JPY"):
        own = [each for each in positions if each.currency == currency]
        in_arr = sum(each.arr_minor for each in lines if each.currency == currency and each.is_in_arr(AS_OF))
        assert sum(each.ledger_minor for each in own) == in_arr
        assert sum(p.minor for each in own for p in each.parts) == sum(each.difference_minor for each in own)
    strange = compare_stranger(charges, MOMENT, customer="x", elsewhere=rows_under_another_id(positions))
    in_force = [each for each in charges if each.covers(AS_OF)]
    assert sum(each.other_minor for each in strange) == sum(each.annual(each.minor) for each in in_force)
    if all(each.currency == "USD" for each in charges) and all(each.currency == "USD" for each in lines):
        own_charges = [each for each in in_force if not each.is_guess]
        assert sum(each.other_minor for each in positions) == sum(each.annual(each.minor) for each in own_charges)


# What is charged and not sold may be another's that is sold and not charged, under another name.
PLANTS = tuple(case for case in CASES if case.found[0] not in {"fx", "timing"} and case.name != "nothing sold")


@settings(max_examples=150, derandomize=True, deadline=None, database=None)
@given(st.lists(st.sampled_from(PLANTS), min_size=1, max_size=3, unique_by=lambda case: case.name))
def test_what_is_planted_in_several_products_of_one_account_is_found_in_each(planted: list[Case]) -> None:
    """Each plant in a product of its own, with keys and rows of its own."""
    lines, charges, wanted = [], [], []
    for number, case in enumerate(planted, start=1):
        lines += [replace(each, product=number, key=each.key + 100 * number) for each in case.lines]
        for each in case.charges:
            repeats = each.repeats and each.repeats + 100 * number
            charges.append(replace(each, product=number, row=each.row + 100 * number, repeats=repeats))
        wanted.append(case.found[:3])
    positions = compare(lines, charges)
    total = sum(each.difference_minor for each in positions)
    assert total == sum(minor for _, _, minor in wanted)
    assert sorted(each[:3] for each in told(positions)) == sorted(wanted)
