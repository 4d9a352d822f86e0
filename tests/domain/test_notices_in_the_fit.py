"""Accounts that give notice two months ahead: what the fit says of those that have given none, against the truth."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from app.domain.features import FeatureTable, Spells
from app.domain.hazard_clock import boundaries_from
from app.domain.hazard_guards import compare_with_kaplan_meier, pool_gaps
from app.domain.months import add_months_to_days
from app.domain.survival import FitOptions, fit_hazard, predict, take_rows

AS_OF, MONTHS = date(2025, 1, 1), 36
DECIDES, AHEAD = 0.03, 2  # a month; and months from the notice to the month of leaving
NAT = np.datetime64("NaT", "D")


def simulate(n: int, *, seed: int) -> tuple[FeatureTable, Spells]:
    """Each account decides in any month with the same chance, says so, and leaves two months later."""
    rng = np.random.default_rng(seed)
    joined = rng.integers(-MONTHS, 0, n)
    decided = joined + rng.geometric(DECIDES, n)  # the first landmark that knows
    start = boundaries_from(AS_OF, joined)
    ends = add_months_to_days(start, decided + AHEAD - joined) - np.timedelta64(5, "D")
    left = ends < np.datetime64(AS_OF)
    index = np.arange(n)
    spells = Spells(index, np.ones(n, int), start, np.where(left, ends, NAT), left, np.full(n, -1))
    offsets = np.arange(-MONTHS, 1)
    landmarks = boundaries_from(AS_OF, offsets)
    account, at = np.nonzero((joined[:, None] <= offsets) & (landmarks[None, :] < ends[:, None]))
    told = offsets[at] >= decided[account]
    none = np.full(len(account), NAT)
    table = FeatureTable(
        account=account,
        spell=account,
        landmark=landmarks[at],
        started_on=start[account],
        term_months=np.ones(len(account), int),
        renewal_on=none,
        committed_until=none,
        leaves_on=np.where(told, ends[account], none),
        leaves_for=np.where(told, 0, -1),
        kept=np.ones((len(account), 0)),
        mrr=np.ones(len(account)),
        names=(),
        values=np.empty((len(account), 0)),
    )
    return table, spells


def test_those_without_a_notice_are_neither_too_sure_nor_given_up() -> None:
    found, all_landmarks = [], []
    options = FitOptions(AS_OF, date(2022, 1, 1))
    for seed in range(4):
        table, spells = simulate(1_000, seed=seed)
        is_asked = (table.landmark == np.datetime64(AS_OF)) & np.isnat(table.leaves_on)
        asked = take_rows(table, np.flatnonzero(is_asked))
        model = fit_hazard(table, spells, specs=(), options=options)
        found.append(predict(model, asked).survival[:, [0, 2, 11]].mean(axis=0))
        unknown = replace(table, leaves_on=np.full(len(table.account), NAT))
        naive = fit_hazard(unknown, spells, specs=(), options=options)
        all_landmarks.append(predict(naive, asked).survival[:, [0, 2, 11]].mean(axis=0))
        assert model.n_churns > 300
        assert pool_gaps(compare_with_kaplan_meier(model, table, spells=spells)).is_acceptable
    # Nobody can leave within two months without having said so: S(k) = .97^(k - 2).
    truth = [1.0, 0.97, 0.97**10]
    assert np.mean(found, axis=0) == pytest.approx(truth, abs=0.03)
    # With the landmarks of those that had given notice, all others are taken to leave two months early.
    assert (np.mean(all_landmarks, axis=0) < np.array(truth) - [0.01, 0.04, 0.05]).all()
