from datetime import date

import numpy as np
import pytest

from app.domain.features import FeatureTable
from app.domain.hazard_clock import (
    CLOCK_COLUMNS,
    boundaries_from,
    build_clock,
    clock_columns,
    landmark_offsets,
    month_offsets,
    months_before,
    training_landmarks,
)
from tests.domain.notices import nobody_leaves


def one_account(
    *, landmark: str, started: str, term: int = 1, renewal: str | None = None, committed: str | None = None
) -> FeatureTable:
    def day(text: str | None) -> np.ndarray:
        return np.array([text or "NaT"], dtype="datetime64[D]")

    return FeatureTable(
        account=np.array([0]),
        spell=np.array([0]),
        landmark=day(landmark),
        started_on=day(started),
        term_months=np.array([term]),
        renewal_on=day(renewal),
        committed_until=day(committed),
        **nobody_leaves(1),
        mrr=np.array([100.0]),
        names=(),
        values=np.empty((1, 0)),
    )


@pytest.mark.parametrize("as_of", [date(2024, 3, 1), date(2024, 3, 15), date(2024, 3, 31)])
def test_every_day_lies_in_the_month_between_its_two_boundaries(as_of: date) -> None:
    days = np.arange(np.datetime64("2022-01-01"), np.datetime64("2026-12-31"))
    month = month_offsets(as_of, days)
    assert (boundaries_from(as_of, month) <= days).all()
    assert (days < boundaries_from(as_of, month + 1)).all()
    assert (np.diff(month) >= 0).all()


def test_landmarks_lie_at_whole_months_back_and_never_before_the_record_is_complete() -> None:
    landmarks = training_landmarks(date(2024, 3, 31), date(2023, 11, 30), n_accounts=10)
    assert landmarks.astype(str).tolist() == ["2023-11-30", "2023-12-31", "2024-01-31", "2024-02-29"]
    later = training_landmarks(date(2024, 3, 31), date(2023, 12, 1), n_accounts=10)
    assert later.astype(str).tolist() == ["2023-12-31", "2024-01-31", "2024-02-29"]
    quarterly = training_landmarks(date(2024, 3, 31), date(2023, 1, 1), n_accounts=500)
    assert quarterly.astype(str).tolist() == ["2023-03-31", "2023-06-30", "2023-09-30", "2023-12-31"]


def test_a_record_that_begins_today_has_no_landmark() -> None:
    assert len(training_landmarks(date(2024, 3, 31), date(2024, 3, 31), n_accounts=10)) == 0
    assert months_before(date(2024, 3, 31), date(2025, 1, 1)) == 0


def test_a_day_that_is_no_landmark_is_refused() -> None:
    with pytest.raises(ValueError, match="whole number of months"):
        landmark_offsets(date(2024, 3, 31), np.array(["2024-02-28"], dtype="datetime64[D]"))
    with pytest.raises(ValueError, match="whole number of months"):
        landmark_offsets(date(2024, 3, 31), np.array(["2024-04-30"], dtype="datetime64[D]"))


@pytest.mark.parametrize(
    ("as_of", "renewal", "months"),
    [
        (date(2024, 12, 1), "2024-12-31", [1, 13]),  # the last day of month 1
        (date(2024, 12, 1), "2025-01-01", [2, 14]),  # the first day of month 2
        (date(2024, 12, 15), "2025-01-14", [1, 13]),
        (date(2024, 12, 15), "2025-01-15", [2, 14]),
        (date(2024, 12, 31), "2025-01-30", [1, 13]),
        (date(2024, 12, 31), "2025-01-31", [2, 14]),
        (date(2024, 12, 31), "2025-02-27", [2, 14]),  # month 3 begins on 28 February
        (date(2024, 12, 31), "2025-02-28", [3, 15]),
    ],
)
def test_a_term_of_a_year_renews_in_the_month_of_its_first_unpaid_day(
    as_of: date, renewal: str, months: list[int]
) -> None:
    table = one_account(landmark=as_of.isoformat(), started="2020-06-05", term=12, renewal=renewal)
    renews = build_clock(table, as_of=as_of, months=24).renews[0]
    assert (np.flatnonzero(renews) + 1).tolist() == months


def test_later_terms_are_taken_to_be_as_long_as_the_present_one() -> None:
    table = one_account(landmark="2024-12-01", started="2024-10-10", term=6, renewal="2025-04-10")
    renews = build_clock(table, as_of=date(2024, 12, 1), months=24).renews[0]
    assert (np.flatnonzero(renews) + 1).tolist() == [5, 11, 17, 23]


def test_a_monthly_contract_has_no_renewal() -> None:
    table = one_account(landmark="2024-12-01", started="2024-10-10")
    clock = build_clock(table, as_of=date(2024, 12, 1), months=24)
    assert not clock.renews.any()
    assert clock.contract.tolist() == [0.0]


def test_tenure_counts_the_months_paid_before_a_churn_in_the_month() -> None:
    table = one_account(landmark="2024-12-01", started="2024-10-10")
    clock = build_clock(table, as_of=date(2024, 12, 1), months=3)
    assert clock.tenure_months.tolist() == [[2, 3, 4]]  # unpaid from 10 December, January or February on
    aligned = one_account(landmark="2024-12-01", started="2024-10-01")
    assert build_clock(aligned, as_of=date(2024, 12, 1), months=3).tenure_months.tolist() == [[2, 3, 4]]


def test_a_month_without_a_due_day_is_idle() -> None:
    aligned = one_account(landmark="2024-12-01", started="2024-10-01")
    assert build_clock(aligned, as_of=date(2024, 12, 1), months=3).idle.tolist() == [[1.0, 0.0, 0.0]]
    between = one_account(landmark="2024-12-01", started="2024-10-10")
    assert build_clock(between, as_of=date(2024, 12, 1), months=3).idle.tolist() == [[0.0, 0.0, 0.0]]


def test_only_whole_months_before_the_end_of_the_commitment_are_committed() -> None:
    for until, months in (("2025-02-28", 2), ("2025-03-01", 3), ("2025-03-02", 3), (None, 0)):
        table = one_account(landmark="2024-12-01", started="2024-03-01", term=12, renewal=until, committed=until)
        assert build_clock(table, as_of=date(2024, 12, 1), months=6).committed.sum() == months


def test_an_earlier_landmark_sees_the_months_of_the_same_clock() -> None:
    as_of = date(2024, 3, 31)
    table = one_account(landmark="2024-02-29", started="2023-03-29", term=12, renewal="2024-03-29")
    clock = build_clock(table, as_of=as_of, months=3)
    assert clock.renews.tolist() == [[1.0, 0.0, 0.0]]  # 29 February to 31 March
    assert clock.tenure_months.tolist() == [[12, 13, 14]]


def test_columns_are_held_while_the_renewal_clock_runs_on() -> None:
    table = one_account(landmark="2024-12-01", started="2024-10-10", term=3, renewal="2025-01-10")
    clock = build_clock(table, as_of=date(2024, 12, 1), months=9)
    columns = dict(zip(CLOCK_COLUMNS, clock_columns(clock, held_from=np.array([4]))[0].T, strict=True))
    assert columns["log_ahead"].tolist() == pytest.approx(np.log([1, 2, 3, 4, 4, 4, 4, 4, 4]).tolist())
    assert (columns["tenure_linear"] * 12).tolist() == pytest.approx([2, 3, 4, 5, 5, 5, 5, 5, 5])
    assert columns["renewal"].tolist() == [0, 1, 0, 0, 1, 0, 0, 1, 0]
    assert columns["tenure_1_3"].tolist() == [1, 1, 0, 0, 0, 0, 0, 0, 0]
    assert columns["tenure_4_6"].tolist() == [0, 0, 1, 1, 1, 1, 1, 1, 1]
