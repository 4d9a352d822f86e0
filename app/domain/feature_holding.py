"""What a feed that has fallen silent last said: bad news stays until it is taken back, good news does not.

While a feed is silent its inputs are unknown and would add nothing to anybody's risk. For an account that it spoke
ill of that is an improvement which nothing supports: its score would rise because nobody looks any more. So where the
last known inputs of the silent feeds, as they were on the last day that they counted as fresh, make the risk higher
than none do, they are held; they count as unknown all the same, for coverage and for what is shown.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np

from app.domain.feature_catalog import CADENCE_DAYS
from app.domain.feature_company import PEOPLE, Company, observe_company
from app.domain.feature_inputs import is_fresh
from app.domain.feature_table import build_features
from app.domain.features import Bools, Facts, FeatureSpec, FeatureTable, Floats
from app.domain.health import Health, input_coverage
from app.domain.months import Days

_METRICS = {"seats_used": PEOPLE}  # which metric of usage, where it is not activity

Risk = Callable[[FeatureTable], Floats]


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """A feature table in which some cells (`held`, n x p) are what was known before their feed fell silent."""

    table: FeatureTable
    held: Bools


def hold_bad_news(
    facts: Facts,
    table: FeatureTable,
    *,
    specs: tuple[FeatureSpec, ...],
    risk: Risk,
    company_at: Callable[[Days], Company] | None = None,
) -> Held:
    """The table with the last known inputs of silent feeds for the accounts whose `risk` they make higher.

    `table` has rows of one landmark alone, and `risk` says n x 1 of such a table; it is asked only where a feed
    fell silent. An account that came, or came back, since then has no last known inputs: its own stay unknown.
    Where `facts` are of a part of the accounts, `company_at` says what was known of all at any landmarks.
    """
    observe = company_at or (lambda landmarks: observe_company(facts, landmarks))
    last_known = table.values.copy()
    silent = list(_silent_columns(observe(table.landmark[:1]), specs)) if len(table.landmark) else []
    for landmark, columns in silent:
        then = np.array([landmark], dtype="datetime64[D]")
        earlier = build_features(facts, then, company=observe(then))
        here, there = _same_spells(table, earlier)
        for column in columns:
            last_known[here, column] = earlier.values[there, earlier.names.index(table.names[column])]
    held = np.isnan(table.values) & np.isfinite(last_known)
    if held.any():
        held &= (risk(replace(table, values=last_known)) > risk(table))[:, None]
    return Held(replace(table, values=np.where(held, last_known, table.values)), held)


def _silent_columns(company: Company, specs: tuple[FeatureSpec, ...]) -> Iterator[tuple[date, list[int]]]:
    """The columns of each feed that fell silent, and the last day on which they were fresh."""
    as_of = company.grid[0].item()
    sources: dict[tuple[str, str | None], list[int]] = {}
    for number, spec in enumerate(specs):
        if spec.feed is not None:
            sources.setdefault((spec.feed, _METRICS.get(spec.name)), []).append(number)
    for (feed, metric), columns in sources.items():
        last_on = company.heard_on(feed, as_of=as_of, metric=metric)
        if last_on is not None and not is_fresh(feed, last_on, as_of=as_of):
            yield last_on + timedelta(days=CADENCE_DAYS[feed]), columns


def _same_spells(table: FeatureTable, earlier: FeatureTable) -> tuple[Bools, Bools]:
    """The rows of both tables of accounts that were in the same spell on either day."""
    both = np.intersect1d(table.spell, earlier.spell)
    return np.isin(table.spell, both), np.isin(earlier.spell, both)


def count_as_unknown(
    health: Health, held: Bools, *, values: Floats, specs: tuple[FeatureSpec, ...], limit: float
) -> Health:
    """The health without knowing what is held: lower coverage, dimensions unknown, withheld under the `limit`."""
    if not held.any():
        return health
    known = health.known.copy()
    known[:, : held.shape[1]] &= ~held
    member = np.array([[driver.dimension == name for name in health.dimensions] for driver in health.drivers])
    coverage = input_coverage(np.where(held, np.nan, values), specs)
    withheld = (coverage < limit) & ~health.gave_notice
    return replace(
        health,
        known=known,
        coverage=coverage,
        withheld=withheld,
        score=np.where(withheld, np.nan, health.score),
        band=np.where(withheld, -1, health.band),
        dimension_known=(known @ member.astype(np.int64)) > 0,
    )
