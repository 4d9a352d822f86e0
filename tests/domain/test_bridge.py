"""The bridge of ARR in one currency: by pencil for each basis, and adding up for any history."""

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from datetime import date
from decimal import Decimal

import pytest

from app.domain.bridge import FX, Bridge, revenue_bridge
from app.domain.contracts import ChurnNotice, line_lives
from app.domain.fx import MissingRate, Rate, RateTable
from app.domain.money import Money
from app.domain.movements import LedgerLine, Movement, Pause, find_movements, is_in_arr
from app.domain.revenue import Conversion, FxBasis
from tests.domain.contract_histories import APR, JAN, NEXT_JAN, OLD, history, line

RATES = RateTable(
    [
        Rate(date(2023, 12, 1), "EUR", "USD", Decimal("1.10")),
        Rate(date(2024, 3, 20), "EUR", "USD", Decimal("1.20")),
        Rate(date(2024, 4, 30), "EUR", "USD", Decimal("1.25")),
        Rate(date(2023, 1, 1), "USD", "JPY", Decimal("140.37")),
        Rate(date(2024, 6, 3), "USD", "JPY", Decimal("151.1")),
        Rate(date(2024, 9, 30), "USD", "JPY", Decimal("143.03")),
    ]
)


def conversion(basis: FxBasis, currency: str = "USD") -> Conversion:
    return Conversion(RATES, currency, basis, JAN if basis is FxBasis.CONSTANT else None)


def bridge_of(
    lines: Sequence[LedgerLine],
    basis: FxBasis,
    *,
    days: tuple[date, date],
    notices: Sequence[ChurnNotice] = (),
    currency: str = "USD",
) -> tuple[int, dict[str, int], int]:
    found = find_movements(lines, notices, grace_days=30, with_unchanged=True)
    keys = {each.line.key: each for each in lines}
    whole = revenue_bridge(found, keys, days=days, conversion=conversion(basis, currency), group_of=lambda _: "all")
    bridge = whole.get("all", Bridge())
    return bridge.opening, {str(name): amount for name, amount in bridge.moved.items()}, bridge.closing


RUNNING = line(1, ends_on=None, arr=1000, currency="EUR", booked_on=date(2023, 12, 15))
RAISED = [
    line(1, JAN, date(2024, 3, 31), 1000, currency="EUR", booked_on=date(2023, 12, 15)),
    line(2, APR, None, 1500, currency="EUR", booked_on=date(2024, 3, 25)),
]
FROM_MARCH_TO_MAY = (date(2024, 3, 1), date(2024, 5, 10))


def test_a_constant_rate_shows_no_fx() -> None:
    assert bridge_of(RAISED, FxBasis.CONSTANT, days=FROM_MARCH_TO_MAY) == (1100, {"expansion": 550}, 1650)


def test_a_renewal_booked_at_another_rate_is_told_at_the_new_one_and_the_rest_is_fx() -> None:
    # 1000 EUR at 1.10 was 1100; at 1.20, the renewal's, 1200: 100 is fx. 1500 at 1.20 is 1800: 600 more.
    assert bridge_of(RAISED, FxBasis.BOOKED, days=FROM_MARCH_TO_MAY) == (1100, {"fx": 100, "expansion": 600}, 1800)


def test_a_renewal_at_the_same_price_booked_at_another_rate_is_fx_alone() -> None:
    same = [RAISED[0], line(2, APR, None, 1000, currency="EUR", booked_on=date(2024, 3, 25))]
    assert bridge_of(same, FxBasis.BOOKED, days=FROM_MARCH_TO_MAY) == (1100, {"fx": 100}, 1200)


def test_month_by_month_what_is_held_is_valued_anew_and_a_movement_has_the_rate_of_its_month() -> None:
    # March: 1000 from 1.10 to 1.20, fx 100. April: 1000 from 1.20 to 1.25, fx 50, and 500 more at 1.25. May: nothing.
    assert bridge_of(RAISED, FxBasis.PERIOD_END, days=FROM_MARCH_TO_MAY) == (1100, {"fx": 150, "expansion": 625}, 1875)


def test_the_last_month_is_valued_on_the_closing_day() -> None:
    assert bridge_of([RUNNING], FxBasis.PERIOD_END, days=(APR, date(2024, 4, 29))) == (1200, {}, 1200)
    assert bridge_of([RUNNING], FxBasis.PERIOD_END, days=(APR, date(2024, 4, 30))) == (1200, {"fx": 50}, 1250)


def test_who_leaves_is_valued_anew_first_and_leaves_at_the_rate_of_the_month() -> None:
    notice = ChurnNotice(7, date(2024, 3, 25), line=1)
    found = bridge_of([RUNNING], FxBasis.PERIOD_END, days=(date(2024, 3, 1), date(2024, 3, 31)), notices=[notice])
    assert found == (1100, {"fx": 100, "churn": -1200}, 0)


def test_a_transfer_moves_the_same_amount_out_and_in() -> None:
    moved = line(1, ends_on=None, arr=999, currency="EUR", earlier=((OLD, APR),))
    found = find_movements([moved], [], grace_days=30, with_unchanged=True)
    days, basis = (date(2024, 3, 1), date(2024, 4, 30)), conversion(FxBasis.PERIOD_END)
    by_account = revenue_bridge(found, {1: moved}, days=days, conversion=basis, group_of=lambda each: each.account)
    assert by_account[OLD].closing == 0
    assert by_account[OLD].moved["transfer"] == -by_account[1].moved["transfer"]


def test_a_rate_that_is_missing_is_an_error() -> None:
    with pytest.raises(MissingRate):
        bridge_of([RUNNING], FxBasis.PERIOD_END, days=FROM_MARCH_TO_MAY, currency="JPY")


# --- For any history ---

DAYS = [(date(2024, 2, 1), date(2024, 12, 31)), (date(2024, 5, 17), date(2025, 3, 9)), (JAN, date(2026, 6, 30))]


def by_account(each: Movement) -> Hashable:
    return each.account, each.product


@pytest.mark.parametrize("basis", list(FxBasis))
def test_every_bridge_adds_up_in_every_group_and_closes_at_the_lines_in_force(basis: FxBasis) -> None:
    for seed in range(150):
        lines, notices, pauses = history(seed)
        found = find_movements(lines, notices, pauses=pauses, grace_days=30, with_unchanged=True)
        keys = {each.line.key: each for each in lines}
        rule = conversion(basis, "JPY")
        for days in DAYS:
            whole = revenue_bridge(found, keys, days=days, conversion=rule, group_of=lambda _: "all")
            parts = revenue_bridge(found, keys, days=days, conversion=rule, group_of=by_account)
            for each in (*whole.values(), *parts.values()):
                assert each.opening + sum(each.moved.values()) == each.closing, (seed, days)
            assert total(whole.values()) == total(parts.values()), (seed, days)
            held = in_force(days[1], (lines, notices, pauses), rule=rule)
            assert sum(each.closing for each in parts.values()) == held, (seed, days)
            assert basis is not FxBasis.CONSTANT or not any(FX in each.moved for each in parts.values())


def total(bridges: Iterable[Bridge]) -> Counter[str]:
    found: Counter[str] = Counter()
    for each in bridges:
        found.update({"opening": each.opening, "closing": each.closing, **each.moved})
    return Counter({name: amount for name, amount in found.items() if amount})


def in_force(day: date, facts: tuple[list[LedgerLine], list[ChurnNotice], list[Pause]], *, rule: Conversion) -> int:
    """From the lines alone, each converted once."""
    lines, notices, pauses = facts
    own = {each.line.key: each for each in lines}
    lives = line_lives([each.line for each in lines], notices, grace_days=30, with_discounts=True)
    worth = 0
    for life in lives:
        each = own[life.line.key]
        if is_in_arr(life, [pause for pause in pauses if pause.line == life.line.key], day=day):
            money = Money(life.line.arr_minor, each.currency)
            worth += rule.convert(money, booked_on=each.booked_on, as_of=day).minor
    return worth


def test_grains_add_up() -> None:
    for seed in range(60):
        lines, notices, pauses = history(seed)
        found = find_movements(lines, notices, pauses=pauses, grace_days=30, with_unchanged=True)
        keys = {each.line.key: each for each in lines}
        rule = conversion(FxBasis.PERIOD_END, "JPY")

        def bridge(first_on: date, last_on: date) -> Counter[str]:
            parts = revenue_bridge(found, keys, days=(first_on, last_on), conversion=rule, group_of=by_account)  # noqa: B023
            moved: Counter[str] = Counter()
            for each in parts.values():
                moved.update({str(name): amount for name, amount in each.moved.items()})
            return moved

        halves = bridge(JAN, date(2024, 6, 30))
        halves.update(bridge(date(2024, 7, 1), date(2024, 12, 31)))
        year = bridge(JAN, date(2024, 12, 31))
        assert {name: n for name, n in halves.items() if n} == {name: n for name, n in year.items() if n}, seed


def test_nothing_before_the_first_line_is_an_empty_bridge() -> None:
    assert bridge_of([line(1, NEXT_JAN, None)], FxBasis.CONSTANT, days=(JAN, APR)) == (0, {}, 0)
