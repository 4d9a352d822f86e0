"""Whether the model looks at other accounts today than those it learned from: the population stability index.

PSI = sum over bins of (q - p) log(q / p), p the share of the months learned from and q that of the accounts scored
now; the bins are tenths of the former, and what is missing is a bin of its own. A day has its weekday and its season:
what one of the days learned from shows against all of them is no drift either.
"""

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from app.domain.features import Floats
from app.domain.months import Days, Ints

BINS = 10
SHIFTED, CHANGED = 0.1, 0.25  # the index's customary limits
FEWEST_ACCOUNTS = 20
LEVEL = 0.95
USUAL = 0.9  # of the days learned from
FEWEST_DAYS = 8


@dataclass(frozen=True, slots=True)
class InputDrift:
    """A feature then and now. `verdict` is stable, shifted, changed, or unknown (fewer than 20 accounts).

    `index_by_chance`: what the index of the same accounts drawn twice stays below in 19 of 20, or, if that is more,
    what nine in ten of the days learned from show against all of them; only beyond it is a verdict spoken. Means are
    of what is known, None where nothing is.
    """

    name: str
    mean_then: float | None
    mean_now: float | None
    missing_then: float  # share
    missing_now: float
    index: float
    index_by_chance: float
    verdict: str


def measure_drift(
    then: Floats, now: Floats, *, accounts: Ints, days: Days, names: tuple[str, ...]
) -> tuple[InputDrift, ...]:
    """Each column of the values learned from (`then`, rows of `accounts` at `days`) against those scored `now`."""
    n, (kept, day) = len(np.unique(accounts)), np.unique(days, return_inverse=True)
    return tuple(
        _measure(then[:, i], now[:, i], name=name, n_then=n, usual=_usual_index(then[:, i], day, n_days=len(kept)))
        for i, name in enumerate(names)
    )


def _usual_index(then: Floats, day: Ints, *, n_days: int) -> float:
    """What nine in ten of the days stay below against all of them; 0 for fewer than eight days."""
    if n_days < FEWEST_DAYS:
        return 0.0
    edges = _edges(then[np.isfinite(then)])
    bins = np.where(np.isfinite(then), np.searchsorted(edges, then, side="left"), len(edges) + 1)
    width = len(edges) + 2
    counts = np.bincount(day * width + bins, minlength=n_days * width).reshape(n_days, width).astype(np.float64)
    return float(np.quantile([_index(counts.sum(axis=0), each)[0] for each in counts], USUAL))


def stability_index(then: Floats, now: Floats) -> tuple[float, int]:
    """PSI of two samples, n > 0 each, and its number of bins; half a row is added to each bin, so that none is empty.

    Values of which many are equal have fewer bins: edges that coincide are one.
    """
    known = then[np.isfinite(then)]
    counts = [_count(sample, _edges(known)) for sample in (then, now)]
    return _index(counts[0], counts[1])


def _index(then: Floats, now: Floats) -> tuple[float, int]:
    used = then + now > 0
    p, q = ((count[used] + 0.5) / (count[used] + 0.5).sum() for count in (then, now))
    return float(((q - p) * np.log(q / p)).sum()), int(used.sum())


def index_by_chance(n_then: int, n_now: int, *, bins: int) -> float:
    """The 95 % bound of the index of two samples of one kind: chi-squared with bins - 1, times 1/n + 1/m.

    The quantile of chi-squared is Wilson and Hilferty's; 0 for a single bin.
    """
    freedom = bins - 1
    if freedom < 1:
        return 0.0
    part = 2.0 / (9.0 * freedom)
    quantile = freedom * (1.0 - part + NormalDist().inv_cdf(LEVEL) * part**0.5) ** 3
    return float(quantile * (1.0 / n_then + 1.0 / n_now))


def _measure(then: Floats, now: Floats, *, name: str, n_then: int, usual: float) -> InputDrift:
    index, bins = stability_index(then, now) if len(then) and len(now) else (0.0, 1)
    chance = max(usual, index_by_chance(n_then, len(now), bins=bins)) if len(then) and len(now) else 0.0
    return InputDrift(
        name=name,
        mean_then=_mean(then),
        mean_now=_mean(now),
        missing_then=_missing(then),
        missing_now=_missing(now),
        index=index,
        index_by_chance=chance,
        verdict=_judge(index, chance) if min(n_then, len(now)) >= FEWEST_ACCOUNTS else "unknown",
    )


def _judge(index: float, chance: float) -> str:
    if index <= max(SHIFTED, chance):
        return "stable"
    return "shifted" if index <= max(CHANGED, chance) else "changed"


def _edges(known: Floats) -> Floats:
    """The upper ends of all bins but the last: tenths, or each value where there are few."""
    values = np.unique(known)
    tenths = np.unique(np.quantile(known, np.arange(1, BINS) / BINS)) if len(values) > BINS else values
    edges: Floats = tenths[tenths < values.max(initial=-np.inf)]
    return edges


def _count(sample: Floats, edges: Floats) -> Floats:
    """Rows in each bin of known values, then those that are missing."""
    known = np.isfinite(sample)
    bins = np.bincount(np.searchsorted(edges, sample[known], side="left"), minlength=len(edges) + 1)
    return np.append(bins, (~known).sum()).astype(np.float64)


def _mean(values: Floats) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None


def _missing(values: Floats) -> float:
    return float((~np.isfinite(values)).mean()) if len(values) else 0.0
