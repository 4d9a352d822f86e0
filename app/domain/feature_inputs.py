"""What the score looks at, and whether it was there: each input with its feed, its last fact and for how many known."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from app.domain.feature_catalog import CADENCE_DAYS, FEATURES
from app.domain.feature_company import Company
from app.domain.features import FeatureSpec


@dataclass(frozen=True, slots=True)
class Input:
    """An input of the score as of a day. `last_on`: of its feed, over all accounts; None: it has no feed, or no fact.

    `is_fresh`: no older than its cadence. `known_share` is of the accounts that were scored.
    """

    name: str
    unit: str
    dimension: str
    meaning: str
    feed: str | None
    cadence_days: int | None
    last_on: date | None
    is_fresh: bool
    known_share: float


def describe_inputs(
    specs: tuple[FeatureSpec, ...], *, company: Company, known_share: Mapping[str, float], as_of: date
) -> tuple[Input, ...]:
    """Every input there can be, in the order of the catalog; `specs` are those that are scored, `known_share` by name.

    `company` is observed at `as_of`. An input of a feed that the company never sent is known for nobody and named all
    the same, as what it could send.
    """
    last = {feed: company.heard_on(feed, as_of=as_of) for feed in CADENCE_DAYS}
    catalog = (*FEATURES, *(spec for spec in specs if spec.name not in {each.name for each in FEATURES}))
    return tuple(
        Input(
            name=spec.name,
            unit=spec.unit,
            dimension=spec.dimension,
            meaning=spec.meaning,
            feed=spec.feed,
            cadence_days=spec.cadence_days,
            last_on=(last_on := last[spec.feed] if spec.feed else None),
            is_fresh=spec.feed is None or is_fresh(spec.feed, last_on, as_of=as_of),
            known_share=float(known_share.get(spec.name, 0.0)),
        )
        for spec in catalog
    )


def is_fresh(feed: str, last_on: date | None, *, as_of: date) -> bool:
    """Whether the feed's last fact is no older than its cadence."""
    return last_on is not None and (as_of - last_on).days <= CADENCE_DAYS[feed]
