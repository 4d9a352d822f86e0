"""How the money of surviving accounts moved: the yearly windows that the expansion drift rests on."""

from dataclasses import dataclass
from datetime import date

import numpy as np

from app.domain.feature_clock import read_clock
from app.domain.feature_rows import find_live
from app.domain.features import Facts, Floats
from app.domain.ltv import expansion_drift
from app.domain.months import Ints, add_months_to_days

WINDOW_MONTHS = 12


@dataclass(frozen=True, slots=True)
class SurvivorGrowth:
    """One row per account and year in which it stayed: log(MRR at the end / MRR at the start)."""

    account: Ints
    log_change: Floats


def survivor_growth(facts: Facts, *, as_of: date, tracked_from: date) -> SurvivorGrowth:
    """Windows of 12 months back from `as_of`, none that begins before `tracked_from`.

    An account counts in a window if the same spell is live, with a known line, at both of its ends.
    """
    end, start = np.datetime64(as_of, "D"), np.datetime64(tracked_from, "D")
    most = max(0, int((end - start).astype(np.int64)) // 365)
    back = -WINDOW_MONTHS * np.arange(most, -1, -1)
    grid = add_months_to_days(np.full(len(back), end), back)
    grid = grid[grid >= start]
    clock = read_clock(facts.lines, grid)
    rows = find_live(facts.spells, grid, clock=clock)
    log_mrr = np.log(np.maximum(clock.mrr[rows.clock_row], 1e-9))
    order = np.lexsort((rows.at, rows.spell))
    spell, at, level = rows.spell[order], rows.at[order], log_mrr[order]
    stayed = (spell[1:] == spell[:-1]) & (at[1:] == at[:-1] + 1)
    return SurvivorGrowth(account=facts.spells.account[spell[1:][stayed]], log_change=(level[1:] - level[:-1])[stayed])


def segment_drift(growth: SurvivorGrowth, *, segment: Ints, n_segments: int) -> Floats:
    """The monthly drift mu of each segment (`ltv.expansion_drift`); `segment` (n accounts) is of today."""
    months = np.full(len(growth.account), float(WINDOW_MONTHS))
    return expansion_drift(growth.log_change, months, segment=segment[growth.account], n_segments=n_segments)
