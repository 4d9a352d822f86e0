"""The drift of survivors, against a count by hand over the lines of a small company."""

from datetime import date

import numpy as np
import pytest

from app.domain.drift import segment_drift, survivor_growth
from app.domain.features import Facts
from app.domain.months import add_months
from jobs.example_company.facts import read_facts
from jobs.example_company.world import simulate


@pytest.fixture(scope="module")
def company() -> tuple[Facts, date]:
    world = simulate(5, accounts=60)
    return read_facts(world), world.as_of


def mrr_on(facts: Facts, account: int, day: np.datetime64) -> float:
    lines = facts.lines
    own = (lines.account == account) & (lines.starts_on <= day) & (lines.available_on < day)
    runs = np.isnat(lines.stops_on) | (lines.stops_on > day)
    return float(lines.mrr[own & runs].sum())


def spell_on(facts: Facts, account: int, day: np.datetime64) -> int | None:
    spells = facts.spells
    rows = np.flatnonzero((spells.account == account) & (spells.started_on <= day) & ~(spells.ended_on <= day))
    return int(spells.number[rows[0]]) if len(rows) else None


def test_growth_is_counted_over_whole_years_in_which_an_account_stayed(company: tuple[Facts, date]) -> None:
    facts, as_of = company
    tracked_from = add_months(as_of, -36)
    expected = []
    for account in range(len(facts.account_ids)):
        for year in range(3):
            start, end = (np.datetime64(add_months(as_of, -12 * n), "D") for n in (year + 1, year))
            before, after = mrr_on(facts, account, start), mrr_on(facts, account, end)
            stayed = spell_on(facts, account, start) == spell_on(facts, account, end) is not None
            if before and after and stayed:
                expected.append((account, round(np.log(after / before), 9)))
    growth = survivor_growth(facts, as_of=as_of, tracked_from=tracked_from)
    assert len(expected) > 50
    assert sorted(zip(growth.account.tolist(), growth.log_change.round(9).tolist(), strict=True)) == sorted(expected)


def test_a_segment_of_n_survivors_is_shrunk_by_n_over_n_plus_30(company: tuple[Facts, date]) -> None:
    facts, as_of = company
    growth = survivor_growth(facts, as_of=as_of, tracked_from=add_months(as_of, -24))
    drift = segment_drift(growth, segment=np.zeros(len(facts.account_ids), dtype=np.int64), n_segments=2)
    n = len(growth.log_change)
    assert drift == pytest.approx([n / (n + 30) * growth.log_change.sum() / (12 * n), 0.0])


def test_a_company_younger_than_a_year_has_no_drift(company: tuple[Facts, date]) -> None:
    facts, as_of = company
    assert not len(survivor_growth(facts, as_of=as_of, tracked_from=add_months(as_of, -11)).account)
