"""A segment's Kaplan-Meier, read on from an account's own tenure."""

import numpy as np
import pytest

from app.domain.segment_curves import MonthlyTable, conditional_survival, life_table


def test_a_life_table_by_pencil() -> None:
    # 100 at risk lose 10, 60 lose 6 (24 left the record before), then 9 are too few to say anything.
    table = life_table(np.array([1.0, 0.9, 0.81, 0.72]), np.array([100, 60, 9]))
    assert table.hazard == pytest.approx([0.1, 0.1])
    assert table.variance == pytest.approx([0.1 / (100 * 0.9), 0.1 / (60 * 0.9)])
    assert table.supported_months == 2


def test_the_curve_goes_on_from_the_tenure_and_holds_the_last_hazard() -> None:
    table = MonthlyTable(hazard=np.array([0.5, 0.2, 0.1]), variance=np.array([0.3, 0.2, 0.1]))
    survival, sd, supported = conditional_survival(
        [table], table_of=np.array([0, 0, 0]), tenure_months=np.array([0, 2, 9]), months=4
    )
    held = (0.5 + 0.2 + 0.1) / 3
    assert survival[0] == pytest.approx([0.5, 0.4, 0.36, 0.36 * (1 - held)])
    assert survival[1] == pytest.approx(0.9 * (1 - held) ** np.array([0, 1, 2, 3]))
    assert sd[1] == pytest.approx(np.sqrt(np.array([0.1, 0.3, 0.5, 0.7])))
    assert supported.tolist() == [3, 1, 0]


def test_each_account_reads_its_own_segment() -> None:
    tables = [MonthlyTable(np.array([0.1]), np.array([0.0])), MonthlyTable(np.array([0.3]), np.array([0.0]))]
    survival, _, _ = conditional_survival(tables, table_of=np.array([1, 0]), tenure_months=np.array([0, 0]), months=1)
    assert survival[:, 0] == pytest.approx([0.7, 0.9])


def test_a_segment_that_nobody_knows_anything_of_keeps_everyone() -> None:
    empty = life_table(np.array([1.0]), np.array([], dtype=np.int64))
    survival, sd, supported = conditional_survival(
        [empty], table_of=np.array([0]), tenure_months=np.array([3]), months=2
    )
    assert survival.tolist() == [[1.0, 1.0]]
    assert sd.tolist() == [[0.0, 0.0]]
    assert supported.tolist() == [0]
