"""Kaplan-Meier of the company and of its groups, from the spells as of the night's date."""

from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from app.domain.features import Bools, Facts, Floats
from app.domain.kaplan_meier import SurvivalCurve, estimate_survival_by_group
from app.domain.ltv import monthly_logo_churn
from app.domain.months import Ints, whole_months_between

LEVEL = 0.95
RECENT_MONTHS = 12


@dataclass(frozen=True, slots=True, eq=False)
class Observed:
    """The spells that were under observation: one row each."""

    account: Ints
    entry_months: Floats
    duration_months: Floats
    churned: Bools
    months_since_end: Floats  # whole months from the end to `as_of`; 0 while live

    def recent_monthly_churn(self, rows: Bools) -> float | None:
        """Churns over account-months at risk in the last 12 months; None where nothing was at risk."""
        window = np.maximum(RECENT_MONTHS - self.months_since_end, 0.0)
        at_risk = np.minimum(window, self.duration_months - self.entry_months)
        churns = self.churned & (self.months_since_end < RECENT_MONTHS)
        return monthly_logo_churn(int(churns[rows].sum()), float(at_risk[rows].sum()))


def observe_spells(facts: Facts, *, as_of: date, tracked_from: date | None) -> Observed:
    """Tenure in whole months until churn or `as_of`; at risk from the first tracked month on."""
    spells = facts.spells
    today = np.datetime64(as_of, "D")
    ended_on = np.where(np.isnat(spells.ended_on), today, np.minimum(spells.ended_on, today))
    duration = whole_months_between(spells.started_on, ended_on)
    first = (
        spells.started_on if tracked_from is None else np.maximum(spells.started_on, np.datetime64(tracked_from, "D"))
    )
    entry = whole_months_between(spells.started_on, first)
    seen = (duration > entry) | (entry == 0)
    return Observed(
        account=spells.account[seen],
        entry_months=entry[seen].astype(np.float64),
        duration_months=duration[seen].astype(np.float64),
        churned=spells.churned[seen],
        months_since_end=whole_months_between(ended_on, np.broadcast_to(today, ended_on.shape))[seen].astype(
            np.float64
        ),
    )


class ByAccount(Protocol):
    """Labels of accounts."""

    def __getitem__(self, accounts: Ints, /) -> NDArray[Any]: ...


def estimate_curves(observed: Observed, labels: ByAccount) -> dict[str, SurvivalCurve]:
    """One curve for each label; `labels` is by account."""
    return estimate_survival_by_group(
        observed.duration_months,
        observed.churned,
        groups=labels[observed.account].astype(str).tolist(),
        entry_months=observed.entry_months,
        level=LEVEL,
    )


def monthly_points(curve: SurvivalCurve) -> dict[str, Any]:
    """The curve at whole months, as it is stored and shown."""
    months = np.arange(int(curve.last_month) + 1, dtype=np.float64)
    lower, upper = curve.interval_at(months)
    return {
        "months": months.astype(int).tolist(),
        "retention": curve.at(months).tolist(),
        "lower": lower.tolist(),
        "upper": upper.tolist(),
        "at_risk": curve.at_risk(months).tolist(),
        "accounts": curve.n_subjects,
        "churned": curve.n_churned,
        "level": curve.level,
    }
