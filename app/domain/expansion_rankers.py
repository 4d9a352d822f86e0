"""The ways of ordering what an account may take next, and which of them a company's own deals speak for.

No way wins everywhere. Each is held against what was bought in the half years past, as known when they began, and the
best is used; of those that are as good, the simplest.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

from app.domain.expansion_ranking import (
    RECENT_MONTHS,
    FirstSales,
    Market,
    Sales,
    Score,
    adoption_and_lift,
    candidate_scores,
    first_sales,
    mean_log_lift,
)
from app.domain.features import Bools, Floats
from app.domain.hazard_map import expit
from app.domain.logistic import fit_logistic
from app.domain.months import MONTHS_OF_A_YEAR, Ints, add_months

TOP = 3
SHARE_LOOKED_AT = 4  # of a few products three are nearly all: hits are counted among a quarter of them at most
MOST_ORIGINS = 4
MOST_ACCOUNTS = 5_000  # of more a sample says as much
FEWEST_BUYERS = 20  # over all origins, below which nothing is concluded
BEST_TENTH = 0.1
RIGHT_LEVEL = (0.7, 1.4)  # expected over observed, within which a level may be said
ORIGINS_FOR_LEVEL = 2  # in a row


def popularity(market: Market, owned: Bools) -> Floats:
    """The number of owners."""
    return np.broadcast_to(
        market.owners[market.candidates].astype(np.float64), (len(owned), len(market.candidates))
    ).copy()


def adoption(market: Market, owned: Bools) -> Floats:
    """The shrunken logit of adoption in the recent months."""
    return np.broadcast_to(market.adoption_logit, (len(owned), len(market.candidates))).copy()


def lift(market: Market, owned: Bools) -> Floats:
    """The mean log lift over what is owned."""
    return mean_log_lift(market, owned)


@dataclass(frozen=True, slots=True, eq=False)
class Propensity:
    """A logistic regression of buying on adoption, lift and how much an account has, fitted on the half year before."""

    coefficients: Floats

    def __call__(self, market: Market, owned: Bools) -> Floats:
        columns = _pair_columns(market, owned)
        scores: Floats = self.coefficients[0] + columns @ self.coefficients[1:]
        return scores


PLAIN: Mapping[str, Score] = {
    "popularity": popularity,
    "adoption": adoption,
    "lift": lift,
    "adoption_and_lift": adoption_and_lift,
}
PROPENSITY = "propensity"
RANKERS = (*PLAIN, PROPENSITY)  # the simplest first
DEFAULT = "adoption_and_lift"  # where too little was bought to tell


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """What was known at an origin, and which pairs were bought in the six months after it.

    `owned` and `bought` are accounts x products, of the accounts that had bought something in the year before.
    """

    origin: date
    market: Market
    owned: Bools
    bought: Bools

    def scores(self, score: Score) -> Floats:
        return candidate_scores(self.market, self.owned, score=score)

    @property
    def buys_anything(self) -> Bools:
        return np.asarray(self.bought.any(axis=1))

    def best(self, score: Score) -> tuple[Floats, Bools]:
        """accounts x 3: the scores of each account's best three, -inf where there are fewer, and whether bought."""
        scores = self.scores(score)
        places = np.argsort(-scores, axis=1, kind="stable")[:, :TOP]
        found = np.take_along_axis(scores, places, axis=1)
        bought = np.take_along_axis(self.bought[:, self.market.candidates], places, axis=1)
        return found, bought & np.isfinite(found)


@dataclass(frozen=True, slots=True)
class RankerResult:
    """How well a way did from one origin: `hits` of `buyers` bought one of their best `looked_at`, three or fewer."""

    way: str
    origin: date
    accounts: int
    buyers: int
    looked_at: int
    hits: int
    lift: float | None  # bought among the best tenth of all pairs, over that among all
    expected: float | None  # purchases among the best three, by the level of the half year before
    observed: int

    @property
    def ratio(self) -> float | None:
        return None if self.expected is None or not self.observed else self.expected / self.observed


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """The way that is used, why, and what it gives as a probability where that was right twice in a row.

    `reason`: chosen, too_few (buyers) or too_young (no origin has a year before it).
    """

    way: str
    reason: str
    score: Score
    results: tuple[RankerResult, ...]
    level: Floats | None  # intercept and slope of the logit of a purchase within six months, by the score

    def probability(self, scores: Floats) -> Floats | None:
        """P(bought within six months) by score; None where no level may be said."""
        return None if self.level is None else expit(self.level[0] + self.level[1] * scores)


def list_origins(first_day: np.datetime64, as_of: date) -> list[date]:
    """2 to 4 origins half a year apart, the latest first, each with a year of sales before it; fewer if too young."""
    origins = [add_months(as_of, -RECENT_MONTHS * n) for n in range(1, MOST_ORIGINS + 1)]
    return [each for each in origins if first_day <= np.datetime64(add_months(each, -MONTHS_OF_A_YEAR))]


def look_back(sales: Sales, origin: date, *, market: Market, own: FirstSales) -> Past:
    """What the accounts that had bought in the year before the origin bought for the first time in the months after."""
    day, since = sales.day, np.datetime64(add_months(origin, -MONTHS_OF_A_YEAR))
    accounts = _sample(np.unique(sales.account[(day >= since) & (day < np.datetime64(origin))]))
    owned = own.owned_by(accounts)
    ahead = first_sales(sales, as_of=add_months(origin, RECENT_MONTHS))
    return Past(origin, market, owned, ahead.owned_by(accounts) & ~owned)


def choose_ranker(pasts: Sequence[Past]) -> Choice:
    """The way with the most hits over all origins, of accounts that bought anything; the latest origin comes first.

    A simpler one is used where it falls short by at most one standard error of the difference, account by account.
    Propensity is fitted on the origin before, so that the earliest has none: the ways are compared on the others.
    """
    if not pasts:
        return Choice(DEFAULT, "too_young", PLAIN[DEFAULT], (), None)
    fits = [_fit_propensity(past) for past in pasts]
    judged = range(len(pasts) - 1) if len(pasts) > 1 else range(1)
    hits: dict[str, list[Bools]] = {}
    results = []
    for way in RANKERS:
        for n, past in enumerate(pasts):
            score = _score_of(way, fits[n + 1] if n + 1 < len(pasts) else None)
            if score is None:
                continue
            level = _fit_level(pasts[n + 1], score) if n + 1 < len(pasts) else None
            hit, result = _judge(past, way, score=score, level=level)
            results.append(result)
            if n in judged:
                hits.setdefault(way, []).append(hit)
    every = {way: np.concatenate(found) for way, found in hits.items() if len(found) == len(judged)}
    way, reason = _best(every)
    score = _score_of(way, fits[0]) or PLAIN[DEFAULT]
    own = sorted((each for each in results if each.way == way), key=lambda each: each.origin, reverse=True)
    level = _fit_level(pasts[0], score) if _is_level_right(own) else None
    return Choice(way, reason, score, tuple(results), level)


def _best(hits: Mapping[str, Bools]) -> tuple[str, str]:
    if not hits or len(next(iter(hits.values()))) < FEWEST_BUYERS:
        return DEFAULT, "too_few"
    best = max(hits, key=lambda way: (hits[way].mean(), -RANKERS.index(way)))
    for way in (each for each in RANKERS if each in hits):
        gap = hits[best].astype(np.float64) - hits[way]
        if gap.mean() <= gap.std(ddof=1) / np.sqrt(len(gap)):
            return way, "chosen"
    return best, "chosen"


def _is_level_right(own: Sequence[RankerResult]) -> bool:
    ratios = [each.ratio for each in own[:ORIGINS_FOR_LEVEL] if each.observed >= FEWEST_BUYERS]
    low, high = RIGHT_LEVEL
    return len(ratios) == ORIGINS_FOR_LEVEL and all(ratio is not None and low <= ratio <= high for ratio in ratios)


def _score_of(way: str, fitted: Propensity | None) -> Score | None:
    return fitted if way == PROPENSITY else PLAIN[way]


def _judge(past: Past, way: str, *, score: Score, level: Floats | None) -> tuple[Bools, RankerResult]:
    found, bought = past.best(score)
    looked_at = max(1, min(TOP, len(past.market.candidates) // SHARE_LOOKED_AT))
    hit: Bools = np.asarray(bought[:, :looked_at].any(axis=1))[past.buys_anything]
    scores = past.scores(score)
    is_open = np.isfinite(scores)
    pairs, outcome = scores[is_open], past.bought[:, past.market.candidates][is_open]
    best = np.argsort(-pairs, kind="stable")[: max(1, round(BEST_TENTH * len(pairs)))]
    shown = np.isfinite(found)
    expected = None if level is None else float(expit(level[0] + level[1] * found[shown]).sum())
    return hit, RankerResult(
        way=way,
        origin=past.origin,
        accounts=len(past.owned),
        buyers=len(hit),
        looked_at=looked_at,
        hits=int(hit.sum()),
        lift=float(outcome[best].mean() / outcome.mean()) if outcome.any() else None,
        expected=expected,
        observed=int(bought.sum()),
    )


def _fit_level(past: Past, score: Score) -> Floats | None:
    """Intercept and slope of buying by the score, of the best three of each account."""
    found, bought = past.best(score)
    shown = np.isfinite(found)
    if not bought.any() or bought[shown].all():
        return None
    return fit_logistic(found[shown][:, None], bought[shown])


def _fit_propensity(past: Past) -> Propensity | None:
    columns, bought = _pair_columns(past.market, past.owned), past.bought[:, past.market.candidates]
    is_open = np.isfinite(past.scores(adoption))
    if not bought[is_open].any() or bought[is_open].all():
        return None
    return Propensity(fit_logistic(columns[is_open], bought[is_open]))


def _pair_columns(market: Market, owned: Bools) -> Floats:
    """accounts x candidates x 3: adoption logit, mean log lift, log(1 + products owned)."""
    shape = (len(owned), len(market.candidates))
    size = np.log1p(owned.sum(axis=1).astype(np.float64))[:, None]
    return np.stack(
        [np.broadcast_to(market.adoption_logit, shape), mean_log_lift(market, owned), np.broadcast_to(size, shape)],
        axis=2,
    )


def _sample(accounts: Ints) -> Ints:
    """At most about 5,000, by a hash of their places, so that the order of rows has no say."""
    share = MOST_ACCOUNTS / max(1, len(accounts))
    if share >= 1:
        return accounts
    hashed = (accounts.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(40)
    return accounts[hashed.astype(np.float64) < share * 2.0**24]
