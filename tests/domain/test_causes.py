"""Cumulative incidence by cause, by pencil and against Aalen-Johansen as lifelines has it."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lifelines import AalenJohansenFitter

from app.domain.causes import (
    CAUSES,
    cause_codes,
    cumulative_incidence,
    pack_probabilities,
    taken_as,
    unpack_probabilities,
)


def test_two_months_of_two_causes_by_pencil() -> None:
    # Month 1: .2 and .1 leave, .7 stay; month 2: .3 and .4 of these, .21 and .28 of all.
    found = cumulative_incidence(np.array([[[0.2, 0.1], [0.3, 0.4]]]))
    assert found == pytest.approx(np.array([[[0.2, 0.1], [0.41, 0.38]]]))


@given(st.integers(0, 2**32 - 1))
def test_what_stays_and_what_left_for_any_cause_is_everyone(seed: int) -> None:
    hazards = np.random.default_rng(seed).dirichlet(np.ones(4), (5, 24))[:, :, :3]
    found = cumulative_incidence(hazards)
    survival = np.cumprod(1 - hazards.sum(axis=2), axis=1)
    assert survival + found.sum(axis=2) == pytest.approx(np.ones((5, 24)))
    assert (np.diff(found, axis=1) >= 0).all()


def test_the_incidence_is_that_of_aalen_johansen_and_not_one_minus_kaplan_meier() -> None:
    rng = np.random.default_rng(4)
    n = 4_000
    month = rng.geometric(0.05, n)
    cause = rng.integers(1, 4, n)
    cause = np.where((cause == 3) & (rng.random(n) < 0.7), 1, cause)
    censored = rng.integers(1, 40, n)
    last, event = np.minimum(month, censored), np.where(month <= censored, cause, 0)
    months = np.arange(1, 37)
    at_risk = (last[:, None] >= months).sum(axis=0)
    lost = np.stack([((last[:, None] == months) & (event[:, None] == c)).sum(axis=0) for c in (1, 2, 3)], axis=1)
    found = cumulative_incidence((lost / at_risk[:, None])[None])[0]
    for c in (1, 2, 3):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it sets churns of the same month a little apart
            fitter = AalenJohansenFitter(calculate_variance=False, seed=1).fit(last + 0.5 * (event == 0), event, c)
        theirs = fitter.cumulative_density_.iloc[:, 0]
        assert found[:, c - 1] == pytest.approx([theirs[: k + 0.25].iloc[-1] for k in months], abs=5e-4)
    alone = 1 - np.prod(1 - lost[:, 0] / at_risk)
    assert alone > found[-1, 0] + 0.05


def test_names_of_causes_become_codes_and_none_counts_as_a_decision_to_leave() -> None:
    codes = cause_codes(["closed", None, "voluntary", "payment_failure"])
    assert codes.tolist() == [2, -1, 0, 1]
    assert taken_as(codes).tolist() == [2, 0, 0, 1]
    with pytest.raises(ValueError, match="no cause of churn"):
        cause_codes(["bored"])


def test_stored_probabilities_come_back_by_month_and_cause() -> None:
    given_as = np.arange(12).reshape(1, 4, 3) / 16
    back = unpack_probabilities(pack_probabilities(given_as)[0].tobytes())
    assert list(back) == [1, 3, 6, 12]
    assert pack_probabilities(np.zeros((0, 4, 3))).shape == (0, 12)
    assert back[3] == dict(zip(CAUSES, (3 / 16, 4 / 16, 5 / 16), strict=True))
