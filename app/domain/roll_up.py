"""From events to what is kept of a day: how often each thing was done, and by which people."""

from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

import numpy as np

from app.domain.months import Ints

BLOCK_SECONDS = 900
BLOCK_US = BLOCK_SECONDS * 1_000_000
EPOCH_ORDINAL = date(1970, 1, 1).toordinal()


@dataclass(frozen=True, slots=True)
class EventColumns:
    """Events in the order they arrived, all of known accounts; each column as long as there are events.

    `person` is -1 where nobody is named. `day` and `available` are days since 1970.
    """

    account: Ints
    feature: Ints
    person: Ints
    day: Ints
    available: Ints


@dataclass(frozen=True, slots=True)
class Counts:
    """How many events of an account, feature, day and day of being known there are."""

    account: Ints
    feature: Ints
    day: Ints
    available: Ints
    events: Ints


@dataclass(frozen=True, slots=True)
class PersonDays:
    """Each person of each account and day once, known since the event of theirs that arrived first."""

    account: Ints
    day: Ints
    person: Ints
    available: Ints


def count_events(events: EventColumns) -> Counts:
    """Counts, ordered by account, day, feature and day of being known. They add up over parts of the events."""
    key = _Key(events.account, events.day, events.feature, events.available)
    found, times = np.unique(key.code, return_counts=True)
    account, day, feature, available = key.decode(found)
    return Counts(account, feature, day, available, times)


def find_person_days(events: EventColumns) -> PersonDays:
    """Distinct people, ordered by account, day and person; events that name nobody are left out."""
    named = np.flatnonzero(events.person >= 0)
    key = _Key(events.account[named], events.day[named], events.person[named])
    found, first = np.unique(key.code, return_index=True)  # the first of equal ones: the one that arrived first
    account, day, person = key.decode(found)
    return PersonDays(account, day, person, events.available[named][first])


class _Key:
    """Several columns as one whole number that sorts as they do."""

    def __init__(self, *columns: Ints) -> None:
        self._lows = [int(column.min()) if len(column) else 0 for column in columns]
        self._spans = [
            int(column.max()) - low + 1 if len(column) else 1 for column, low in zip(columns, self._lows, strict=True)
        ]
        room = 1
        for span in self._spans:
            room *= span
        if room >= 2**63:
            raise OverflowError("the columns span more than a whole number of 64 bits can tell apart")
        self.code: Ints = np.zeros(len(columns[0]), dtype=np.int64)
        for column, low, span in zip(columns, self._lows, self._spans, strict=True):
            self.code = self.code * span + (column - low)

    def decode(self, codes: Ints) -> list[Ints]:
        columns: list[Ints] = []
        for low, span in zip(reversed(self._lows), reversed(self._spans), strict=True):
            codes, rest = np.divmod(codes, span)
            columns.append(rest + low)
        return columns[::-1]


def days_of_blocks(blocks: Ints, zone: ZoneInfo) -> Ints:
    """The day in the zone, since 1970, of each quarter of an hour since 1970 in UTC: no zone changes in between."""
    if not len(blocks):
        return blocks
    first = int(blocks.min())
    every = range(first, int(blocks.max()) + 1)
    table = [datetime.fromtimestamp(block * BLOCK_SECONDS, zone).date().toordinal() - EPOCH_ORDINAL for block in every]
    days: Ints = np.array(table, dtype=np.int64)[blocks - first]
    return days
