"""A segment's Kaplan-Meier, read on from an account's own tenure."""

import numpy as np
import pytest
from scipy.stats import gamma, norm

from app.domain.renewal_tail import BetaGeometric
from app.domain.segment_curves import MonthlyTable, conditional_survival, counted_band, draw_exposure, life_table
from app.domain.survival import band

TAIL = BetaGeometric(alpha=2.0, beta=8.0, log_sum_sd=0.5)


def test_a_life_table_by_pencil() -> None:
    # 100 at risk lose 10, 60 lose 6 (24 left the record before), then 9 are too few to say anything.
    # Each month counts one account more, that leaves at the average of 16.015 in 161.
    table = life_table(np.array([1.0, 0.9, 0.81, 0.72]), np.array([100, 60, 9]))
    average = 16.015 / 161
    first, second = (10 + average) / 101, (6 + average) / 61
    assert table.average == pytest.approx(average)
    assert table.hazard == pytest.approx([first, second])
    assert table.variance == pytest.approx([first / (101 * (1 - first)), second / (61 * (1 - second))])
    assert table.supported_months == 2


def test_the_curve_goes_on_from_the_tenure_and_falls_as_renewals_do() -> None:
    table = MonthlyTable(hazard=np.array([0.5, 0.2, 0.1]), variance=np.array([0.3, 0.2, 0.1]), tail=TAIL, average=0.02)
    survival, sd, supported = conditional_survival(
        [table], table_of=np.array([0, 0, 0]), tenure_months=np.array([0, 2, 9]), months=4
    )
    held = (0.5 + 0.2 + 0.1) / 3
    fourth, fifth, sixth = (held * 12 / then for then in (13, 14, 15))  # (c + 3 - 1) / (c + t - 1), c = 10
    assert survival[0] == pytest.approx([0.5, 0.4, 0.36, 0.36 * (1 - fourth)])
    assert survival[1] == pytest.approx(0.9 * np.cumprod([1, 1 - fourth, 1 - fifth, 1 - sixth]))
    assert survival[2] == pytest.approx((1 - held) ** np.arange(1, 5))  # older than the record: as it is
    slope = fourth * 10 * (1 / 12 - 1 / 13) / (1 - fourth)
    assert sd[1, :2] == pytest.approx(np.sqrt([0.1, 0.3 + (0.5 * slope) ** 2]))
    assert sd[2] == pytest.approx(np.sqrt(0.2 * np.arange(1, 5)))
    assert supported.tolist() == [3, 1, 0]


def test_the_slope_of_the_tail_is_that_of_a_small_step() -> None:
    def log_survival(total: float) -> np.ndarray:
        tail = BetaGeometric(alpha=1.0, beta=total - 1.0, log_sum_sd=1.0)
        table = MonthlyTable(np.array([0.2, 0.1]), np.zeros(2), tail, 0.02)
        survival, sd, _ = conditional_survival([table], table_of=np.array([0]), tenure_months=np.array([1]), months=12)
        return np.stack([np.log(survival[0]), sd[0]])

    (low, sd), (high, _) = log_survival(10.0), log_survival(10.0 * np.exp(1e-5))
    assert np.abs(high - low) / 1e-5 == pytest.approx(sd, rel=1e-4, abs=1e-9)


def test_each_account_reads_its_own_segment() -> None:
    tables = [MonthlyTable(np.array([q]), np.array([0.0]), TAIL, 0.02) for q in (0.1, 0.3)]
    survival, _, _ = conditional_survival(tables, table_of=np.array([1, 0]), tenure_months=np.array([0, 0]), months=1)
    assert survival[:, 0] == pytest.approx([0.7, 0.9])


def test_a_segment_that_nobody_knows_anything_of_is_as_companies_are_and_hardly_sure_of_it() -> None:
    empty = life_table(np.array([1.0]), np.array([], dtype=np.int64))
    survival, sd, supported = conditional_survival(
        [empty], table_of=np.array([0]), tenure_months=np.array([3]), months=2
    )
    assert survival[0] == pytest.approx([0.985, 0.985**2])
    assert sd[0] == pytest.approx(np.sqrt([0.015 / 0.985, 2 * 0.015 / 0.985]))
    assert supported.tolist() == [0]


def test_a_segment_that_nobody_left_is_not_said_to_last_for_ever() -> None:
    loyal = life_table(np.ones(25), np.full(24, 30))
    survival, sd, _ = conditional_survival([loyal], table_of=np.array([0]), tenure_months=np.array([6]), months=12)
    assert 0.999 < survival[0, -1] < 1.0
    lower, _ = band(survival, sd, level=0.9)
    assert lower[0, -1] < 0.98


def test_a_segment_that_all_left_has_finite_curves() -> None:
    gone = life_table(np.array([1.0, 0.5, 0.0]), np.array([40, 20]))
    survival, sd, _ = conditional_survival([gone], table_of=np.array([0]), tenure_months=np.array([0]), months=5)
    assert (np.diff(survival[0]) < 0).all()
    assert 0.0 < survival[0, 1] < 0.02
    assert np.isfinite(sd).all()


@pytest.mark.parametrize("churns", [0.0, 0.3, 1.0, 5.0, 100.0])
def test_exposures_are_drawn_as_the_gamma_quantiles_of_another_program(churns: float) -> None:
    at_risk, levels = 400.0, np.array([0.5, 0.75, 0.95, 0.99])
    exposure = max(churns, 1e-6) / at_risk
    log_sd = np.sqrt(exposure / at_risk)
    for level in levels:
        normal = np.array([[norm.ppf(level)]])
        drawn = draw_exposure(np.array([[exposure]]), np.array([[log_sd]]), normal=normal)
        assert drawn[0, 0] == pytest.approx(gamma.ppf(level, max(churns, 1e-6) + 0.5) / at_risk, rel=0.05)


def test_what_is_known_is_drawn_as_it_is() -> None:
    exposure = np.array([[0.0, 0.5, 690.0]])
    assert draw_exposure(exposure, np.zeros((1, 3)), normal=np.full((1, 3), 2.0)) == pytest.approx(exposure)


def test_of_thirty_that_nobody_left_not_all_may_leave_within_a_year() -> None:
    """The exact bound of a share of which 0 of 30 were seen is 1 - .05^(1/30), 9.5 %; Jeffreys' is 6.2 %."""
    loyal = life_table(np.ones(25), np.full(24, 30))
    survival, sd, _ = conditional_survival([loyal], table_of=np.array([0]), tenure_months=np.array([0]), months=12)
    lower, upper = counted_band(survival, sd, level=0.9)
    assert 0.05 <= 1 - lower[0, 11] <= 0.095
    assert upper[0, 11] == pytest.approx(1.0, abs=1e-4)
    assert (np.diff(lower[0]) <= 0).all()


@pytest.mark.parametrize(("n", "hazard"), [(20, 0.003), (40, 0.003), (40, 0.01), (40, 0.03), (200, 0.02)])
def test_bounds_of_few_churns_hold_the_truth_and_are_no_wider_than_they_need(n: int, hazard: float) -> None:
    rng, true = np.random.default_rng(1), (1 - hazard) ** 12
    held, width = [], []
    for _ in range(150):
        lost = rng.binomial(n, hazard, 24)
        table = life_table(np.append(1.0, np.cumprod(1 - lost / n)), np.full(24, n))
        survival, sd, _ = conditional_survival([table], table_of=np.array([0]), tenure_months=np.array([0]), months=12)
        lower, upper = counted_band(survival, sd, level=0.9)
        held.append(lower[0, 11] <= true <= upper[0, 11])
        width.append(upper[0, 11] - lower[0, 11])
    assert np.mean(held) >= 0.84
    assert np.mean(width) <= 2 * 1.645 * np.sqrt(12 * hazard / n) + 2.5 / n
