"""What the steps of a night share: the database, the date, and what was known.

A night is a first pass over the company, which keeps little of every account (`ledger`) and lays its facts down by
part, and then passes part by part: no step ever holds the facts of all accounts of a large company.
"""

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from zoneinfo import ZoneInfo

import numpy as np
from sqlalchemy import Engine

from app.db import reading
from app.domain.backtest import rank_accounts
from app.domain.fact_tables import OF_ACCOUNTS, join_facts, keep_accounts, take_facts
from app.domain.feature_company import PEOPLE, Company
from app.domain.feature_table import describe_company
from app.domain.features import Bools, Facts
from app.domain.months import Days, Ints
from app.queries.contract_lines import RecurringLine, load_recurring_lines
from app.queries.facts import Known
from app.queries.settings import load_company_settings
from jobs.ledger import Ledger, write_ledger
from jobs.steps import Run
from jobs.work import Clock, Work

ACCOUNTS_AT_ONCE = 20_000
PANEL_ACCOUNTS = 20_000
_IDS_AT_ONCE = 400


@contextmanager
def _without_collecting() -> Iterator[None]:
    """What is read is plain values: to look for cycles among millions of them takes a third of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """The facts of some accounts. `first` is the number of the first of them among all, `span` the ids they lie in."""

    first: int
    span: tuple[int, int]
    facts: Facts


@dataclass(frozen=True)
class Night:
    """A date and a moment; the facts are read once and laid down for the steps of the same process.

    The panel is drawn from all accounts by a hash of their ids: what holds for a company as a whole and needs the
    features of many is read from it. Of a company of no more accounts it is everyone.
    """

    work: Work
    run: Run
    accounts_at_once: int = ACCOUNTS_AT_ONCE
    panel_accounts: int = PANEL_ACCOUNTS
    _companies: list[Company] = field(default_factory=list, compare=False)

    @property
    def engine(self) -> Engine:
        return self.work.engine

    @property
    def clock(self) -> Clock:
        return self.work.clock

    @cached_property
    def known(self) -> Known:
        with reading(self.engine) as session:
            settings = load_company_settings(session, as_of=self.run.as_of, known_at=self.run.known_at)
        return Known(self.run.as_of, self.run.known_at, settings)

    @cached_property
    def ledger(self) -> Ledger:
        folder = self.work.settings.data_folder
        with reading(self.engine) as session, _without_collecting():
            return write_ledger(session, self.known, accounts_at_once=self.accounts_at_once, folder=folder)

    @property
    def everyone(self) -> Facts:
        """All accounts with recurring revenue that began, and of their facts the spells alone."""
        return self.ledger.page.everyone

    @cached_property
    def panel(self) -> Facts:
        return self.gather(rank_accounts(self.everyone.account_ids) < self.panel_accounts)

    def parts(self, kinds: Sequence[str] = OF_ACCOUNTS) -> Iterator[Part]:
        """The facts of all accounts, some at a time in the order of their ids; of these kinds alone."""
        shelf = self.ledger.shelf
        for number, (first, span) in enumerate(zip(shelf.starts.tolist(), self.ledger.spans, strict=True)):
            yield Part(first, span, shelf.take(number, kinds=kinds))

    def gather(self, kept: Bools) -> Facts:
        """The facts of the accounts that are `kept`."""
        if kept.all() and len(self.ledger.shelf) == 1:
            return self.ledger.shelf.take(0)
        own = ((part.facts, kept[part.first :][: len(part.facts.account_ids)]) for part in self.parts())
        return join_facts([keep_accounts(facts, wanted) for facts, wanted in own])

    @cached_property
    def seat_facts(self) -> Facts:
        """Lines and spells of all accounts, and the people that were active: of large companies in the last year."""
        if len(self.ledger.shelf) == 1:
            return self.ledger.shelf.take(0)
        since = np.datetime64(self.run.as_of, "D") - np.timedelta64(366, "D")
        recent = []
        for part in self.parts(("spells", "lines", "usage")):
            usage = part.facts.usage
            people = part.facts.usage_metrics.index(PEOPLE) if PEOPLE in part.facts.usage_metrics else -1
            own = take_facts(usage, (usage.metric == people) & (usage.day >= since))
            recent.append(replace(part.facts, usage=own))
        return join_facts(recent)

    def company_at(self, landmarks: Days) -> Company:
        """What the features at these landmarks are held against."""
        grid = np.unique(landmarks)
        for company in self._companies:
            if np.isin(grid, company.grid).all():
                return company.at(grid)
        company = describe_company((part.facts for part in self.parts()), grid, panel=self.panel)
        self._companies.append(company)
        return company

    def lines_of(self, account_ids: Ints) -> dict[int, list[RecurringLine]]:
        """The recurring lines of some accounts."""
        found: dict[int, list[RecurringLine]] = {}
        with reading(self.engine) as session:
            for start in range(0, len(account_ids), _IDS_AT_ONCE):
                ids = account_ids[start : start + _IDS_AT_ONCE].tolist()
                grace_days, known_at = self.known.settings.grace_days, self.run.known_at
                found |= load_recurring_lines(session, known_at=known_at, grace_days=grace_days, account_ids=ids)
        return found

    @property
    def landmark(self) -> Days:
        """The day that is scored, as the features want it."""
        return np.array([self.run.as_of], dtype="datetime64[D]")

    @property
    def zone(self) -> ZoneInfo:
        return self.known.zone
