"""Weights held against the past: flips and alerts by pencil, and factors of 1 as no weights at all."""

import numpy as np
import pytest

from app.domain.health_replay import Bands, alerts_a_day, count_flips, measure_accuracy

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
