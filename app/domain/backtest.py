"""A forecast of the past, held against what happened since: how far the model is right.

Everyone alive at the origin was forecast from what was available by then; a year later it is known
who left. Nothing here knows how the forecast was made.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

import numpy as np

from app.domain import calibration
from app.domain.fact_tables import keep_accounts
from app.domain.features import Bools, Facts, Floats, Spells
from app.domain.hazard_clock import month_offsets, months_before
from app.domain.months import MONTHS_OF_A_YEAR, Days, Ints, add_months

LEVEL = 0.95
FEWEST_CHURNS = 20  # below, intervals are shown and nothing is concluded
HORIZONS_MONTHS = (1, 3, 6, 12)
BINS = 10
TOP_SHARE = 0.1
CHANCE = 0.5
RIGHT_RATIO = (0.8, 1.25)  # of expected to observed: a total inside is right enough to plan with
STILL_THERE = 10**6  # the month of leaving of who has not left
UNKNOWN = "unknown"
MOST_ORIGINS = 4
BETWEEN_MONTHS = 18
LEAST_TRACKED_MONTHS = 6
TRACKED_MONTHS_FOR_GATE = 24


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure with its interval at 95 %; None where it cannot be computed."""

    value: float | None
    lower: float | None
    upper: float | None


NOTHING = Estimate(None, None, None)


@dataclass(frozen=True, slots=True)
class Ranking:
    """P(who left within `months` was rated above who stayed)."""

    months: int
    churns: int
    auc: Estimate


@dataclass(frozen=True, slots=True)
class RiskGroup:
    """A tenth of the accounts by forecast risk, the safest first."""

    accounts: int
    forecast: float  # mean probability
    expected: float  # churns
    observed: int
    observed_share: Estimate


@dataclass(frozen=True, slots=True)
class Slice:
    """The accounts that are alike in something: of a segment, say."""

    by: str
    name: str
    accounts: int
    expected: float
    observed: int
    ratio: Estimate  # of expected to observed


@dataclass(frozen=True, slots=True)
class TopList:
    """The accounts rated riskiest, as many as the team can work on: what working on them would have met.

    `churns` is what chance would take where several tie at the edge of the list, so not always whole.
    """

    accounts: int
    churns: float
    precision: Estimate  # share of the list that left
    caught: Estimate  # share of those that left who were on the list
    lift: Estimate  # precision over the share of all that left


@dataclass(frozen=True, slots=True)
class Backtest:
    """What a year showed. `ranking` is learned, chance or unknown; `total` right, too_many, too_few or unknown.

    Unknown: fewer than 20 churns. `chance`: the interval of the AUC at 12 months holds one half. A total
    is right where E/O or its interval meets .8 to 1.25; else the model expected too many, or too few.
    What only puts accounts into an order (`judge_order`) expects no number: all about numbers is None then.
    """

    accounts: int
    churns: int
    undecided: int  # in grace at the end: nobody knows yet
    expected: float | None
    ratio: Estimate
    rankings: tuple[Ranking, ...]
    brier: Estimate
    accuracy: Estimate  # IPA against the reference
    slope: Estimate
    calibration_error: Estimate
    error_by_chance: float | None  # the calibration error that a right forecast stays below in 19 of 20
    lift: Estimate  # of the riskiest tenth
    top: TopList
    groups: tuple[RiskGroup, ...]
    slices: tuple[Slice, ...]
    ranking: str
    total: str


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """How a year is looked at: `capacity` accounts the team can work on, `labels` cut by one label a row."""

    capacity: int = 20
    labels: Mapping[str, Sequence[str]] = field(default_factory=dict)


def judge_forecast(
    probability: Floats, left_in_month: Ints, *, reference: Floats, undecided: int, view: View = View()
) -> Backtest:
    """`probability` (n x 12) to leave within months 1..12, `left_in_month` 1..12 or `STILL_THERE`, n > 0.

    `reference` (n) is the probability over 12 months of whatever the forecast has to beat.
    """
    year, outcome = probability[:, MONTHS_OF_A_YEAR - 1], left_in_month <= MONTHS_OF_A_YEAR
    ratio = judge_ratio(year, outcome)
    order = judge_order(probability, left_in_month, undecided=undecided, view=view)
    error = calibration.expected_calibration_error(year, outcome, bins=BINS)
    slope = calibration.calibration_slope(year, outcome)
    return replace(
        order,
        expected=float(year.sum()),
        ratio=ratio,
        brier=to_estimate(
            calibration.brier_score(year, outcome), calibration.brier_interval(year, outcome, level=LEVEL)
        ),
        accuracy=_accuracy(year, outcome, reference=reference),
        slope=to_estimate(slope, calibration.calibration_slope_interval(year, outcome, level=LEVEL)),
        calibration_error=to_estimate(
            error, calibration.calibration_error_interval(year, outcome, level=LEVEL, bins=BINS)
        ),
        error_by_chance=calibration.calibration_error_by_chance(year, level=LEVEL, bins=BINS),
        groups=_group(year, outcome),
        slices=tuple(_cut(year, outcome, labels=view.labels)),
        total=judge_total(ratio) if order.churns >= FEWEST_CHURNS else UNKNOWN,
    )


def judge_order(score: Floats, left_in_month: Ints, *, undecided: int, view: View = View()) -> Backtest:
    """`score` (n x 12, or n x 1 where it is the same whatever the horizon): the higher, the sooner one is to leave."""
    scores = np.broadcast_to(score, (len(score), MONTHS_OF_A_YEAR))
    year, outcome = scores[:, -1], left_in_month <= MONTHS_OF_A_YEAR
    rankings = tuple(_rank(scores, left_in_month, months=months) for months in HORIZONS_MONTHS)
    churns = int(outcome.sum())
    return Backtest(
        accounts=len(year),
        churns=churns,
        undecided=undecided,
        expected=None,
        ratio=NOTHING,
        rankings=rankings,
        brier=NOTHING,
        accuracy=NOTHING,
        slope=NOTHING,
        calibration_error=NOTHING,
        error_by_chance=None,
        lift=_list_top(year, outcome, size=max(1, round(TOP_SHARE * len(year)))).lift,
        top=_list_top(year, outcome, size=min(view.capacity, len(year))),
        groups=(),
        slices=(),
        ranking=_judge_ranking(rankings[-1].auc) if churns >= FEWEST_CHURNS else UNKNOWN,
        total=UNKNOWN,
    )


def judge_ratio(probability: Floats, outcome: Bools) -> Estimate:
    """Expected over observed, with its interval at 95 %."""
    interval = calibration.expected_over_observed_interval(probability, outcome, level=LEVEL)
    return to_estimate(calibration.expected_over_observed(probability, outcome), interval)


def judge_total(ratio: Estimate) -> str:
    """right, too_many or too_few, whether the ratio or its interval meets .8 to 1.25; unknown without one."""
    if ratio.value is None or ratio.lower is None or ratio.upper is None:
        return UNKNOWN
    low, high = RIGHT_RATIO
    if ratio.lower > high:
        return "too_many"
    return "too_few" if ratio.upper < low else "right"


def _list_top(score: Floats, outcome: Bools, *, size: int) -> TopList:
    n, churns = len(outcome), int(outcome.sum())
    hits = calibration.top_events(score, outcome, size=size)
    caught = to_estimate(hits / churns, calibration.share_interval(hits, churns, level=LEVEL)) if churns else NOTHING
    lift = hits / size / (churns / n) if churns else float("nan")
    return TopList(
        accounts=size,
        churns=hits,
        precision=to_estimate(hits / size, calibration.share_interval(hits, size, level=LEVEL)),
        caught=caught,
        lift=to_estimate(lift, calibration.lift_interval(hits, size, events=churns, n=n, level=LEVEL)),
    )


def _cut(year: Floats, outcome: Bools, *, labels: Mapping[str, Sequence[str]]) -> Iterator[Slice]:
    for by, names in labels.items():
        label = np.asarray(names, dtype=object)
        for name in sorted(set(names)):
            rows = label == name
            p, left = year[rows], outcome[rows]
            yield Slice(by, name, len(p), float(p.sum()), int(left.sum()), judge_ratio(p, left))


def _rank(score: Floats, left_in_month: Ints, *, months: int) -> Ranking:
    outcome, rated = left_in_month <= months, score[:, months - 1]
    interval = calibration.auc_interval(rated, outcome, level=LEVEL)
    return Ranking(months, int(outcome.sum()), to_estimate(calibration.auc(rated, outcome), interval))


def _accuracy(year: Floats, outcome: Bools, *, reference: Floats) -> Estimate:
    if not calibration.brier_score(reference, outcome):
        return NOTHING
    value = calibration.index_of_prediction_accuracy(year, outcome, reference=reference)
    return to_estimate(value, calibration.accuracy_interval(year, outcome, reference=reference, level=LEVEL))


def _group(year: Floats, outcome: Bools) -> tuple[RiskGroup, ...]:
    order = np.argsort(year, kind="stable")
    groups = []
    for rows in np.array_split(order, BINS):
        if len(rows):
            observed = int(outcome[rows].sum())
            low, high = calibration.share_interval(observed, len(rows), level=LEVEL)
            share = Estimate(observed / len(rows), low, high)
            mean = float(year[rows].mean())
            groups.append(RiskGroup(len(rows), mean, mean * len(rows), observed, share))
    return tuple(groups)


def _judge_ranking(auc: Estimate) -> str:
    return "learned" if auc.lower is not None and auc.lower > CHANCE else "chance"


def to_estimate(value: float, interval: tuple[float, float]) -> Estimate:
    return Estimate(_known(value), _known(interval[0]), _known(interval[1]))


def _known(value: float) -> float | None:
    return value if np.isfinite(value) else None


# --- The past as it was known ---


def list_origins(as_of: date, tracked_from: date) -> tuple[date, ...]:
    """The days whose forecast is held against the year that came, the latest first: two to four where there is time.

    A year back, however little was tracked before it. Then each further year back, while a year was tracked
    before it, up to four: their years share no month. Where there is only the first, the day half a year before it
    joins it if half a year was tracked by then.
    """
    tracked = months_before(as_of, tracked_from)
    back = [1, *(years for years in range(2, MOST_ORIGINS + 1) if tracked >= MONTHS_OF_A_YEAR * (years + 1))]
    months = [MONTHS_OF_A_YEAR * years for years in back]
    if len(months) == 1 and tracked >= BETWEEN_MONTHS + LEAST_TRACKED_MONTHS:
        months.append(BETWEEN_MONTHS)
    return tuple(add_months(as_of, -each) for each in months)


def counts_for_gate(origin: date, as_of: date, *, tracked_from: date) -> bool:
    """Whether the fit of `origin` is like today's: the latest is, and one that knew two years or more.

    In its first year a company sees no annual contract run out, so that a fit of then says little of what is learned
    today. An origin whose year overlaps another's would count the same churns twice.
    """
    if origin == add_months(as_of, -BETWEEN_MONTHS):
        return False
    is_latest = origin == add_months(as_of, -MONTHS_OF_A_YEAR)
    return is_latest or months_before(origin, tracked_from) >= TRACKED_MONTHS_FOR_GATE


def months_until_churn(spells: Spells, rows: Ints, *, origin: date) -> Ints:
    """The month after `origin` (1, 2, ...) in which each spell ended by churn; `STILL_THERE` where it did not."""
    month = month_offsets(origin, spells.ended_on[rows]) + 1
    return np.where(spells.churned[rows] & (month >= 1), month, STILL_THERE)


def is_undecided(spells: Spells, rows: Ints, *, before: date) -> Bools:
    """Whether each spell was cut off in grace before that day: its term is over, and nobody knows yet if it renews."""
    cut_off = spells.ended_on[rows] < np.datetime64(before, "D")  # NaT is not
    undecided: Bools = cut_off & ~spells.churned[rows]
    return undecided


def rewind_spells(spells: Spells, *, origin: date, grace_days: int) -> Spells:
    """The spells as far as they were known at `origin`, one row each as before.

    What ended later had not ended; what ended within the grace before it counts as cut off there, for a term that
    lapsed is called churn only once its grace is over.
    """
    day = np.datetime64(origin, "D")
    has_ended = spells.ended_on <= day  # NaT is not
    is_settled = spells.ended_on <= np.datetime64(origin - timedelta(days=grace_days), "D")
    ended_on: Days = np.where(has_ended, spells.ended_on, np.datetime64("NaT", "D"))
    return replace(spells, ended_on=ended_on, churned=spells.churned & is_settled)


def draw_accounts(facts: Facts, *, most: int) -> Facts:
    """The facts of the `most` accounts that come first by a hash of their ids; of all where there are no more.

    What is drawn from those that were drawn is what would have been drawn from all.
    """
    return facts if len(facts.account_ids) <= most else keep_accounts(facts, rank_accounts(facts.account_ids) < most)


def rank_accounts(account_ids: Ints) -> Ints:
    """The place, from 0, of each account in the order by a hash of the ids, of which no two are alike."""
    order = np.argsort(account_ids.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15))
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank
