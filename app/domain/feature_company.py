"""What the features of an account are held against: what was known of the whole company at each landmark.

Facts may be looked at a part of the accounts at a time: what is observed of the parts, taken together, is what is
observed of all. Means alone are not: usage is held against that of a panel, which is all accounts of a small company.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date

import numpy as np

from app.domain.feature_catalog import INVOICES, MILESTONES, SURVEYS, TICKETS, TOUCHES, TRAININGS, USAGE
from app.domain.feature_windows import NEVER, Marks, lay_marks
from app.domain.features import Facts, Floats, Spells
from app.domain.months import Days, Ints

ACTIVITY, PEOPLE = "activity", "active_people"
NPS, CSAT = "nps", "csat"
_NAT = np.datetime64("NaT", "D")


@dataclass(frozen=True, slots=True, eq=False)
class Company:
    """By kind of fact, the day numbers of the first and the last that was known at each landmark of the `grid`.

    Kinds are the feeds, the two metrics of usage (of days in a spell; the feed's own are of any day) and the two kinds
    of answers. `used_since` is, by product feature, the day number after which its use was known. `mean_level`, by
    feature of usage, is the mean of the peers (2 x landmarks); empty where it was not measured.
    """

    grid: Days
    first: Mapping[str, Ints]
    last: Mapping[str, Ints]
    used_since: Ints
    mean_level: Mapping[str, Floats] = field(default_factory=dict)

    def at(self, landmarks: Days) -> "Company":
        """The same at some of its landmarks, sorted and unique. ValueError for one that it does not have."""
        place = np.searchsorted(self.grid, landmarks)
        if not np.array_equal(np.append(self.grid, _NAT)[place], landmarks):
            raise ValueError("the company was not observed at each of these landmarks")
        peers = (2 * place[:, None] + np.arange(2)).ravel()
        return replace(
            self,
            grid=landmarks,
            first={kind: days[place] for kind, days in self.first.items()},
            last={kind: days[place] for kind, days in self.last.items()},
            mean_level={name: means[peers] for name, means in self.mean_level.items()},
        )

    def features_so_far(self) -> Floats:
        """How many product features anyone was known to have used, by landmark."""
        return np.searchsorted(np.sort(self.used_since), self.grid.astype(np.int64)).astype(np.float64)

    def heard_on(self, feed: str, *, as_of: date, metric: str | None = None) -> date | None:
        """The last day before `as_of`, a landmark, of a fact of the feed that was known before it; None without one.

        Of usage, of activity unless another `metric` is named.
        """
        known = self.at(np.array([as_of], dtype="datetime64[D]"))
        day = int(known.last[heard(metric) if metric else feed][0])
        return None if day == NEVER else date.fromisoformat(str(np.datetime64(day, "D")))


def heard(metric: str) -> str:
    """The kind of all facts of a metric of usage, in a spell or not."""
    return f"heard: {metric}"


def observe_company(facts: Facts, landmarks: Days) -> Company:
    """What is known of the accounts of `facts`, without means (`feature_usage.measure_peers`). Linear in the facts."""
    grid: Days = np.unique(landmarks.astype("datetime64[D]"))
    first: dict[str, Ints] = {}
    last: dict[str, Ints] = {}
    for kind, marks in _kinds(facts, grid):
        before, after = marks.company_first_days(), marks.company_last_days()
        first[kind] = np.minimum(first.get(kind, before), before)
        last[kind] = np.maximum(last.get(kind, after), after)
    last[USAGE] = last[heard(ACTIVITY)]
    return Company(grid, first, last, _used_since(facts))


def join_companies(parts: Iterable[Company]) -> Company:
    """What was observed of parts of the accounts, at the same landmarks, as of all."""
    whole, *others = parts
    for part in others:
        size = max(len(whole.used_since), len(part.used_since))
        since = np.full((2, size), -NEVER)
        since[0, : len(whole.used_since)], since[1, : len(part.used_since)] = whole.used_since, part.used_since
        whole = replace(
            whole,
            first={kind: np.minimum(days, part.first[kind]) for kind, days in whole.first.items()},
            last={kind: np.maximum(days, part.last[kind]) for kind, days in whole.last.items()},
            used_since=since.min(axis=0),
        )
    return whole


def lay_usage(facts: Facts, grid: Days, *, metric: str) -> tuple[Marks, Ints]:
    """The usage of a metric on days in a spell, by spell, and its rows of `facts.usage`."""
    usage = facts.usage
    number = facts.usage_metrics.index(metric) if metric in facts.usage_metrics else -1
    rows = np.flatnonzero(usage.metric == number)
    spell = _spell_on(facts.spells, account=usage.account[rows], day=usage.day[rows])
    rows, spell = rows[spell >= 0], spell[spell >= 0]
    groups, day, known = len(facts.spells.account), usage.day[rows], usage.available_on[rows]
    return lay_marks(grid, spell, groups=groups, day=day, available_on=known), rows


def _kinds(facts: Facts, grid: Days) -> Iterator[tuple[str, Marks]]:
    """Each kind of day by which the company is heard of; one kind may come more than once."""

    def lay(day: Days, available_on: Days) -> Marks:
        return lay_marks(grid, np.zeros(len(day), dtype=np.int64), groups=1, day=day, available_on=available_on)

    usage, plan, answers, bills = facts.usage, facts.milestones, facts.surveys, facts.invoices
    for metric in (ACTIVITY, PEOPLE):
        number = facts.usage_metrics.index(metric) if metric in facts.usage_metrics else -1
        yield metric, lay_usage(facts, grid, metric=metric)[0]
        yield heard(metric), lay(np.where(usage.metric == number, usage.day, _NAT), usage.available_on)
    yield MILESTONES, lay(plan.available_on, plan.available_on)
    yield MILESTONES, lay(plan.done_on, np.maximum(plan.available_on, plan.done_available_on))
    yield TICKETS, lay(facts.tickets.opened_on, facts.tickets.available_on)
    yield SURVEYS, lay(answers.answered_on, answers.available_on)
    yield NPS, lay(np.where(answers.is_nps, answers.answered_on, _NAT), answers.available_on)
    yield CSAT, lay(np.where(answers.is_nps, _NAT, answers.answered_on), answers.available_on)
    yield TOUCHES, lay(facts.touches.occurred_on, facts.touches.available_on)
    yield TRAININGS, lay(facts.trainings.occurred_on, facts.trainings.available_on)
    yield INVOICES, lay(bills.issued_on, bills.available_on)
    yield INVOICES, lay(bills.paid_on, np.maximum(bills.available_on, bills.paid_available_on))


def _used_since(facts: Facts) -> Ints:
    usage = facts.usage
    marks, rows = lay_usage(facts, np.zeros(0, dtype="datetime64[D]"), metric=ACTIVITY)
    named = (usage.feature[rows] >= 0) & (usage.amount[rows] > 0)
    feature = usage.feature[rows][named]
    since = np.full(int(feature.max(initial=-1)) + 1, -NEVER)
    known_on = np.maximum(marks.day, usage.available_on[rows])[named]
    np.minimum.at(since, feature[~np.isnat(known_on)], known_on[~np.isnat(known_on)].astype(np.int64))
    return since


def _spell_on(spells: Spells, *, account: Ints, day: Days) -> Ints:
    """The account's latest spell begun by that day, -1 before its first."""
    order = np.lexsort((spells.started_on, spells.account))
    epoch = np.datetime64("0001-01-01")
    stride = 2**22  # days, more than ten thousand years: an account's days never reach the next account's
    begun = spells.account[order] * stride + (spells.started_on[order] - epoch).astype(np.int64)
    place = np.searchsorted(begun, account * stride + (day - epoch).astype(np.int64), side="right") - 1
    spell = np.append(order, -1)[place]
    owner = np.append(spells.account, -1)[spell]
    return np.where(owner == account, spell, -1)
