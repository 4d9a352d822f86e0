"""The rows of the feature table, and what every kind of feature asks of them."""

from dataclasses import dataclass

import numpy as np

from app.domain.feature_catalog import CADENCE_DAYS
from app.domain.feature_clock import Clock
from app.domain.feature_windows import expand_spans
from app.domain.features import Bools, Floats, Spells
from app.domain.months import Days, Ints, add_months_to_days


@dataclass(frozen=True, slots=True)
class Rows:
    """One row per (account, landmark) with a live spell and a live line known then, sorted by both."""

    grid: Days  # the landmarks, sorted and unique
    at: Ints  # index into grid
    account: Ints
    spell: Ints
    clock_row: Ints
    started_on: Days
    seats: Floats

    @property
    def landmark(self) -> Days:
        return self.grid[self.at]

    def is_fresh(self, kind: str, last_day: Ints) -> Bools:
        """Whether the feed's last known day, (landmarks,), is no older at L than its cadence."""
        oldest = self.grid.astype(np.int64) - CADENCE_DAYS[kind]
        fresh: Bools = (last_day >= oldest)[self.at]
        return fresh


def lay_rows(spells: Spells, grid: Days, *, clock: Clock) -> Rows:
    spell, at = expand_spans(np.searchsorted(grid, spells.started_on), np.searchsorted(grid, spells.ended_on))
    cell = spells.account[spell] * len(grid) + at
    held = np.searchsorted(clock.cell, cell)
    known = np.append(clock.cell, -1)[held] == cell
    order = np.flatnonzero(known)[np.argsort(cell[known], kind="stable")]
    spell, held = spell[order], held[order]
    return Rows(
        grid=grid,
        at=at[order],
        account=spells.account[spell],
        spell=spell,
        clock_row=held,
        started_on=spells.started_on[spell],
        seats=clock.seats[held],
    )


def months_before(grid: Days, months: int) -> Days:
    return add_months_to_days(grid, np.full(len(grid), -months))
