"""Dated facts laid against landmarks: sums, peaks and last days over what was known at each.

A fact is known at landmark L if its day and its `available_on` both lie before L. Each window
ends at the landmark and begins at `since[L]`, a day that never moves back as L moves on.
Every function here costs time linear in the facts (and in groups x landmarks), whatever the
number of windows that a fact lies in, but for `Marks.peaks` and `Marks.means_on_last_days`, linear
in facts x windows.
"""

from dataclasses import dataclass, replace

import numpy as np

from app.domain.features import Bools, Floats
from app.domain.months import Days, Ints

NEVER = np.iinfo(np.int64).min // 4  # as a day number: before every date that a fact can carry


@dataclass(frozen=True, slots=True)
class Marks:
    """Facts of one kind, each known from the landmark `first` (its index) up to, not at, `gone`."""

    landmarks: Days  # sorted, unique
    group: Ints  # the account or spell that a fact belongs to
    groups: int
    day: Days
    first: Ints
    gone: Ints  # the number of landmarks for what was never replaced

    def only(self, kept: Bools | Ints) -> "Marks":
        return Marks(self.landmarks, self.group[kept], self.groups, self.day[kept], self.first[kept], self.gone[kept])

    def until(self, replaced_on: Days) -> "Marks":
        """The same facts, each only up to the first landmark that knows a later version of it."""
        return replace(self, gone=np.searchsorted(self.landmarks, replaced_on, side="right"))

    def _leaves(self, since: Days) -> Ints:
        """The landmark whose window the fact is no longer in."""
        return np.minimum(np.searchsorted(since, self.day, side="right"), self.gone)

    def sums(self, amount: Floats, since: Days) -> Floats:
        """Sum of `amount` over the window, (groups, landmarks).

        An amount is added where its fact becomes known and taken away where the window has moved
        past it. Whole numbers (below 2^53) are exact in any order; others are sorted first.
        """
        stop = self._leaves(since)
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
        fact, at = expand_spans(self.first, self._leaves(since))
        result = np.zeros((self.groups, len(self.landmarks)))
        np.maximum.at(result, (self.group[fact], at), amount[fact])
        return result

    def last_days(self) -> Ints:
        """Day number of the latest fact known at each landmark, NEVER if none, (groups, landmarks)."""
        return self.largest(self.day.astype(np.int64), none=NEVER)

    def first_days(self, since: Days) -> Ints:
        """Day number of the earliest fact in the window, -NEVER if none, (groups, landmarks)."""
        windowed = replace(self, gone=self._leaves(since))
        return -windowed.largest(-self.day.astype(np.int64), none=NEVER)

    def largest(self, value: Ints, *, none: int) -> Ints:
        """Largest `value` of the facts known at each landmark, `none` if none is, (groups, landmarks)."""
        stays = self.gone == len(self.landmarks)
        result = np.full((self.groups, len(self.landmarks) + 1), none)
        np.maximum.at(result, (self.group[stays], self.first[stays]), value[stays])
        known: Ints = np.maximum.accumulate(result[:, :-1], axis=1)
        fact, at = expand_spans(self.first[~stays], self.gone[~stays])
        np.maximum.at(known, (self.group[~stays][fact], at), value[~stays][fact])
        return known

    def means_on_last_days(self, amount: Floats) -> Floats:
        """Mean `amount` of the facts of the latest known day, NaN if none, (groups, landmarks)."""
        latest = self.last_days()
        total, count = np.zeros(latest.shape), np.zeros(latest.shape)
        order = np.lexsort((amount, self.day, self.group))
        facts, sorted_amount = self.only(order), amount[order]
        day = facts.day.astype(np.int64)
        for at in range(len(self.landmarks)):
            known = (facts.first <= at) & (at < facts.gone) & (day == latest[facts.group, at])
            total[:, at] = np.bincount(facts.group[known], sorted_amount[known], self.groups)
            count[:, at] = np.bincount(facts.group[known], minlength=self.groups)
        return divide_or_nan(total, count, where=count > 0)

    def company_first_days(self) -> Ints:
        """Day number of the earliest fact of any group known at each landmark, -NEVER if none, (landmarks,)."""
        result = np.full(len(self.landmarks) + 1, -NEVER)
        np.minimum.at(result, self.first, self.day.astype(np.int64))
        days: Ints = np.minimum.accumulate(result[:-1])
        return days

    def company_last_days(self) -> Ints:
        """Day number of the latest fact of any group known at each landmark, NEVER if none, (landmarks,)."""
        result = np.full(len(self.landmarks) + 1, NEVER)
        np.maximum.at(result, self.first, self.day.astype(np.int64))
        days: Ints = np.maximum.accumulate(result[:-1])
        return days


def lay_marks(landmarks: Days, group: Ints, *, groups: int, day: Days, available_on: Days) -> Marks:
    """Facts of `group` (-1: of none, left out) against sorted, unique landmarks; NaT is never known."""
    first = np.searchsorted(landmarks, np.maximum(day, available_on), side="right")
    marks = Marks(landmarks, group, groups, day, first, np.full(len(first), len(landmarks)))
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
