"""Movements of recurring revenue: what each change of a line did to the ARR of its account.

A line's ARR enters on its first day and leaves on its `leaves_on` (`app.domain.contracts.LineLife`), leaves on the
first day of a pause and enters when it ends, and changes hands where its account was merged into another. What happens
to the lines of one account on one day is one decision: its category. Everything follows from the facts of the account
alone, the days to come included, so nothing is worked out anew because time passes; a question takes those up to a day.

Identity: by account, product and currency, the amounts of the movements up to a day sum to the ARR of its lines in
force on that day, to the minor unit; by construction, since each movement is an entry, an exit, or the difference of
the two. The table of cases is docs/decisions/0026.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum
from operator import attrgetter
from typing import NamedTuple

from app.domain.contracts import ChurnNotice, ContractLine, EndedBy, Grace, LineLife, line_lives
from app.domain.movement_reasons import Reason, reasons_of_difference


class Category(StrEnum):
    NEW = "new"  # had nothing, and never paid before
    REACTIVATION = "reactivation"  # had nothing, and paid once
    EXPANSION = "expansion"
    CONTRACTION = "contraction"
    CHURN = "churn"  # nothing left
    TRANSFER = "transfer"  # from the account that was merged to the one that it lives on in


class SourceKind(StrEnum):
    LINE = "line"  # of a deal
    LAPSE = "lapse"  # the term of the line ended, and its grace
    NOTICE = "notice"
    PAUSE = "pause"
    MERGE = "merge"  # the id is that of the account that is no more


@dataclass(frozen=True, slots=True)
class Pause:
    """A line is not paid for from `pauses_on` up to, not on, `resumes_on` (None: not known yet)."""

    key: int
    line: int
    pauses_on: date
    resumes_on: date | None = None


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """A recurring line with what its movements need. `earlier_owners`: (account, the day from which no longer)."""

    line: ContractLine
    account: int
    product: int
    currency: str
    quantity: Decimal
    booked_on: date  # the day its deal was closed
    earlier_owners: tuple[tuple[int, date], ...] = ()

    def owner(self, day: date) -> int:
        """Whose it was on that day."""
        return next((account for account, until in self.earlier_owners if day < until), self.account)


class Movement(NamedTuple):
    """A tuple, since it is compared with rows by the million. `amount_minor` is what it adds to the account's ARR."""

    account: int
    line: int
    from_line: int | None
    product: int
    moved_on: date
    effective_on: date
    category: Category
    reason: Reason | None
    amount_minor: int
    currency: str
    source_kind: SourceKind
    source_id: int


class _Step(NamedTuple):
    """A line's ARR enters its account (`amount_minor` as it is) or leaves it (negated) on a day."""

    line: LedgerLine
    amount_minor: int
    effective_on: date
    reason: Reason | None  # of pauses alone
    source: tuple[SourceKind, int]

    @property
    def enters(self) -> bool:
        return self.amount_minor == self.line.line.arr_minor


def find_movements(
    lines: Sequence[LedgerLine],
    notices: Sequence[ChurnNotice],
    *,
    pauses: Sequence[Pause] = (),
    grace_days: int | Grace,
    with_unchanged: bool = False,
) -> list[Movement]:
    """The movements of one account, and of those that were merged into it, from all that is known of its lines.

    Sorted by day; those of days to come are among them. Lines whose ARR is 0 have none. `with_unchanged`: a line that
    continues another at the same ARR has one of 0, without a reason; `app.domain.bridge` asks for those.
    """
    own = {each.line.key: each for each in lines}
    lives = line_lives([each.line for each in lines], notices, grace_days=grace_days, with_discounts=True)
    days: dict[date, _Day] = defaultdict(_Day)
    paused = _by_line(pauses)
    for life in lives:
        _enter_line(days, own[life.line.key], life=life, pauses=paused.get(life.line.key, ()), others=lines)
    for each in lines:
        for old, until in each.earlier_owners:
            days[until].merged.append((old, each.owner(until)))
    books = _Books(with_unchanged=with_unchanged)
    return [movement for day in sorted(days) for movement in books.close(day, days[day])]


def _by_line(pauses: Iterable[Pause]) -> Mapping[int, list[Pause]]:
    found: dict[int, list[Pause]] = {}
    for pause in sorted(pauses, key=attrgetter("pauses_on", "key")):
        found.setdefault(pause.line, []).append(pause)
    return found


@dataclass(slots=True)
class _Day:
    """What happens on one day to the lines of an account and of those merged into it."""

    steps: dict[int, list[_Step]] = field(default_factory=dict)  # by account
    handed: list[tuple[LedgerLine, int, int]] = field(default_factory=list)  # line, from, to
    merged: list[tuple[int, int]] = field(default_factory=list)  # account that is no more, and the one it lives on in

    def add(self, account: int, step: _Step) -> None:
        self.steps.setdefault(account, []).append(step)


def _enter_line(
    days: dict[date, _Day],
    line: LedgerLine,
    *,
    life: LineLife,
    pauses: Sequence[Pause],
    others: Sequence[LedgerLine],
) -> None:
    amount = life.line.arr_minor
    for entered, left in _stays(life, pauses):
        starts_on, paused = entered
        source = (SourceKind.PAUSE, paused.key) if paused else (SourceKind.LINE, life.line.key)
        reason = Reason.RESUME if paused else None
        days[starts_on].add(line.owner(starts_on), _Step(line, amount, starts_on, reason, source))
        if left is not None:
            leaves_on, pausing = left
            if pausing:
                step = _Step(line, -amount, leaves_on, Reason.PAUSE, (SourceKind.PAUSE, pausing.key))
            else:
                step = _Step(line, -amount, _effective_on(life, leaves_on), None, _source_of_end(life, others))
            days[leaves_on].add(line.owner(leaves_on), step)
        for old, until in line.earlier_owners:
            if starts_on < until and (left is None or until <= left[0]) and line.owner(until) != old:
                days[until].handed.append((line, old, line.owner(until)))


def is_in_arr(life: LineLife, pauses: Sequence[Pause], *, day: date) -> bool:
    """Whether the line's ARR counts on that day; `pauses` are its own."""
    if not pauses:
        return life.line.starts_on <= day and (life.leaves_on is None or day < life.leaves_on)
    stays = _stays(life, sorted(pauses, key=attrgetter("pauses_on", "key")))
    return any(entered[0] <= day and (left is None or day < left[0]) for entered, left in stays)


_Edge = tuple[date, Pause | None]  # a day on which a line enters or leaves, and the pause that is why


def _stays(life: LineLife, pauses: Sequence[Pause]) -> Iterator[tuple[_Edge, _Edge | None]]:
    """From when to when the line is in ARR, none of them empty; the pauses are sorted.

    A line that stopped while it was paused does not come back for its grace.
    """
    starts: _Edge = (life.line.starts_on, None)
    for pause in pauses:
        resumes_on = pause.resumes_on or date.max
        if resumes_on <= max(pause.pauses_on, starts[0]):
            continue
        if life.leaves_on is not None and pause.pauses_on >= life.leaves_on:
            break
        if starts[0] < pause.pauses_on:
            yield starts, (pause.pauses_on, pause)
        if pause.resumes_on is None or (life.stops_on is not None and resumes_on >= life.stops_on):
            return
        starts = (resumes_on, pause)
    if life.leaves_on is None or starts[0] < life.leaves_on:
        yield starts, None if life.leaves_on is None else (life.leaves_on, None)


def _effective_on(life: LineLife, leaves_on: date) -> date:
    """Of a lapse or a notice the first unpaid day; what another line took the place of was in ARR until then."""
    return leaves_on if life.stops_on is None or life.ended_by is EndedBy.RENEWAL else life.stops_on


def _source_of_end(life: LineLife, others: Sequence[LedgerLine]) -> tuple[SourceKind, int]:
    if life.ended_by is EndedBy.NOTICE and life.notice is not None:
        return SourceKind.NOTICE, life.notice.key
    if life.ended_by is EndedBy.LAPSE:
        return SourceKind.LAPSE, life.line.key
    taking = [other.line for other in others if other.line.starts_on == life.leaves_on and _follows(other.line, life)]
    return SourceKind.LINE, min((line.key for line in taking), default=life.line.key)


def _follows(other: ContractLine, life: LineLife) -> bool:
    line = life.line
    says_so = other.renews == line.key or line.key in other.replaces
    return other.key != line.key and (says_so or (line.offer is not None and other.offer == line.offer))


class _Books:
    """What each account holds, carried from day to day."""

    def __init__(self, *, with_unchanged: bool) -> None:
        self._with_unchanged = with_unchanged
        self._held: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))  # ARR by account and currency
        self._lines: dict[tuple[int, int], int] = defaultdict(int)  # paid lines by account and product
        self._paid: set[int] = set()  # accounts that ever had something

    def close(self, day: date, what: _Day) -> Iterator[Movement]:
        """The movements of a day; merges come before what else happens on theirs."""
        for line, old, kept in what.handed:
            for account, sign in ((old, -1), (kept, 1)):
                self._count(account, line, sign=sign)
                yield _transfer(line, account, sign=sign, day=day, old=old)
        self._paid |= {kept for old, kept in what.merged if old in self._paid}
        for account in sorted(what.steps):
            yield from self._close_account(account, what.steps[account], day=day)

    def _close_account(self, account: int, steps: Sequence[_Step], *, day: date) -> Iterator[Movement]:
        had_something = self._has_something(account)
        for step in steps:
            self._count(account, step.line, sign=1 if step.enters else -1)
        has_something = self._has_something(account)
        if had_something != has_something:
            category = self._category_of_all(account, has_something=has_something)
            for step, leaving in _pairs(steps):
                amount = step.amount_minor + (leaving.amount_minor if leaving else 0)
                if amount or self._with_unchanged:
                    yield _movement(account, step, leaving=leaving, day=day, what=(category, step.reason, amount))
            return
        net: dict[str, int] = defaultdict(int)
        for step in steps:
            net[step.line.currency] += step.amount_minor
        pairs = list(_pairs(steps))
        is_alone = any(leaving is None for _, leaving in pairs)
        stayed = self._stayed(account, steps) if is_alone else set()
        for step, leaving in pairs:
            category = Category.EXPANSION if net[step.line.currency] >= 0 else Category.CONTRACTION
            parts = _parts(step, leaving, steps=steps, stayed=stayed)
            for reason, amount in parts or ([(None, 0)] if self._with_unchanged else []):
                yield _movement(account, step, leaving=leaving, day=day, what=(category, reason, amount))

    def _category_of_all(self, account: int, *, has_something: bool) -> Category:
        if not has_something:
            return Category.CHURN
        category = Category.REACTIVATION if account in self._paid else Category.NEW
        self._paid.add(account)
        return category

    def _has_something(self, account: int) -> bool:
        return max(self._held[account].values(), default=0) > 0

    def _stayed(self, account: int, steps: Sequence[_Step]) -> set[int]:
        """The products that the account has after the day's steps, of those that it had before."""
        before: dict[int, int] = {}
        for step in steps:
            product = step.line.product
            count = before.setdefault(product, self._lines[account, product])
            if step.line.line.is_paid:
                before[product] = count - (1 if step.enters else -1)
        return {product for product, count in before.items() if count > 0 and self._lines[account, product] > 0}

    def _count(self, account: int, line: LedgerLine, *, sign: int) -> None:
        self._held[account][line.currency] += sign * line.line.arr_minor
        if line.line.is_paid:
            self._lines[account, line.product] += sign


def _pairs(steps: Sequence[_Step]) -> Iterator[tuple[_Step, _Step | None]]:
    """Each step; the entry of a line that continues one that leaves, with its exit.

    A line continues another of the same product, currency and sign: the one that it says it renews, else the first that
    is left. Who comes back from a pause, or begins one, continues nothing.
    """
    if len(steps) == 1:
        yield steps[0], None
        return
    ordered = sorted(steps, key=lambda step: step.line.line.key)
    leaving = [step for step in ordered if not step.enters and step.reason is None]
    entering = [step for step in ordered if step.enters and step.reason is None]
    continued: dict[int, _Step] = {}
    for is_named in (True, False):
        for step in entering:
            if step.line.line.key in continued:
                continue
            match = next((one for one in leaving if _continues(step, one, is_named=is_named)), None)
            if match is not None:
                continued[step.line.line.key] = match
                leaving.remove(match)
    for step in ordered:
        if step.reason is not None or step in leaving:
            yield step, None
        elif step.enters:
            yield step, continued.get(step.line.line.key)


def _continues(step: _Step, leaving: _Step, *, is_named: bool) -> bool:
    new, old = step.line, leaving.line
    if new.line.key == old.line.key or (new.product, new.currency) != (old.product, old.currency):
        return False
    is_like = (new.line.arr_minor > 0) == (old.line.arr_minor > 0)
    return is_like and (not is_named or new.line.renews == old.line.key)


def _parts(
    step: _Step, leaving: _Step | None, *, steps: Sequence[_Step], stayed: set[int]
) -> list[tuple[Reason | None, int]]:
    """What a step of an account that stays is for, with its amount; a continuation may have two reasons."""
    line = step.line
    if leaving is not None:
        quantities = {"old_quantity": leaving.line.quantity, "new_quantity": line.quantity}
        return [*reasons_of_difference(leaving.line.line.arr_minor, line.line.arr_minor, **quantities)]
    return [(step.reason or _reason_alone(step, steps, stayed=stayed), step.amount_minor)]


def _reason_alone(step: _Step, steps: Sequence[_Step], *, stayed: set[int]) -> Reason:
    line = step.line
    if line.line.is_discount:
        return Reason.PRICE
    others = [other.line for other in steps if other.enters != step.enters]
    if line.product in stayed:
        is_other_money = any(other.product == line.product and other.currency != line.currency for other in others)
        return Reason.PRICE if is_other_money else Reason.SEATS
    is_plan = line.line.offer is not None and any(
        other.line.offer == line.line.offer and other.product != line.product for other in others
    )
    return Reason.PLAN if is_plan else Reason.PRODUCT


def _movement(
    account: int,
    step: _Step,
    *,
    leaving: _Step | None,
    day: date,
    what: tuple[Category, Reason | None, int],
) -> Movement:
    line, (category, reason, amount) = step.line, what
    return Movement(
        account,
        line.line.key,
        leaving.line.line.key if leaving else None,
        line.product,
        day,
        step.effective_on,
        category,
        reason,
        amount,
        line.currency,
        *step.source,
    )


def _transfer(line: LedgerLine, account: int, *, sign: int, day: date, old: int) -> Movement:
    amount = sign * line.line.arr_minor
    what = (account, line.line.key, None, line.product, day, day, Category.TRANSFER, None, amount)
    return Movement(*what, line.currency, SourceKind.MERGE, old)
