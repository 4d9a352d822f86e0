"""What a run says of groups of accounts: joint draws of their revenue, and Kaplan-Meier."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from app.domain.features import FeatureTable, Floats
from app.domain.hazard_draws import Groups, Sampled, sample_accounts, sampled_draws, sum_by_group
from app.domain.ltv import DRIFT_MONTHS
from app.domain.months import MONTHS_OF_A_YEAR, Ints
from app.domain.process_noise import FEWEST_COUNTED, count_covariances
from app.domain.survival import FORECAST_MONTHS, row_chunks, take_rows
from app.models.scores import GroupDraws, RetentionCurve
from jobs.curves import monthly_points
from jobs.forecast import SEED, Forecast, draws_by_segment, join_forecasts
from jobs.scoring import SEGMENT, ScoredPart, Scoring

Row = dict[str, Any]
PRODUCT = "product"
SUMS = ("expected", "expected_expansion", "extrapolated")


def curve_rows(scoring: Scoring) -> tuple[type[RetentionCurve], list[Row]]:
    """Kaplan-Meier of each group of each cut."""
    rows = [
        {"group_by": cut, "group": group, "curve": monthly_points(curve)}
        for cut in scoring.page.labels
        for group, curve in scoring.curves(cut).items()
    ]
    return RetentionCurve, rows


@dataclass(frozen=True, slots=True, eq=False)
class _Cut:
    """One way of cutting the accounts into groups: those that have revenue or a forecast.

    `account`, `group` and `arr` say side by side who is in which group with what ARR, in minor units. `layers` say
    the same of the live accounts, weighed by MRR: one group an account, so one layer more for each further group that
    an account can be in.
    """

    name: str
    names: list[str]
    account: Ints
    group: Ints
    arr: Ints
    layers: list[Groups]


class GroupTotals:
    """Expected revenue and joint draws of each group of each cut that has revenue; of products by their share of it.

    Sums are added up part by part. Whom the draws are made by is chosen beforehand; of these the curves are kept.
    """

    def __init__(self, scoring: Scoring) -> None:
        self._scoring = scoring
        self._cuts = [*(_lay_cut(scoring, name) for name in scoring.page.labels), _lay_products(scoring)]
        self._layers = [layer for cut in self._cuts for layer in cut.layers]
        self._sums = [{name: np.zeros((len(cut.names), FORECAST_MONTHS)) for name in SUMS} for cut in self._cuts]
        self._fitted = [np.zeros((layer.n_groups, FORECAST_MONTHS)) for layer in self._layers]
        self._drawn = sample_accounts(scoring.live, self._layers)
        self._counted = [sample_accounts(scoring.live, [each], fewest=FEWEST_COUNTED) for each in self._layers]
        self._kept = np.unique(np.concatenate([self._drawn[0], *(rows for rows, _ in self._counted)]))
        self._tables: list[FeatureTable] = []
        self._retention: list[Floats] = []
        self._forecasts: list[Forecast] = []  # of all, where they are the segments'
        self._seen = 0

    def add(self, part: ScoredPart) -> None:
        """Add the accounts of the next part."""
        size, retention = len(part.table.account), part.forecast.retention
        if not np.array_equal(part.table.account, self._scoring.live[self._seen : self._seen + size]):
            raise ValueError("the rows of the part are not the next of the live accounts")
        for rows in row_chunks(size):
            self._add_rows(part, rows)
        own = self._kept[(self._kept >= self._seen) & (self._kept < self._seen + size)] - self._seen
        self._tables.append(take_rows(part.table, own))
        self._retention.append(retention[own])
        if self._scoring.basis == SEGMENT:
            self._forecasts.append(part.forecast)
        self._seen += size

    def _add_rows(self, part: ScoredPart, rows: Ints) -> None:
        months, retention = np.arange(1, FORECAST_MONTHS + 1), part.forecast.retention[rows]
        growth = np.expm1(part.drift[rows, None] * np.minimum(months, DRIFT_MONTHS))
        beyond = months > part.forecast.supported_months[rows, None]
        layers = [_take(layer, rows + self._seen) for layer in self._layers]
        for i, layer in enumerate(layers):
            self._fitted[i] += sum_by_group(layer, retention)
        for name, values in (("expected_expansion", growth), ("extrapolated", beyond)):
            left = list(layers)
            for into, cut in zip(self._sums, self._cuts, strict=True):
                own, left = left[: len(cut.layers)], left[len(cut.layers) :]
                for layer in own:
                    into[name] += sum_by_group(layer, retention * values)

    def rows(self) -> tuple[type[GroupDraws], list[Row]]:
        """What is stored, once every part was added."""
        draws, fitted, counted = self._draw(), list(self._fitted), self._count()
        rows: list[Row] = []
        for cut, sums in zip(self._cuts, self._sums, strict=True):
            n = len(cut.layers)
            sums["expected"] = sum(fitted[1:n], start=fitted[0])
            process = sum(counted[1:n], start=counted[0])
            rows += _rows(self._scoring, cut, draws=sum(draws[1:n], start=draws[0]), process=process, sums=sums)
            draws, fitted, counted = draws[n:], fitted[n:], counted[n:]
        return GroupDraws, rows

    def _draw(self) -> list[Floats]:
        rows, share = self._drawn
        if self._scoring.basis == SEGMENT:
            segment = self._scoring.page.labels[SEGMENT][self._scoring.live]
            return draws_by_segment(join_forecasts(self._forecasts), cuts=self._layers, segment=segment)
        place = np.searchsorted(self._kept, rows)
        table = take_rows(_join_tables(self._tables), place)
        sample = Sampled(table, share, np.concatenate(self._retention)[place])
        return sampled_draws(
            self._scoring.model,
            sample,
            cuts=[_take(layer, rows) for layer in self._layers],
            fitted=self._fitted if len(rows) < len(self._scoring.live) else None,
            seed=SEED,
        )

    def _count(self) -> list[Floats]:
        retention = np.concatenate(self._retention)
        return [
            count_covariances(_take(layer, rows), share, retention=retention[np.searchsorted(self._kept, rows)])
            for layer, (rows, share) in zip(self._layers, self._counted, strict=True)
        ]


def _take(groups: Groups, rows: Ints) -> Groups:
    return Groups(groups.group[rows], groups.weight[rows], groups.n_groups)


def _join_tables(tables: Sequence[FeatureTable]) -> FeatureTable:
    columns = [column.name for column in fields(FeatureTable) if column.name != "names"]
    joined: Any = {name: np.concatenate([getattr(each, name) for each in tables]) for name in columns}
    return replace(tables[0], **joined)


def _lay_cut(scoring: Scoring, name: str) -> _Cut:
    labels, arr = scoring.page.labels[name], scoring.account_arr
    found = np.unique(labels.code[scoring.page.is_live | (arr > 0)])
    number = np.full(len(labels.names), -1, dtype=np.int64)
    number[found] = np.arange(len(found))
    group_of = number[labels.code]
    members = np.flatnonzero(group_of >= 0)
    layer = Groups(group_of[scoring.live], scoring.mrr, len(found))
    return _Cut(name, labels.names[found].tolist(), members, group_of[members], arr[members], [layer])


def _lay_products(scoring: Scoring) -> _Cut:
    """An account is in the group of each product it has, with what that product brings."""
    owned, live = scoring.page.owned, scoring.live
    first = np.searchsorted(owned.account, owned.account)
    place = np.arange(len(owned.account)) - first  # 0 for the largest of each account
    layers = []
    for layer in range(int(place.max(initial=-1)) + 1):
        own = place == layer
        group_of, weight = np.zeros((2, len(scoring.account_arr)))
        group_of[owned.account[own]] = owned.product[own]
        weight[owned.account[own]] = owned.minor[own] / MONTHS_OF_A_YEAR
        layers.append(Groups(group_of[live].astype(np.int64), weight[live], len(owned.skus)))
    nobody = Groups(np.zeros(len(live), dtype=np.int64), np.zeros(len(live)), 0)
    return _Cut(PRODUCT, owned.skus, owned.account, owned.product, owned.minor, layers or [nobody])


def _rows(scoring: Scoring, cut: _Cut, *, draws: Floats, process: Floats, sums: Mapping[str, Floats]) -> Iterator[Row]:
    is_forecast = scoring.page.is_live[cut.account]
    churn = _monthly_churn(scoring, cut)
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
            "process": process[n].astype("<f4").tobytes(),
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
