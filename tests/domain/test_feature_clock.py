"""The contract as it was known at each landmark, by pencil."""

import numpy as np
import pytest

from app.domain.feature_clock import read_clock
from app.domain.features import LineFacts
from tests.domain.awkward_facts import NAT, days


def lines(*rows):
    """Lines of account 0, each (starts, stops, term, mrr) and what differs from the usual."""
    usual = {"non_cancellable": False, "seats": np.nan, "available_on": None, "replaced_on": NAT}
    usual |= {"leaves_on": NAT, "leaves_for": -1}
    made = [usual | {"starts_on": s, "stops_on": e, "term_months": t, "mrr": m} | more for (s, e, t, m), more in rows]
    for row in made:
        row["available_on"] = row["available_on"] or np.datetime64(row["starts_on"]) - 10
    column = {name: [row[name] for row in made] for name in made[0]}
    dated = ("starts_on", "stops_on", "leaves_on", "available_on", "replaced_on")
    dates = {name: days(*column.pop(name)) for name in dated}
    return LineFacts(
        account=np.zeros(len(rows), dtype=np.int64), **dates, **{k: np.array(v) for k, v in column.items()}
    )


def clock(facts, *landmarks):
    return read_clock(facts, days(*landmarks))


def test_the_renewal_is_the_first_day_after_the_present_term_whenever_the_line_did_stop():
    facts = lines((("2022-03-10", "2023-07-01", 12, 100.0), {}))
    read = clock(facts, "2022-03-10", "2023-03-09", "2023-03-10", "2023-06-30", "2023-07-01")
    assert read.cell.tolist() == [0, 1, 2, 3]
    assert read.renewal_on.tolist() == days("2023-03-10", "2023-03-10", "2024-03-10", "2024-03-10").tolist()


@pytest.mark.parametrize(
    ("starts_on", "landmark", "renewal_on"),
    [
        ("2023-01-01", "2023-06-01", "2024-01-01"),
        ("2023-01-15", "2023-06-15", "2024-01-15"),
        ("2023-01-31", "2023-06-30", "2024-01-31"),
        ("2024-02-29", "2025-02-28", "2026-02-28"),
        ("2023-02-28", "2024-02-28", "2025-02-28"),
    ],
)
def test_terms_are_counted_in_calendar_months_from_their_first_day(starts_on, landmark, renewal_on):
    assert clock(lines(((starts_on, NAT, 12, 1.0), {})), landmark).renewal_on == np.datetime64(renewal_on)


def test_a_monthly_line_has_no_renewal():
    read = clock(lines((("2023-01-01", NAT, 1, 5.0), {})), "2023-06-15")
    assert read.term_months == [1]
    assert np.isnat(read.renewal_on[0])
    assert np.isnat(read.committed_until[0])


def test_the_base_line_has_the_longest_term_and_of_those_the_largest_amount():
    facts = lines(
        (("2023-01-01", NAT, 1, 900.0), {"seats": 4.0}),
        (("2023-02-01", NAT, 12, 50.0), {"seats": 3.0}),
        (("2023-03-01", NAT, 12, 70.0), {"non_cancellable": True}),
    )
    read = clock(facts, "2023-06-15")
    assert read.term_months == [12]
    assert read.renewal_on == np.datetime64("2024-03-01")
    assert read.committed_until == np.datetime64("2024-03-01")
    assert read.mrr == [1020.0]
    assert read.seats == [7.0]


def test_a_line_counts_only_once_it_is_known_and_only_in_its_latest_known_version():
    facts = lines(
        (("2023-01-01", NAT, 12, 100.0), {"available_on": "2023-02-01", "replaced_on": "2023-04-01"}),
        (("2023-01-01", NAT, 12, 130.0), {"available_on": "2023-04-01"}),
    )
    read = clock(facts, "2023-02-01", "2023-02-02", "2023-04-01", "2023-04-02")
    assert read.cell.tolist() == [1, 2, 3]
    assert read.mrr.tolist() == [100.0, 100.0, 130.0]


def test_a_renewal_signed_before_the_term_ends_moves_the_clock_from_the_day_it_is_known():
    facts = lines(
        (("2022-01-01", "2023-01-01", 12, 100.0), {"non_cancellable": True}),
        (("2023-01-01", NAT, 24, 110.0), {"available_on": "2022-12-10", "non_cancellable": True}),
    )
    read = clock(facts, "2022-12-10", "2022-12-11", "2023-01-01")
    assert read.renewal_on.tolist() == days("2023-01-01", "2025-01-01", "2025-01-01").tolist()
    assert read.committed_until.tolist() == read.renewal_on.tolist()
    assert read.term_months.tolist() == [12, 12, 24]
    assert read.mrr.tolist() == [100.0, 100.0, 110.0]


def test_years_signed_at_once_are_followed_to_the_last_and_committed_as_far_as_each_is():
    signed = {"available_on": "2021-12-01"}
    facts = lines(
        (("2022-01-01", "2023-01-01", 12, 100.0), signed | {"non_cancellable": True}),
        (("2023-01-01", "2024-01-01", 12, 150.0), signed | {"non_cancellable": True}),
        (("2024-01-01", "2025-01-01", 12, 200.0), signed),
    )
    read = clock(facts, "2022-05-01")
    assert read.renewal_on == np.datetime64("2025-01-01")
    assert read.committed_until == np.datetime64("2024-01-01")


def test_a_line_that_starts_on_another_day_does_not_move_the_clock():
    facts = lines(
        (("2022-01-01", NAT, 12, 100.0), {}),
        (("2022-12-01", NAT, 12, 10.0), {"available_on": "2022-05-01"}),
    )
    assert clock(facts, "2022-06-01").renewal_on == np.datetime64("2023-01-01")


def test_no_lines_give_no_rows():
    empty = lines((("2022-01-01", "2022-01-01", 12, 100.0), {}))
    assert len(clock(empty, "2022-06-01").cell) == 0
