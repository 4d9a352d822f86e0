"""Net, gross and logo retention of windows by group, as known at an instant: sums of integers, and their ratios."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from sqlalchemy.orm import Session

from app.domain.contracts import ONE_DAY
from app.domain.fx import MissingRate, RateTable
from app.domain.money import Money
from app.domain.months import MONTHS_OF_A_YEAR, add_months
from app.domain.periods import Grain, Period
from app.domain.revenue import FxBasis
from app.domain.revenue_retention import Category, Ratio, left_between, logo_retention
from app.errors import Conflict
from app.queries.balances import Balances, find_ratios, less_moved, load_steps, paying
from app.queries.bridges import BridgeQuestion, parts_of
from app.queries.facts import Known
from app.queries.fx import load_rates
from app.queries.groups import ALL
from app.queries.ledger import load_rules
from app.queries.line_groups import LineGroups
from app.queries.movements import MovementsAsked, sum_movements
from app.queries.revenue import Converted, FxChoice

LOGO = "logo_retention@1"
Moved = Mapping[tuple[int, str, str], int]  # by account, currency and category


@dataclass(frozen=True, slots=True)
class RetentionQuestion:
    """Windows of so many `months` that end with each part of the period; with neither period nor grain, on the day."""

    period: str | None = None
    grain: Grain | None = None
    months: int = MONTHS_OF_A_YEAR
    group_by: str = ALL


@dataclass(frozen=True, slots=True)
class GroupRatio:
    """One ratio of one group, from the evening of `since` to that of `part.last_on`.

    `currency` is that of both sums; None of accounts of all currencies, which are counted.
    """

    part: Period
    since: date
    group: str
    label: str
    currency: str | None
    definition: str
    ratio: Ratio


def load_revenue_retention(
    session: Session, question: RetentionQuestion, *, known: Known, fx: FxChoice
) -> tuple[Converted, list[GroupRatio]]:
    """By window and group, of accounts that paid at either end or moved inside.

    Converted at the rates of the day `since`, both sides, each amount of an account rounded once, so that groups sum to
    the total. Where a rate is missing and none was asked for, each currency stands for itself. Raises Invalid for a
    period with no such name or one that begins after the day, Conflict where the conversion asked for has no rate.
    """
    survivor = load_rules(session, known.known_at).survivor
    windows = [
        _load_window(session, part, months=question.months, known_at=known.known_at, survivor=survivor)
        for part in _parts(question, known)
    ]
    groups = LineGroups(session, question.group_by, known=known)
    currency = fx.currency or known.settings.reporting_currency
    if fx.is_off:
        return Converted(None, reason="No conversion was asked for."), list(_by_currency(windows, groups))
    rates = load_rates(session, known_at=known.known_at)
    try:
        found = list(_converted(windows, groups, rates=rates, currency=currency))
    except MissingRate as missing:
        if fx.currency is not None or fx.basis is not None:
            raise Conflict(f"This cannot be converted: {missing}.") from None
        reason = f"Each currency stands for itself: {missing}."
        return Converted(None, reason=reason), list(_by_currency(windows, groups))
    is_mixed = any(own != currency for window in windows for own in window.currencies)
    return Converted(currency, FxBasis.CONSTANT if is_mixed else None), found


def _parts(question: RetentionQuestion, known: Known) -> Iterable[Period]:
    if question.period is None and question.grain is None:
        return [Period(known.as_of.isoformat(), known.as_of, known.as_of)]
    return parts_of(BridgeQuestion(question.period, question.grain), known=known)


def beginning_of_window(last_on: date, *, months: int) -> date:
    """The same day so many months before; of the last day of a month the last day."""
    if (last_on + ONE_DAY).day == 1:
        return add_months(last_on + ONE_DAY, -months) - ONE_DAY
    return add_months(last_on, -months)


def _converted(
    windows: Iterable["_Window"], groups: LineGroups, *, rates: RateTable, currency: str
) -> Iterator[GroupRatio]:
    for window in windows:
        yield from window.convert(rates, currency).ratios(groups, currency)
        yield from window.logos(groups)


def _by_currency(windows: Iterable["_Window"], groups: LineGroups) -> Iterator[GroupRatio]:
    for window in windows:
        for currency in sorted(window.currencies):
            yield from window.only(currency).ratios(groups, currency)
        yield from window.logos(groups)


@dataclass(slots=True)
class _Part:
    """Of one group."""

    opening: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    closing: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    moved: dict[Category, int] = field(default_factory=lambda: defaultdict(int))


@dataclass(frozen=True, slots=True)
class _Window:
    """A merged account is the one that it lives on in, throughout."""

    part: Period
    since: date
    opening: Balances
    closing: Balances
    moved: Moved
    left: set[int]

    @property
    def currencies(self) -> set[str]:
        return {key[1] for each in (self.opening, self.closing, self.moved) for key in each}

    def only(self, currency: str) -> "_Window":
        opening, closing = ({k: v for k, v in own.items() if k[1] == currency} for own in (self.opening, self.closing))
        moved = {key: minor for key, minor in self.moved.items() if key[1] == currency}
        return replace(self, opening=opening, closing=closing, moved=moved)

    def convert(self, rates: RateTable, currency: str) -> "_Window":
        """All in one currency, at the rate of the evening on which the window begins."""

        def worth(minor: int, own: str) -> int:
            return rates.convert(Money(minor, own), currency, on=self.since).minor

        return replace(
            self,
            opening={key: worth(minor, key[1]) for key, minor in self.opening.items()},
            closing={key: worth(minor, key[1]) for key, minor in self.closing.items()},
            moved={key: worth(minor, key[1]) for key, minor in self.moved.items()},
        )

    def ratios(self, groups: LineGroups, currency: str) -> Iterator[GroupRatio]:
        """Those of money, which is all of one currency by now."""
        parts: dict[str, _Part] = defaultdict(_Part)
        for (account, _), minor in self.opening.items():
            parts[groups.group_by_key(account)].opening[account] += minor
        for (account, _), minor in self.closing.items():
            parts[groups.group_by_key(account)].closing[account] += minor
        for (account, _, category), minor in self.moved.items():
            parts[groups.group_by_key(account)].moved[Category(category)] += minor
        for group, own in sorted(parts.items()):
            for name, ratio in find_ratios(own.opening, own.closing, moved=own.moved, left=self.left).items():
                if name != LOGO:
                    yield self._said(groups, group, name=name, ratio=ratio, currency=currency)

    def logos(self, groups: LineGroups) -> Iterator[GroupRatio]:
        """Accounts are counted, in whatever currency they pay."""
        parts: dict[str, tuple[set[int], set[int]]] = defaultdict(lambda: (set(), set()))
        for number, balances in enumerate((self.opening, self.closing)):
            for account in paying(balances):
                parts[groups.group_by_key(account)][number].add(account)
        for group, (paid, pays) in sorted(parts.items()):
            yield self._said(groups, group, name=LOGO, ratio=logo_retention(paid, pays), currency=None)

    def _said(self, groups: LineGroups, group: str, *, name: str, ratio: Ratio, currency: str | None) -> GroupRatio:
        return GroupRatio(self.part, self.since, group, groups.labels.get(group, group), currency, name, ratio)


def _load_window(
    session: Session, part: Period, *, months: int, known_at: datetime, survivor: Callable[[int], int]
) -> _Window:
    """All movements are added up once, for the last day; what was paid at the beginning is that less what moved."""
    since = beginning_of_window(part.last_on, months=months)
    inside = MovementsAsked(known_at, part.last_on, since + ONE_DAY)
    sums = sum_movements(session, inside, by=("account", "currency", "category"))
    whole = sum_movements(session, MovementsAsked(known_at, part.last_on), by=("account", "currency"))
    closing: Balances = defaultdict(int)
    for each in whole:
        closing[survivor(each.key[0]), each.key[1]] += each.amount_minor
    closing = {key: minor for key, minor in closing.items() if minor}
    opening = less_moved(closing, sums, survivor=survivor)
    gone = {survivor(each.key[0]) for each in sums if each.key[2] == Category.CHURN}
    own = sorted({each.key[0] for each in sums if survivor(each.key[0]) in gone})
    left = left_between(opening, load_steps(session, inside, own=own, survivor=survivor))
    moved: dict[tuple[int, str, str], int] = defaultdict(int)
    for each in sums:
        account, currency, category = each.key
        moved[survivor(account), currency, category] += each.amount_minor
    return _Window(part, since, opening, closing, moved, left)
