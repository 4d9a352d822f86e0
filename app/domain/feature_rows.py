"""The rows of the feature table, and what every kind of feature asks of them."""

from dataclasses import dataclass

import numpy as np

from app.domain.feature_catalog import CADENCE_DAYS
from app.domain.feature_clock import Clock
from app.domain.feature_company import Company
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
    company: Company  # at the landmarks of the grid

    @property
    def landmark(self) -> Days:
        return self.grid[self.at]

    def is_fresh(self, feed: str, *, kind: str | None = None) -> Bools:
        """Whether the last known day of the feed, or of a kind of its facts, is no older at L than its cadence."""
        oldest = self.grid.astype(np.int64) - CADENCE_DAYS[feed]
        fresh: Bools = (self.company.last[kind or feed] >= oldest)[self.at]
        return fresh


@dataclass(frozen=True, slots=True)
class LiveCells:
    """One row per (account, landmark) with a live spell and a live line known then, sorted by both."""

    at: Ints
    spell: Ints
    clock_row: Ints


def find_live(spells: Spells, grid: Days, *, clock: Clock) -> LiveCells:
    spell, at = expand_spans(np.searchsorted(grid, spells.started_on), np.searchsorted(grid, spells.ended_on))
    cell = spells.account[spell] * len(grid) + at
    held = np.searchsorted(clock.cell, cell)
    known = np.append(clock.cell, -1)[held] == cell
    order = np.flatnonzero(known)[np.argsort(cell[known], kind="stable")]
    return LiveCells(at[order], spell[order], held[order])


def lay_rows(spells: Spells, grid: Days, *, clock: Clock, company: Company) -> Rows:
    live = find_live(spells, grid, clock=clock)
    return Rows(
        grid=grid,
        at=live.at,
        account=spells.account[live.spell],
        spell=live.spell,
        clock_row=live.clock_row,
        started_on=spells.started_on[live.spell],
        seats=clock.seats[live.clock_row],
        company=company,
    )


def months_before(grid: Days, months: int) -> Days:
    return add_months_to_days(grid, np.full(len(grid), -months))
