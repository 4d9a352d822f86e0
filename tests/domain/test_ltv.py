import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.ltv import (
    LtvTerms,
    bounds_at,
    draws_interval,
    draws_value,
    expansion_drift,
    expansion_value,
    extrapolated_share,
    formula_lifetime_value,
    lifetime_value,
    month_weights,
    monthly_logo_churn,
)
from app.domain.survival import band

MRR = np.array([100.0, 250.0])
RETENTION = np.cumprod(np.full((2, 60), [[0.98], [0.90]]), axis=1)


def test_three_months_by_pencil() -> None:
    retention = np.array([[0.9, 0.8, 0.5]])
    terms = LtvTerms(horizon_months=3, annual_discount_rate=0.21, gross_margin=0.5)
    discounted = 0.9 / 1.21 ** (1 / 12) + 0.8 / 1.21 ** (2 / 12) + 0.5 / 1.21 ** (3 / 12)
    assert lifetime_value(np.array([100.0]), retention, terms=terms) == pytest.approx([50 * discounted])


def test_a_constant_churn_without_discount_is_a_geometric_sum() -> None:
    terms = LtvTerms(annual_discount_rate=0.0, gross_margin=1.0)
    expected = 100 * 0.98 * (1 - 0.98**60) / 0.02
    assert lifetime_value(MRR, RETENTION, terms=terms)[0] == pytest.approx(expected)


def test_a_year_is_discounted_by_the_annual_rate() -> None:
    weights = month_weights(LtvTerms(horizon_months=24, annual_discount_rate=0.1, gross_margin=0.8), months=60)
    assert weights[11] == pytest.approx(0.8 / 1.1)
    assert weights[23] == pytest.approx(0.8 / 1.21)
    assert not weights[24:].any()


@given(
    shorter=st.integers(1, 59),
    rate=st.floats(0, 2),
    more=st.floats(0.01, 1),
    margin=st.floats(0.01, 0.5),
    factor=st.floats(0.1, 2),
)
def test_value_grows_with_the_horizon_falls_with_the_rate_and_is_linear_in_money(
    shorter: int, rate: float, more: float, margin: float, factor: float
) -> None:
    def value(mrr: np.ndarray, horizon: int, d: float, m: float) -> np.ndarray:
        return lifetime_value(mrr, RETENTION, terms=LtvTerms(horizon, d, m))

    base = value(MRR, shorter, rate, margin)
    assert (value(MRR, shorter + 1, rate, margin) > base).all()
    assert (value(MRR, shorter, rate + more, margin) < base).all()
    assert value(MRR * factor, shorter, rate, margin) == pytest.approx(base * factor)
    assert value(MRR, shorter, rate, margin * 2) == pytest.approx(base * 2)


def test_expansion_by_pencil_freezes_after_a_year() -> None:
    terms = LtvTerms(horizon_months=14, annual_discount_rate=0.0, gross_margin=1.0)
    growth = sum(math.exp(0.01 * k) - 1 for k in range(1, 13)) + 2 * (math.exp(0.12) - 1)
    got = expansion_value(np.array([100.0]), np.ones((1, 60)), drift=np.array([0.01]), terms=terms)
    assert got == pytest.approx([100 * growth])
    shrinking = expansion_value(MRR, RETENTION, drift=np.full(2, -0.01), terms=terms)
    assert (shrinking < 0).all()
    assert expansion_value(MRR, RETENTION, drift=np.zeros(2), terms=terms).tolist() == [0.0, 0.0]


def test_drift_is_shrunken_capped_and_zero_without_survivors() -> None:
    log_change = np.array([0.12] * 30 + [6.0] * 30)
    drift = expansion_drift(log_change, np.full(60, 12.0), segment=np.repeat([0, 1], 30), n_segments=3)
    assert drift == pytest.approx([0.5 * 0.01, 0.02, 0.0])
    falling = expansion_drift(-log_change, np.full(60, 12.0), segment=np.repeat([0, 1], 30), n_segments=2)
    assert falling == pytest.approx([-0.005, -0.02])


def test_drift_weighs_an_account_by_its_months() -> None:
    drift = expansion_drift(np.array([0.10, 0.0]), np.array([5.0, 15.0]), segment=np.array([0, 0]), n_segments=1)
    assert drift == pytest.approx([2 / 32 * 0.10 / 20])


def test_the_extrapolated_share_is_what_lies_beyond_the_support() -> None:
    terms = LtvTerms(horizon_months=4, annual_discount_rate=0.0)
    retention = np.array([[0.9, 0.8, 0.7, 0.6, 0.5]] * 3)
    share = extrapolated_share(retention, np.array([2, 4, 5]), terms=terms)
    assert share == pytest.approx([1.3 / 3.0, 0.0, 0.0])
    assert extrapolated_share(np.zeros((1, 5)), np.array([2]), terms=terms).tolist() == [0.0]


def test_a_group_is_valued_draw_by_draw() -> None:
    terms = LtvTerms(horizon_months=2, annual_discount_rate=0.0, gross_margin=0.5)
    draws = np.arange(101.0)[:, None, None] * np.array([[[1.0, 1.0, 9.0]]])
    values = draws_value(draws, terms=terms)
    assert values[:, 0].tolist() == list(np.arange(101.0))
    lower, upper = draws_interval(values, level=0.9)
    assert (lower[0], upper[0]) == pytest.approx((5.0, 95.0))


def test_the_formula_is_arpa_times_margin_over_churn_and_nothing_without_churn() -> None:
    churn = monthly_logo_churn(12, 600.0)
    assert churn == pytest.approx(0.02)
    assert formula_lifetime_value(100.0, churn, gross_margin=0.8) == pytest.approx(4000.0)
    assert formula_lifetime_value(100.0, monthly_logo_churn(0, 600.0), gross_margin=0.8) is None
    assert formula_lifetime_value(100.0, monthly_logo_churn(0, 0.0), gross_margin=0.8) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"horizon_months": 0}, "at least one month"),
        ({"annual_discount_rate": -0.1}, "discount rate"),
        ({"annual_discount_rate": float("nan")}, "discount rate"),
        ({"gross_margin": 1.1}, "gross margin"),
    ],
)
def test_terms_out_of_range_are_refused(change: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        LtvTerms(**change)


def test_a_horizon_beyond_the_forecast_is_refused() -> None:
    with pytest.raises(ValueError, match="60 months, the horizon is 61"):
        lifetime_value(MRR, RETENTION, terms=LtvTerms(horizon_months=61))


@pytest.mark.parametrize("level", [0.80, 0.90, 0.95])
def test_a_stored_bound_moves_to_the_level_that_would_have_been_computed(level: float) -> None:
    log_sd = np.linspace(0.01, 0.4, 60)[None, :] * np.ones((2, 1))
    stored, wanted = band(RETENTION, log_sd, level=0.90), band(RETENTION, log_sd, level=level)
    for bound, expected in zip(stored, wanted, strict=True):
        moved = bounds_at(RETENTION, bound, stored_level=0.90, level=level)
        assert moved == pytest.approx(expected, abs=1e-12)


def test_where_nothing_can_be_lost_a_bound_stays() -> None:
    sure = np.ones((1, 3))
    assert bounds_at(sure, sure, stored_level=0.9, level=0.95).tolist() == [[1.0, 1.0, 1.0]]
