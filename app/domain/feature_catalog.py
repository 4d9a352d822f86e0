"""The features that the churn hazard reads, each with its unit, dimension and meaning.

The names are the contract between training, scoring, stored runs and pages. Weights are prior
means on the logit of the monthly hazard, a standard deviation of the feature; nothing is assumed
of a feature but of the level of usage, which foretells churn wherever it has been measured.
"""

from collections.abc import Iterator

from app.domain.features import Facts, FeatureSpec

USAGE, MILESTONES, TICKETS, SURVEYS, TOUCHES = "usage", "milestones", "tickets", "surveys", "touches"
TRAININGS, INVOICES = "trainings", "invoices"

# A feed silent for longer than this, over all accounts, is taken to be dead and its features to be missing.
# Of invoices the shortest that bears monthly billing: while payments are not heard of, everybody falls overdue.
CADENCE_DAYS = {USAGE: 7, MILESTONES: 90, TICKETS: 90, SURVEYS: 180, TOUCHES: 90, TRAININGS: 180, INVOICES: 45}
# What many companies never record: it has columns only where there are such facts, so that nobody's coverage
# is lower for not sending what nobody asked for.
OPTIONAL_FEEDS = (TRAININGS, INVOICES)


def _feature(name: str, unit: str, *, dimension: str, meaning: str, feed: str | None) -> FeatureSpec:
    return FeatureSpec(
        name=name,
        unit=unit,
        dimension=dimension,
        meaning=meaning,
        cadence_days=CADENCE_DAYS[feed] if feed else None,
        feed=feed,
        is_time_varying=feed is not None,
        default_weight=-0.45 if name == "usage_level" else 0.0,
        default_sd=0.3 if name == "usage_level" else 0.2,
    )


FEATURES: tuple[FeatureSpec, ...] = (
    _feature(
        "usage_level",
        "log of actions",
        dimension="adoption",
        meaning="Activity in the last month per paid seat, against the company's average",
        feed=USAGE,
    ),
    _feature(
        "usage_mean_3m",
        "log of actions",
        dimension="adoption",
        meaning="Activity in the last three months per paid seat, against the company's average",
        feed=USAGE,
    ),
    _feature(
        "usage_trend",
        "log ratio",
        dimension="adoption",
        meaning="Activity in the last month against the account's own six months before",
        feed=USAGE,
    ),
    _feature(
        "seats_used",
        "share",
        dimension="adoption",
        meaning="People active on the busiest day of the last month, of the seats paid for",
        feed=USAGE,
    ),
    _feature(
        "breadth",
        "share",
        dimension="adoption",
        meaning="Product features used in the last month, of those that any account has used",
        feed=USAGE,
    ),
    _feature(
        "days_since_use",
        "days, 30 at most",
        dimension="adoption",
        meaning="Days since the product was last used",
        feed=USAGE,
    ),
    _feature(
        "onboarding_late",
        "share",
        dimension="onboarding",
        meaning="Onboarding milestones due in the last year that were done late or not at all",
        feed=MILESTONES,
    ),
    _feature(
        "onboarding_overdue",
        "share",
        dimension="onboarding",
        meaning="Onboarding milestones due in the last year that are still open",
        feed=MILESTONES,
    ),
    _feature(
        "trainings_12m",
        "trainings",
        dimension="onboarding",
        meaning="Product trainings that people of the account attended in the last twelve months",
        feed=TRAININGS,
    ),
    _feature(
        "tickets_90d",
        "tickets",
        dimension="support",
        meaning="Support tickets opened in the last 90 days",
        feed=TICKETS,
    ),
    _feature(
        "escalations_90d",
        "tickets",
        dimension="support",
        meaning="Tickets of the last 90 days that were escalated",
        feed=TICKETS,
    ),
    _feature(
        "nps",
        "0 to 10",
        dimension="sentiment",
        meaning="The latest answer of the last year to 'would you recommend us'",
        feed=SURVEYS,
    ),
    _feature(
        "nps_missing",
        "yes or no",
        dimension="sentiment",
        meaning="Nobody answered 'would you recommend us' in the last year",
        feed=SURVEYS,
    ),
    _feature(
        "csat",
        "1 to 5",
        dimension="sentiment",
        meaning="The latest satisfaction rating of the last year",
        feed=SURVEYS,
    ),
    _feature(
        "csat_missing",
        "yes or no",
        dimension="sentiment",
        meaning="Nobody rated their satisfaction in the last year",
        feed=SURVEYS,
    ),
    _feature(
        "days_since_contact",
        "days, 180 at most",
        dimension="engagement",
        meaning="Days since we last spoke with the account",
        feed=TOUCHES,
    ),
    _feature(
        "overdue_days",
        "days, 90 at most",
        dimension="commercial",
        meaning="Days since the oldest invoice of the last year that is still unpaid was due",
        feed=INVOICES,
    ),
    _feature(
        "log_mrr",
        "log of a month's revenue",
        dimension="commercial",
        meaning="Recurring revenue a month, in the reporting currency",
        feed=None,
    ),
    _feature(
        "returned",
        "yes or no",
        dimension="commercial",
        meaning="A customer that had left before and came back",
        feed=None,
    ),
)


def feature_specs(facts: Facts, catalog: tuple[FeatureSpec, ...] = FEATURES) -> tuple[FeatureSpec, ...]:
    """The columns of `build_features(facts, ..., catalog)`, in order.

    After the catalog come one 0/1 column for each segment and each acquisition channel of the
    company, named `segment: NAME` and `channel: NAME`; a company with a single one has none. All
    levels have a column: the prior, the same for each, takes the place of a reference level.
    Features of an optional feed are left out where it has no facts at all.
    """
    present = optional_feeds(facts) if facts.feeds is None else facts.feeds
    absent = set(OPTIONAL_FEEDS) - present
    offered = (spec for spec in catalog if spec.feed not in absent)
    return (*offered, *_level_specs("segment", facts.segments), *_level_specs("channel", facts.channels))


def optional_feeds(facts: Facts) -> frozenset[str]:
    """The optional feeds of which there are facts."""
    return frozenset(feed for feed in OPTIONAL_FEEDS if len(getattr(facts, feed).account))


def level_names(kind: str, levels: tuple[str, ...]) -> tuple[str, ...]:
    """The names of the 0/1 columns of `kind` (segment or channel); none for fewer than two levels."""
    return tuple(f"{kind}: {level}" for level in levels) if len(levels) > 1 else ()


def _level_specs(kind: str, levels: tuple[str, ...]) -> Iterator[FeatureSpec]:
    words = {"segment": "The account's segment is", "channel": "The account came through"}[kind]
    for name in level_names(kind, levels):
        meaning = f"{words} {name.removeprefix(kind + ': ')}"
        yield _feature(name, "yes or no", dimension="commercial", meaning=meaning, feed=None)
