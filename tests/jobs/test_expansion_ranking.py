"""The cross-sell ranker on the closed deals of AdventureWorks' resellers: what they bought next, six months ahead.

Five cut-offs; accounts with a deal in the twelve months before. A hit is an account that buys one of its
three best within six months, out of the accounts that buy anything new to them then, also what was not
on sale at the cut-off. Nothing of the ranker was fitted to these.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sqlalchemy import Engine, func, select

from app.db import make_engine, reading
from app.domain.expansion_ranking import (
    FirstSales,
    Market,
    Sales,
    find_candidates,
    first_sales,
    rank_products,
    score_pairs,
    study_market,
)
from app.domain.months import add_months
from app.models.expansion import ExpansionOpportunity
from app.queries.expansion_facts import load_offers, load_sold_lines
from app.queries.facts import Known
from app.queries.known import last_recorded_at
from app.queries.settings import load_company_settings
from integrations.files.mapping import load_mapping
from jobs.import_files import import_files
from jobs.import_run import Options
from jobs.nightly import run_night
from tests.installation import work_on

pytestmark = [pytest.mark.data, pytest.mark.slow]

FILES = tuple(f"adventureworks_reseller/{name}.csv" for name in ("deal_lines", "accounts", "products"))
CUT_OFFS = (date(2012, 6, 30), date(2012, 9, 30), date(2012, 12, 31), date(2013, 3, 31), date(2013, 5, 31))
LATER = date(2014, 1, 1)  # after the last deal
TOP = 3


@dataclass(frozen=True)
class Books:
    """Every sale there will be, by product or by what the products were put together to."""

    sales: Sales
    first_offered_on: NDArray[np.datetime64]

    def first_by(self, day: date) -> FirstSales:
        return first_sales(self.sales, as_of=day)

    def market(self, as_of: date) -> tuple[FirstSales, Market]:
        before = self.sales.day < np.datetime64(as_of)
        last = np.full(self.sales.n_products, np.datetime64("0001-01-01", "D"))
        np.maximum.at(last, self.sales.product[before], self.sales.day[before])
        candidates = find_candidates(last, self.first_offered_on, as_of=as_of)
        own = self.first_by(as_of)
        offers = np.arange(self.sales.n_products)
        return own, study_market(own, candidates=candidates, offers=offers, as_of=as_of)

    def active(self, as_of: date) -> NDArray[np.int64]:
        day, year = self.sales.day, np.datetime64(add_months(as_of, -12))
        return np.unique(self.sales.account[(day >= year) & (day < np.datetime64(as_of))])


@pytest.fixture(scope="module")
def resellers(third_party_data, _sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    paths = [third_party_data(name) for name in FILES]
    folder = tmp_path_factory.mktemp("resellers")
    engine = make_engine(f"sqlite:///{shutil.copy(_sqlite_template, folder / 'tenure.db')}")
    import_files(engine, load_mapping(Path("adventureworks")), paths=paths, options=Options(False, folder))
    yield engine
    engine.dispose()


@pytest.fixture
def books(resellers: Engine) -> Callable[[bool], Books]:
    engine = resellers
    with reading(engine) as session:
        known_at = last_recorded_at(session)
        assert known_at is not None
        known = Known(LATER, known_at, load_company_settings(session))
        lines, offers = load_sold_lines(session, known), load_offers(session, known)
    ids = np.array([offer.product_id for offer in offers])
    family_names = [offer.family or "" for offer in offers]
    families, family = np.unique(family_names, return_inverse=True)
    offered = np.array([offer.first_offered_on or "NaT" for offer in offers], dtype="datetime64[D]")

    def read(by_family: bool) -> Books:
        place = np.searchsorted(ids, lines.product_id)
        if not by_family:
            return Books(Sales(lines.account_id, place, lines.closed_on, len(ids)), offered)
        first = np.full(len(families), np.datetime64("NaT", "D"))
        np.fmin.at(first, family, offered)
        return Books(Sales(lines.account_id, family[place], lines.closed_on, len(families)), first)

    return read


@dataclass(frozen=True)
class Outcome:
    hit_share: float  # over all accounts of all cut-offs that bought something new
    mean_hit_share: float  # of the cut-offs'
    lift: float  # of the best tenth of the pairs, the mean of the cut-offs'


def judge(books: Books) -> Outcome:
    hits, lifts = [], []
    for as_of in (cut_off + timedelta(days=1) for cut_off in CUT_OFFS):
        own, market = books.market(as_of)
        accounts = books.active(as_of)
        ahead = books.first_by(add_months(as_of, 6))
        new = ahead.owned_by(accounts) & ~own.owned_by(accounts)
        ranked = rank_products(market, own, accounts=accounts, top=TOP)
        assert not own.owned_by(accounts)[np.arange(len(accounts))[:, None], ranked.product][ranked.product >= 0].any()
        was_bought = np.take_along_axis(new, np.maximum(ranked.product, 0), axis=1) & (ranked.product >= 0)
        hits.append(was_bought.any(axis=1)[new.any(axis=1)])
        score = score_pairs(market, own.owned_by(accounts))
        is_open = np.isfinite(score)
        pairs, bought = score[is_open], new[:, market.candidates][is_open]
        best = np.argsort(-pairs, kind="stable")[: len(pairs) // 10]
        lifts.append(bought[best].mean() / bought.mean())
    every = np.concatenate(hits)
    return Outcome(every.mean(), float(np.mean([each.mean() for each in hits])), float(np.mean(lifts)))


def test_the_next_purchases_of_real_resellers_are_found(books) -> None:
    by_family, by_sku = judge(books(True)), judge(books(False))
    assert min(by_family.hit_share, by_family.mean_hit_share) >= 0.58, by_family
    assert by_family.lift >= 2.7, by_family
    assert min(by_sku.hit_share, by_sku.mean_hit_share) >= 0.45, by_sku


def test_a_night_offers_resellers_only_what_is_on_sale_and_what_they_do_not_have(resellers: Engine, books) -> None:
    engine, as_of = resellers, date(2013, 6, 1)
    assert run_night(work_on(engine), as_of)["publish"]["is_published"]
    result = run_night(work_on(engine), as_of)["flag"]
    settings = load_company_settings_of(engine)
    assert result["flagged"] == settings.flags_a_night
    assert result["found"] == result["flagged"] + result["waiting"]
    sku = books(False)
    owned, market = sku.market(as_of)
    on_sale = set(market.candidates.tolist())
    with reading(engine) as session:
        rows = session.scalars(select(ExpansionOpportunity)).all()
        known_at = last_recorded_at(session)
        assert known_at is not None
        ids = [offer.product_id for offer in load_offers(session, Known(as_of, known_at, settings))]
        assert session.scalar(select(func.count()).select_from(ExpansionOpportunity)) == result["flagged"]
    for row in rows:
        assert (row.motion, row.measure, row.currency) == ("cross_sell", "bookings", "USD")
        assert row.amount_minor > 0
        assert ids.index(row.product_id) in on_sale
        assert not owned.owned_by(np.array([row.account_id]))[0, ids.index(row.product_id)]


def load_company_settings_of(engine: Engine):
    with reading(engine) as session:
        return load_company_settings(session)
