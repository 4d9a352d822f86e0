"""The oracle of the ledger by pencil and by property."""

from collections import Counter
from collections.abc import Callable
from datetime import date
from fractions import Fraction

import pytest

from tests.oracle.revenue_histories import draw_history
from tests.oracle.revenue_oracle import (
    History,
    Line,
    Merge,
    Movement,
    Notice,
    Pause,
    arr_of_accounts,
    arr_of_line,
    arr_on,
    is_conflict,
    movements,
    retention,
)


def year(name: str, account: str, amount: int, start: date, end: date = date(2025, 12, 31)) -> Line:
    """Give a line; its amount is that of the whole term."""
    return Line(name, account, name, "USD", amount, start, end)


def test_four_forms_of_retention_of_one_year_differ() -> None:
    """From the end of 31 December 2024 to the end of 31 December 2025, ARR in dollars.

    | account | opening | what happens | closing | nrr@1 | with reactivation | grr@1 |
    |---|---|---|---|---|---|---|
    | A | 40 | buys 12 more on 1 January | 52 | 52 | 52 | 40 |
    | B | 30 | 7 are cancelled on 1 June | 23 | 23 | 23 | 23 |
    | C | 5 | cancels on 1 June, is back with 3 on 1 September | 3 | 0 | 3 | 0 |
    | D | 25 | nothing | 25 | 25 | 25 | 25 |
    | E | 0 | is won with 10 on 1 January, buys 1 more on 1 September | 11 | | | |
    | sum | 100 | | 114 | 100 | 103 | 88 |

    nrr_aggregate@1 = 1 + (expansion 12 + 1, reactivation 3, contraction -7, churn -5) / 100 = 104 %.
    """
    old, new, autumn = date(2024, 1, 1), date(2025, 1, 1), date(2025, 9, 1)
    last = date(2026, 8, 31)
    history = History(
        lines=(
            year("a1", "A", 8000, old),
            year("a2", "A", 1200, new),
            year("b1", "B", 4600, old),
            year("b2", "B", 1400, old),
            year("c1", "C", 1000, old),
            year("c2", "C", 300, autumn, last),
            year("d1", "D", 5000, old),
            year("e1", "E", 1000, new),
            year("e2", "E", 100, autumn, last),
        ),
        notices=(Notice("B", date(2025, 6, 1), "b2"), Notice("C", date(2025, 6, 1), "c1")),
    )
    told = retention(history, date(2024, 12, 31), date(2025, 12, 31), "USD")
    assert told.nrr == 1
    assert told.nrr_with_reactivation == Fraction(103, 100)
    assert told.nrr_aggregate == Fraction(104, 100)
    assert told.grr == Fraction(88, 100)
    assert told.logo == 1


def test_a_lapse_is_churn_after_thirty_days_of_grace_and_a_notice_ends_them() -> None:
    line = year("a", "A", 100, date(2025, 1, 1), date(2025, 1, 31))
    first, last = date(2025, 1, 2), date(2025, 4, 1)
    assert [(m.on, m.category, m.amount, m.source) for m in movements(History((line,)), first, last)] == [
        (date(2025, 3, 3), "churn", -1200, "term")
    ]
    notified = History((line,), (Notice("A", date(2025, 2, 10)),))
    assert [(m.on, m.source) for m in movements(notified, first, last)] == [(date(2025, 2, 10), "notice")]


def test_a_notice_of_an_account_that_pays_on_is_a_conflict_and_ends_nothing() -> None:
    line = year("a", "A", 1200, date(2025, 1, 1))
    notice = Notice("A", date(2025, 6, 1))
    history = History((line,), (notice,))
    assert is_conflict(history, notice)
    assert arr_on(history, date(2025, 6, 1)) == {"a": 1200}


def test_a_pause_is_churn_and_its_end_reactivation() -> None:
    history = History(
        (year("a", "A", 1200, date(2025, 1, 1)),), pauses=(Pause("a", date(2025, 3, 1), date(2025, 3, 31)),)
    )
    told = [(m.on, m.category) for m in movements(history, date(2025, 1, 1), date(2025, 12, 31))]
    assert told == [(date(2025, 1, 1), "new"), (date(2025, 3, 1), "churn"), (date(2025, 4, 1), "reactivation")]


def test_a_merge_takes_from_one_and_gives_to_the_other() -> None:
    history = History((year("a", "A", 1200, date(2025, 1, 1)),), merges=(Merge("A", "B", date(2025, 5, 1)),))
    told = [(m.account, m.category, m.amount) for m in movements(history, date(2025, 2, 1), date(2025, 12, 31))]
    assert told == [("A", "transfer", -1200), ("B", "transfer", 1200)]


@pytest.mark.parametrize(
    ("start", "end", "arr"),
    [
        (date(2025, 1, 31), date(2025, 2, 27), 1200),
        (date(2024, 2, 29), date(2025, 2, 27), 100),
        (date(2025, 1, 1), date(2025, 1, 10), 3650),
    ],
)
def test_whole_months_are_clipped_and_odd_terms_go_by_days(start: date, end: date, arr: int) -> None:
    assert arr_of_line(year("a", "A", 100, start, end)) == arr


LEVELS: dict[str, Callable[[Movement], tuple[str, ...]]] = {
    "account": lambda m: (m.account, m.currency),
    "product": lambda m: (m.product, m.currency),
    "currency": lambda m: (m.currency,),
}


def sum_by(level: str, told: list[Movement]) -> dict[tuple[str, ...], int]:
    """Add movements up at a level, without what adds up to zero."""
    sums: Counter[tuple[str, ...]] = Counter()
    for movement in told:
        sums[LEVELS[level](movement)] += movement.amount
    return {key: amount for key, amount in sums.items() if amount}


def sum_of_lines(level: str, history: History, day: date) -> Counter[tuple[str, ...]]:
    """Add up the ARR of lines on a day at a level."""
    arr = arr_on(history, day)
    lines = [Movement(day, "", x.id, x.product, x.currency, "", arr[x.id], "line") for x in history.lines]
    return Counter(sum_by(level, lines))


@pytest.mark.parametrize("part", range(6))
def test_opening_and_movements_are_closing_in_random_histories(part: int) -> None:
    first, middle, last = date(2023, 12, 31), date(2024, 4, 15), date(2024, 8, 31)
    for seed in range(part * 50, part * 50 + 50):
        history = draw_history(seed).known_at(seed % 5)
        told = movements(history, first, last)
        assert all(m.source for m in told)
        for since, until in ((first, middle), (middle, last), (first, last)):
            moved = [m for m in told if since < m.on <= until]
            opening, closing = (Counter(arr_of_accounts(history, day)) for day in (since, until))
            closing.subtract(opening)
            assert sum_by("account", moved) == {key: amount for key, amount in closing.items() if amount}
            for level in ("product", "currency"):
                change = sum_of_lines(level, history, until)
                change.subtract(sum_of_lines(level, history, since))
                assert sum_by(level, moved) == {key: amount for key, amount in change.items() if amount}
        grr = retention(history, middle, last, ("USD", "EUR", "JPY")[seed % 3]).grr
        assert grr is None or 0 <= grr <= 1
