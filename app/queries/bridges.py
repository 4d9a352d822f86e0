"""The bridge of ARR over a period: opening + movements = closing, by part of the period, group and currency."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from app.domain.periods import Grain, Period, parse_period, split_into_periods
from app.errors import Invalid
from app.queries.facts import Known
from app.queries.groups import ALL
from app.queries.line_groups import CURRENCY, LineGroups
from app.queries.movements import MovementsAsked, MovementSum, sum_movements

CATEGORIES = ("new", "reactivation", "expansion", "contraction", "churn", "transfer")


@dataclass(frozen=True, slots=True)
class BridgeQuestion:
    """`period` None is the fiscal year of the day; `grain` None is one bridge over it."""

    period: str | None = None
    grain: Grain | None = None
    group_by: str = ALL


@dataclass(frozen=True, slots=True)
class GroupBridge:
    """opening + the sum of `moved` = closing, in minor units. Amounts of `moved` are signed."""

    period: Period
    group: str
    label: str
    currency: str
    opening: int
    moved: dict[str, int] = field(default_factory=dict)

    @property
    def closing(self) -> int:
        return self.opening + sum(self.moved.values())


def load_bridges(session: Session, question: BridgeQuestion, *, known: Known) -> list[GroupBridge]:
    """By part, group and currency, of those that have ARR or moved; up to `known.as_of`, each currency for itself.

    Raises Invalid for a period with no such name, or one that begins after the day.
    """
    parts = list(parts_of(question, known=known))
    groups = LineGroups(session, question.group_by, known=known)
    by = dict.fromkeys(("month", "category", CURRENCY, *([groups.key] if groups.key else [])))
    asked = MovementsAsked(known.known_at, parts[-1].last_on)
    sums = _by_group(sum_movements(session, asked, by=tuple(by)), groups=groups)
    found = [
        GroupBridge(part, group, groups.labels.get(group, group), currency, opening, moved)
        for (group, currency), own in sums.items()
        for part, opening, moved in _bridges(own, parts)
    ]
    return sorted(found, key=lambda each: (each.period.first_on, each.group, each.currency))


Months = dict[tuple[str, str], int]  # by month and category


def _by_group(sums: Sequence[MovementSum], *, groups: LineGroups) -> dict[tuple[str, str], Months]:
    found: dict[tuple[str, str], Months] = defaultdict(lambda: defaultdict(int))
    for each in sums:
        month, category, currency, *rest = each.key
        group = groups.group_by_key(currency if groups.key == CURRENCY else rest[0] if rest else None)
        found[group, currency][month, category] += each.amount_minor
    return found


def _bridges(own: Months, parts: Sequence[Period]) -> Iterator[tuple[Period, int, dict[str, int]]]:
    """Each part with its opening and what moved, where there is anything."""
    opening = sum(minor for (month, _), minor in own.items() if month < f"{parts[0].first_on:%Y-%m}")
    for part in parts:
        first, last = f"{part.first_on:%Y-%m}", f"{part.last_on:%Y-%m}"
        moved: dict[str, int] = defaultdict(int)
        for (month, category), minor in own.items():
            if first <= month <= last:
                moved[category] += minor
        if opening or any(moved.values()):
            yield part, opening, dict(moved)
        opening += sum(moved.values())


def parts_of(question: BridgeQuestion, *, known: Known) -> Iterator[Period]:
    start_month = known.settings.fiscal_year_start_month
    named = named_period(question.period, known=known)
    if named.first_on > known.as_of:
        said = f"{named.name} begins after {known.as_of}; ask for an earlier period, or a later as_of."
        raise Invalid(said, {"period": [said]})
    last_on = min(named.last_on, known.as_of)
    if question.grain is None:
        yield Period(named.name, named.first_on, last_on)
        return
    yield from split_into_periods(named.first_on, last_on, grain=question.grain, fiscal_start_month=start_month)


def named_period(name: str | None, *, known: Known) -> Period:
    """The period of that name; None: the fiscal year of the day. Raises Invalid where there is no such period."""
    start_month = known.settings.fiscal_year_start_month
    if name is None:
        year = next(split_into_periods(known.as_of, known.as_of, grain=Grain.YEAR, fiscal_start_month=start_month))
        return parse_period(year.name, fiscal_start_month=start_month)
    try:
        return parse_period(name, fiscal_start_month=start_month)
    except ValueError as error:
        raise Invalid(f"There is no period {name!r}: {error}.", {"period": [str(error)]}) from None
