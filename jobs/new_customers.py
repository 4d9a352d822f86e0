"""What one customer that begins now is to bring, by group: the accounts of the last year, set back to their first day.

The curve of each rests on the features of its first month, so that they differ as new accounts do; with features
at their mean instead, a value comes out some 8 % too high (docs/decisions/0017-what-a-new-account-is-worth.md).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.domain.backtest import draw_accounts
from app.domain.feature_table import build_features
from app.domain.features import Facts, FeatureTable, Floats
from app.domain.hazard_draws import N_DRAWS, Groups, expected_draws, sample_accounts, sum_by_group
from app.domain.ltv import DRIFT_MONTHS
from app.domain.money import minor_digits
from app.domain.months import MONTHS_OF_A_YEAR, Ints, add_months_to_days, whole_months_between
from app.domain.survival import FORECAST_MONTHS, take_rows
from app.models.scores import NewCustomers
from jobs.forecast import SEED, Forecast, draws_by_segment
from jobs.scoring import SEGMENT, Scoring

CUTS = ("all", "segment", "channel")
MONTHS_COUNTED = 24  # of beginnings, whole calendar months and the present one
MOST_ACCOUNTS = 20_000  # of more, a sample tells what the new ones are like
_AT_ONCE = 50  # accounts: their draws fit into 5 MB
_NAT = np.datetime64("NaT", "D")
Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class _Newcomers:
    """The new accounts as they would begin on the night's date: one row each of table, forecast and labels."""

    scoring: Scoring
    table: FeatureTable
    forecast: Forecast
    labels: Mapping[str, NDArray[Any]]
    mrr: Floats  # a month, in minor units of the reporting currency
    drift: Floats

    def draws(self, rows: Ints) -> Floats:
        """R of some of the rows in each joint draw: draws x rows x months."""
        alone = Groups(np.arange(len(rows)), np.ones(len(rows)), len(rows))
        part, retention = take_rows(self.table, rows), self.forecast.retention[rows]
        return expected_draws(self.scoring.model, part, cuts=[alone], retention=retention, seed=SEED)[0]

    def draws_of_segments(self) -> Floats:
        """The same of all rows, where everyone has the curve of their segment."""
        names, which = np.unique(self.labels[SEGMENT].astype(str), return_inverse=True)
        share = 1.0 / np.bincount(which)[which]
        cuts = [Groups(which, share, len(names))]
        return draws_by_segment(self.forecast, cuts=cuts, segment=self.labels[SEGMENT])[0][:, which]


def new_customer_rows(scoring: Scoring) -> tuple[type[NewCustomers], list[Row]]:
    """A row for each group of each cut in which an account began in the last two years."""
    began = _count_beginnings(scoring)
    newcomers = _find_newcomers(scoring)
    named = [np.unique(newcomers.labels[cut].astype(str), return_inverse=True) for cut in CUTS]
    cuts = [Groups(code, newcomers.mrr, len(names)) for names, code in named]
    rows = []
    for cut, (names, _), groups, draws in zip(CUTS, named, cuts, _draw_cuts(newcomers, cuts), strict=True):
        sums = _mean_curves(newcomers, groups)
        found = {name: _row(groups, n, draws=draws, sums=sums) for n, name in enumerate(names.tolist())}
        nobody = {"accounts": 0, "mrr_minor": 0.0, "draws": b"", **dict.fromkeys(sums, b"")}
        rows += [
            {"group_by": cut, "group": name, "began": dict(sorted(months.items())), "months": FORECAST_MONTHS}
            | found.get(name, nobody)
            for name, months in sorted(began[cut].items())
        ]
    return NewCustomers, rows


def _count_beginnings(scoring: Scoring) -> dict[str, dict[str, Counter[str]]]:
    """By cut and group, how many accounts began for the first time in each of the latest calendar months."""
    spells, today = scoring.night.everyone.spells, np.datetime64(scoring.night.run.as_of, "M")
    month = spells.started_on.astype("datetime64[M]")
    first = np.flatnonzero((spells.number == 1) & (month >= today - MONTHS_COUNTED) & (month <= today))
    began: dict[str, dict[str, Counter[str]]] = {cut: {} for cut in CUTS}
    named = {cut: scoring.page.labels[cut][spells.account[first]] for cut in CUTS}
    for account, when in enumerate(month[first].astype(str).tolist()):
        for cut in CUTS:
            began[cut].setdefault(str(named[cut][account]), Counter())[when] += 1
    return began


def _find_newcomers(scoring: Scoring) -> _Newcomers:
    as_of, settings = scoring.night.run.as_of, scoring.night.known.settings
    facts = draw_accounts(scoring.night.panel, most=MOST_ACCOUNTS)
    table = set_back(_first_months(facts, as_of), as_of=as_of)
    position = np.searchsorted(scoring.night.everyone.account_ids, facts.account_ids[table.account])
    table = replace(table, account=position)
    labels = {cut: scoring.page.labels[cut][position] for cut in CUTS}
    return _Newcomers(
        scoring=scoring,
        table=table,
        forecast=scoring.forecast(table),
        labels=labels,
        mrr=table.mrr * 10.0 ** minor_digits(settings.reporting_currency),
        drift=scoring.account_drift[position],
    )


def _first_months(facts: Facts, as_of: date) -> FeatureTable:
    """Of each account that began in the 12 months before `as_of`, its first row at a monthly landmark."""
    back = -np.arange(MONTHS_OF_A_YEAR, -1, -1)
    landmarks = add_months_to_days(np.full(len(back), np.datetime64(as_of, "D")), back)
    table = build_features(facts, landmarks)
    tenure = whole_months_between(table.started_on, table.landmark)
    is_new = (facts.spells.number[table.spell] == 1) & (table.started_on >= landmarks[0]) & (tenure <= 1)
    rows = np.flatnonzero(is_new)
    return take_rows(table, rows[np.unique(table.spell[rows], return_index=True)[1]])


def set_back(table: FeatureTable, *, as_of: date) -> FeatureTable:
    """The same accounts with the same features, as if each had begun on `as_of` with a term as long as its own.

    Who gave notice within the first month leaves as long after that day as it did after its own.
    """
    today = np.full(len(table.account), np.datetime64(as_of, "D"))
    term_ends_on = add_months_to_days(today, table.term_months)
    return replace(
        table,
        landmark=today,
        started_on=today,
        renewal_on=np.where(np.isnat(table.renewal_on), _NAT, term_ends_on),
        committed_until=np.where(np.isnat(table.committed_until), _NAT, term_ends_on),
        leaves_on=table.leaves_on + (today - table.started_on),
    )


def _mean_curves(newcomers: _Newcomers, groups: Groups) -> dict[str, Floats]:
    """Of one account of each group, by month: MRR x R, what growth adds, and the part beyond the observed tenure."""
    months, retention = np.arange(1, FORECAST_MONTHS + 1), newcomers.forecast.retention
    growth = np.expm1(newcomers.drift[:, None] * np.minimum(months, DRIFT_MONTHS))
    beyond = months > newcomers.forecast.supported_months[:, None]
    values = {"expected": retention, "expected_expansion": retention * growth, "extrapolated": retention * beyond}
    return {name: _mean(groups, value) for name, value in values.items()}


def _draw_cuts(newcomers: _Newcomers, cuts: Sequence[Groups]) -> list[Floats]:
    """For each cut, joint draws (groups x draws x months) of the money of one account of each group.

    Each draw has its own coefficients, and its own idea of who begins: the accounts weigh Exponential(1) (the
    Bayesian bootstrap), so that of few accounts the mean is uncertain. Of more than some 300 of a group a sample is
    drawn and weighted up; its bootstrap is narrowed to that of all of them, its mean moved to theirs.
    """
    rows, share = sample_accounts(newcomers.table.account, cuts)
    luck = np.random.default_rng([SEED, 2]).standard_exponential((N_DRAWS, len(rows)))
    weight = (1.0 + np.sqrt(share) * (luck - 1.0)) / share
    retention = newcomers.forecast.retention
    money = [np.zeros((cut.n_groups, N_DRAWS, FORECAST_MONTHS)) for cut in cuts]
    segments = newcomers.draws_of_segments() if newcomers.scoring.basis == SEGMENT else None
    for start in range(0, len(rows), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        kept = newcomers.draws(rows[part]) if segments is None else segments[:, rows[part]]
        weighted = weight[:, part, None] * kept
        for n, cut in enumerate(cuts):
            money[n] += np.tensordot(_members(cut, rows[part]) * cut.weight[rows[part]], weighted, axes=(1, 1))
    for n, cut in enumerate(cuts):
        members = _members(cut, rows)
        sampled = (members * cut.weight[rows] / share) @ retention[rows] / (members / share).sum(axis=1)[:, None]
        money[n] /= (members @ weight.T)[:, :, None]
        money[n] *= np.divide(_mean(cut, retention), sampled, out=np.ones_like(sampled), where=sampled > 0)[:, None]
    return money


def _members(groups: Groups, rows: Ints) -> Floats:
    members: Floats = (groups.group[rows] == np.arange(groups.n_groups)[:, None]).astype(np.float64)
    return members


def _mean(groups: Groups, values: Floats) -> Floats:
    """The mean of weight x values (n x months) in each group, groups x months."""
    return sum_by_group(groups, values) / np.bincount(groups.group, minlength=groups.n_groups)[:, None]


def _row(groups: Groups, n: int, *, draws: Floats, sums: Mapping[str, Floats]) -> Row:
    members = groups.group == n
    return {
        "accounts": int(members.sum()),
        "mrr_minor": float(groups.weight[members].mean()),
        "draws": draws[n].astype("<f4").tobytes(),
    } | {name: values[n].astype("<f8").tobytes() for name, values in sums.items()}
