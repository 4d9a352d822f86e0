from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from app.domain import hazard_rows
from app.domain.features import FeatureTable, Spells
from app.domain.hazard_rows import TrainingRows, build_training_rows, last_supported_tenure
from tests.domain.notices import nobody_leaves

AS_OF = date(2024, 12, 1)


def days(*texts: str) -> np.ndarray:
    return np.array(texts, dtype="datetime64[D]")


def table_of(pairs: list[tuple[int, str]]) -> FeatureTable:
    account = np.array([account for account, _ in pairs])
    n = len(pairs)
    return FeatureTable(
        account=account,
        spell=account,
        landmark=days(*(landmark for _, landmark in pairs)),
        started_on=days(*["2024-01-10"] * n),
        term_months=np.ones(n, dtype=np.int64),
        renewal_on=days(*["NaT"] * n),
        committed_until=days(*["NaT"] * n),
        **nobody_leaves(n),
        mrr=np.ones(n),
        names=(),
        values=np.empty((n, 0)),
    )


def spells_of(ended: list[str], churned: list[bool]) -> Spells:
    index = np.arange(len(ended))
    started = days(*["2024-01-10"] * len(ended))
    return Spells(index, np.ones_like(index), started, days(*ended), np.array(churned), np.full(len(ended), -1))


def rows_of(table: FeatureTable, spells: Spells, horizon_months: int = 24) -> TrainingRows:
    return build_training_rows(table, spells, as_of=AS_OF, tracked_from=date(2024, 9, 1), horizon_months=horizon_months)


LANDMARKS = ("2024-09-01", "2024-10-01", "2024-11-01")


def test_a_churn_is_the_event_of_its_month_at_every_landmark_before_it() -> None:
    table = table_of([(0, day) for day in LANDMARKS[:2]])
    rows = rows_of(table, spells_of(["2024-10-10"], [True]))
    assert rows.last_month.tolist() == [2, 1]
    assert rows.event_month.tolist() == [2, 1]
    assert rows.n_churns == 1


def test_each_month_of_a_spell_weighs_one_over_its_landmarks() -> None:
    table = table_of([(0, day) for day in LANDMARKS])
    weight = rows_of(table, spells_of(["NaT"], [False]), horizon_months=3).weight
    third, half = 1 / 3, 1 / 2
    assert weight.tolist() == [[1.0, half, third], [half, third, 0.0], [third, 0.0, 0.0]]
    assert weight.sum() == pytest.approx(3.0)  # September, October, November


def test_a_censored_spell_counts_up_to_the_month_before_it_ended() -> None:
    rows = rows_of(table_of([(0, "2024-09-01")]), spells_of(["2024-11-10"], [False]))
    assert rows.last_month.tolist() == [2]
    assert rows.event_month.tolist() == [0]


def test_what_ends_on_or_after_as_of_has_not_happened_yet() -> None:
    rows = rows_of(
        table_of([(0, "2024-09-01"), (1, "2024-09-01")]), spells_of(["2024-12-01", "2025-02-01"], [True] * 2)
    )
    assert rows.last_month.tolist() == [3, 3]
    assert rows.n_churns == 0


def test_a_churn_beyond_the_horizon_leaves_months_without_event() -> None:
    rows = rows_of(table_of([(0, "2024-09-01")]), spells_of(["2024-11-10"], [True]), horizon_months=2)
    assert rows.last_month.tolist() == [2]
    assert rows.event_month.tolist() == [0]


def test_landmarks_before_the_record_or_at_as_of_teach_nothing() -> None:
    table = table_of([(0, "2024-08-01"), (0, "2024-11-01"), (0, "2024-12-01")])
    assert rows_of(table, spells_of(["NaT"], [False])).table_row.tolist() == [1]


def test_rows_come_by_account_and_landmark_whatever_their_order() -> None:
    pairs = [(account, day) for account in range(4) for day in LANDMARKS]
    spells = spells_of(["NaT", "2024-10-10", "NaT", "2024-11-20"], [False, True, False, True])
    shuffled = [pairs[i] for i in np.random.default_rng(3).permutation(len(pairs))]
    first, second = rows_of(table_of(pairs), spells), rows_of(table_of(shuffled), spells)
    assert [shuffled[i] for i in second.table_row] == [pairs[i] for i in first.table_row]
    assert first.weight.tobytes() == second.weight.tobytes()


def test_a_sample_keeps_all_churned_spells_and_the_weight_of_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hazard_rows, "MOST_CASES", 2_000)
    n = 10_000
    ended = ["2024-10-10" if i % 20 == 0 else "NaT" for i in range(n)]
    rows = rows_of(table_of([(i, "2024-09-01") for i in range(n)]), spells_of(ended, [e != "NaT" for e in ended]))
    assert rows.n_churns == 500
    assert len(rows.table_row) == pytest.approx(2_000, rel=0.1)
    assert rows.weight.sum() == pytest.approx(500 * 2 + 9_500 * 3, rel=0.05)


def test_of_very_many_churns_a_sample_is_kept_with_its_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hazard_rows, "MOST_CASES", 2_000)
    n = 10_000
    ended = ["2024-10-10" if i % 2 == 0 else "NaT" for i in range(n)]
    rows = rows_of(table_of([(i, "2024-09-01") for i in range(n)]), spells_of(ended, [e != "NaT" for e in ended]))
    assert rows.n_churns == 5_000
    assert (rows.event_month > 0).sum() == pytest.approx(1_500, rel=0.1)
    assert len(rows.table_row) == pytest.approx(2_000, rel=0.1)
    assert rows.weight.sum() == pytest.approx(5_000 * 2 + 5_000 * 3, rel=0.05)


def test_support_ends_where_fewer_than_ten_spells_are_left() -> None:
    rows = TrainingRows(
        table_row=np.arange(12),
        spell=np.arange(12),
        last_month=np.array([3] * 10 + [5] * 2),
        event_month=np.zeros(12, dtype=np.int64),
        cause=np.zeros(12, dtype=np.int64),
        weight=np.ones((12, 5)),
        share=np.ones(12),
        churns=np.zeros(3, dtype=np.int64),
    )
    tenure = np.arange(1, 6)[None, :] + np.zeros((12, 1), dtype=np.int64)
    assert last_supported_tenure(rows, tenure) == 3
    assert last_supported_tenure(rows, tenure + 20) == 23


def test_a_landmark_at_which_a_notice_was_known_is_no_case_and_the_churn_stays_with_those_before() -> None:
    table = table_of([(0, day) for day in LANDMARKS])
    spells = spells_of(["2024-11-20"], [True])
    plain = rows_of(table, spells)
    leaves_on = days("NaT", "2024-11-20", "2024-11-20")  # said in September, known at the landmarks from October on
    told = rows_of(replace(table, leaves_on=leaves_on), spells)
    assert (told.table_row.tolist(), told.event_month.tolist(), told.n_churns) == ([0], [3], 1)
    # The months that the other landmarks cover, too, weigh no more than they did: nobody knew of the notice yet.
    assert told.weight[0].tolist() == plain.weight[0].tolist()
    assert told.weight[0, :3].tolist() == [1, 1 / 2, 1 / 3]


def test_a_churn_of_which_every_landmark_knew_is_none_that_was_to_be_foretold() -> None:
    table = replace(table_of([(0, "2024-10-01")]), leaves_on=days("2024-11-20"))
    rows = rows_of(table, spells_of(["2024-11-20"], [True]))
    assert (len(rows.table_row), rows.n_churns) == (0, 0)
