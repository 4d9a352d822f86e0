"""Findings about the small company's accounts, for tests of what is made of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import Engine

from app.db import transaction
from app.services.expansion_messages import Links
from app.services.expansion_raising import Budget, Finding, Findings, Raised, raise_opportunities
from tests.small_company import publish_small_run, write_small_company

LINKS = Links("https://tenure.example", "a secret of the tests, longer than 32 characters")
FIRST = date(2026, 3, 1)
ADOPTION: Mapping[str, Any] = {"kind": "adoption", "product": "Plus", "adopters": 7, "non_owners": 90, "months": 6}


def finding(account_id: int, product_id: int = 2, **said: Any) -> Finding:
    usual = {
        "motion": "cross_sell",
        "likelihood": "medium",
        "score": -1.5,
        "quantity": None,
        "measure": "arr",
        "amount_minor": 100_000,
        "explain": lambda: [ADOPTION],
    } | said
    return Finding(account_id=account_id, product_id=product_id, **usual)


@dataclass
class Nights:
    """Night after night on one database."""

    engine: Engine
    day: date = FIRST
    budget: Budget = field(default_factory=lambda: Budget(100, 5))

    def later(self, days: int = 1) -> "Nights":
        self.day += timedelta(days=days)
        return self

    @property
    def at(self) -> datetime:
        return datetime(self.day.year, self.day.month, self.day.day, 3, tzinfo=UTC)

    def run(
        self, *found: Finding, held_back: Mapping[int, str] | None = None, lapse_before: date | None = None
    ) -> Raised:
        findings = Findings(self.day, 1, "USD", list(found), held_back or {}, lapse_before)
        with transaction(self.engine) as session:
            return raise_opportunities(session, findings, budget=self.budget, links=LINKS, at=self.at)


def nights_of(engine: Engine) -> Nights:
    write_small_company(engine)
    publish_small_run(engine)
    return Nights(engine)
