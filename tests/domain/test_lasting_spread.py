"""What keeps accounts apart beside their features, found in deviations whose law is known."""

from dataclasses import fields

import numpy as np
import pytest

from app.domain.features import Floats
from app.domain.lasting_spread import NO_SPREAD, Forecasts, LastingSpread, estimate_spread

HORIZON = 24
MEMORY = 0.8


def simulate(*, lasting: float, spells: int = 1_500, months: int = 30, step: int = 3, noise: float = 0.0) -> Forecasts:
    """Spells whose logit of the hazard is level + lasting part + passing part, the passing part an AR(1) of sd .7.

    The best forecast from the month's passing part alone: level + what memory leaves of the deviation seen.
    """
    rng = np.random.default_rng(20_260_101)
    level, own = rng.normal(-4.0, 1.0, spells), lasting * rng.standard_normal(spells)
    passing = np.empty((spells, months))
    passing[:, 0] = 0.7 * rng.standard_normal(spells)
    for month in range(1, months):
        shock = 0.7 * np.sqrt(1 - MEMORY**2) * rng.standard_normal(spells)
        passing[:, month] = MEMORY * passing[:, month - 1] + shock
    seen = own[:, None] + passing + noise * rng.standard_normal((spells, months))
    landmarks = np.arange(0, months, step)
    spell, landmark = np.repeat(np.arange(spells), len(landmarks)), np.tile(landmarks, spells)
    deviation = seen[spell, landmark]
    faded = deviation[:, None] * MEMORY ** np.arange(HORIZON)
    return Forecasts(
        logit=level[spell][:, None] + faded,
        features=np.column_stack([np.ones(len(spell)), level[spell], deviation]),
        spell=spell,
        landmark_month=landmark - months,
        weight=np.ones(len(spell)),
    )


def take(forecasts: Forecasts, rows: np.ndarray) -> Forecasts:
    return Forecasts(**{field.name: getattr(forecasts, field.name)[rows] for field in fields(Forecasts)})


def expected_lasting(lasting: float) -> float:
    """What the deviation of the day leaves untold of the lasting part: the variance given their sum."""
    return float(np.sqrt(lasting**2 * 0.49 / (lasting**2 + 0.49)))


@pytest.mark.parametrize("lasting", [0.4, 0.8])
def test_the_lasting_part_and_the_memory_are_found(lasting: float) -> None:
    found = estimate_spread(simulate(lasting=lasting))
    assert found.sd == pytest.approx(expected_lasting(lasting), abs=0.06)
    assert found.memory == pytest.approx(MEMORY, abs=0.05)


def test_where_nothing_lasts_little_is_found() -> None:
    assert estimate_spread(simulate(lasting=0.0)).sd < 0.1


def test_the_noise_of_single_months_is_not_taken_for_what_lasts() -> None:
    assert estimate_spread(simulate(lasting=0.0, noise=0.5)).sd < 0.15


def test_accounts_that_do_not_change_have_no_spread() -> None:
    same = simulate(lasting=0.4)
    still: Floats = np.repeat(same.features[:, 1:2], HORIZON, axis=1)
    found = estimate_spread(Forecasts(still, same.features, same.spell, same.landmark_month, same.weight))
    assert found.sd == pytest.approx(0.0, abs=1e-6)


def test_less_than_fifteen_months_do_not_tell_what_lasts() -> None:
    assert estimate_spread(simulate(lasting=0.8, months=15)) == NO_SPREAD
    assert estimate_spread(simulate(lasting=0.8, months=18)) != NO_SPREAD


@pytest.mark.parametrize("spells", [0, 1, 20])
def test_a_few_accounts_do_not_tell_what_lasts(spells: int) -> None:
    assert estimate_spread(simulate(lasting=0.8, spells=spells, months=18)) == NO_SPREAD


def test_the_order_of_rows_and_how_many_each_stands_for_together_do_not_matter() -> None:
    forecasts = simulate(lasting=0.6, spells=300)
    shuffled = take(forecasts, np.random.default_rng(1).permutation(len(forecasts.spell)))
    doubled = Forecasts(
        **{field.name: getattr(forecasts, field.name) for field in fields(Forecasts) if field.name != "weight"},
        weight=2.0 * forecasts.weight,
    )
    found = estimate_spread(forecasts)
    for other in (estimate_spread(shuffled), estimate_spread(doubled)):
        assert other.memory == found.memory
        assert other.sd == pytest.approx(found.sd, abs=1e-9)


def test_who_stands_for_two_counts_as_two() -> None:
    forecasts = simulate(lasting=0.6, spells=300)
    half = forecasts.spell < 150
    twice = take(forecasts, np.concatenate([np.arange(len(half)), np.flatnonzero(half)]))
    copied = Forecasts(
        twice.logit,
        twice.features,
        np.where(np.arange(len(twice.spell)) < len(half), twice.spell, twice.spell + 1_000),
        twice.landmark_month,
        twice.weight,
    )
    weighted = Forecasts(
        forecasts.logit, forecasts.features, forecasts.spell, forecasts.landmark_month, np.where(half, 2.0, 1.0)
    )
    found, other = estimate_spread(copied), estimate_spread(weighted)
    assert (found.memory, found.sd) == (other.memory, pytest.approx(other.sd, abs=1e-9))


def test_the_month_after_the_day_is_told_by_the_features_and_later_ones_ever_less() -> None:
    by_month = LastingSpread(0.5, 0.8).by_month(60)
    assert by_month[:3] == pytest.approx([0.0, 0.1, 0.18])
    assert (np.diff(by_month) > 0).all()
    assert by_month[-1] == pytest.approx(0.5, abs=1e-5)
