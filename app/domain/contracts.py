"""What a contract line is worth a year, how long it is paid for, and the spells of its account.

A line is paid from `starts_on` up to, not on, its `stops_on` (the first unpaid day). Its ARR counts
from `starts_on` up to, not on, its `leaves_on`: `stops_on` itself, or the end of the grace after a
term that lapsed without a word. Churn is booked on `leaves_on` and dated `stops_on`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum

from app.domain.money import divide_half_even
from app.domain.months import MONTHS_OF_A_YEAR, add_months

ONE_DAY = timedelta(days=1)
DAYS_OF_A_YEAR = 365

Grace = Callable[[date], int]
"""How many days a term that lapsed on a day (the first unpaid one) stays in ARR."""


class LineKind(StrEnum):
    RECURRING = "recurring"
    ONE_TIME = "one_time"
    USAGE_BASED = "usage_based"
    TRIAL = "trial"


class EndedBy(StrEnum):
    LAPSE = "lapse"  # the term ended and nobody said a word
    NOTICE = "notice"
    RENEWAL = "renewal"  # another line took its place


class LineState(StrEnum):
    NOT_STARTED = "not_started"
    LIVE = "live"
    IN_GRACE = "in_grace"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class ContractLine:
    """One line of one account, as agreed. `ends_on` is the last paid day; None: it renews until somebody ends it."""

    key: int
    kind: LineKind
    starts_on: date
    ends_on: date | None
    arr_minor: int = 0  # `annual_recurring_revenue`, in the line's currency
    offer: int | None = None  # what is sold (product family, or product): lines of one offer renew each other
    renews: int | None = None  # key of the line that this one renews or supersedes, where the source says so
    replaces: tuple[int, ...] = ()  # keys of discounts on what it renews: they end with it

    @property
    def is_paid(self) -> bool:
        """Whether it makes its account a subscriber: recurring, and for money."""
        return self.kind is LineKind.RECURRING and self.arr_minor > 0

    @property
    def is_discount(self) -> bool:
        """Whether it takes from its account's ARR: recurring, and sold below zero."""
        return self.kind is LineKind.RECURRING and self.arr_minor < 0


@dataclass(frozen=True, slots=True)
class ChurnNotice:
    """Somebody said that they leave. `effective_on` is the first day no longer paid; `line` None: all lines."""

    key: int
    effective_on: date
    given_on: date | None = None  # None: known on the day it took effect
    line: int | None = None
    cause: str | None = None

    @property
    def known_on(self) -> date:
        return self.given_on or self.effective_on


@dataclass(frozen=True, slots=True)
class LineLife:
    """A line with its end decided: see the module's first paragraph. Both dates are None while it runs."""

    line: ContractLine
    stops_on: date | None
    leaves_on: date | None
    ended_by: EndedBy | None
    notice: ChurnNotice | None = None


@dataclass(frozen=True, slots=True)
class Spell:
    """A time without a break in which an account paid.

    Live: `ended_on` is None. Churned: `ended_on` is the first unpaid day. In grace: `ended_on` is that
    day too, `is_churned` is False, and the account is censored there.
    """

    number: int
    started_on: date
    ended_on: date | None
    is_churned: bool
    cause: str | None = None


def months_of_term(starts_on: date, ends_on: date) -> int | None:
    """The number of whole months a term lasts, days clipped to the month's end; None if it is not whole.

    31 January to 27 February is one month (the next would begin on 28 February). ValueError where
    the term ends before it begins.
    """
    if ends_on < starts_on:
        raise ValueError(f"the term ends on {ends_on}, before it begins on {starts_on}")
    next_begins_on = ends_on + ONE_DAY
    months = (next_begins_on.year - starts_on.year) * MONTHS_OF_A_YEAR + next_begins_on.month - starts_on.month
    return months if months > 0 and add_months(starts_on, months) == next_begins_on else None


def annual_recurring_revenue(
    amount_minor: int, starts_on: date, *, ends_on: date | None, price_months: int | None = None
) -> int:
    """The yearly worth of a recurring line in minor units, rounded half-even once.

    amount x 12 / months where the amount buys whole months, else amount x 365 / days of the term.
    `price_months` is how many months the amount buys; None: the whole term. A line without an end
    (renewed month by month, or k months by k months) must state it. ValueError where it does not,
    where it is below 1, or where the term ends before it begins.
    """
    if price_months is not None and price_months < 1:
        raise ValueError("a price must buy at least one month")
    if ends_on is not None:
        whole_months = months_of_term(starts_on, ends_on)
        price_months = price_months or whole_months
        if price_months is None:
            return divide_half_even(amount_minor * DAYS_OF_A_YEAR, (ends_on - starts_on).days + 1)
    elif price_months is None:
        raise ValueError("a line without an end must say how many months its amount buys")
    return divide_half_even(amount_minor * MONTHS_OF_A_YEAR, price_months)


def line_lives(
    lines: Sequence[ContractLine],
    notices: Sequence[ChurnNotice],
    *,
    grace_days: int | Grace,
    with_discounts: bool = False,
) -> tuple[LineLife, ...]:
    """Decide the end of every paid line of one account, in the order given, from all that is known of it.

    - A line that says it renews or supersedes this one ends it on the day it begins.
    - A notice that names the line ends it on `effective_on`, or with its term if that is earlier.
    - A term that ended: the line stays in ARR for `grace_days`, until a line of the same offer (or
      one that says it renews it) begins within them, or until a notice is given, which overrides
      grace. A notice without a line does so for the lines that had stopped by its `effective_on`;
      if it is in conflict (`conflicting_notices`) it does nothing.
    - `with_discounts`: of the recurring lines below zero too, which end likewise, and change nothing
      in how the paid ones do. One is renewed by a paid line as by its own like.
    """
    paid = [line for line in lines if line.is_paid]
    ends = [_agreed_end(line, paid=paid, notices=notices) for line in paid]
    conflicts = set(_contradicted(ends, notices)) if notices else set()
    general = [notice for notice in notices if notice.line is None and notice not in conflicts]
    lives = [_with_grace(end, paid=paid, general=general, grace_days=grace_days) for end in ends]
    if not with_discounts or not any(line.is_discount for line in lines):
        return tuple(lives)
    every = [line for line in lines if line.is_paid or line.is_discount]
    decided = {life.line.key: life for life in lives}
    for line in every:
        if line.is_discount:
            end = _agreed_end(line, paid=every, notices=notices)
            decided[line.key] = _with_grace(end, paid=every, general=general, grace_days=grace_days)
    return tuple(decided[line.key] for line in every)


def conflicting_notices(lines: Sequence[ContractLine], notices: Sequence[ChurnNotice]) -> tuple[ChurnNotice, ...]:
    """The notices of one account that its contracts contradict, in the order given.

    A notice that names no line conflicts where some line is still paid for on its `effective_on`, and
    where none had begun by then. It ends none: which of them it meant is for a person to say.
    """
    paid = [line for line in lines if line.is_paid]
    return _contradicted([_agreed_end(line, paid=paid, notices=notices) for line in paid], notices)


def _contradicted(ends: Sequence[LineLife], notices: Sequence[ChurnNotice]) -> tuple[ChurnNotice, ...]:
    general = [notice for notice in notices if notice.line is None]
    return tuple(notice for notice in general if not _has_left(ends, notice.effective_on))


def _has_left(ends: Sequence[LineLife], day: date) -> bool:
    """Whether the contracts agree that the account paid before that day and pays no longer."""
    states = {line_state(end, day) for end in ends} - {LineState.NOT_STARTED}
    return bool(states) and LineState.LIVE not in states


def _agreed_end(line: ContractLine, *, paid: Sequence[ContractLine], notices: Sequence[ChurnNotice]) -> LineLife:
    """The line's end by what names it: its term, a line that renews it, a notice. Grace comes later."""
    ends: list[tuple[date, EndedBy, ChurnNotice | None]] = []
    if line.ends_on is not None:
        ends.append((line.ends_on + ONE_DAY, EndedBy.LAPSE, None))
    ends += [
        (max(other.starts_on, line.starts_on), EndedBy.RENEWAL, None)
        for other in paid
        if other.renews == line.key or (other.replaces and line.key in other.replaces)
    ]
    said = [notice for notice in notices if notice.line == line.key]
    named = sorted(said, key=lambda n: (n.effective_on, n.known_on, n.key)) if said else said
    ends += [(max(notice.effective_on, line.starts_on), EndedBy.NOTICE, notice) for notice in named]
    if not ends:
        return LineLife(line, None, None, None)
    stops_on, ended_by, notice = min(ends, key=lambda end: end[0])
    if ended_by is EndedBy.LAPSE and named:
        # Whoever gave notice beyond the term has said that they will not renew.
        ended_by, notice = EndedBy.NOTICE, named[0]
    return LineLife(line, stops_on, stops_on, ended_by, notice)


def _with_grace(
    end: LineLife, *, paid: Sequence[ContractLine], general: Sequence[ChurnNotice], grace_days: int | Grace
) -> LineLife:
    if end.stops_on is None or end.ended_by is EndedBy.RENEWAL:
        return end
    stops_on = end.stops_on
    last_on = stops_on + timedelta(days=grace_days if isinstance(grace_days, int) else grace_days(stops_on))
    spoken = [n for n in general if n.effective_on >= stops_on and n.known_on <= last_on]
    notice = end.notice or min(spoken, key=lambda n: (n.known_on, n.key), default=None)
    leaves_on = last_on if notice is None else min(max(stops_on, notice.known_on), last_on)
    renewed_on = min(
        (other.starts_on for other in paid if _renews(other, end.line) and stops_on <= other.starts_on <= leaves_on),
        default=None,
    )
    if renewed_on is not None:
        return LineLife(end.line, stops_on, renewed_on, EndedBy.RENEWAL)
    return LineLife(end.line, stops_on, leaves_on, EndedBy.LAPSE if notice is None else EndedBy.NOTICE, notice)


def _renews(other: ContractLine, line: ContractLine) -> bool:
    is_same_offer = line.offer is not None and other.offer == line.offer
    return other.key != line.key and (other.renews == line.key or is_same_offer)


def line_state(life: LineLife, day: date) -> LineState:
    """What the line is on that day: not started, live, in grace (unpaid, still in ARR) or ended."""
    if day < life.line.starts_on:
        return LineState.NOT_STARTED
    if life.stops_on is None or day < life.stops_on:
        return LineState.LIVE
    return LineState.IN_GRACE if life.leaves_on is not None and day < life.leaves_on else LineState.ENDED


def spells(lives: Sequence[LineLife], as_of: date) -> tuple[Spell, ...]:
    """The spells of one account as of a day, oldest first, from `line_lives`.

    A line that begins before the ARR of those before it has left (so a gap of at most the grace)
    continues their spell; a later one is a reactivation and opens the next. A spell ends on the
    first unpaid day after its last line: churned once that line has left ARR, censored in grace
    until then. Lines that begin after `as_of`, or were ended before they began, are not counted.
    """
    begun = [life for life in lives if life.line.starts_on <= as_of and life.stops_on != life.line.starts_on]
    chains: list[list[LineLife]] = []
    reaches_to = date.min
    for life in sorted(begun, key=lambda life: (life.line.starts_on, life.line.key)):
        if life.line.starts_on > reaches_to:
            chains.append([])
        chains[-1].append(life)
        reaches_to = max(reaches_to, life.leaves_on or date.max)
    return tuple(_spell(number, chain, as_of=as_of) for number, chain in enumerate(chains, start=1))


def _spell(number: int, chain: Sequence[LineLife], *, as_of: date) -> Spell:
    started_on = chain[0].line.starts_on
    stops_on = max(life.stops_on or date.max for life in chain)
    if stops_on > as_of:
        return Spell(number, started_on, None, is_churned=False)
    last = max(chain, key=lambda life: (life.leaves_on or date.max, life.line.key))
    if last.leaves_on is None or last.leaves_on > as_of:
        return Spell(number, started_on, stops_on, is_churned=False)
    return Spell(number, started_on, stops_on, is_churned=True, cause=last.notice.cause if last.notice else None)
