"""The contract of each account as it was known at each landmark: money, seats and renewal clock."""

from dataclasses import dataclass

import numpy as np

from app.domain.feature_windows import expand_spans
from app.domain.features import Bools, Floats, LineFacts
from app.domain.leaving import KnownLines
from app.domain.months import Days, Ints, add_months_to_days, whole_months_between

_NAT = np.datetime64("NaT", "D")
_DAYS_PER_CELL = 2**21  # more than any day number that datetime64[D] can show as a date of our era


@dataclass(frozen=True, slots=True)
class Clock:
    """One row per (account, landmark) with a live line known then, by `cell` = account x landmarks + landmark."""

    cell: Ints
    term_months: Ints
    renewal_on: Days
    committed_until: Days
    leaves_on: Days
    leaves_for: Ints
    kept: Floats
    mrr: Floats
    seats: Floats


def read_clock(lines: LineFacts, landmarks: Days, *, months_ahead: int = 0) -> Clock:
    """Money and seats are of all lines that are live and known; the clock is that of the base line.

    The base line is the one with the largest MRR among those with the longest term: the account
    is not lost before its longest commitment ends. Its present term ends at the first
    `starts_on + k * term_months` after the landmark, whenever the line did in fact stop. A line
    already signed at the landmark that starts on that very day carries the clock on to the end of
    its own term. `renewal_on` is NaT where the base line's term is one month. What notices end is that of the
    lines known then (app/domain/leaving.py); `kept` goes `months_ahead`.
    """
    line, at = expand_spans(*_live_spans(lines, landmarks))
    cell = lines.account[line] * len(landmarks) + at
    keys = (lines.seats, lines.non_cancellable, lines.starts_on, -lines.mrr, -lines.term_months)
    order = np.lexsort((*(key[line] for key in keys), cell))
    line, at, cell = line[order], at[order], cell[order]
    cells, base, row = np.unique(cell, return_index=True, return_inverse=True)
    seats = lines.seats[line]
    by_seat = np.bincount(row, ~np.isnan(seats), len(cells)) > 0
    starts_on, term = lines.starts_on[line[base]], lines.term_months[line[base]]
    passed = whole_months_between(starts_on, landmarks[at[base]]) // term
    ends_on = add_months_to_days(starts_on, (passed + 1) * term)
    renewal_on, committed_until = _follow_signed_lines(
        _signed_lines(lines, landmarks), cells, ends_on=ends_on, committed=lines.non_cancellable[line[base]]
    )
    known = KnownLines(lines, landmarks, cells=cells, live=(line, row))
    leaves_on, leaves_for = known.leaves()
    return Clock(
        cell=cells,
        term_months=term,
        renewal_on=np.where(term > 1, renewal_on, _NAT),
        committed_until=committed_until,
        leaves_on=leaves_on,
        leaves_for=leaves_for,
        kept=known.kept(months_ahead),
        mrr=np.bincount(row, lines.mrr[line], len(cells)).astype(np.float64),
        seats=np.where(by_seat, np.bincount(row, np.nan_to_num(seats), len(cells)), np.nan),
    )


def _live_spans(lines: LineFacts, landmarks: Days) -> tuple[Ints, Ints]:
    start = np.maximum(
        np.searchsorted(landmarks, lines.starts_on), np.searchsorted(landmarks, lines.available_on, side="right")
    )
    stop = np.minimum(
        np.searchsorted(landmarks, lines.stops_on), np.searchsorted(landmarks, lines.replaced_on, side="right")
    )
    return start, stop


@dataclass(frozen=True, slots=True)
class _Signed:
    key: Ints  # cell x _DAYS_PER_CELL + first day, sorted and unique
    term_months: Ints
    non_cancellable: Bools


def _signed_lines(lines: LineFacts, landmarks: Days) -> _Signed:
    """Lines of more than a month, known at a landmark and not yet begun; of equals the longest."""
    start = np.searchsorted(landmarks, lines.available_on, side="right")
    begun = np.minimum(
        np.searchsorted(landmarks, lines.starts_on), np.searchsorted(landmarks, lines.replaced_on, side="right")
    )
    stands = (lines.term_months > 1) & ~(lines.stops_on <= lines.starts_on)
    line, at = expand_spans(start, np.where(stands, begun, start))
    key = _signed_key(lines.account[line] * len(landmarks) + at, lines.starts_on[line])
    order = np.lexsort((lines.non_cancellable[line], -lines.term_months[line], key))
    unique, first = np.unique(key[order], return_index=True)
    chosen = line[order][first]
    return _Signed(unique, lines.term_months[chosen], lines.non_cancellable[chosen])


def _signed_key(cell: Ints, day: Days) -> Ints:
    return cell * _DAYS_PER_CELL + day.astype(np.int64)


def _follow_signed_lines(signed: _Signed, cells: Ints, *, ends_on: Days, committed: Bools) -> tuple[Days, Days]:
    """`renewal_on` and `committed_until`; ends, as each step moves a day on to a later line's end."""
    renewal_on = ends_on.copy()
    committed_until = np.where(committed, ends_on, _NAT)
    open_rows = np.arange(len(cells)) if len(signed.key) else np.arange(0)
    while len(open_rows):
        key = _signed_key(cells[open_rows], renewal_on[open_rows])
        found = np.minimum(np.searchsorted(signed.key, key), len(signed.key) - 1)
        matched = signed.key[found] == key
        open_rows, found = open_rows[matched], found[matched]
        still_committed = (committed_until[open_rows] == renewal_on[open_rows]) & signed.non_cancellable[found]
        renewal_on[open_rows] = add_months_to_days(renewal_on[open_rows], signed.term_months[found])
        committed_until[open_rows[still_committed]] = renewal_on[open_rows[still_committed]]
    return renewal_on, committed_until
