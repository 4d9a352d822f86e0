import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lifelines import KaplanMeierFitter
from lifelines.utils import restricted_mean_survival_time

from app.domain.kaplan_meier import estimate_survival, estimate_survival_by_group


@pytest.mark.data
def test_telco_at_eight_months_and_its_restricted_means(third_party_data: Callable[[str], Path]) -> None:
    with third_party_data("telco/Telco-Customer-Churn.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    tenure = np.array([float(row["tenure"]) for row in rows])
    curve = estimate_survival(tenure, np.array([row["Churn"] == "Yes" for row in rows]))
    assert (curve.n_subjects, curve.n_churned) == (7043, 1869)
    months = np.array([1.0, 6, 12, 24, 36, 48, 60, 72])
    known = [0.9460, 0.8848, 0.8432, 0.7887, 0.7485, 0.7088, 0.6644, 0.5928]
    assert curve.at(months) == pytest.approx(known, abs=1e-4)
    assert curve.restricted_mean(24) == pytest.approx(20.567, abs=0.002)
    assert curve.restricted_mean(72) == pytest.approx(54.492, abs=0.002)
    assert curve.at_risk(np.array([0.0, 1.0, 72.0])).tolist() == [7043, 7032, 362]


def test_five_accounts_by_pencil() -> None:
    curve = estimate_survival(np.array([1.0, 2, 2, 3, 4]), np.array([True, True, False, True, False]))
    assert curve.at(np.array([0.0, 0.9, 1, 2, 3, 4])) == pytest.approx([1, 1, 0.8, 0.6, 0.3, 0.3])
    assert curve.at_risk(np.array([0.0, 1, 2, 3, 4])).tolist() == [5, 5, 4, 2, 1]
    assert curve.restricted_mean(3.5) == pytest.approx(1 + 0.8 + 0.6 + 0.15)
    greenwood = 1 / (5 * 4) + 1 / (4 * 3)  # variance of log S(2)
    log_log, sd = np.log(-np.log(0.6)), np.sqrt(greenwood) / -np.log(0.6)
    lower, upper = curve.interval_at(np.array([2.0]))
    assert lower[0] == pytest.approx(np.exp(-np.exp(log_log + 1.959964 * sd)))
    assert upper[0] == pytest.approx(np.exp(-np.exp(log_log - 1.959964 * sd)))


def test_late_entry_by_pencil() -> None:
    """Who enters at 2 is not at risk at 2, and is at 3."""
    duration, entry = np.array([2.0, 3.0, 5.0, 5.0]), np.array([0.0, 0.0, 2.0, 0.0])
    curve = estimate_survival(duration, np.array([True, True, False, False]), entry_months=entry)
    assert curve.at(np.array([2.0, 3.0])) == pytest.approx([2 / 3, 2 / 3 * 2 / 3])
    assert curve.at_risk(np.array([0.0, 2, 3, 5])).tolist() == [3, 3, 3, 2]


def test_late_entry_undoes_left_truncation() -> None:
    rng = np.random.default_rng(11)
    lifetime, entry = rng.exponential(1 / 0.03, 60_000), rng.uniform(0, 40, 60_000)
    seen = np.flatnonzero(lifetime > entry)[:20_000]
    end = np.minimum(lifetime, entry + 24)[seen]
    churned = (lifetime <= entry + 24)[seen]
    curve = estimate_survival(end, churned, entry_months=entry[seen])
    at = np.array([12.0, 36.0])
    assert curve.at(at) == pytest.approx([0.698, 0.340], abs=0.02)
    ignored = estimate_survival(end, churned)
    assert (ignored.at(at) > curve.at(at) + 0.1).all()


def test_the_restricted_mean_agrees_with_lifelines() -> None:
    rng = np.random.default_rng(2)
    duration, churned = np.round(rng.exponential(20, 500), 1), rng.random(500) < 0.7
    fitter = KaplanMeierFitter().fit(duration, churned)
    curve = estimate_survival(duration, churned)
    assert curve.restricted_mean(24.3) == pytest.approx(restricted_mean_survival_time(fitter, t=24.3))


@given(
    durations=st.lists(st.integers(1, 20), min_size=3, max_size=30),
    extra=st.integers(0, 29),
    seed=st.integers(0, 1000),
)
def test_another_churn_never_raises_the_curve(durations: list[int], extra: int, seed: int) -> None:
    duration = np.array(durations, dtype=float)
    churned = np.random.default_rng(seed).random(len(duration)) < 0.5
    more = churned | (np.arange(len(duration)) == extra % len(duration))
    months = np.arange(0, duration.max() + 1)
    before, after = estimate_survival(duration, churned), estimate_survival(duration, more)
    assert (after.at(months) <= before.at(months) + 1e-12).all()
    assert (np.diff(before.survival) <= 0).all()


def test_order_does_not_matter_and_groups_are_apart() -> None:
    rng = np.random.default_rng(5)
    duration, churned = rng.integers(1, 30, 200).astype(float), rng.random(200) < 0.4
    names = [("small", "large")[i % 2] for i in range(200)]
    curves = estimate_survival_by_group(duration, churned, groups=names)
    assert list(curves) == ["large", "small"]
    small = np.arange(200) % 2 == 0
    alone = estimate_survival(duration[small][::-1], churned[small][::-1])
    assert curves["small"].survival.tobytes() == alone.survival.tobytes()
    entry = np.where(duration > 3, 2.0, 0.0)
    late = estimate_survival_by_group(duration, churned, groups=names, entry_months=entry)
    assert late["small"].at_risk(np.array([3.0]))[0] == (duration[small] >= 3).sum()


def test_nothing_is_answered_beyond_what_was_seen() -> None:
    curve = estimate_survival(np.array([3.0, 7.0]), np.array([True, False]))
    assert curve.last_month == 7.0
    for ask in (
        lambda: curve.at(np.array([7.5])),
        lambda: curve.restricted_mean(8),
        lambda: curve.at(np.array([-1.0])),
    ):
        with pytest.raises(ValueError, match="from month 0 to month 7 only"):
            ask()


@pytest.mark.parametrize(
    ("duration", "entry", "words"),
    [
        ([], None, "at least one"),
        ([1.0, np.nan], None, "finite"),
        ([1.0, -2.0], None, "before it leaves"),
        ([1.0, 2.0], [0.0, 2.0], "before it leaves"),
        ([1.0, 2.0], [-1.0, 0.0], "not negative"),
    ],
)
def test_times_that_cannot_be_are_refused(duration: list[float], entry: list[float] | None, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        estimate_survival(
            np.array(duration),
            np.ones(len(duration), dtype=bool),
            entry_months=None if entry is None else np.array(entry),
        )


def test_a_group_of_one_without_churn_stays_at_one() -> None:
    curve = estimate_survival(np.array([4.0]), np.array([False]))
    assert curve.at(np.array([4.0])).tolist() == [1.0]
    assert curve.interval_at(np.array([4.0]))[0].tolist() == [1.0]
