"""Counting events in columns: by pencil, and against counting one after another."""

from collections import Counter
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.roll_up import BLOCK_SECONDS, EventColumns, count_events, days_of_blocks, find_person_days

EVENT = st.tuples(
    st.integers(1, 3), st.integers(0, 2), st.integers(-1, 2), st.integers(20_000, 20_002), st.integers(20_002, 20_003)
)


def columns(events: list[tuple[int, ...]]) -> EventColumns:
    return EventColumns(*np.array(events, dtype=np.int64).reshape(-1, 5).T)


def test_by_pencil() -> None:
    events = columns([(1, 0, 7, 5, 6), (1, 0, 7, 5, 6), (1, 1, 7, 5, 9), (1, 0, -1, 5, 6), (2, 0, 7, 4, 6)])
    counts, people = count_events(events), find_person_days(events)
    found = zip(counts.account, counts.feature, counts.day, counts.available, counts.events, strict=True)
    assert [tuple(map(int, row)) for row in found] == [(1, 0, 5, 6, 3), (1, 1, 5, 9, 1), (2, 0, 4, 6, 1)]
    rows = zip(people.account, people.day, people.person, people.available, strict=True)
    assert [tuple(map(int, row)) for row in rows] == [(1, 5, 7, 6), (2, 4, 7, 6)]


@given(st.lists(EVENT))
def test_against_counting_one_after_another(events: list[tuple[int, ...]]) -> None:
    counts, people = count_events(columns(events)), find_person_days(columns(events))
    plain = Counter((account, feature, day, available) for account, feature, _, day, available in events)
    rows = zip(counts.account, counts.feature, counts.day, counts.available, counts.events, strict=True)
    assert {tuple(map(int, row[:4])): int(row[4]) for row in rows} == plain
    first: dict[tuple[int, int, int], int] = {}
    for account, _, person, day, available in events:
        if person >= 0:
            first.setdefault((account, day, person), available)
    rows = zip(people.account, people.day, people.person, people.available, strict=True)
    assert {tuple(map(int, row[:3])): int(row[3]) for row in rows} == first


def test_columns_that_do_not_fit_in_one_number_are_refused() -> None:
    far = np.array([0, 2**40])
    with pytest.raises(OverflowError):
        count_events(EventColumns(far, far, far, far, far))


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "Asia/Kathmandu", "America/St_Johns", "Australia/Lord_Howe"])
def test_days_of_a_zone_are_those_of_the_calendar(zone: str) -> None:
    start = int(datetime(2026, 3, 27, tzinfo=UTC).timestamp()) // BLOCK_SECONDS
    blocks = np.arange(start, start + 10 * 96)  # over the change of the clocks
    days = days_of_blocks(blocks[::-1], ZoneInfo(zone))[::-1]
    epoch = date(1970, 1, 1).toordinal()
    expected = [
        datetime.fromtimestamp(block * 900, ZoneInfo(zone)).date().toordinal() - epoch for block in blocks.tolist()
    ]
    assert days.tolist() == expected
    assert len(days_of_blocks(blocks[:0], ZoneInfo(zone))) == 0
