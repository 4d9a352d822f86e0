from dataclasses import replace

import numpy as np
import pytest

from app.domain.baselines import SIGNS, equal_points, renewal_nearness, usage_fall
from app.domain.feature_catalog import FEATURES
from app.domain.features import FeatureTable
from tests.domain.notices import nobody_leaves

TODAY, EARLIER = "2026-01-01", "2025-10-01"


def table(names: tuple[str, ...], values: list[list[float]], *, landmark: str = TODAY) -> FeatureTable:
    n = len(values)
    return FeatureTable(
        account=np.arange(n),
        spell=np.arange(n) * 2,
        landmark=np.full(n, landmark, dtype="datetime64[D]"),
        started_on=np.full(n, "2024-01-01", dtype="datetime64[D]"),
        term_months=np.ones(n, dtype=np.int64),
        renewal_on=np.full(n, "NaT", dtype="datetime64[D]"),
        committed_until=np.full(n, "NaT", dtype="datetime64[D]"),
        **nobody_leaves(n),
        mrr=np.ones(n),
        names=names,
        values=np.array(values, dtype=np.float64),
    )


def test_the_fall_of_use_is_what_it_was_three_months_ago_less_what_it_is() -> None:
    names = ("log_mrr", "usage_mean_3m")
    now = table(names, [[5, 1.0], [5, 2.0], [5, np.nan], [5, 0.5]])
    then = table(names, [[5, 1.5], [5, 1.0], [5, 1.0]], landmark=EARLIER)
    assert usage_fall(now, then).tolist() == [0.5, -1.0, 0.0, 0.0]
    assert usage_fall(table(("log_mrr",), [[5.0]]), then).tolist() == [0.0]


def test_the_next_to_renew_come_first_and_who_pays_by_the_month_is_within_one() -> None:
    made = replace(
        table(("log_mrr",), [[1], [1], [1]]),
        renewal_on=np.array(["2026-01-11", "NaT", "2026-12-01"], dtype="datetime64[D]"),
    )
    assert renewal_nearness(made) == pytest.approx([-10, -30.4375, -334])
    assert renewal_nearness(made).argsort().tolist() == [2, 1, 0]


def test_points_add_up_standardised_signs_and_what_is_missing_counts_nothing() -> None:
    """Use 1, 3: standardised -1, 1, and more is good. Tickets 0, 4 and one missing: -1, 1, and more is bad."""
    made = table(("usage_level", "tickets_90d", "log_mrr", "nps"), [[1, 0, 9, 7], [3, np.nan, 1, 7], [2, 4, 5, 7]])
    sd = np.sqrt(2 / 3)
    assert equal_points(made) == pytest.approx([1 / sd - 1, -1 / sd, 1.0])


def test_every_sign_is_a_feature_that_there_is() -> None:
    assert set(SIGNS) <= {spec.name for spec in FEATURES}
