"""What is known at any time of the end of an account's lines by notice, and of its leaving.

A notice counts from when it was available until a later version of it was, or it was withdrawn. What it ends is for
`app.domain.contracts.line_lives` to say, by the lines as they were known at the same time.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from app.domain.contracts import ChurnNotice, ContractLine, EndedBy, LineLife, LineState, line_lives, line_state

End = tuple[date, str | None]  # the first unpaid day, and the cause


@dataclass(frozen=True, slots=True)
class KnownNotice:
    """A version of a notice, known from `since` up to, not at, `until` (None: to this day)."""

    notice: ChurnNotice
    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class KnownTerms:
    """A version of a paid line, likewise; its `ends_on` is what was known then."""

    line: ContractLine
    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class KnownEnd:
    """For how long one and the same was known of the end of `lines[position]` by notice; `end` None: of none."""

    position: int
    since: datetime
    until: datetime | None
    end: End | None


@dataclass(frozen=True, slots=True)
class Leave:
    """An account that said that it leaves; `leaves_on` is its first unpaid day."""

    given_on: date
    leaves_on: date
    cause: str | None


def known_ends(lines: Sequence[KnownTerms], notices: Sequence[KnownNotice]) -> Iterator[KnownEnd]:
    """Every version of the lines of one account, cut where what was known of its end by notice became another.

    The pieces of a version follow each other without a gap; a version that was never known has none.
    """
    known: tuple[KnownTerms | KnownNotice, ...] = (*lines, *notices)
    told = {at for each in known for at in (each.since, each.until) if at is not None}
    ends = {at: _ends_at(at, lines=lines, notices=notices) for at in sorted(told)}
    for position, version in enumerate(lines):
        pieces: list[tuple[datetime, End | None]] = []
        for at in (at for at in ends if _is_known(version, at)):
            end = ends[at].get(position)
            if not pieces or pieces[-1][1] != end:
                pieces.append((at, end))
        stops = [*(since for since, _ in pieces[1:]), version.until]
        for (since, end), until in zip(pieces, stops[: len(pieces)], strict=True):
            yield KnownEnd(position, since, until, end)


def _ends_at(at: datetime, *, lines: Sequence[KnownTerms], notices: Sequence[KnownNotice]) -> dict[int, End]:
    said = [each.notice for each in notices if _is_known(each, at)]
    if not said:
        return {}
    known = [position for position, each in enumerate(lines) if _is_known(each, at)]
    lives = line_lives([lines[position].line for position in known], said, grace_days=0)
    return {
        position: (life.stops_on, life.notice.cause)
        for position, life in zip(known, lives, strict=True)
        if life.ended_by is EndedBy.NOTICE and life.stops_on is not None and life.notice is not None
    }


def _is_known(each: KnownTerms | KnownNotice, at: datetime) -> bool:
    return each.since <= at and (each.until is None or at < each.until)


def find_leave(lives: Sequence[LineLife], day: date) -> Leave | None:
    """When and why an account leaves: where all that it pays on the day, or goes on to without a break, ends by notice.

    None for an account that goes on, or that pays nothing on that day.
    """
    chain = [life for life in lives if line_state(life, day) is LineState.LIVE]
    signed = [life for life in lives if line_state(life, day) is LineState.NOT_STARTED]
    while joined := [
        life for life in signed if any(one.stops_on and life.line.starts_on <= one.stops_on for one in chain)
    ]:
        chain += joined
        signed = [life for life in signed if life not in joined]
    if not chain or any(life.stops_on is None or life.ended_by is EndedBy.LAPSE for life in chain):
        return None
    last = max(chain, key=lambda life: (life.stops_on or date.max, life.line.key))
    if last.notice is None or last.stops_on is None:
        return None
    return Leave(last.notice.known_on, last.stops_on, last.notice.cause)
