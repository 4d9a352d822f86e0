"""What is set by hand, and whether it or the score was nearer: by pencil, against another formula, by property."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.calibration import mean_interval
from app.domain.health import BANDS, health_band, health_score
from app.domain.health_override import FEWEST_JUDGED, band_score, implied_risk, judge_overrides


def test_the_score_of_a_band_is_its_middle() -> None:
    assert [band_score(band) for band in BANDS] == [85.0, 55.0, 20.0]


@given(st.sampled_from(BANDS), st.floats(0.01, 0.9))
def test_the_score_of_a_band_lies_in_the_band_whatever_the_company_calls_usual(band: str, reference: float) -> None:
    risk = implied_risk(np.array([band_score(band, reference_churn=reference)]))
    assert BANDS[int(health_band(risk, reference_churn=reference)[0])] == band


def test_what_is_no_band_is_refused() -> None:
    with pytest.raises(ValueError, match="not in tuple"):
        band_score("green")


@given(st.lists(st.floats(0.0, 1.0), min_size=1))
def test_the_risk_of_a_score_is_the_one_that_gives_it(risks: list[float]) -> None:
    np.testing.assert_allclose(implied_risk(health_score(np.array(risks))), risks, atol=1e-12)


def test_both_are_judged_by_pencil() -> None:
    """Errors of the score: .81, .01; of the override: .04, .04. Means .41 and .04, gains .77 and -.03."""
    found = judge_overrides(
        np.array([0.8, 0.2]), np.array([0.1, 0.1]), left=np.array([True, False]), account=np.array([1, 2])
    )
    assert (found.n, found.accounts, found.left) == (2, 2, 1)
    assert found.score.value == pytest.approx(0.41)
    assert found.override.value == pytest.approx(0.04)
    assert found.gain.value == pytest.approx(0.37)
    assert found.nearer == "unknown"


def said(n: int, *, override_is_right: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    left = np.arange(n) % 2 == 0
    right, wrong = np.where(left, 0.7, 0.1), np.where(left, 0.1, 0.7)
    return (right, wrong, left) if override_is_right else (wrong, right, left)


@pytest.mark.parametrize(("is_right", "nearer"), [(True, "override"), (False, "score")])
def test_the_nearer_is_named_from_twenty_accounts_on(is_right: bool, nearer: str) -> None:
    for n, expected in ((FEWEST_JUDGED - 1, "unknown"), (FEWEST_JUDGED, nearer)):
        override, score, left = said(n, override_is_right=is_right)
        assert judge_overrides(override, score, left=left, account=np.arange(n)).nearer == expected


def test_where_both_said_the_same_neither_is_nearer() -> None:
    _override, score, left = said(40, override_is_right=True)
    assert judge_overrides(score, score, left=left, account=np.arange(40)).nearer == "neither"


def test_many_overrides_of_one_account_are_one_witness() -> None:
    override, score, left = said(40, override_is_right=True)
    assert judge_overrides(override, score, left=left, account=np.zeros(40, dtype=np.int64)).nearer == "unknown"


def test_of_none_nothing_is_said() -> None:
    nothing = np.array([])
    found = judge_overrides(nothing, nothing, left=nothing.astype(bool), account=nothing.astype(np.int64))
    assert (found.n, found.nearer, found.gain.value) == (0, "unknown", None)


def test_an_interval_over_groups_of_one_is_the_usual_one() -> None:
    values = np.random.default_rng(7).normal(size=50)
    lower, upper = mean_interval(values, group=np.arange(50), level=0.95)
    half = 1.959963984540054 * values.std(ddof=1) / np.sqrt(50)
    assert (lower, upper) == pytest.approx((values.mean() - half, values.mean() + half))


def test_doubling_every_value_within_its_group_adds_no_certainty() -> None:
    values, group = np.random.default_rng(8).normal(size=30), np.arange(30)
    once = mean_interval(values, group=group, level=0.95)
    assert mean_interval(np.tile(values, 2), group=np.tile(group, 2), level=0.95) == pytest.approx(once)
