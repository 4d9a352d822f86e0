"""How often intervals at 90 % hold what is true, in companies whose truth is known, from 7 churns to 900.

`pytest -s tests/statistics/test_coverage.py` shows the figures; what follows from them is told in
docs/decisions/0015-how-wide-an-interval-is.md.
"""

import sys
from dataclasses import dataclass

import numpy as np
import pytest

from app.domain.hazard_draws import Groups, group_draws
from app.domain.survival import band
from tests.domain.reference_world import score_world

LEVEL = 0.90
YEAR = 11  # the column of month 12


@dataclass(frozen=True)
class Company:
    joined: int
    shift: float  # of every hazard's logit
    tracked_from_month: int
    seeds: range
    least_accounts: float  # of the accounts' intervals
    least_portfolio: float


COMPANIES = {
    "7 churns": Company(100, -1.1, 48, range(1000, 1020), 0.90, 0.75),
    "31 churns": Company(400, -1.1, 48, range(5000, 5040), 0.85, 0.85),
    "128 churns": Company(400, 0.0, 30, range(7000, 7020), 0.85, 0.85),
    "298 churns": Company(1000, 0.0, 30, range(9000, 9012), 0.85, 0.75),
    "887 churns": Company(3000, 0.0, 30, range(4), 0.82, 0.75),
}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", list(COMPANIES))
def test_intervals_hold_the_truth_about_as_often_as_they_say(name: str) -> None:
    company = COMPANIES[name]
    accounts, portfolio, churns = [], [], []
    for seed in company.seeds:
        scored = score_world(
            company.joined,
            seed=seed,
            shift=company.shift,
            tracked_from_month=company.tracked_from_month,
            paths=200,
        )
        true, mrr = scored.truth[:, YEAR], scored.table.mrr
        lower, upper = band(scored.prediction.survival, scored.prediction.log_survival_sd, level=LEVEL)
        accounts.append(np.mean((lower[:, YEAR] <= true) & (true <= upper[:, YEAR])))
        whole = Groups(np.zeros(len(mrr), dtype=np.int64), mrr, 1)
        draws = group_draws(scored.model, scored.table, groups=whole, seed=seed).expected[:, 0, YEAR]
        low, high = np.quantile(draws, [0.5 - LEVEL / 2, 0.5 + LEVEL / 2])
        portfolio.append(low <= mrr @ true <= high)
        churns.append(scored.model.n_churns)
    found = f"accounts {np.mean(accounts):.3f}, portfolio {sum(portfolio)} of {len(portfolio)}"
    sys.stdout.write(f"\n{np.mean(churns):.0f} churns: 90 % intervals of 12 months hold the truth: {found}")
    assert np.mean(accounts) >= company.least_accounts
    assert np.mean(portfolio) >= company.least_portfolio
