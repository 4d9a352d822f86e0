"""What the steps of a night share: the database, the date, and what was known."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from zoneinfo import ZoneInfo

import numpy as np
from sqlalchemy import Engine

from app.db import reading
from app.domain.features import Facts
from app.domain.months import Days
from app.queries.contract_lines import RecurringLine, load_recurring_lines
from app.queries.facts import Known, load_facts
from app.queries.settings import load_company_settings
from jobs.steps import Run
from jobs.work import Clock, Work


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


@dataclass(frozen=True)
class Night:
    """A date and a moment; the facts are read once and kept for the steps of the same process."""

    work: Work
    run: Run

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
    def lines(self) -> dict[int, list[RecurringLine]]:
        """The recurring lines by account."""
        with reading(self.engine) as session, _without_collecting():
            grace_days = self.known.settings.grace_days
            return load_recurring_lines(session, known_at=self.run.known_at, grace_days=grace_days)

    @cached_property
    def facts(self) -> Facts:
        lines = self.lines
        with reading(self.engine) as session, _without_collecting():
            return load_facts(session, self.known, lines=lines)

    @property
    def landmark(self) -> Days:
        """The day that is scored, as the features want it."""
        return np.array([self.run.as_of], dtype="datetime64[D]")

    @property
    def zone(self) -> ZoneInfo:
        return self.known.zone
