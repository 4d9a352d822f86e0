"""Which accounts are ready for which product that they do not have, and what that is worth."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cached_property, partial

import numpy as np

from app.domain.expansion_moves import ARR, BOOKINGS, CROSS_SELL
from app.domain.expansion_rankers import Choice
from app.domain.expansion_ranking import (
    RECENT_MONTHS,
    FirstSales,
    Market,
    Ranked,
    Sales,
    find_candidates,
    first_sales,
    product_likelihood,
    rank_products,
    study_market,
)
from app.domain.expansion_words import Evidence
from app.domain.expansion_worth import Price, price_for, typical_prices
from app.domain.months import MONTHS_OF_A_YEAR, Days, Ints, add_months
from app.queries.expansion_facts import Offer, SoldLines, Standing
from app.queries.facts import Known
from app.services.expansion_raising import Chances, Finding

TOP = 3  # of which the best that is likely and has a price is flagged
SHOWN_COMPANIONS = 2


@dataclass(frozen=True)
class Catalog:
    """Sales and products under the numbers that the ranking goes by: places in `ids` and in `offers`."""

    known: Known
    offers: Sequence[Offer]
    lines: SoldLines

    @cached_property
    def ids(self) -> Ints:
        return np.unique(self.lines.account_id)

    @cached_property
    def product(self) -> Ints:
        """Of each line."""
        places: Ints = np.searchsorted(np.array([offer.product_id for offer in self.offers]), self.lines.product_id)
        return places

    @cached_property
    def every_sale(self) -> Sales:
        account = np.searchsorted(self.ids, self.lines.account_id)
        return Sales(account, self.product, self.lines.closed_on, len(self.offers))

    @cached_property
    def sales(self) -> FirstSales:
        return first_sales(self.every_sale, as_of=self.known.as_of)

    @cached_property
    def candidates(self) -> Ints:
        return self._candidates_of(self.known.as_of)

    def _candidates_of(self, as_of: date) -> Ints:
        last = np.full(len(self.offers), np.datetime64("0001-01-01", "D"))
        before = self.lines.closed_on < np.datetime64(as_of)
        np.maximum.at(last, self.product[before], self.lines.closed_on[before])
        return find_candidates(last, self._first_offered_on, as_of=as_of)

    @property
    def _first_offered_on(self) -> Days:
        nothing = np.datetime64("NaT", "D")
        days: Days = np.array(
            [
                nothing if offer.first_offered_on is None else np.datetime64(offer.first_offered_on)
                for offer in self.offers
            ],
            dtype="datetime64[D]",
        )
        return days

    @cached_property
    def market(self) -> Market:
        return study_market(self.sales, candidates=self.candidates, offers=self._offer_numbers, as_of=self.known.as_of)

    def market_of(self, origin: date) -> Market:
        """As it was on a day before."""
        own = first_sales(self.every_sale, as_of=origin)
        return study_market(own, candidates=self._candidates_of(origin), offers=self._offer_numbers, as_of=origin)

    @cached_property
    def _offer_numbers(self) -> Ints:
        names: dict[object, int] = {}
        for offer in self.offers:
            names.setdefault(_offer_of(offer), len(names))
        return np.array([names[_offer_of(offer)] for offer in self.offers], dtype=np.int64)


def _offer_of(offer: Offer) -> object:
    """The plans of a family are one offer: who has one of them is not sold another beside it."""
    return offer.family if offer.is_recurring and offer.family else offer.product_id


def find_cross_sell(catalog: Catalog, *, standing: Standing, open_to: Ints, choice: Choice) -> list[Finding]:
    """A finding for each of the accounts `open_to` (sorted ids) for which some product is likely enough."""
    if not len(catalog.ids) or not len(catalog.candidates):
        return []
    accounts = np.flatnonzero(np.isin(catalog.ids, open_to))
    ranked = rank_products(catalog.market, catalog.sales, accounts=accounts, top=TOP, score=choice.score)
    likelihood = product_likelihood(catalog.market, ranked)
    probability = choice.probability(ranked.score)
    chosen = {int(product) for product in ranked.product[likelihood != None]}  # noqa: E711  element by element
    prices = RecentPrices.of(catalog, standing=standing, products=chosen)
    found = _findings(catalog, ranked, likelihood=likelihood, prices=prices, standing=standing)
    if probability is None:
        return [finding for finding, _ in found]
    return [replace(finding, chances=Chances(None, float(probability[place]))) for finding, place in found]


def _findings(
    catalog: Catalog,
    ranked: Ranked,
    *,
    likelihood: np.ndarray[tuple[int, ...], np.dtype[np.object_]],
    prices: "RecentPrices",
    standing: Standing,
) -> Iterator[tuple[Finding, tuple[int, int]]]:
    """Each with the row and place in `ranked` that it came from."""
    for row in np.flatnonzero((likelihood != None).any(axis=1)).tolist():  # noqa: E711
        account_id = int(catalog.ids[ranked.account[row]])
        segment = standing.segments.get(account_id)
        for place in range(TOP):
            product = int(ranked.product[row, place])
            price = prices.of_product(product, segment=segment)
            if likelihood[row, place] is None or price is None or price.minor <= 0:
                continue
            measure = prices.measure(product)
            explain = partial(_explain, catalog, account=int(ranked.account[row]), product=product)
            finding = Finding(
                account_id=account_id,
                motion=CROSS_SELL,
                product_id=catalog.offers[product].product_id,
                likelihood=str(likelihood[row, place]),
                score=float(ranked.score[row, place]),
                quantity=None,
                measure=measure,
                amount_minor=price.minor,
                explain=partial(explain, price=_price_evidence(catalog, product, price=price, measure=measure)),
            )
            yield finding, (row, place)
            break


def _explain(catalog: Catalog, *, account: int, product: int, price: Evidence) -> list[Evidence]:
    return [*_evidence(catalog, account=account, product=product), price]


def _evidence(catalog: Catalog, *, account: int, product: int) -> Iterator[Evidence]:
    """First what is particular to the account, then what holds for all."""
    market, name = catalog.market, catalog.offers[product].name
    owned = np.flatnonzero(catalog.sales.owned_by(np.array([account]))[0])
    by_chance = market.owners[owned] * market.owners[product] / market.n_accounts
    ratio = (market.together[owned, product] / np.maximum(by_chance, 1e-9)).tolist()
    lift = market.log_lift[owned, np.searchsorted(market.candidates, product)]
    for place in np.argsort(-lift, kind="stable")[:SHOWN_COMPANIONS].tolist():
        if lift[place] > 0:
            companion = int(owned[place])
            yield {
                "kind": "owned_with",
                "product": name,
                "owned": catalog.offers[companion].name,
                "owners": int(market.owners[companion]),
                "both": int(market.together[companion, product]),
                "ratio": round(ratio[place], 2),
            }
    yield {
        "kind": "adoption",
        "product": name,
        "adopters": int(market.adopters[product]),
        "non_owners": int(market.non_owners[product]),
        "months": RECENT_MONTHS,
    }


def _price_evidence(catalog: Catalog, product: int, *, price: Price, measure: str) -> Evidence:
    return {
        "kind": "typical_price",
        "product": catalog.offers[product].name,
        "segment": price.segment,
        "sales": price.sales,
        "measure": measure,
        "months": MONTHS_OF_A_YEAR,
    }


@dataclass(frozen=True, slots=True)
class RecentPrices:
    """What products were sold for in the last year, by place; a deal's lines of one product are one sale."""

    prices: Mapping[tuple[int, str | None], Price]
    recurring: Collection[int]  # products that were sold as a subscription

    @classmethod
    def of(cls, catalog: Catalog, *, standing: Standing, products: Collection[int]) -> "RecentPrices":
        lines, since = catalog.lines, np.datetime64(add_months(catalog.known.as_of, -MONTHS_OF_A_YEAR))
        wanted = (lines.closed_on >= since) & np.isin(catalog.product, sorted(products)) & (lines.amount_minor > 0)
        recurring = frozenset(catalog.product[wanted & lines.is_recurring].tolist())
        counted = np.flatnonzero(wanted & (lines.is_recurring | ~np.isin(catalog.product, sorted(recurring))))
        totals: dict[tuple[int, int, int], int] = defaultdict(int)
        columns = (catalog.product, lines.contract_id, lines.account_id, lines.amount_minor)
        for product, contract, account, minor in zip(*(column[counted].tolist() for column in columns), strict=True):
            totals[product, contract, account] += minor
        sales: dict[tuple[int, str | None], list[int]] = defaultdict(list)
        for (product, _, account), minor in totals.items():
            sales[product, standing.segments.get(account)].append(minor)
        return cls(typical_prices(sales), recurring)

    def of_product(self, product: int, *, segment: str | None) -> Price | None:
        return price_for(self.prices, product, segment=segment)

    def measure(self, product: int) -> str:
        return ARR if product in self.recurring else BOOKINGS
