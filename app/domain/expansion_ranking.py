"""Which product an account is likely to take next: recent adoption, and what is owned together.

Source of the score: docs/decisions/0012; of its measure, tests/jobs/test_expansion_ranking.py.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from app.domain.expansion_moves import HIGH, MEDIUM
from app.domain.features import Bools, Floats
from app.domain.months import Days, Ints, add_months

RECENT_MONTHS = 6  # in which a candidate was sold or first offered, and adoption is counted
SHRINK_ADOPTION = 20  # non-owners that adopt at the average rate, added to those of each product
SHRINK_LIFT = 10  # joint owners as chance would have them, added to those of each pair
LIFT_WEIGHT = 3.0
MEDIUM_ODDS, HIGH_ODDS = 3.0, 10.0  # times those of an average pair of account and product
LEAST_ADOPTERS = 5
CHUNK = 4_096  # accounts whose scores are in memory at once


@dataclass(frozen=True, slots=True, eq=False)
class Sales:
    """Sold lines, in any order. `account` and `product` are indexes, the products' below `n_products`."""

    account: Ints
    product: Ints
    day: Days
    n_products: int


@dataclass(frozen=True, slots=True, eq=False)
class FirstSales:
    """Each product that an account ever had, once, with the day of its first sale; sorted by account, then product."""

    account: Ints
    product: Ints
    day: Days
    n_products: int

    def owned_by(self, accounts: Ints) -> Bools:
        """accounts x products: whether it was sold to them."""
        starts = np.searchsorted(self.account, accounts, side="left")
        lengths = np.searchsorted(self.account, accounts, side="right") - starts
        row = np.repeat(np.arange(len(accounts)), lengths)
        place = np.arange(len(row)) - np.repeat(np.cumsum(lengths) - lengths, lengths) + starts[row]
        owned = np.zeros((len(accounts), self.n_products), dtype=np.bool_)
        owned[row, self.product[place]] = True
        return owned


@dataclass(frozen=True, slots=True, eq=False)
class Market:
    """What the company's sales say of its products as of a day. P products, C of them candidates.

    `adopters` of `non_owners` are the accounts that took a product in the recent months, of those that
    had bought something, then or since, and not this before. `together[a, b]` accounts own both.
    """

    candidates: Ints  # indexes of products, ascending
    adopters: Ints  # P
    non_owners: Ints  # P
    owners: Ints  # P
    together: Ints  # P x P
    n_accounts: int  # that own anything
    average_rate: float  # adoption over all candidates
    offers: Ints  # P; products of one offer (the plans of a family) stand in for each other

    @property
    def adoption_logit(self) -> Floats:
        """logit((adopters + 20 x average) / (non-owners + 20)), of the candidates."""
        taken = self.adopters[self.candidates] + SHRINK_ADOPTION * self.average_rate
        left = self.non_owners[self.candidates] - self.adopters[self.candidates]
        logit: Floats = np.log(taken) - np.log(left + SHRINK_ADOPTION * (1.0 - self.average_rate))
        return logit

    @property
    def log_lift(self) -> Floats:
        """P x C: log((n_ab + 10) / (n_a n_b / N + 10)); above 0 where owners of a have b more often than chance."""
        by_chance = np.outer(self.owners, self.owners[self.candidates]) / max(self.n_accounts, 1)
        lift: Floats = np.log((self.together[:, self.candidates] + SHRINK_LIFT) / (by_chance + SHRINK_LIFT))
        return lift


Score = Callable[[Market, Bools], Floats]  # a way of scoring: accounts x candidates


def first_sales(sales: Sales, *, as_of: date) -> FirstSales:
    """The first sale of each product to each account, of the sales before `as_of`."""
    before = sales.day < np.datetime64(as_of)
    account, product, day = sales.account[before], sales.product[before], sales.day[before]
    order = np.lexsort((day, product, account))
    account, product, day = account[order], product[order], day[order]
    is_first = np.ones(len(order), dtype=np.bool_)
    is_first[1:] = (account[1:] != account[:-1]) | (product[1:] != product[:-1])
    return FirstSales(account[is_first], product[is_first], day[is_first], sales.n_products)


def find_candidates(last_sold_on: Days, first_offered_on: Days, *, as_of: date) -> Ints:
    """Products sold in the last six months, or first offered in them with a price; NaT is never."""
    since, until = np.datetime64(add_months(as_of, -RECENT_MONTHS)), np.datetime64(as_of)
    sold = (last_sold_on >= since) & (last_sold_on < until)
    offered = (first_offered_on >= since) & (first_offered_on < until)
    return np.flatnonzero(sold | offered)


def study_market(sales: FirstSales, *, candidates: Ints, offers: Ints, as_of: date) -> Market:
    """Count adoption and joint ownership over all accounts that own anything."""
    since = np.datetime64(add_months(as_of, -RECENT_MONTHS))
    n_accounts = len(np.unique(sales.account))
    owners = np.bincount(sales.product, minlength=sales.n_products)
    adopters = np.bincount(sales.product[sales.day >= since], minlength=sales.n_products)
    non_owners = n_accounts - (owners - adopters)
    together = np.zeros((sales.n_products, sales.n_products), dtype=np.int64)
    for chunk in _chunks(np.unique(sales.account)):
        owned = sales.owned_by(chunk).astype(np.float32)  # exact: counts within a chunk are far below 2^24
        together += np.rint(owned.T @ owned).astype(np.int64)
    exposed, taken = int(non_owners[candidates].sum()), int(adopters[candidates].sum())
    # Half an adopter more and one non-owner: a rate of exactly 0 or 1 has no logit.
    average = (taken + 0.5) / (exposed + 1.0)
    return Market(candidates, adopters, non_owners, owners, together, n_accounts, average, offers)


def score_pairs(market: Market, owned: Bools) -> Floats:
    """accounts x candidates: adoption logit + 3 x mean over what is owned of log lift; -inf where its offer is owned.

    The score orders; it is no log odds of anything. An account that owns nothing gets the adoption logit.
    """
    return candidate_scores(market, owned, score=adoption_and_lift)


def candidate_scores(market: Market, owned: Bools, *, score: Score) -> Floats:
    """accounts x candidates by the way of scoring, -inf where the candidate's offer is owned."""
    return np.where(_has_offer(market, owned), -np.inf, score(market, owned))


def adoption_and_lift(market: Market, owned: Bools) -> Floats:
    """Adoption logit + 3 x mean log lift."""
    scores: Floats = market.adoption_logit + LIFT_WEIGHT * mean_log_lift(market, owned)
    return scores


def mean_log_lift(market: Market, owned: Bools) -> Floats:
    """accounts x candidates: the mean over what an account owns; 0 where it owns nothing."""
    mean: Floats = owned @ market.log_lift / np.maximum(owned.sum(axis=1), 1)[:, None]
    return mean


def _has_offer(market: Market, owned: Bools) -> Bools:
    order = np.argsort(market.offers, kind="stable")
    names, starts, place = np.unique(market.offers[order], return_index=True, return_inverse=True)
    has = np.logical_or.reduceat(owned[:, order], starts, axis=1) if len(names) else owned
    offer_of = np.empty(len(order), dtype=np.int64)
    offer_of[order] = place
    result: Bools = has[:, offer_of[market.candidates]]
    return result


@dataclass(frozen=True, slots=True, eq=False)
class Ranked:
    """The best candidates of each account, best first; -1 and -inf where there are fewer. Ties: the lower index."""

    account: Ints
    product: NDArray[np.int64]  # accounts x top
    score: Floats  # accounts x top, by the way that ranked them
    odds: Floats  # accounts x top: adoption and lift, in which the words are
    lift: Floats  # accounts x top: the mean log lift in it
    average: float  # the mean odds of all pairs of these accounts and candidates that are not owned; NaN: none


def rank_products(
    market: Market, sales: FirstSales, *, accounts: Ints, top: int, score: Score = adoption_and_lift
) -> Ranked:
    """The `top` best candidates of each of these accounts, never one that it owns."""
    parts: list[tuple[NDArray[np.int64], Floats, Floats, Floats]] = []
    total, pairs = 0.0, 0
    for chunk in _chunks(accounts):
        owned = sales.owned_by(chunk)
        scored, odds = (candidate_scores(market, owned, score=each) for each in (score, adoption_and_lift))
        is_open = np.isfinite(scored)
        total, pairs = total + float(odds[is_open].sum()), pairs + int(is_open.sum())
        best = np.argsort(-scored, axis=1, kind="stable")[:, :top]
        beyond = ((0, 0), (0, top - best.shape[1]))
        found, level, lift = (
            np.take_along_axis(each, best, axis=1) for each in (scored, odds, mean_log_lift(market, owned))
        )
        product = np.where(np.isfinite(found), market.candidates[best], -1)
        padded = zip((found, level, lift), (-np.inf, -np.inf, 0.0), strict=True)
        score_part, odds_part, lift_part = (np.pad(each, beyond, constant_values=value) for each, value in padded)
        parts.append((np.pad(product, beyond, constant_values=-1), score_part, odds_part, lift_part))
    parts.append((np.zeros((0, top), dtype=np.int64), *np.zeros((3, 0, top))))
    product, scores, levels, lifts = (np.concatenate(each) for each in zip(*parts, strict=True))
    average = total / pairs if pairs else np.nan
    return Ranked(accounts, product, scores, levels, lifts, average)


def product_likelihood(market: Market, ranked: Ranked) -> NDArray[np.object_]:
    """accounts x top: `medium` at three times the odds of tonight's average pair, `high` at ten times, else None.

    That is, where adoption and lift lie log 3 or log 10 above the average, whichever way ranked the products.
    Only of a product that five accounts took in the recent months, and that the owners of what the account
    has take more often than others.
    """
    above = ranked.odds - ranked.average
    has_evidence = (ranked.product >= 0) & (market.adopters[ranked.product] >= LEAST_ADOPTERS) & (ranked.lift > 0)
    words = np.full(above.shape, None, dtype=object)
    words[has_evidence & (above >= np.log(MEDIUM_ODDS))] = MEDIUM
    words[has_evidence & (above >= np.log(HIGH_ODDS))] = HIGH
    return words


def _chunks(accounts: Ints) -> Iterator[Ints]:
    return (accounts[start : start + CHUNK] for start in range(0, len(accounts), CHUNK))
