"""Which recurring lines of an account come up for renewal, and what became of them."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from app.domain.contracts import ONE_DAY, ContractLine, EndedBy, LineLife
from app.domain.months import add_months


class RenewalState(StrEnum):
    OPEN = "open"  # the term, or its grace, is not over and nobody has said a word
    RENEWED = "renewed"
    LOST = "lost"  # a notice, or the grace went by


@dataclass(frozen=True, slots=True)
class Terms:
    """What was agreed of lines, by key: months of the term, and the last day of it where the line ended on another.

    None: it was agreed until notice.
    """

    months: Mapping[int, int]
    ends_on: Mapping[int, date | None]

    def end_of(self, line: ContractLine) -> date | None:
        return self.ends_on.get(line.key, line.ends_on)


@dataclass(frozen=True, slots=True)
class Renewal:
    """A line whose term is over on `due_on`, the first day after it. Both amounts are ARR; `renewed_minor` <= due."""

    line: int
    due_on: date
    due_minor: int
    renewed_minor: int
    state: RenewalState


@dataclass(frozen=True, slots=True)
class RenewalTotals:
    """due = renewed + reduced + lost + open. `reduced`: what those that renewed took less of."""

    due_minor: int = 0
    renewed_minor: int = 0
    reduced_minor: int = 0
    lost_minor: int = 0
    open_minor: int = 0
    lines: int = 0

    @property
    def rate(self) -> float | None:
        """renewed / (due - open): of what is decided. None where nothing is."""
        decided = self.due_minor - self.open_minor
        return self.renewed_minor / decided if decided else None


def renewals(
    lives: Sequence[LineLife], *, terms: Terms, first_on: date, last_on: date, as_of: date
) -> tuple[Renewal, ...]:
    """The renewals of one account that are due from `first_on` to `last_on`, from `line_lives`, by day and line.

    - A term that was agreed comes up on the day after its last, unless the line ended before. One that another line
      took the place of before its term was over came up if the other goes on beyond that day; if both end together,
      the other's end is the renewal.
    - A line until notice comes up each time its term is over; it renews itself. One that goes on month by month never
      does.
    - What renews a line are the lines of its offer that begin on the day it leaves ARR: of several lines that end
      then, each is renewed in proportion, by largest remainder.
    """
    found = [
        *_agreed(lives, terms=terms, as_of=as_of),
        *_until_notice(lives, terms=terms, last_on=last_on, as_of=as_of),
    ]
    return tuple(sorted((each for each in found if first_on <= each.due_on <= last_on), key=_order))


def sum_renewals(found: Sequence[Renewal]) -> RenewalTotals:
    by_state = {state: sum(each.due_minor for each in found if each.state is state) for state in RenewalState}
    renewed = sum(each.renewed_minor for each in found)
    return RenewalTotals(
        due_minor=sum(by_state.values()),
        renewed_minor=renewed,
        reduced_minor=by_state[RenewalState.RENEWED] - renewed,
        lost_minor=by_state[RenewalState.LOST],
        open_minor=by_state[RenewalState.OPEN],
        lines=len(found),
    )


def _order(renewal: Renewal) -> tuple[date, int]:
    return renewal.due_on, renewal.line


def _agreed(lives: Sequence[LineLife], *, terms: Terms, as_of: date) -> Iterator[Renewal]:
    """Renewals of lines whose term has an end."""
    due = {life.line.key: due_on for life in lives if (due_on := _due_on(life, lives, terms=terms))}
    those = [life for life in lives if life.line.key in due]
    renewed = _renewed(those, lives)
    for life in those:
        state = RenewalState.LOST
        if life.ended_by is EndedBy.RENEWAL:
            state = RenewalState.RENEWED
        elif life.ended_by is EndedBy.LAPSE and (life.leaves_on is None or as_of < life.leaves_on):
            state = RenewalState.OPEN
        minor = renewed.get(life.line.key, 0)
        yield Renewal(life.line.key, due[life.line.key], life.line.arr_minor, minor, state)


def _due_on(life: LineLife, lives: Sequence[LineLife], *, terms: Terms) -> date | None:
    """The first day after the agreed term, if the line came as far as that, or another that took its place."""
    ends_on = terms.end_of(life.line)
    if ends_on is None or life.stops_on is None:
        return None
    due_on = ends_on + ONE_DAY
    if life.stops_on >= due_on:
        return due_on
    is_continued = life.ended_by is EndedBy.RENEWAL and any(
        (end := terms.end_of(other.line)) is None or end >= due_on for other in _successors(life, lives)
    )
    return due_on if is_continued else None


def _successors(life: LineLife, lives: Sequence[LineLife]) -> list[LineLife]:
    return [
        other
        for other in lives
        if other.line.key != life.line.key
        and other.line.starts_on == life.leaves_on
        and (
            other.line.renews == life.line.key or (life.line.offer is not None and other.line.offer == life.line.offer)
        )
    ]


def _renewed(due: Sequence[LineLife], lives: Sequence[LineLife]) -> dict[int, int]:
    """By line that was renewed, how much of its ARR goes on."""
    together: dict[tuple[int | None, date | None], list[LineLife]] = defaultdict(list)
    for life in due:
        if life.ended_by is EndedBy.RENEWAL:
            together[life.line.offer, life.leaves_on].append(life)
    found: dict[int, int] = {}
    for those in together.values():
        following = {each.line.key: each.line.arr_minor for life in those for each in _successors(life, lives)}
        amounts = [life.line.arr_minor for life in those]
        shares = _in_proportion(min(sum(amounts), sum(following.values())), amounts)
        found |= {life.line.key: share for life, share in zip(those, shares, strict=True)}
    return found


def _in_proportion(total: int, amounts: Sequence[int]) -> list[int]:
    """The total spread over amounts above zero, by largest remainder, the earlier first among equals."""
    whole = sum(amounts)
    parts = [divmod(total * amount, whole) for amount in amounts]
    missing = total - sum(part for part, _ in parts)
    lucky = set(sorted(range(len(parts)), key=lambda i: (-parts[i][1], i))[:missing])
    return [part + (i in lucky) for i, (part, _) in enumerate(parts)]


def _until_notice(lives: Sequence[LineLife], *, terms: Terms, last_on: date, as_of: date) -> Iterator[Renewal]:
    """Renewals of lines that renew themselves, term by term, until somebody ends them."""
    for life in lives:
        months = terms.months.get(life.line.key, 1)
        if terms.end_of(life.line) is not None or months <= 1:
            continue
        number = 1
        while (due_on := add_months(life.line.starts_on, number * months)) <= min(last_on, life.stops_on or last_on):
            number += 1
            is_lost = due_on == life.stops_on
            is_open = not is_lost and due_on > as_of
            state = RenewalState.LOST if is_lost else RenewalState.OPEN if is_open else RenewalState.RENEWED
            arr = life.line.arr_minor
            yield Renewal(life.line.key, due_on, arr, arr if state is RenewalState.RENEWED else 0, state)
