"""The hazard of buying more seats: by pencil, from what was put in, and where data are few."""

from datetime import date

import numpy as np
import pytest

from app.domain.expansion_hazard import (
    COLUMNS,
    FEWEST_EVENTS,
    MONTHS,
    SeatRows,
    UpsellHazard,
    describe_seats,
    fit_upsell,
    follow_seats,
    judge_upsell,
)
from app.domain.expansion_seats import SeatUse, measure_pressure
from app.domain.hazard_map import expit

PUT_IN = np.array([-6.0, 3.0, 0.0, 0.0, 2.0, 0.5, 0.0, 0.3])
NOTHING, GONE = np.nan, 0.0


def rows_of(n: int, *, seed: int, last: int = MONTHS) -> SeatRows:
    """Accounts that buy by the hazard `PUT_IN`."""
    random = np.random.default_rng(seed)
    share = random.uniform(0.2, 1.2, n)
    columns = np.column_stack(
        [share, share, random.normal(0, 0.05, n), random.uniform(0, 1, n), share >= 0.95, random.uniform(0, 4, n)]
    )
    monthly = UpsellHazard(PUT_IN).monthly(columns)
    happens = random.random((n, MONTHS)) < monthly
    event = np.where(happens.any(axis=1), happens.argmax(axis=1) + 1, 0)
    event = np.where(event > last, 0, event)
    return SeatRows(date(2026, 1, 1), columns, event, np.where(event > 0, event, last))


def test_seats_are_followed_until_there_are_more_fewer_or_no_more_is_known() -> None:
    seats = np.array(
        [
            [10, 10, 12, 12, 9, 9, 9],  # more in month 2
            [10, 10, 10, 8, 20, 20, 20],  # fewer in month 3: what comes after is another story
            [10, 10, 10, 10, GONE, GONE, GONE],  # left in month 4
            [10, 10, 10, NOTHING, NOTHING, NOTHING, NOTHING],  # two months are known
            [10, 10, 10, 10, 10, 10, 10],
            [10, 11, NOTHING, NOTHING, NOTHING, NOTHING, NOTHING],
        ],
        dtype=np.float64,
    )
    event, last = follow_seats(seats)
    assert event.tolist() == [2, 0, 0, 0, 0, 1]
    assert last.tolist() == [2, 2, 3, 2, 6, 1]


def test_the_probability_by_pencil_with_leaving_in_between() -> None:
    hazard = UpsellHazard(np.array([0.0, *np.zeros(len(COLUMNS)), 0.0]))  # one half each month
    columns = np.zeros((1, len(COLUMNS)))
    churn = np.full((1, MONTHS), 0.2)
    kept = 0.5 * 0.8
    assert hazard.probability(columns, churn=churn, months=3) == pytest.approx(0.5 * (1 + kept + kept**2))
    assert hazard.probability(columns, churn=np.zeros((1, MONTHS)), months=6) == pytest.approx(1 - 0.5**6)
    assert hazard.probability(columns, churn=np.ones((1, MONTHS)), months=6) == pytest.approx(0.5)


def test_a_later_month_weighs_by_its_logarithm() -> None:
    monthly = UpsellHazard(PUT_IN).monthly(np.zeros((1, len(COLUMNS))))[0]
    assert monthly == pytest.approx(expit(-6.0 + 0.3 * np.log(np.arange(1, 7))))


def test_the_hazard_that_made_the_data_is_found_and_its_level_is_right() -> None:
    fitted = fit_upsell([rows_of(20_000, seed=1), rows_of(20_000, seed=2)])
    assert fitted is not None
    assert fitted.coefficients[1] + fitted.coefficients[2] == pytest.approx(3.0, abs=0.3)
    assert fitted.coefficients[4] == pytest.approx(2.0, abs=0.2)
    assert fitted.coefficients[-1] == pytest.approx(0.3, abs=0.1)
    result = judge_upsell(fitted, rows_of(20_000, seed=3))
    assert result.ratio == pytest.approx(1.0, abs=0.05)


def test_who_is_followed_for_fewer_months_lowers_no_level() -> None:
    cut = judge_upsell(UpsellHazard(PUT_IN), rows_of(40_000, seed=4, last=2))
    assert cut.ratio == pytest.approx(1.0, abs=0.06)


def test_with_few_events_nothing_is_learned() -> None:
    rows = rows_of(2_000, seed=5)
    few = np.flatnonzero(rows.event_month > 0)[: FEWEST_EVENTS - 1]
    event = np.zeros_like(rows.event_month)
    event[few] = rows.event_month[few]
    assert fit_upsell([SeatRows(rows.origin, rows.columns, event, rows.last_month)]) is None
    assert fit_upsell([]) is None


def test_an_account_whose_last_window_is_unknown_is_described_by_nothing() -> None:
    use = SeatUse(np.array([[8, 8, 8, 8, 8, 9.5], [8, 8, 8, 8, 8, np.nan]]), np.array([10.0, 10.0]))
    columns = describe_seats(use, measure_pressure(use), tenure_months=np.array([11, 11]))
    assert columns[0, 0] == pytest.approx(0.95)
    assert columns[0, COLUMNS.index("full")] == 1.0
    assert columns[0, COLUMNS.index("log_tenure")] == pytest.approx(np.log(12))
    assert np.isnan(columns[1]).all()
    unknown = SeatRows(date(2026, 1, 1), columns, np.array([1, 2]), np.array([1, 2]))
    assert judge_upsell(UpsellHazard(PUT_IN), unknown).accounts == 1
