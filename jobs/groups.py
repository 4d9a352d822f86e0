"""What a run says of groups of accounts: joint draws of their revenue, and Kaplan-Meier."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.domain.features import Floats
from app.domain.hazard_draws import Groups, sum_by_group
from app.domain.ltv import DRIFT_MONTHS
from app.domain.months import Ints
from app.domain.survival import FORECAST_MONTHS, row_chunks
from app.models.scores import GroupDraws, RetentionCurve
from jobs.curves import monthly_points
from jobs.scoring import Scoring

Row = dict[str, Any]
SUMS = ("expected", "expected_expansion", "extrapolated")


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
    cuts = [_lay_cut(scoring, name) for name in scoring.labels]
    draws = scoring.draws([cut.groups for cut in cuts])
    sums = _sum_up(scoring, cuts)
    return GroupDraws, [
        row
        for cut, drawn, total in zip(cuts, draws, sums, strict=True)
        for row in _rows(scoring, cut, draws=drawn, sums=total)
    ]


@dataclass(frozen=True, slots=True, eq=False)
class _Cut:
    """One way of cutting the accounts into groups: those that have revenue or a forecast."""

    name: str
    names: list[str]
    group_of: Ints  # by account; -1: in no group
    groups: Groups  # of the rows of the feature table, weighed by MRR


def _lay_cut(scoring: Scoring, name: str) -> _Cut:
    names, code = np.unique(scoring.labels[name].astype(str), return_inverse=True)
    found = np.unique(code[scoring.has_forecast | (scoring.account_arr > 0)])
    number = np.full(len(names), -1, dtype=np.int64)
    number[found] = np.arange(len(found))
    group_of = number[code]
    return _Cut(name, names[found].tolist(), group_of, Groups(group_of[scoring.table.account], scoring.mrr, len(found)))


def _sum_up(scoring: Scoring, cuts: Sequence[_Cut]) -> list[dict[str, Floats]]:
    """By cut, MRR x R of each group, what growth adds to it, and the part of it beyond the observed tenure."""
    retention, months = scoring.forecast.retention, np.arange(1, FORECAST_MONTHS + 1)
    sums = [{name: np.zeros((cut.groups.n_groups, FORECAST_MONTHS)) for name in SUMS} for cut in cuts]
    for rows in row_chunks(len(retention)):
        growth = np.expm1(scoring.drift[rows, None] * np.minimum(months, DRIFT_MONTHS))
        beyond = months > scoring.forecast.supported_months[rows, None]
        for name, values in zip(SUMS, (np.ones(growth.shape), growth, beyond), strict=True):
            for into, cut in zip(sums, cuts, strict=True):
                part = Groups(cut.groups.group[rows], cut.groups.weight[rows], cut.groups.n_groups)
                into[name] += sum_by_group(part, retention[rows] * values)
    return sums


def _rows(scoring: Scoring, cut: _Cut, *, draws: Floats, sums: Mapping[str, Floats]) -> Iterator[Row]:
    has_forecast, arr = scoring.has_forecast, scoring.account_arr
    observed = cut.group_of[scoring.observed.account]
    for n, name in enumerate(cut.names):
        members = cut.group_of == n
        yield {
            "group_by": cut.name,
            "group": name,
            "accounts": int((members & has_forecast).sum()),
            "arr_minor": int(arr[members & has_forecast].sum()),
            "left_out_accounts": int((members & ~has_forecast & (arr > 0)).sum()),
            "left_out_arr_minor": int(arr[members & ~has_forecast].sum()),
            "months": FORECAST_MONTHS,
            "draws": draws[:, n, :].astype("<f4").tobytes(),
            "monthly_logo_churn": scoring.observed.recent_monthly_churn(observed == n),
        } | {column: values[n].astype("<f8").tobytes() for column, values in sums.items()}
