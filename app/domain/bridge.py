"""The bridge of ARR from one day to another in one currency: opening + categories + fx = closing, in integers.

Each line is converted once, at the rates that the basis names, and rounded once; every figure is a sum of these, so
every grouping adds up. What a rate did is `fx`, beside what the company and its customers did.

- `constant`: one day's rate for all. No fx.
- `booked`: each line at the rate of the day its deal was closed. Where a line continues another booked at another rate,
  the movement is told at the new one: conv_new(new) - conv_new(old); conv_new(old) - conv_old(old) is fx.
- `period_end`: the rate of the last day of each calendar month, of the last one that of the closing day. A movement
  has its month's; what was held when the month began is valued anew, line by line, and the difference is fx. Months,
  whatever grain is asked for, so that grains only add up.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import groupby

from app.domain.contracts import ONE_DAY
from app.domain.money import Money
from app.domain.months import add_months
from app.domain.movements import LedgerLine, Movement
from app.domain.revenue import Conversion, FxBasis

FX = "fx"
Held = dict[tuple[int, int], Hashable]  # the group of each (account, line) in ARR


@dataclass(slots=True)
class Bridge:
    """Of one group, in minor units of the currency of the conversion. `moved` is signed, by category, `fx` included."""

    opening: int = 0
    moved: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    closing: int = 0


def revenue_bridge(
    movements: Iterable[Movement],
    lines: Mapping[int, LedgerLine],
    *,
    days: tuple[date, date],
    conversion: Conversion,
    group_of: Callable[[Movement], Hashable],
) -> dict[Hashable, Bridge]:
    """The bridge of each group from the evening before the first of `days` to that of the last.

    `movements`: all up to the last day, from the beginning, sorted by day, `with_unchanged`; `lines` by key. `group_of`
    may look at account, product and currency. Raises MissingRate where a rate is missing.
    """
    first_on, last_on = days
    opening_on = first_on - ONE_DAY
    books = _Books(lines, conversion, defaultdict(Bridge), group_of)
    ordered = [each for each in movements if each.moved_on <= last_on]
    start = next((place for place, each in enumerate(ordered) if each.moved_on >= first_on), len(ordered))
    books.hold(ordered[:start])
    for key, group in books.held.items():
        books.bridges[group].opening += books.value(key[1], on=opening_on)
    valued_on = opening_on
    rest = ordered[start:]
    for from_on, until_on in _months(first_on, last_on):
        books.revalue(valued_on, until_on)
        books.move([each for each in rest if from_on <= each.moved_on <= until_on], on=until_on)
        valued_on = until_on
    for key, group in books.held.items():
        books.bridges[group].closing += books.value(key[1], on=last_on)
    return dict(books.bridges)


def _months(first_on: date, last_on: date) -> Iterator[tuple[date, date]]:
    while first_on <= last_on:
        next_on = add_months(first_on.replace(day=1), 1)
        yield first_on, min(next_on - ONE_DAY, last_on)
        first_on = next_on


@dataclass(slots=True)
class _Books:
    lines: Mapping[int, LedgerLine]
    conversion: Conversion
    bridges: defaultdict[Hashable, Bridge]
    group_of: Callable[[Movement], Hashable]
    held: Held = field(default_factory=dict)

    def value(self, key: int, *, on: date, booked_as: int | None = None) -> int:
        """A line's ARR converted; `booked_as`: at the rate at which another line was booked."""
        line = self.lines[key]
        booked_on = self.lines[booked_as or key].booked_on
        return self._convert(line.line.arr_minor, line.currency, booked_on=booked_on, on=on)

    def _convert(self, minor: int, currency: str, *, booked_on: date, on: date) -> int:
        if currency == self.conversion.currency:
            return minor
        return self.conversion.convert(Money(minor, currency), booked_on=booked_on, as_of=on).minor

    def hold(self, movements: Sequence[Movement]) -> None:
        for _, parts in _steps(movements):
            self._hold(parts[0])

    def _hold(self, first: Movement) -> None:
        key = (first.account, first.line)
        if first.from_line is not None:
            self.held.pop((first.account, first.from_line))
            self.held[key] = self.group_of(first)
        elif first.amount_minor == self.lines[first.line].line.arr_minor:
            self.held[key] = self.group_of(first)
        else:
            self.held.pop(key)

    def revalue(self, from_on: date, until_on: date) -> None:
        if self.conversion.basis is not FxBasis.PERIOD_END:
            return
        for (_, line), group in self.held.items():
            self._add(group, FX, amount=self.value(line, on=until_on) - self.value(line, on=from_on))

    def move(self, movements: Sequence[Movement], *, on: date) -> None:
        for _, parts in _steps(movements):
            self._move(parts, on=on)
            self._hold(parts[0])

    def _move(self, parts: Sequence[Movement], *, on: date) -> None:
        first = parts[0]
        group = self.group_of(first)
        value = self.value(first.line, on=on)
        if first.from_line is None:
            sign = 1 if first.amount_minor == self.lines[first.line].line.arr_minor else -1
            self._add(group, first.category, amount=sign * value)
            return
        old = self.value(first.from_line, on=on, booked_as=first.line)
        self._add(group, FX, amount=old - self.value(first.from_line, on=on))
        self._add(group, first.category, amount=value - old)

    def _add(self, group: Hashable, category: str, *, amount: int) -> None:
        if amount:
            self.bridges[group].moved[str(category)] += amount


def _steps(movements: Iterable[Movement]) -> Iterator[tuple[Hashable, list[Movement]]]:
    """The parts of one step of a line together: price and seats follow each other."""
    for key, parts in groupby(movements, key=lambda each: (each.moved_on, each.account, each.line, each.from_line)):
        own = list(parts)
        if own[0].from_line is None:
            yield from ((key, [each]) for each in own)
        else:
            yield key, own
