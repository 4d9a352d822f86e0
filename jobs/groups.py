"""What a run says of groups of accounts: joint draws of their revenue, and Kaplan-Meier."""

from typing import Any

import numpy as np

from app.domain.features import Floats
from app.domain.ltv import DRIFT_MONTHS
from app.domain.months import Ints
from app.domain.survival import Groups
from app.models.scores import GroupDraws, RetentionCurve
from jobs.curves import monthly_points
from jobs.scoring import Scoring

Row = dict[str, Any]


def curve_rows(scoring: Scoring) -> tuple[type[RetentionCurve], list[Row]]:
    """Kaplan-Meier of each group of each cut."""
    rows = [
        {"group_by": cut, "group": group, "curve": monthly_points(curve)}
        for cut in scoring.labels
        for group, curve in scoring.curves(cut).items()
    ]
    return RetentionCurve, rows


def draw_rows(scoring: Scoring) -> tuple[type[GroupDraws], list[Row]]:
    """Expected revenue and joint draws of each group of each cut that has revenue."""
    return GroupDraws, [row for cut in scoring.labels for row in _cut(scoring, cut)]


def _cut(scoring: Scoring, cut: str) -> list[Row]:
    labels, arr = scoring.labels[cut].astype(str), scoring.account_arr
    names = np.unique(labels[scoring.has_forecast | (arr > 0)])
    member = labels == names[:, None]
    group = np.searchsorted(names, labels[scoring.table.account])
    groups = Groups(group=group, weight=scoring.mrr, n_groups=len(names))
    draws = scoring.draws(groups) if len(names) else np.zeros((0, 0, 0))
    retained = scoring.mrr[:, None] * scoring.forecast.retention
    months = np.arange(1, retained.shape[1] + 1)
    growth = np.expm1(scoring.drift[:, None] * np.minimum(months, DRIFT_MONTHS))
    beyond = months > scoring.forecast.supported_months[:, None]
    sums = {
        "expected": _sum_by(group, retained, n=len(names)),
        "expected_expansion": _sum_by(group, retained * growth, n=len(names)),
        "extrapolated": _sum_by(group, retained * beyond, n=len(names)),
    }
    return [
        {
            "group_by": cut,
            "group": str(name),
            "accounts": int((member[n] & scoring.has_forecast).sum()),
            "arr_minor": int(arr[member[n] & scoring.has_forecast].sum()),
            "left_out_accounts": int((member[n] & ~scoring.has_forecast & (arr > 0)).sum()),
            "left_out_arr_minor": int(arr[member[n] & ~scoring.has_forecast].sum()),
            "months": len(months),
            "draws": draws[:, n, :].astype("<f4").tobytes(),
            "monthly_logo_churn": scoring.observed.recent_monthly_churn(member[n][scoring.observed.account]),
        }
        | {column: values[n].astype("<f8").tobytes() for column, values in sums.items()}
        for n, name in enumerate(names)
    ]


def _sum_by(group: Ints, values: Floats, *, n: int) -> Floats:
    sums = np.zeros((n, values.shape[1]))
    np.add.at(sums, group, values)
    return sums
