from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from app.domain.features import Facts, Spells
from app.domain.follow_up import follow_up
from tests.domain.awkward_facts import random_facts

SAID_ON = date(2025, 7, 1)


def company(*rows: tuple[int, str, str | None, bool]) -> Facts:
    """Accounts 10, 20, ... with the spells (account index, start, end, churned)."""
    spells = Spells(
        account=np.array([row[0] for row in rows]),
        number=np.ones(len(rows), dtype=np.int64),
        started_on=np.array([row[1] for row in rows], dtype="datetime64[D]"),
        ended_on=np.array([row[2] or "NaT" for row in rows], dtype="datetime64[D]"),
        churned=np.array([row[3] for row in rows]),
        cause=np.full(len(rows), -1),
    )
    accounts = max(row[0] for row in rows) + 1
    return replace(random_facts(1), account_ids=10 * np.arange(1, accounts + 1), spells=spells)


def test_what_was_said_against_what_came_by_pencil() -> None:
    facts = company(
        (0, "2024-01-01", "2025-09-30", True),  # left in the third month
        (1, "2024-01-01", "2025-10-01", True),  # in the fourth: too late for three
        (2, "2024-01-01", "2025-08-01", False),  # in grace: nobody knows
        (3, "2024-01-01", "2024-06-01", True),  # had left before, came back
        (3, "2025-01-01", None, False),
    )
    ids = np.array([10, 20, 30, 40, 45])  # 45 was merged away
    said = np.array([0.5, 0.2, 0.9, 0.1, 0.7])
    found = follow_up(facts, ids, probability=said, said_on=SAID_ON, months=3)
    assert found is not None
    assert (found.accounts, found.churns, found.undecided) == (3, 1, 1)
    assert found.expected == pytest.approx(0.8)
    assert found.ratio.value == pytest.approx(0.8)
    assert found.auc.value == 1.0
    assert found.total == "unknown"


def test_nobody_left_to_ask_is_none() -> None:
    facts = company((0, "2025-07-02", None, False))
    assert follow_up(facts, np.array([10]), probability=np.array([0.5]), said_on=SAID_ON, months=3) is None
    assert follow_up(facts, np.array([], dtype=np.int64), probability=np.empty(0), said_on=SAID_ON, months=3) is None


def test_a_promise_of_half_as_many_is_found_out() -> None:
    rng = np.random.default_rng(7)
    p = rng.beta(2, 6, 600)
    left = rng.random(600) < p
    facts = company(*((n, "2024-01-01", "2025-08-15" if left[n] else None, bool(left[n])) for n in range(600)))

    def total(said: np.ndarray) -> str:
        found = follow_up(facts, facts.account_ids, probability=said, said_on=SAID_ON, months=2)
        assert found is not None
        return found.total

    assert (total(p), total(p / 2), total(np.minimum(2 * p, 1))) == ("right", "too_few", "too_many")
