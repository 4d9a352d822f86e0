"""What a CRM says of its won deals beside what was booked, by pencil."""

from dataclasses import dataclass
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.contracts import LineKind
from app.domain.reconciliation_crm import CHECKS, ROUNDED, BookedDeal, BookedLine, compare_deals

RECURRING, ONCE = LineKind.RECURRING, LineKind.ONE_TIME


def line(
    key: int = 1, minor: int = 120_000, *, arr: int = 120_000, kind: LineKind = RECURRING, full: int | None = None
) -> BookedLine:
    return BookedLine(key, kind, minor, arr, minor if full is None else full)


def deal(key: int, amount: str, *lines: BookedLine, currency: str = "USD") -> BookedDeal:
    return BookedDeal(key, 7, currency, Decimal(amount), lines)


@dataclass(frozen=True)
class Case:
    name: str
    deal: BookedDeal
    found: list[tuple[str, str, int, tuple[int, ...]]]


CASES = (
    Case("what was booked", deal(1, "1200.00", line()), []),
    Case("a won deal without lines", deal(1, "1200", currency="JPY"), [("missing_in_ledger", "no_lines", 1_200, ())]),
    Case(
        "without what is sold once",
        deal(1, "1200", line(), line(2, 50_000, arr=0, kind=ONCE)),
        [("one_time", "without_once", -50_000, (2,))],
    ),
    Case(
        "a year of three",
        deal(1, "1200", line(minor=360_000)),
        [("timing", "one_year", -240_000, (1,))],
    ),
    Case(
        "a year of three, and what is sold once",
        deal(1, "1700", line(minor=360_000), line(2, 50_000, arr=0, kind=ONCE)),
        [("timing", "one_year", -240_000, (1,))],
    ),
    Case(
        "the price before 20 % off one of two lines",
        deal(1, "2200", line(minor=80_000, full=100_000), line(2)),
        [("discount", "undiscounted", 20_000, (1,))],
    ),
    Case("a slip of the pen", deal(1, "2100", line()), [("unexplained", "unexplained", 90_000, (1,))]),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_kind_of_difference_is_found_alone(case: Case) -> None:
    [position] = compare_deals([case.deal], account=7)
    found = [(part.reason.value, part.check, part.minor, part.ours) for part in position.parts]
    assert found == case.found
    assert position.difference_minor == sum(minor for _, _, minor, _ in found)


def test_every_check_of_the_table_is_shown_by_a_case() -> None:
    assert {check.name for check in CHECKS} <= {check for case in CASES for _, check, _, _ in case.found}


def test_what_rounding_each_deal_makes_of_their_sum_is_listed() -> None:
    """0.005 three times: booked half-even as 1.00, 1.00 and 1.02 (1.015); the CRM adds up to 3.025, 3.02 as money."""
    deals = [
        deal(1, "1.005", line(1, 100)),
        deal(2, "1.005", line(2, 100)),
        deal(3, "1.015", line(3, 102)),
    ]
    [position] = compare_deals(deals, account=7)
    assert (position.ledger_minor, position.other_minor) == (302, 302)
    assert position.is_agreed
    deals.append(deal(4, "2.005", line(4, 200)))
    [position] = compare_deals(deals, account=7)
    [part] = position.parts
    assert (position.ledger_minor, position.other_minor, part.check, part.minor) == (502, 503, ROUNDED, 1)
    assert part.theirs == (1, 2, 3, 4)


def test_currencies_stand_apart() -> None:
    positions = compare_deals([deal(1, "1300", line()), deal(2, "900", currency="JPY")], account=7)
    assert [(each.currency, each.difference_minor) for each in positions] == [("JPY", 900), ("USD", 10_000)]


LINES = st.builds(
    BookedLine,
    st.integers(1, 99),
    st.sampled_from([RECURRING, ONCE]),
    st.integers(-10_000, 10_000),
    st.integers(0, 10_000),
    st.integers(-10_000, 12_000),
)
DEALS = st.builds(
    BookedDeal,
    st.integers(1, 99),
    st.just(7),
    st.sampled_from(["USD", "JPY", "KWD"]),
    st.decimals(-1_000, 1_000, places=4),
    st.lists(LINES, max_size=3).map(tuple),
)


@settings(max_examples=200, derandomize=True, deadline=None, database=None)
@given(st.lists(DEALS, max_size=6))
def test_whatever_the_deals_the_reasons_add_up_and_the_sum_is_rounded_once(deals: list[BookedDeal]) -> None:
    for position in compare_deals(deals, account=7):
        own = [each for each in deals if each.currency == position.currency]
        scale = {"USD": 2, "JPY": 0, "KWD": 3}[position.currency]
        exact = sum((each.exact for each in own), Decimal(0)).scaleb(scale)
        assert position.other_minor == round(exact)
        assert position.ledger_minor == sum(each.minor for deal in own for each in deal.lines)
        assert sum(part.minor for part in position.parts) == position.difference_minor
