"""Each kind of difference by pencil: the two sides of one account, and what is to be found."""

from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from typing import Any

from app.domain.contracts import LineKind
from app.domain.fx import Rate, RateTable
from app.domain.reconciliation import Position
from app.domain.reconciliation_billing import Charge, LedgerLine, Moment, Sides
from app.domain.reconciliation_checks import compare_account

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
