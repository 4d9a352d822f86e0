"""What a run says of groups of accounts: joint draws of their revenue, and Kaplan-Meier."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from app.domain.features import Floats
from app.domain.hazard_draws import Groups, sum_by_group
from app.domain.ltv import DRIFT_MONTHS
from app.domain.months import MONTHS_OF_A_YEAR, Ints
from app.domain.process_noise import process_covariances
from app.domain.survival import FORECAST_MONTHS, row_chunks
from app.models.scores import GroupDraws, RetentionCurve
from jobs.curves import monthly_points
from jobs.scoring import Scoring

Row = dict[str, Any]
PRODUCT = "product"
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
    """Expected revenue and joint draws of each group of each cut that has revenue; of products by their share of it."""
    cuts = [*(_lay_cut(scoring, name) for name in scoring.labels), _lay_products(scoring)]
    draws = scoring.draws([layer for cut in cuts for layer in cut.layers])
    sums = _sum_up(scoring, cuts)
    rows: list[Row] = []
    for cut, total in zip(cuts, sums, strict=True):
        own, draws = draws[: len(cut.layers)], draws[len(cut.layers) :]
        rows += _rows(scoring, cut, draws=sum(own[1:], start=own[0]), sums=total)
    return GroupDraws, rows


@dataclass(frozen=True, slots=True, eq=False)
class _Cut:
    """One way of cutting the accounts into groups: those that have revenue or a forecast.

    `account`, `group` and `arr` say side by side who is in which group with what ARR, in minor units. `layers` say
    the same of the rows of the feature table, weighed by MRR: one group a row, so one layer more for each further
    group that an account can be in.
    """

    name: str
    names: list[str]
    account: Ints
    group: Ints
    arr: Ints
    layers: list[Groups]


def _lay_cut(scoring: Scoring, name: str) -> _Cut:
    names, code = np.unique(scoring.labels[name].astype(str), return_inverse=True)
    found = np.unique(code[scoring.has_forecast | (scoring.account_arr > 0)])
    number = np.full(len(names), -1, dtype=np.int64)
    number[found] = np.arange(len(found))
    members = np.flatnonzero(number[code] >= 0)
    group_of = number[code]
    layer = Groups(group_of[scoring.table.account], scoring.mrr, len(found))
    return _Cut(name, names[found].tolist(), members, group_of[members], scoring.account_arr[members], [layer])


def _lay_products(scoring: Scoring) -> _Cut:
    """An account is in the group of each product it has, with what that product brings."""
    names = sorted({sku for own in scoring.product_arr for sku in own})
    number = {sku: n for n, sku in enumerate(names)}
    held = [
        (account, number[sku], minor)
        for account, own in enumerate(scoring.product_arr)
        for sku, minor in sorted(own.items(), key=lambda item: (-item[1], item[0]))
    ]
    account, group, arr = np.array(held, dtype=np.int64).reshape(-1, 3).T
    first = np.searchsorted(account, account)
    place = np.arange(len(account)) - first  # 0 for the largest of each account
    layers = []
    for layer in range(int(place.max(initial=-1)) + 1):
        own = place == layer
        group_of, weight = np.zeros((2, len(scoring.account_arr)))
        group_of[account[own]], weight[account[own]] = group[own], arr[own] / MONTHS_OF_A_YEAR
        rows = scoring.table.account
        layers.append(Groups(group_of[rows].astype(np.int64), weight[rows], len(names)))
    nobody = Groups(np.zeros(len(scoring.table.account), dtype=np.int64), np.zeros(len(scoring.table.account)), 0)
    return _Cut(PRODUCT, names, account, group, arr, layers or [nobody])


def _sum_up(scoring: Scoring, cuts: Sequence[_Cut]) -> list[dict[str, Floats]]:
    """By cut, MRR x R of each group, what growth adds to it, and the part of it beyond the observed tenure."""
    retention, months = scoring.forecast.retention, np.arange(1, FORECAST_MONTHS + 1)
    sums = [{name: np.zeros((len(cut.names), FORECAST_MONTHS)) for name in SUMS} for cut in cuts]
    for rows in row_chunks(len(retention)):
        growth = np.expm1(scoring.drift[rows, None] * np.minimum(months, DRIFT_MONTHS))
        beyond = months > scoring.forecast.supported_months[rows, None]
        for name, values in zip(SUMS, (np.ones(growth.shape), growth, beyond), strict=True):
            for into, cut in zip(sums, cuts, strict=True):
                for layer in cut.layers:
                    part = Groups(layer.group[rows], layer.weight[rows], layer.n_groups)
                    into[name] += sum_by_group(part, retention[rows] * values)
    return sums


def _rows(scoring: Scoring, cut: _Cut, *, draws: Floats, sums: Mapping[str, Floats]) -> Iterator[Row]:
    is_forecast = scoring.has_forecast[cut.account]
    churn = _monthly_churn(scoring, cut)
    account, retention = scoring.table.account, scoring.forecast.retention
    process = sum(process_covariances(account, layer, retention=retention) for layer in cut.layers)
    for n, name in enumerate(cut.names):
        members = cut.group == n
        yield {
            "group_by": cut.name,
            "group": name,
            "accounts": int((members & is_forecast).sum()),
            "arr_minor": int(cut.arr[members & is_forecast].sum()),
            "left_out_accounts": int((members & ~is_forecast & (cut.arr > 0)).sum()),
            "left_out_arr_minor": int(cut.arr[members & ~is_forecast].sum()),
            "months": FORECAST_MONTHS,
            "draws": draws[:, n, :].astype("<f4").tobytes(),
            "process": np.asarray(process)[n].astype("<f4").tobytes(),
            "monthly_logo_churn": churn[n],
        } | {column: values[n].astype("<f8").tobytes() for column, values in sums.items()}


def _monthly_churn(scoring: Scoring, cut: _Cut) -> list[float | None]:
    """Of each group; of products none, since an account that left has none any more."""
    if cut.name == PRODUCT:
        return [None for _ in cut.names]
    group_of = np.full(len(scoring.account_arr), -1, dtype=np.int64)
    group_of[cut.account] = cut.group
    observed = group_of[scoring.observed.account]
    return [scoring.observed.recent_monthly_churn(observed == n) for n in range(len(cut.names))]
