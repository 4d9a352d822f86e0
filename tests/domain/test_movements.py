"""Movements of recurring revenue: the table of cases by pencil, and what holds for any history."""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal

import pytest

from app.domain.contracts import ChurnNotice, line_lives
from app.domain.movement_reasons import Reason, reasons_of_difference
from app.domain.movements import Category, LedgerLine, Movement, Pause, SourceKind, find_movements
from tests.domain.contract_histories import APR, CRM, DAY, JAN, JUL, KEPT, MAIL, NEXT_JAN, OCT, OLD, history, line


def moves(
    lines: Sequence[LedgerLine], notices: Sequence[ChurnNotice] = (), *, pauses: Sequence[Pause] = ()
) -> list[tuple[date, str, str | None, int]]:
    found = find_movements(lines, notices, pauses=pauses, grace_days=30)
    return [(each.moved_on, each.category, each.reason, each.amount_minor) for each in found]


def test_a_line_enters_on_its_first_day_and_lapses_when_its_grace_is_over() -> None:
    found = find_movements([line(1)], [], grace_days=30)
    assert found == [
        Movement(KEPT, 1, None, CRM, JAN, JAN, Category.NEW, None, 1200, "USD", SourceKind.LINE, 1),
        Movement(
            KEPT,
            1,
            None,
            CRM,
            date(2025, 1, 31),
            NEXT_JAN,
            Category.CHURN,
            None,
            -1200,
            "USD",
            SourceKind.LAPSE,
            1,
        ),
    ]


def test_a_notice_ends_a_line_without_grace_and_is_the_source() -> None:
    notice = ChurnNotice(7, JUL, JAN, line=1)
    last = find_movements([line(1, ends_on=None)], [notice], grace_days=30)[-1]
    assert (last.moved_on, last.category, last.source_kind, last.source_id) == (JUL, "churn", "notice", 7)


def test_a_renewal_is_one_movement_with_the_difference_and_none_at_the_same_price() -> None:
    assert moves([line(1), line(2, NEXT_JAN, None)])[1:] == []
    [rise] = find_movements([line(1), line(2, NEXT_JAN, None, 1500)], [], grace_days=30)[1:]
    assert (rise.category, rise.reason, rise.amount_minor, rise.line, rise.from_line) == (
        "expansion",
        "price",
        300,
        2,
        1,
    )


def test_a_renewal_within_the_grace_counts_on_the_day_it_begins() -> None:
    assert moves([line(1), line(2, date(2025, 1, 15), None, 1000)])[1:] == [
        (date(2025, 1, 15), "contraction", "price", -200)
    ]


def test_coming_back_after_the_grace_is_a_reactivation() -> None:
    found = moves([line(1), line(2, date(2025, 3, 1), None)])
    assert [category for _, category, _, _ in found] == ["new", "churn", "reactivation"]


def test_seats_and_price_changed_on_one_day_are_split() -> None:
    old, new = line(1, quantity=10, arr=1000), line(2, NEXT_JAN, None, 1320, quantity=12)
    assert moves([old, new])[1:] == [
        (NEXT_JAN, "expansion", "seats", 200),
        (NEXT_JAN, "expansion", "price", 120),
    ]


def test_a_swap_gives_its_net_split_by_line_with_signs() -> None:
    lines = [line(1, offer=99), line(2, NEXT_JAN, None, 2000, product=MAIL, offer=99)]
    assert moves(lines)[1:] == [
        (NEXT_JAN, "expansion", "plan", -1200),
        (NEXT_JAN, "expansion", "plan", 2000),
    ]


def test_another_product_and_another_line_of_the_same_product_have_reasons_of_their_own() -> None:
    lines = [line(1, ends_on=None), line(2, APR, None, 100, product=MAIL), line(3, JUL, None, 50)]
    assert moves(lines)[1:] == [(APR, "expansion", "product", 100), (JUL, "expansion", "seats", 50)]


def test_a_discount_sold_as_a_line_below_zero_is_a_line_like_another() -> None:
    lines = [line(1, ends_on=None), line(2, APR, date(2024, 6, 30), -200)]
    assert moves(lines) == [
        (JAN, "new", None, 1200),
        (APR, "contraction", "price", -200),
        (date(2024, 7, 31), "expansion", "price", 200),  # its term lapsed; the grace is the same for all lines
    ]


def test_a_discount_neither_renews_what_it_is_on_nor_outlives_its_renewal() -> None:
    lines = [line(1), line(2, arr=-200), line(3, NEXT_JAN, None, 1100, renews=1)]
    assert moves(lines) == [
        (JAN, "new", None, 1200),
        (JAN, "new", None, -200),
        (NEXT_JAN, "expansion", "price", 200),
        (NEXT_JAN, "expansion", "price", -100),
    ]
    assert moves([line(1), line(2, NEXT_JAN, None, -200)])[-1] == (date(2025, 1, 31), "churn", None, -1200)


def test_an_account_of_nothing_but_a_credit_neither_begins_nor_churns() -> None:
    notice = ChurnNotice(7, JUL, line=1)
    assert moves([line(1, ends_on=None, arr=-200)], [notice]) == [
        (JAN, "contraction", "price", -200),
        (JUL, "expansion", "price", 200),
    ]


def test_a_pause_of_everything_is_churn_and_its_end_a_reactivation() -> None:
    found = find_movements([line(1, ends_on=None)], [], pauses=[Pause(5, 1, APR, JUL)], grace_days=30)
    assert [(m.moved_on, m.category, m.reason, m.amount_minor, m.source_kind, m.source_id) for m in found[1:]] == [
        (APR, "churn", "pause", -1200, "pause", 5),
        (JUL, "reactivation", "resume", 1200, "pause", 5),
    ]


def test_a_pause_of_a_part_is_a_contraction_and_overlapping_pauses_are_one() -> None:
    lines = [line(1, ends_on=None), line(2, ends_on=None, product=MAIL, arr=300)]
    pauses = [Pause(5, 2, APR, JUL), Pause(6, 2, date(2024, 5, 1), OCT), Pause(8, 2, OCT, OCT)]
    assert moves(lines, pauses=pauses)[2:] == [
        (APR, "contraction", "pause", -300),
        (OCT, "expansion", "resume", 300),
    ]


def test_a_line_that_stopped_while_it_was_paused_does_not_come_back() -> None:
    assert moves([line(1)], pauses=[Pause(5, 1, OCT, date(2025, 1, 10))])[1:] == [(OCT, "churn", "pause", -1200)]


def test_a_merge_transfers_what_is_there_and_the_past_goes_with_it() -> None:
    merged_on = APR
    ended = line(3, date(2020, 1, 1), date(2020, 12, 31), 70, earlier=((OLD, merged_on),))
    running = line(1, ends_on=None, earlier=((OLD, merged_on),))
    own = line(2, JUL, None, 500)
    found = find_movements([running, own, ended], [], grace_days=30)
    assert [(m.account, m.moved_on, m.category, m.amount_minor) for m in found] == [
        (OLD, date(2020, 1, 1), "new", 70),
        (OLD, date(2021, 1, 31), "churn", -70),
        (OLD, JAN, "reactivation", 1200),
        (OLD, merged_on, "transfer", -1200),
        (KEPT, merged_on, "transfer", 1200),
        (KEPT, JUL, "expansion", 500),
    ]
    assert {m.source_id for m in found if m.category == "transfer"} == {OLD}


def test_who_was_merged_and_had_ended_makes_the_other_come_back_not_begin() -> None:
    ended = line(3, date(2020, 1, 1), date(2020, 12, 31), 70, earlier=((OLD, APR),))
    assert moves([ended, line(2, JUL, None, 500)])[-1] == (JUL, "reactivation", None, 500)
    assert moves([ended, line(2, JAN, None, 500)])[-1] == (JAN, "new", None, 500)


def test_currencies_of_one_day_each_have_their_own_sign() -> None:
    lines = [line(1), line(2, ends_on=None, product=MAIL), line(3, NEXT_JAN, None, 900, currency="EUR")]
    assert moves(lines)[2:] == [
        (NEXT_JAN, "contraction", "price", -1200),
        (NEXT_JAN, "expansion", "price", 900),
    ]


@pytest.mark.parametrize(
    ("old", "new", "quantities", "parts"),
    [
        (1000, 1000, (10, 10), []),
        (1000, 1200, (10, 12), [(Reason.SEATS, 200)]),
        (1000, 1000, (10, 8), [(Reason.SEATS, -200), (Reason.PRICE, 200)]),
        (1000, 334, (3, 1), [(Reason.SEATS, -666)]),  # a third of 1000 is 333.33; the rounding is no price
        (1000, 900, (0, 5), [(Reason.PRICE, -100)]),
    ],
)
def test_a_difference_is_split_exactly(
    old: int, new: int, quantities: tuple[int, int], parts: list[tuple[Reason, int]]
) -> None:
    first, second = quantities
    found = reasons_of_difference(old, new, old_quantity=Decimal(first), new_quantity=Decimal(second))
    assert found == parts


# --- For any history ---


Cell = tuple[int, int, str]


def arr_on(
    day: date, lines: Sequence[LedgerLine], notices: Sequence[ChurnNotice], pauses: Sequence[Pause]
) -> Counter[Cell]:
    """By (account, product, currency), from the lines alone, day by day."""
    found: Counter[Cell] = Counter()
    own = {each.line.key: each for each in lines}
    for life in line_lives([each.line for each in lines], notices, grace_days=30, with_discounts=True):
        each = own[life.line.key]
        is_there = life.line.starts_on <= day and (life.leaves_on is None or day < life.leaves_on)
        for pause in pauses:
            if pause.line == life.line.key and pause.resumes_on != pause.pauses_on and pause.pauses_on <= day:
                never_back = pause.resumes_on is None or (life.stops_on and pause.resumes_on >= life.stops_on)
                is_there = is_there and not (never_back or (pause.resumes_on and day < pause.resumes_on))
        if is_there:
            found[each.owner(day), each.product, each.currency] += life.line.arr_minor
    return found


def days_of(found: Sequence[Movement]) -> Iterator[date]:
    for day in {each.moved_on for each in found}:
        yield from (day - DAY, day)


def check(seed: int) -> None:
    lines, notices, pauses = history(seed)
    found = find_movements(lines, notices, pauses=pauses, grace_days=30)
    for day in days_of(found):
        summed: Counter[Cell] = Counter()
        for each in found:
            if each.moved_on <= day:
                summed[each.account, each.product, each.currency] += each.amount_minor
        held = arr_on(day, lines, notices, pauses)
        assert {cell: n for cell, n in summed.items() if n} == {cell: n for cell, n in held.items() if n}, (seed, day)
    assert all(each.amount_minor for each in found), seed
    assert [each.moved_on for each in found] == sorted(each.moved_on for each in found)
    for day in {each.moved_on for each in found}:
        check_day(day, found)


def check_day(day: date, found: Sequence[Movement]) -> None:
    for account in {each.account for each in found}:
        own = [each for each in found if each.account == account]
        today = {each.category for each in own if each.moved_on == day and each.category != Category.TRANSFER}
        before, after = (has_something(own, until) for until in (day, day + DAY))
        if Category.CHURN in today:
            assert today == {Category.CHURN}
            assert not after
        if today & {Category.NEW, Category.REACTIVATION}:
            assert len(today) == 1
            assert after
        if before and not after:
            gone = {each.category for each in own if each.moved_on == day}
            assert gone <= {Category.CHURN, Category.TRANSFER}


def has_something(own: Sequence[Movement], until: date) -> bool:
    held: Counter[str] = Counter()
    for each in own:
        if each.moved_on < until:
            held[each.currency] += each.amount_minor
    return any(amount > 0 for amount in held.values())


def test_movements_up_to_any_day_sum_to_the_lines_in_force() -> None:
    for seed in range(400):
        check(seed)


@pytest.mark.slow
def test_movements_of_many_histories_sum_to_the_lines_in_force() -> None:
    for seed in range(400, 10_400):
        check(seed)


def test_the_order_in_which_lines_are_given_does_not_matter() -> None:
    for seed in range(100):
        lines, notices, pauses = history(seed)
        forwards = find_movements(lines, notices, pauses=pauses, grace_days=30)
        backwards = find_movements(lines[::-1], notices[::-1], pauses=pauses[::-1], grace_days=30)
        assert sorted(forwards, key=repr) == sorted(backwards, key=repr), seed


def test_the_grace_of_a_lapse_is_the_one_of_its_day() -> None:
    def grace(stops_on: date) -> int:
        return 30 if stops_on < NEXT_JAN else 10

    last = find_movements([line(1)], [], grace_days=grace)[-1]
    assert last.moved_on == date(2025, 1, 11)
