"""Dated facts laid against landmarks: sums, peaks and last days over what was known at each.

A fact is known at landmark L if its day and its `available_on` both lie before L. Each window
ends at the landmark and begins at `since[L]`, a day that never moves back as L moves on.
Every function here costs time linear in the facts (and in groups x landmarks), whatever the
number of windows that a fact lies in, but for `Marks.peaks`, linear in facts x windows.
"""

from dataclasses import dataclass

import numpy as np

from app.domain.features import Bools, Floats
from app.domain.months import Days, Ints

NEVER = np.iinfo(np.int64).min // 4  # as a day number: before every date that a fact can carry


@dataclass(frozen=True, slots=True)
class Marks:
    """Facts of one kind: `first` is the first landmark (its index) that knows the fact."""

    landmarks: Days  # sorted, unique
    group: Ints  # the account or spell that a fact belongs to
    groups: int
    day: Days
    first: Ints

    def only(self, kept: Bools) -> "Marks":
        return Marks(self.landmarks, self.group[kept], self.groups, self.day[kept], self.first[kept])

    def sums(self, amount: Floats, since: Days) -> Floats:
        """Sum of `amount` over the window, (groups, landmarks).

        An amount is added where its fact becomes known and taken away where the window has moved
        past it. Whole numbers (below 2^53) are exact in any order; others are sorted first.
        """
        stop = np.searchsorted(since, self.day, side="right")
        used = np.flatnonzero(self.first < stop)
        if not np.array_equal(amount, np.floor(amount)):
            used = used[np.lexsort((amount[used], self.first[used], self.day[used], self.group[used]))]
        width = len(self.landmarks) + 1
        cell, size = self.group[used] * width, self.groups * width
        added = np.bincount(cell + self.first[used], amount[used], size)
        taken = np.bincount(cell + stop[used], amount[used], size)
        result: Floats = (added - taken).reshape(self.groups, width).cumsum(axis=1)[:, :-1]
        return result

    def counts(self, since: Days) -> Floats:
        """Number of facts in the window, (groups, landmarks)."""
        return self.sums(np.ones(len(self.day)), since)

    def peaks(self, amount: Floats, since: Days) -> Floats:
        """Largest `amount` in the window, 0 where there is none, (groups, landmarks)."""
        fact, at = expand_spans(self.first, np.searchsorted(since, self.day, side="right"))
        result = np.zeros((self.groups, len(self.landmarks)))
        np.maximum.at(result, (self.group[fact], at), amount[fact])
        return result

    def last_days(self) -> Ints:
        """Day number of the latest fact known at each landmark, NEVER if none, (groups, landmarks)."""
        result = np.full((self.groups, len(self.landmarks) + 1), NEVER)
        np.maximum.at(result, (self.group, self.first), self.day.astype(np.int64))
        days: Ints = np.maximum.accumulate(result[:, :-1], axis=1)
        return days

    def means_on_last_days(self, amount: Floats) -> Floats:
        """Mean `amount` of the facts of the latest known day, NaN if none, (groups, landmarks)."""
        days = self.last_days()
        epoch = int(self.day.astype(np.int64).min()) if len(self.day) else 0
        after_epoch = np.maximum(days - epoch + 1, 0)  # 0: none yet
        stride = int(after_epoch.max(initial=0)) + 2
        flat = (after_epoch + np.arange(self.groups)[:, None] * stride).ravel()
        key = self.group * stride + np.minimum(self.day.astype(np.int64) - epoch + 1, stride - 1)
        start = np.maximum(np.searchsorted(flat, key), self.group * len(self.landmarks) + self.first)
        order = np.lexsort((amount, self.first, self.day, self.group))
        fact, cell = expand_spans(start[order], np.searchsorted(flat, key, side="right")[order])
        total = np.bincount(cell, amount[order][fact], flat.size).astype(np.float64)
        count = np.bincount(cell, minlength=flat.size).astype(np.float64)
        return divide_or_nan(total, count, where=count > 0).reshape(days.shape)

    def company_last_days(self) -> Ints:
        """Day number of the latest fact of any group known at each landmark, NEVER if none, (landmarks,)."""
        result = np.full(len(self.landmarks) + 1, NEVER)
        np.maximum.at(result, self.first, self.day.astype(np.int64))
        days: Ints = np.maximum.accumulate(result[:-1])
        return days


def lay_marks(landmarks: Days, group: Ints, *, groups: int, day: Days, available_on: Days) -> Marks:
    """Facts of `group` (-1: of none, left out) against sorted, unique landmarks; NaT is never known."""
    first = np.searchsorted(landmarks, np.maximum(day, available_on), side="right")
    marks = Marks(landmarks, group, groups, day, first)
    return marks.only(group >= 0) if np.any(group < 0) else marks


def expand_spans(start: Ints, stop: Ints) -> tuple[Ints, Ints]:
    """Every (row, index) with start[row] <= index < stop[row], by row and then index."""
    length = np.maximum(stop - start, 0)
    row: Ints = np.repeat(np.arange(len(start)), length)
    index: Ints = np.arange(len(row)) - np.repeat(np.cumsum(length) - length, length) + start[row]
    return row, index


def divide_or_nan(total: Floats, count: Floats, *, where: Bools) -> Floats:
    result: Floats = np.divide(total, count, out=np.full(total.shape, np.nan), where=where)
    return result
