"""Rules of thumb that a model has to beat, each a risk that only puts accounts into an order: the higher, the sooner.

They read the features of the day, as the model does, and learn nothing.
"""

import numpy as np

from app.domain.features import FeatureTable, Floats
from app.domain.months import Days

DAYS_A_MONTH = 365.25 / 12
LEARNED, DEFAULTS, KAPLAN_MEIER = "learned", "defaults", "kaplan_meier"
USAGE_TREND, RENEWAL, EQUAL_POINTS = "usage_trend", "days_to_renewal", "equal_points"
WAYS = (LEARNED, DEFAULTS, KAPLAN_MEIER, USAGE_TREND, RENEWAL, EQUAL_POINTS)  # of forecasting, as they are compared

# What a team that counts points would take for a bad sign (+1) or a good one (-1); the rest counts nothing.
SIGNS = {
    "usage_level": -1,
    "usage_mean_3m": -1,
    "usage_trend": -1,
    "seats_used": -1,
    "breadth": -1,
    "days_since_use": 1,
    "onboarding_late": 1,
    "onboarding_overdue": 1,
    "trainings_12m": -1,
    "tickets_90d": 1,
    "escalations_90d": 1,
    "nps": -1,
    "csat": -1,
    "days_since_contact": 1,
    "overdue_days": 1,
}


def usage_fall(table: FeatureTable, before: FeatureTable) -> Floats:
    """How far usage fell: log of the activity of the 90 days before `before`'s landmark over that of the last 90.

    Both per seat and against the company's average, so that a quiet season is nobody's fall. An account that is
    not in `before`, or not measured at both, is taken to be as it was: 0.
    """
    if "usage_mean_3m" not in table.names:
        return np.zeros(len(table.account))
    column = table.names.index("usage_mean_3m")
    earlier = dict(zip(before.spell.tolist(), before.values[:, column].tolist(), strict=True))
    then = np.array([earlier.get(spell, np.nan) for spell in table.spell.tolist()], dtype=np.float64)
    return np.nan_to_num(then - table.values[:, column], nan=0.0)


def renewal_nearness(table: FeatureTable) -> Floats:
    """Minus the days to the end of the present term; who pays by the month is always within one."""
    due_on: Days = np.where(np.isnat(table.renewal_on), table.landmark, table.renewal_on)
    days = (due_on - table.landmark).astype(np.float64)
    nearness: Floats = -np.where(np.isnat(table.renewal_on), DAYS_A_MONTH, days)
    return nearness


def equal_points(table: FeatureTable) -> Floats:
    """The sum of the signs' standardised values, each counting alike; what is missing or the same for all counts 0."""
    points = np.zeros(len(table.account))
    for number, name in enumerate(table.names):
        values = table.values[:, number]
        known = np.isfinite(values)
        sd = float(values[known].std()) if known.any() else 0.0
        if name in SIGNS and sd > 0:
            points += np.where(known, SIGNS[name] * (values - values[known].mean()) / sd, 0.0)
    return points
