"""The first pass of a night: what is kept of every account, while its facts are laid down by part.

What is kept is thin, some 200 bytes an account: what the company as a whole is asked (spells, revenue, groups), and
what is written of accounts without a forecast.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.contracts import LineState
from app.domain.fact_tables import OF_ACCOUNTS, empty_table, join_facts
from app.domain.feature_clock import read_clock
from app.domain.feature_rows import find_live
from app.domain.features import Bools, Facts
from app.domain.months import Days, Ints
from app.models.accounts import Account
from app.models.products import Product
from app.queries.arr import AccountArr, load_account_arr
from app.queries.contract_lines import LinesByAccount, load_recurring_lines
from app.queries.earned import load_earned
from app.queries.facts import Known, iterate_dated, load_contract_facts, load_levels
from app.queries.groups import load_groups
from jobs.shelf import Shelf

STATUS = {
    LineState.LIVE: "live",
    LineState.IN_GRACE: "in_grace",
    LineState.NOT_STARTED: "upcoming",
    LineState.ENDED: "churned",
}
NOT_APPLICABLE = "not_applicable"


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """The group of each account by a cut: sorted names, and which of them is whose."""

    names: NDArray[Any]
    code: Ints

    def __getitem__(self, accounts: Ints) -> NDArray[Any]:
        found: NDArray[Any] = self.names[self.code[accounts]]
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Owned:
    """What accounts have of products, the largest of each account first: ARR in minor units."""

    account: Ints
    product: Ints  # index into `skus`
    minor: Ints
    skus: list[str]


@dataclass(frozen=True, slots=True, eq=False)
class Page:
    """What is kept of some accounts, all of them in the end. The first columns are by the id of every account.

    `everyone` has those with recurring revenue that began, and of their facts the spells alone; `is_live` says which
    of these have features as of the night's date, `labels` and `owned` are theirs as well.
    """

    ids: Ints
    status: NDArray[Any]
    arr_minor: Ints
    started_on: Days
    earned_minor: NDArray[Any]  # None where it is not known
    everyone: Facts
    is_live: Bools
    labels: Mapping[str, Labels]
    owned: Owned

    @property
    def account_arr(self) -> Ints:
        """The ARR of `everyone`."""
        arr: Ints = self.arr_minor[np.searchsorted(self.ids, self.everyone.account_ids)]
        return arr


@dataclass(frozen=True, slots=True, eq=False)
class Ledger:
    """All accounts as one page, the facts on the shelf, and the first and last id of each part."""

    page: Page
    shelf: Shelf
    spans: list[tuple[int, int]]


def write_ledger(session: Session, known: Known, *, accounts_at_once: int, folder: Path) -> Ledger:
    """Read the contracts of some accounts after the other, then each table of dated facts in its own order."""
    ids = np.array(session.scalars(select(Account.id).order_by(Account.id)).all(), dtype=np.int64)
    parts = [ids[start : start + accounts_at_once] for start in range(0, len(ids), accounts_at_once)] or [ids]
    shelf, pages = Shelf(folder), []
    reader = _Reader(session, known)
    for own in parts:
        page, contracts = reader.read(own)
        pages.append(page)
        shelf.add(contracts)
    page = _bind(pages)
    for name, tables in iterate_dated(session, known, account_ids=page.everyone.account_ids):
        shelf.lay_down(name, tables)
    return Ledger(page, shelf, [(int(own[0]), int(own[-1])) if len(own) else (1, 0) for own in parts])


class _Reader:
    """Reads a page at a time."""

    def __init__(self, session: Session, known: Known) -> None:
        self.session, self.known = session, known
        self.levels = load_levels(session, known)
        self.skus = dict(session.execute(select(Product.id, Product.sku)).all())
        self.landmark = np.array([known.as_of], dtype="datetime64[D]")

    def read(self, ids: Ints) -> tuple[Page, Facts]:
        """The page of the accounts with these ids, sorted, and the facts of their contracts."""
        session, known = self.session, self.known
        span = (int(ids[0]), int(ids[-1])) if len(ids) else (1, 0)
        grace_days = known.settings.grace_days
        lines = load_recurring_lines(session, known_at=known.known_at, grace_days=grace_days, between=span)
        facts = load_contract_facts(session, known, levels=self.levels, lines=lines, between=span)
        arr = load_account_arr(session, known, lines=lines)
        live = find_live(facts.spells, self.landmark, clock=read_clock(facts.lines, self.landmark))
        is_live = np.zeros(len(facts.account_ids), dtype=bool)
        is_live[facts.spells.account[live.spell]] = True
        kept = [arr.get(account_id) for account_id in ids.tolist()]
        page = Page(
            ids=ids,
            status=np.array([NOT_APPLICABLE if each is None else STATUS[each.state] for each in kept], dtype=object),
            arr_minor=np.array([0 if each is None else each.minor for each in kept], dtype=np.int64),
            started_on=np.array([None if each is None else each.started_on for each in kept], dtype="datetime64[D]"),
            earned_minor=self._earned(ids, lines=lines, span=span),
            everyone=_spells_alone(facts),
            is_live=is_live,
            labels=self._labels(facts, lines=lines, span=span),
            owned=self._owned(facts, arr),
        )
        return page, facts

    def _earned(self, ids: Ints, *, lines: LinesByAccount, span: tuple[int, int]) -> NDArray[Any]:
        earned = load_earned(self.session, self.known, lines=lines, between=span)
        return np.array([earned.get(account_id) for account_id in ids.tolist()], dtype=object)

    def _labels(self, facts: Facts, *, lines: LinesByAccount, span: tuple[int, int]) -> dict[str, Labels]:
        groups = load_groups(self.session, self.known, facts=facts, lines=lines, between=span)
        found = {cut: np.unique(each.astype(str), return_inverse=True) for cut, each in groups.labels.items()}
        return {cut: Labels(names.astype(object), code.astype(np.int64)) for cut, (names, code) in found.items()}

    def _owned(self, facts: Facts, arr: Mapping[int, AccountArr]) -> Owned:
        rows = [
            (account, self.skus[product], minor)
            for account, account_id in enumerate(facts.account_ids.tolist())
            for product, minor in arr[account_id].by_product.items()
        ]
        rows.sort(key=lambda row: (row[0], -row[2], row[1]))
        skus = sorted({sku for _, sku, _ in rows})
        number = {sku: n for n, sku in enumerate(skus)}
        numbers = np.array([(account, number[sku], minor) for account, sku, minor in rows], dtype=np.int64)
        account, product, minor = numbers.reshape(-1, 3).T
        return Owned(account, product, minor, skus)


def _spells_alone(facts: Facts) -> Facts:
    others = {name: empty_table(type(getattr(facts, name))) for name in OF_ACCOUNTS if name != "spells"}
    return replace(facts, **others)


def _bind(pages: list[Page]) -> Page:
    """All pages as one."""
    starts = np.cumsum([0, *(len(page.is_live) for page in pages)])[:-1]
    return Page(
        **{
            name: np.concatenate([getattr(page, name) for page in pages])
            for name in ("ids", "status", "arr_minor", "started_on", "earned_minor", "is_live")
        },
        everyone=join_facts([page.everyone for page in pages]),
        labels={cut: _bind_labels([page.labels[cut] for page in pages]) for cut in pages[0].labels},
        owned=_bind_owned([page.owned for page in pages], starts),
    )


def _bind_labels(parts: list[Labels]) -> Labels:
    names = sorted({name for part in parts for name in part.names.tolist()})
    return Labels(
        np.array(names, dtype=object), np.concatenate([_recode(part.names, names)[part.code] for part in parts])
    )


def _bind_owned(parts: list[Owned], starts: Ints) -> Owned:
    skus = sorted({sku for part in parts for sku in part.skus})
    product = [_recode(part.skus, skus)[part.product] for part in parts]
    account = [part.account + start for part, start in zip(parts, starts.tolist(), strict=True)]
    return Owned(np.concatenate(account), np.concatenate(product), np.concatenate([part.minor for part in parts]), skus)


def _recode(names: Any, into: list[str]) -> Ints:
    """The place of each name in a sorted list that has it."""
    place = {name: n for n, name in enumerate(into)}
    return np.array([place[name] for name in names], dtype=np.int64)
