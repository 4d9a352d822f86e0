"""What a notice that is known says of the months ahead: who leaves when, and what share of the revenue stays.

No hazard is asked about what was said: S is 1 up to the month in which the first unpaid day falls, and 0 from it on.
Where a notice ends only some lines the account keeps its hazard, and R is multiplied by the share of today's revenue
that is still there.
"""

import numpy as np

from app.domain.causes import CAUSES, HORIZONS_MONTHS
from app.domain.feature_windows import expand_spans
from app.domain.features import Bools, FeatureTable, Floats, LineFacts
from app.domain.months import Days, Ints, whole_months_between

_NAT = np.datetime64("NaT", "D")
_NOBODY = -1


class KnownLines:
    """The lines known at each (account, landmark): those live there, and those signed and not yet begun.

    `line` are rows of the lines, `row` the row of the cell that each is known in.
    """

    def __init__(self, lines: LineFacts, landmarks: Days, *, cells: Ints, live: tuple[Ints, Ints]) -> None:
        self.lines, self.landmarks, self.cells = lines, landmarks, cells
        self.live_line, self.live_row = live
        self.signed_line, self.signed_row = self._signed()

    def _signed(self) -> tuple[Ints, Ints]:
        """Only of accounts of which some line ends by notice: nobody else asks."""
        lines, landmarks = self.lines, self.landmarks
        told = np.unique(lines.account[~np.isnat(lines.leaves_on)])
        asked = np.isin(lines.account, told) & ~(lines.stops_on <= lines.starts_on)
        start = np.searchsorted(landmarks, lines.available_on, side="right")
        begun = np.minimum(
            np.searchsorted(landmarks, lines.starts_on), np.searchsorted(landmarks, lines.replaced_on, side="right")
        )
        line, at = expand_spans(start, np.where(asked, begun, start))
        cell = lines.account[line] * len(landmarks) + at
        row = np.searchsorted(self.cells, cell)
        known = np.append(self.cells, _NOBODY)[row] == cell
        return line[known], row[known]

    def leaves(self) -> tuple[Days, Ints]:
        """The first unpaid day of each cell's account and its cause; NaT and -1 where some line goes on.

        A signed line that begins by the day on which the others end goes on for them, and ends when it does itself.
        """
        size, ends = len(self.cells), self.lines.leaves_on
        stays = np.bincount(self.live_row, np.isnat(ends[self.live_line]), size) > 0
        reach = _latest(self.live_row, ends[self.live_line], size=size)
        line, row = self.live_line, self.live_row
        waiting = np.flatnonzero(~stays[self.signed_row])
        while len(waiting):
            joins = self.lines.starts_on[self.signed_line[waiting]] <= reach[self.signed_row[waiting]]
            found, waiting = waiting[joins], waiting[~joins]
            if not len(found):
                break
            line, row = np.append(line, self.signed_line[found]), np.append(row, self.signed_row[found])
            stays[row[np.isnat(ends[line])]] = True
            reach = _latest(row, ends[line], size=size)
        order = np.lexsort((self.lines.leaves_for[line], ends[line], row))
        last = np.append(np.flatnonzero(np.diff(row[order])), len(row) - 1) if len(row) else np.arange(0)
        cause = self.lines.leaves_for[line[order[last]]]
        return np.where(stays, _NAT, reach), np.where(stays, _NOBODY, cause)

    def kept(self, months: int) -> Floats:
        """The share of each cell's revenue that is there at the end of months 1..`months`: at most 1, never rising.

        What a signed line brings makes up for what ends, unless it takes the place of a line that no notice ends.
        """
        lines, size = self.lines, len(self.cells)
        kept = np.ones((size, months))
        line, row = np.append(self.live_line, self.signed_line), np.append(self.live_row, self.signed_row)
        goes_on = np.isnat(lines.leaves_on[line])
        rows = np.unique(row[~goes_on])
        if not months or not len(rows):
            return kept
        change = np.zeros((size, months + 1))
        self._book(change, (line, row), day=lines.leaves_on, sign=-1.0)
        goes_on &= np.isin(row, rows)
        taken = {*zip(row[goes_on].tolist(), lines.stops_on[line[goes_on]].astype(np.int64).tolist(), strict=True)}
        starts = lines.starts_on[self.signed_line].astype(np.int64).tolist()
        pairs = zip(self.signed_row.tolist(), starts, strict=True)
        own = np.array([pair not in taken for pair in pairs], dtype=bool)
        self._book(change, (self.signed_line[own], self.signed_row[own]), day=lines.starts_on, sign=1.0)
        mrr = np.bincount(self.live_row, lines.mrr[self.live_line], size)[rows]
        left = 1.0 + np.cumsum(change[rows, :months], axis=1) / np.where(mrr > 0, mrr, 1.0)[:, None]
        left = np.minimum.accumulate(np.clip(left, 0.0, 1.0), axis=1)
        kept[rows] = np.where(left < 1e-9, 0.0, left)
        return kept

    def _book(self, change: Floats, known: tuple[Ints, Ints], *, day: Days, sign: float) -> None:
        """Add each line's revenue, or take it away, in the month ahead in which its day falls."""
        line, row = known
        dated = ~np.isnat(day[line])
        line, row = line[dated], row[dated]
        landmark = self.landmarks[self.cells[row] % len(self.landmarks)]
        month = np.clip(whole_months_between(landmark, day[line]), 0, change.shape[1] - 1)
        np.add.at(change, (row, month), sign * self.lines.mrr[line])


def _latest(row: Ints, days: Days, *, size: int) -> Days:
    latest = np.full(size, _NAT).astype(np.int64)
    np.maximum.at(latest, row, days.astype("datetime64[D]").astype(np.int64))
    return latest.astype("datetime64[D]")


def is_leaving(table: FeatureTable) -> Bools:
    """Of each row of a feature table, whether a known notice ends all of the account's lines."""
    leaving: Bools = ~np.isnat(table.leaves_on)
    return leaving


def leaving_months(table: FeatureTable) -> Ints:
    """The forecast month (1, 2, ...) in which the first unpaid day falls; 0 of who has given no notice."""
    leaving = is_leaving(table)
    leaves_on = np.where(leaving, table.leaves_on, table.landmark)
    return np.where(leaving, np.maximum(whole_months_between(table.landmark, leaves_on) + 1, 1), 0)


def end_survival(survival: Floats, table: FeatureTable) -> Floats:
    """S (n x months): 1 before the month of leaving and 0 from it on where a notice says so."""
    rows = np.flatnonzero(is_leaving(table))
    ended = survival.copy()
    ended[rows] = np.arange(1, survival.shape[1] + 1) < leaving_months(table)[rows, None]
    return ended


def end_retention(retention: Floats, table: FeatureTable) -> Floats:
    """R (n x months, or x draws): times the share of the revenue that stays; that share itself of who leaves."""
    extra = (1,) * (retention.ndim - 2)
    rows = np.flatnonzero(is_leaving(table))
    ended = retention.copy()
    paid = np.arange(1, retention.shape[1] + 1) < leaving_months(table)[rows, None]
    ended[rows] = paid.reshape(paid.shape + extra)
    if table.kept.shape[1]:
        kept = table.kept[:, : retention.shape[1]]
        ended *= kept.reshape(kept.shape + extra)
    return ended


def end_hazard(hazard: Floats, table: FeatureTable) -> Floats:
    """The hazard (n x months): all of it in the month of leaving where a notice says so."""
    rows = np.flatnonzero(is_leaving(table))
    ended = hazard.copy()
    ended[rows] = np.arange(1, hazard.shape[1] + 1) == leaving_months(table)[rows, None]
    return ended


def end_causes(probabilities: Floats, table: FeatureTable) -> Floats:
    """By horizon and cause (n x `HORIZONS_MONTHS` x `CAUSES`): the notice's cause has all of it from its month on."""
    rows = np.flatnonzero(is_leaving(table))
    has_left = leaving_months(table)[rows, None] <= np.array(HORIZONS_MONTHS)
    is_cause = table.leaves_for[rows, None] == np.arange(len(CAUSES))
    ended = probabilities.copy()
    told = (has_left[:, :, None] & is_cause[:, None, :]).astype(np.float64)
    ended[rows] = np.where(np.isnan(probabilities[rows]), np.nan, told)
    return ended


def without_doubt(sd: Floats, table: FeatureTable) -> Floats:
    """The standard deviations (n x months): 0 of who leaves, so that the bounds are the curve."""
    return np.where(is_leaving(table)[:, None], 0.0, sd)
