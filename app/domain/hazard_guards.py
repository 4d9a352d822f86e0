"""What a run must pass before it is published; a failure keeps the last published run."""

from dataclasses import dataclass

import numpy as np

from app.domain.features import FeatureTable, Floats, Spells
from app.domain.hazard_clock import landmark_offsets, month_offsets
from app.domain.leaving import is_leaving
from app.domain.months import Ints
from app.domain.survival import HazardModel, Prediction, predict, take_rows

GROUPS = 5
LARGEST_GAP = 0.05  # in S, where the standard error is smaller
LARGEST_GAP_SE = 2.5


@dataclass(frozen=True, slots=True)
class SurvivalGap:
    """Mean predicted survival and Kaplan-Meier of a group of accounts."""

    n_accounts: int
    predicted: float
    observed: float
    standard_error: float

    @property
    def is_acceptable(self) -> bool:
        return abs(self.predicted - self.observed) <= max(LARGEST_GAP, LARGEST_GAP_SE * self.standard_error)


def pool_gaps(gaps: tuple[SurvivalGap, ...]) -> SurvivalGap:
    """All accounts in one: means weighted by number, so that Kaplan-Meier is taken within groups of like risk.

    This is what a run is held to. Each fifth for itself is shown, but judges nothing: with five looks
    at two and a half errors a tenth of sound fits would fail. ValueError without a group.
    """
    if not gaps:
        raise ValueError("there is no group to pool")
    n = np.array([gap.n_accounts for gap in gaps])
    errors = np.array([gap.standard_error for gap in gaps])
    return SurvivalGap(
        n_accounts=int(n.sum()),
        predicted=float(np.average([gap.predicted for gap in gaps], weights=n)),
        observed=float(np.average([gap.observed for gap in gaps], weights=n)),
        standard_error=float(np.sqrt((n**2 * errors**2).sum()) / n.sum()),
    )


def find_broken_curves(prediction: Prediction) -> Ints:
    """Rows whose hazard, S or R is not finite, not in [0, 1] or increases (S(0) = R(0) = 1)."""
    broken = ~((prediction.hazard >= 0) & (prediction.hazard <= 1)).all(axis=1)
    for curve in (prediction.survival, prediction.retention):
        steps = np.diff(curve, axis=1, prepend=1.0)
        broken |= ~((steps <= 0) & (curve >= 0)).all(axis=1)
    return np.flatnonzero(broken)


def compare_with_kaplan_meier(
    model: HazardModel, table: FeatureTable, *, spells: Spells, months: int = 12
) -> tuple[SurvivalGap, ...]:
    """Predicted against observed survival of the accounts alive `months` before `as_of`, by quintile of risk.

    Of the landmarks in `table` the latest that is at least `months` back is used; without one the oldest,
    over the months that it has. Marginal Kaplan-Meier would be the wrong reference where censoring goes
    with the features. Who had given notice by then is left out. Empty without landmarks before `as_of`.
    """
    offsets = landmark_offsets(model.options.as_of, table.landmark)
    back = np.unique(-offsets[offsets < 0])
    if not len(back):
        return ()
    chosen = int(back[back >= months].min() if (back >= months).any() else back.max())
    months = min(months, chosen)
    cases = take_rows(table, np.flatnonzero((offsets == -chosen) & ~is_leaving(table)))
    predicted = predict(model, cases, months=months).survival[:, -1]
    last, churned = _months_observed(model, cases, spells=spells)
    order = np.lexsort((cases.account, -predicted))
    groups = [group for group in np.array_split(order, GROUPS) if len(group)]
    return tuple(_gap(predicted[g], last[g], churned=churned[g], months=months) for g in groups)


def _months_observed(model: HazardModel, cases: FeatureTable, *, spells: Spells) -> tuple[Ints, Floats]:
    """The forecast month of each spell's end, and 1 where it is a churn; beyond `as_of` it has not happened."""
    as_of = model.options.as_of
    end = month_offsets(as_of, spells.ended_on)[cases.spell]
    back = -landmark_offsets(as_of, cases.landmark)
    churned = (end < 0) & spells.churned[cases.spell]
    return np.where(end < 0, end + back + 1, back + 1), churned.astype(np.float64)


def _gap(predicted: Floats, last: Ints, *, churned: Floats, months: int) -> SurvivalGap:
    survival, variance = 1.0, 0.0
    for month in range(1, months + 1):
        events = float(churned[last == month].sum())
        at_risk = float((last > month).sum()) + events
        if events:
            survival *= 1.0 - events / at_risk
            variance += events / (at_risk * max(at_risk - events, 1.0))
    mean = float(predicted.mean())
    expected = np.sqrt(mean * (1.0 - mean) / len(predicted))  # Greenwood is 0 where nothing happened
    error = max(survival * float(np.sqrt(variance)), float(expected))
    return SurvivalGap(len(predicted), mean, survival, error)
