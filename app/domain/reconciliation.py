"""Why other books differ from the ledger: each difference split into parts with a reason, which add up to it.

    ledger + sum of the parts = the other side

in integers of one currency, whatever was found: what no check explains is the part that is left, `unexplained`.
A check may take only what it can show, with the records of both sides that show it. The checks of a kind of books
are one table, asked in its order (`app/domain/reconciliation_checks.py`, `app/domain/reconciliation_crm.py`).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, StrEnum
from itertools import combinations, groupby, islice
from typing import Generic, Protocol, TypeVar

MOST_CONSIDERED, MOST_TOGETHER = 16, 3  # causes of one difference that are tried together: some 700 sums


class Reason(StrEnum):
    TIMING = "timing"
    FX = "fx"
    DISCOUNT = "discount"
    ONE_TIME = "one_time"
    ROUNDING = "rounding"
    MISSING_IN_BILLING = "missing_in_billing"
    MISSING_IN_LEDGER = "missing_in_ledger"
    DUPLICATE = "duplicate"
    ID_MISMATCH = "id_mismatch"
    UNEXPLAINED = "unexplained"


@dataclass(frozen=True, slots=True)
class Found:
    """What a check found: how much the other side is above the ledger for it (below: negative), and what shows it."""

    minor: int
    theirs: tuple[int, ...] = ()  # rows of an export by their line, or deals
    ours: tuple[int, ...] = ()  # contract lines


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a difference. `check` names the check that found it, or `rounding` or `unexplained`: what was left."""

    reason: Reason
    check: str
    minor: int
    theirs: tuple[int, ...] = ()
    ours: tuple[int, ...] = ()


class Compared(Protocol):
    """Two sides of one thing, in one currency."""

    @property
    def difference(self) -> int:
        """The other side less the ledger, in minor units."""
        ...

    @property
    def tolerance(self) -> int:
        """How far rounding alone can drive the sides apart: what that covers asks for no other reason."""
        ...

    @property
    def theirs(self) -> tuple[int, ...]: ...

    @property
    def ours(self) -> tuple[int, ...]: ...


C = TypeVar("C", bound=Compared)
C_contra = TypeVar("C_contra", bound=Compared, contravariant=True)


class Find(Protocol[C_contra]):
    """`remaining` is what the checks before have left of the difference."""

    def __call__(self, item: C_contra, remaining: int, /) -> Iterable[Found]: ...


class Takes(Enum):
    """How much of what remains a check takes."""

    ALWAYS = "what it finds, even where the sides agree without it: it is certain"
    ALL = "all or nothing: what it finds is the reason of everything that remains"
    PARTS = "of what it and its neighbours in the table find, what makes up the remainder"


@dataclass(frozen=True, slots=True)
class Check(Generic[C]):
    name: str
    reason: Reason
    takes: Takes
    find: Find[C]
    words: str


def explain(item: C, checks: Sequence[Check[C]]) -> tuple[Part, ...]:
    """Split the difference of an item: `sum(part.minor) == item.difference`, always.

    The checks are asked in the order of the table, as long as more remains than rounding can do. What remains then is
    `rounding` within the item's tolerance, else `unexplained`.
    """
    parts: list[Part] = []
    remaining = item.difference
    for takes, group in groupby(checks, key=lambda check: check.takes):
        if takes is not Takes.ALWAYS and (not remaining or abs(remaining) <= item.tolerance):
            break
        for check, found in _taken(item, list(group), remaining=remaining, takes=takes):
            parts.append(Part(check.reason, check.name, found.minor, found.theirs, found.ours))
            remaining -= found.minor
    if remaining:
        reason = Reason.ROUNDING if abs(remaining) <= item.tolerance else Reason.UNEXPLAINED
        parts.append(Part(reason, reason.value, remaining, item.theirs, item.ours))
    return tuple(parts)


def _taken(item: C, group: Sequence[Check[C]], *, remaining: int, takes: Takes) -> Iterable[tuple[Check[C], Found]]:
    shown = ((check, found) for check in group for found in check.find(item, remaining) if found.minor)
    if takes is Takes.ALWAYS:
        return shown
    if takes is Takes.ALL:
        return islice(shown, 1)
    candidates = list(shown)
    chosen = _fewest([found.minor for _, found in candidates], remaining, tolerance=item.tolerance)
    return [candidates[position] for position in chosen]


def _fewest(amounts: Sequence[int], remaining: int, *, tolerance: int) -> Sequence[int]:
    """The positions of the fewest amounts, at most three, that come to what remains.

    Where none do: those that bring the sides nearer, in the order given.
    """
    considered = range(min(len(amounts), MOST_CONSIDERED))
    for size in range(1, MOST_TOGETHER + 1):
        for together in combinations(considered, size):
            if abs(remaining - sum(amounts[position] for position in together)) <= tolerance:
                return together
    nearer = []
    for position, amount in enumerate(amounts):
        if amount * remaining > 0 and abs(amount) <= abs(remaining) + tolerance:
            nearer.append(position)
            remaining -= amount
    return nearer


@dataclass(frozen=True, slots=True)
class Position:
    """An account on both sides, in one currency. `account` None: nobody that the ledger knows."""

    account: int | None
    customer: str | None  # as the other side calls an account that the ledger does not know
    currency: str
    ledger_minor: int
    other_minor: int
    parts: tuple[Part, ...]

    def __post_init__(self) -> None:
        if self.ledger_minor + sum(part.minor for part in self.parts) != self.other_minor:
            raise ValueError("the parts of a difference must add up to it")

    @property
    def difference_minor(self) -> int:
        return self.other_minor - self.ledger_minor

    @property
    def unexplained_minor(self) -> int:
        """Gross: what is above and what is below do not cancel out."""
        return sum(abs(part.minor) for part in self.parts if part.reason is Reason.UNEXPLAINED)

    @property
    def is_agreed(self) -> bool:
        """Nothing to report: the sides are equal, and no part of it differs from another."""
        return not self.parts


def words_of(checks: Iterable[Check[C]]) -> dict[str, str]:
    return {check.name: check.words for check in checks}


LEFT_OVER = {
    "rounding": "Rounding to the minor unit, at most half of one for each amount, times how often it recurs in a year.",
    "unexplained": "No check explains it.",
}
