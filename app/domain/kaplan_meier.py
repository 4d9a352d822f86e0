"""Kaplan-Meier curves of churn, with late entry: what happened so far, without a model.

lifelines does the estimate. Only jobs and tests import this module: the web side reads stored curves.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from lifelines import KaplanMeierFitter

from app.domain.features import Bools, Floats
from app.domain.months import Ints


@dataclass(frozen=True, slots=True, eq=False)
class SurvivalCurve:
    """A step function: `survival[i]` holds from `months[i]` until the next. `months[0]` is 0.

    `lower` and `upper` are the exponential Greenwood interval (normal on log(-log S)) at `level`.
    """

    months: Floats
    survival: Floats
    lower: Floats
    upper: Floats
    entry_months: Floats  # sorted: when each subject came under observation
    exit_months: Floats  # sorted: when each left it
    n_subjects: int
    n_churned: int
    level: float

    @property
    def last_month(self) -> float:
        """The longest observed time; the curve answers nothing beyond it."""
        return float(self.months[-1])

    def at(self, months: Floats) -> Floats:
        """S at each time. ValueError before 0 or beyond the last observed time."""
        return self.survival[self._step(months)]

    def interval_at(self, months: Floats) -> tuple[Floats, Floats]:
        """Lower and upper bound at each time. ValueError as for `at`."""
        step = self._step(months)
        return self.lower[step], self.upper[step]

    def at_risk(self, months: Floats) -> Ints:
        """How many were under observation just before each time; at 0, all who were there from the start."""
        entered = np.searchsorted(self.entry_months, months, side="left")
        entered = np.where(months == 0, np.searchsorted(self.entry_months, 0.0, side="right"), entered)
        return (entered - np.searchsorted(self.exit_months, months, side="left")).astype(np.int64)

    def restricted_mean(self, months: float) -> float:
        """RMST: the area under S from 0 to `months`, the expected months survived of those. ValueError as for `at`."""
        self._step(np.array([months]))
        ends = np.minimum(np.append(self.months[1:], np.inf), months)
        return float((self.survival * np.maximum(ends - self.months, 0.0)).sum())

    def _step(self, months: Floats) -> Ints:
        if np.any(months < 0) or np.any(months > self.last_month):
            raise ValueError(f"the curve is known from month 0 to month {self.last_month:g} only")
        return np.searchsorted(self.months, months, side="right") - 1


def estimate_survival(
    duration_months: Floats, churned: Bools, *, entry_months: Floats | None = None, level: float = 0.95
) -> SurvivalCurve:
    """The Kaplan-Meier curve of `duration_months` (n), an event where `churned`, else censored.

    `entry_months` (n): the tenure at which each came under observation (late entry), 0 if None. A
    subject is at risk in (entry, duration]; one with an entry at or after its duration is refused
    (ValueError), as are negative and non-finite times and an empty group.
    """
    entry = np.zeros(len(duration_months)) if entry_months is None else entry_months.astype(np.float64)
    duration = duration_months.astype(np.float64)
    if not len(duration):
        raise ValueError("a survival curve needs at least one account")
    if not (np.isfinite(duration).all() and np.isfinite(entry).all() and (entry >= 0).all()):
        raise ValueError("durations and entries must be finite and not negative")
    if (duration < entry).any() or ((duration == entry) & (entry > 0)).any():
        raise ValueError("an account must enter observation before it leaves it")
    late = entry if entry.any() else None
    fitter = KaplanMeierFitter(alpha=1.0 - level).fit(duration, churned, entry=late)
    interval = fitter.confidence_interval_survival_function_.to_numpy()
    return SurvivalCurve(
        months=fitter.survival_function_.index.to_numpy(dtype=np.float64),
        survival=fitter.survival_function_.to_numpy()[:, 0],
        lower=interval[:, 0],
        upper=interval[:, 1],
        entry_months=np.sort(entry),
        exit_months=np.sort(duration),
        n_subjects=len(duration),
        n_churned=int(churned.sum()),
        level=level,
    )


def estimate_survival_by_group(
    duration_months: Floats,
    churned: Bools,
    *,
    groups: Sequence[str],
    entry_months: Floats | None = None,
    level: float = 0.95,
) -> dict[str, SurvivalCurve]:
    """One curve for each group, in the order of their names."""
    names = np.array(groups, dtype=object)
    curves = {}
    for name in sorted(set(groups)):
        rows = names == name
        entry = None if entry_months is None else entry_months[rows]
        curves[name] = estimate_survival(duration_months[rows], churned[rows], entry_months=entry, level=level)
    return curves
