"""Weights held against the past: the weighted risk, flips, alerts and who was nearer, all by pencil."""

import numpy as np
import pytest

from app.domain.health import NOTICE_RISK, Health
from app.domain.health_replay import (
    Bands,
    alerts_a_day,
    count_flips,
    measure_accuracy,
    measure_gain,
    weigh,
)

WITHHELD, HEALTHY, WATCH, AT_RISK = -1, 0, 1, 2


def look(day: int, **band: int) -> Bands:
    accounts = sorted(band)
    return Bands(day, np.array([ord(name) for name in accounts]), np.array([band[name] for name in accounts]))


def test_flips_are_counted_by_their_move() -> None:
    before = np.array([HEALTHY, HEALTHY, WATCH, WITHHELD, AT_RISK])
    after = np.array([WATCH, WATCH, WATCH, AT_RISK, HEALTHY])
    assert count_flips(before, after) == {"withheld>at_risk": 1, "healthy>watch": 2, "at_risk>healthy": 1}


def test_alerts_are_those_that_came_to_be_at_risk() -> None:
    """b comes to be at risk, and again after it was not; a was from the start; c was not seen before: 2 in 60 days."""
    seen = [
        look(0, a=AT_RISK, b=HEALTHY),
        look(20, a=AT_RISK, b=AT_RISK, c=AT_RISK),
        look(40, a=WATCH, b=WATCH, c=AT_RISK),
        look(60, b=AT_RISK, c=AT_RISK),
    ]
    assert alerts_a_day(seen) == pytest.approx(2 / 60)


def test_one_look_tells_of_no_alert() -> None:
    with pytest.raises(ValueError, match="two days"):
        alerts_a_day([look(0, a=AT_RISK)])


def test_accuracy_by_pencil() -> None:
    """The pairs (left, stayed) are ordered right in 3 of 4; Brier (.36 + .09 + .25 + .01) / 4; expected 1.7 of 2."""
    found = measure_accuracy(np.array([0.4, 0.7, 0.5, 0.1]), np.array([True, True, False, False]))
    assert found.auc.value == pytest.approx(0.75)
    assert found.brier.value == pytest.approx(0.1775)
    assert found.ratio.value == pytest.approx(0.85)


def health_of(
    *contributions: tuple[float, float], withheld: tuple[bool, ...] = (), gave_notice: tuple[bool, ...] = ()
) -> Health:
    """Accounts with a reference of logit -2 and what support and adoption add to it."""
    added, n = np.array(contributions), len(contributions)
    nothing = np.zeros(n)
    return Health(
        risk=nothing,
        score=nothing,
        band=nothing.astype(np.int64),
        coverage=nothing,
        withheld=np.array(withheld or (False,) * n),
        reference_logit=np.full(n, -2.0),
        drivers=(),
        contributions=added,
        known=np.ones((n, 2), dtype=bool),
        dimensions=("support", "adoption"),
        dimension_contributions=added,
        dimension_known=np.ones((n, 2), dtype=bool),
        gave_notice=np.array(gave_notice or (False,) * n),
    )


def test_a_weight_multiplies_what_its_dimension_adds_to_the_logit() -> None:
    """logit p* = -2 + 2 x 1 + 1 x 0.5 for the segment that is named, -2 + 0 x 1 + 0.5 for every other."""
    weights = {"smb": {"support": 2.0}, "": {"support": 0.0}}
    found = weigh(health_of((1, 0.5), (1, 0.5)), weights, segments=["smb", None], reference_churn=0.1)
    assert found.risk == pytest.approx(1 / (1 + np.exp([-0.5, 1.5])))
    assert found.band.tolist() == [AT_RISK, WATCH]


def test_without_weights_it_is_as_calculated_and_what_is_withheld_stays_so() -> None:
    found = weigh(health_of((1, 0.5), (1, 0.5), withheld=(False, True)), {}, segments=["a", "b"], reference_churn=0.1)
    assert found.risk == pytest.approx(1 / (1 + np.exp([0.5, 0.5])))
    assert found.band.tolist() == [AT_RISK, WITHHELD]


def test_who_gave_notice_is_at_risk_under_whatever_weights() -> None:
    none_of_it = {"": {"support": 0.0, "adoption": 0.0}}
    found = weigh(health_of((9, 9), gave_notice=(True,)), none_of_it, segments=[None], reference_churn=0.1)
    assert found.risk.tolist() == [NOTICE_RISK]
    assert found.band.tolist() == [AT_RISK]


def test_who_was_nearer_by_pencil() -> None:
    """Squared errors .16 and .04 against .25 and .25: better by .09 and .21, .15 on the mean, sd .0849."""
    gain = measure_gain(np.array([0.6, 0.2]), np.array([0.5, 0.5]), left=np.array([True, False]))
    assert gain.brier.value == pytest.approx(0.15)
    assert gain.brier.lower == pytest.approx(0.15 - 1.959964 * 0.084853 / np.sqrt(2), abs=1e-6)
    assert gain.verdict == "too_few"


@pytest.mark.parametrize(("tried", "others", "verdict"), [(0.9, 0.5, "nearer"), (0.1, 0.5, "farther")])
def test_beyond_chance_a_verdict_is_given_where_enough_left(tried: float, others: float, verdict: str) -> None:
    left = np.arange(40) % 2 == 0
    risk = np.where(left, tried, 1 - tried)
    assert measure_gain(risk, np.full(40, others), left=left).verdict == verdict
    assert measure_gain(risk, risk, left=left).verdict == "no_difference"
