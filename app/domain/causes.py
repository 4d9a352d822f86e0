"""Why accounts leave, and how likely each reason is: cumulative incidence, never 1 - Kaplan-Meier by cause.

An account leaves once: who has failed to pay can no longer decide to leave. So with the hazards h_c(k) of
the causes, h(k) their sum and S(k) the product of (1 - h), the probability to have left for cause c by month
k is F_c(k) = sum over j = 1..k of S(j - 1) h_c(j), and S(k) + sum of F_c(k) = 1. To treat the other causes
as censoring answers another question, and adds up to more than all.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.domain.features import Floats
from app.domain.months import Ints

CAUSES = ("voluntary", "payment_failure", "closed")
VOLUNTARY = CAUSES.index("voluntary")
FEWEST_EVENTS = 20  # of a cause other than the decision to leave: with fewer it has no fit of its own
VOLUNTARY_PRIOR = 0.5  # churns: where nobody has left yet, a decision to leave is what is to be expected
HORIZONS_MONTHS = (1, 3, 6, 12)  # for which an account's probability is told by cause


def cause_codes(names: Sequence[str | None]) -> Ints:
    """Index into `CAUSES` of each name; -1 where none was given. ValueError for a name that is no cause."""
    code: dict[str | None, int] = {name: number for number, name in enumerate(CAUSES)} | {None: -1}
    unknown = set(names) - set(code)
    if unknown:
        raise ValueError(f"no cause of churn: {sorted(map(str, unknown))}")
    return np.array([code[name] for name in names], dtype=np.int64)


def taken_as(cause: Ints) -> Ints:
    """The cause that a churn counts for: one that nobody gave a cause is taken for a decision to leave."""
    return np.where(cause < 0, VOLUNTARY, cause)


def cause_shares(churns: Ints) -> Floats:
    """The constant share of each cause, from how many left for it."""
    counted = churns + VOLUNTARY_PRIOR * (np.arange(len(CAUSES)) == VOLUNTARY)
    shares: Floats = counted / counted.sum()
    return shares


def cumulative_incidence(hazards: Floats) -> Floats:
    """F_c(1..K) of n accounts from their hazards by month and cause (n x K x C), same shape.

    Hazards are probabilities whose sum over causes is at most 1.
    """
    total = hazards.sum(axis=2)
    alive = np.multiply.accumulate(1.0 - total, axis=1)
    before = np.concatenate([np.ones((len(alive), 1)), alive[:, :-1]], axis=1)
    return np.cumsum(before[:, :, None] * hazards, axis=1)


def pack_probabilities(probabilities: Floats) -> NDArray[np.float32]:
    """`Prediction.cause_probabilities` (n x horizons x causes) as rows to store: the horizons one after the other."""
    return probabilities.reshape(len(probabilities), len(HORIZONS_MONTHS) * len(CAUSES)).astype("<f4")


def unpack_probabilities(stored: bytes) -> dict[int, dict[str, float]]:
    """What `pack_probabilities` laid down of one account: by months ahead, then by cause."""
    values = np.frombuffer(stored, dtype="<f4").astype(np.float64).reshape(len(HORIZONS_MONTHS), len(CAUSES))
    return {
        months: dict(zip(CAUSES, row.tolist(), strict=True))
        for months, row in zip(HORIZONS_MONTHS, values, strict=True)
    }
