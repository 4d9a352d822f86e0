"""What a published run said, held against what has happened since: whether the service keeps its word."""

from dataclasses import dataclass
from datetime import date

import numpy as np

from app.domain import calibration
from app.domain.backtest import (
    FEWEST_CHURNS,
    LEVEL,
    UNKNOWN,
    Estimate,
    is_undecided,
    judge_ratio,
    judge_total,
    months_until_churn,
    to_estimate,
)
from app.domain.features import Bools, Facts, Floats
from app.domain.months import Ints, add_months


@dataclass(frozen=True, slots=True)
class FollowUp:
    """Over the `months` since its day: `total` is right, too_many, too_few, or unknown (under 20 churns)."""

    months: int
    accounts: int
    churns: int
    undecided: int
    expected: float
    ratio: Estimate
    auc: Estimate
    total: str


def follow_up(facts: Facts, account_ids: Ints, *, probability: Floats, said_on: date, months: int) -> FollowUp | None:
    """`probability` to leave within `months` of `said_on`, as it was said of each of `account_ids` on that day.

    Accounts that the facts do not know any more (merged away), or that were not there by what is known now, are left
    out, and counted apart are those in grace, of whom nobody knows yet. None where nobody is left.
    """
    spell = _spells_on(facts, account_ids, day=said_on)
    known = spell >= 0
    undecided = np.zeros(len(spell), dtype=bool)
    undecided[known] = is_undecided(facts.spells, spell[known], before=add_months(said_on, months))
    rows = np.flatnonzero(known & ~undecided)
    if not len(rows):
        return None
    left = months_until_churn(facts.spells, spell[rows], origin=said_on) <= months
    return _judge(probability[rows], left, months=months, undecided=int(undecided.sum()))


def _judge(probability: Floats, left: Bools, *, months: int, undecided: int) -> FollowUp:
    churns, ratio = int(left.sum()), judge_ratio(probability, left)
    auc = to_estimate(calibration.auc(probability, left), calibration.auc_interval(probability, left, level=LEVEL))
    return FollowUp(
        months=months,
        accounts=len(left),
        churns=churns,
        undecided=undecided,
        expected=float(probability.sum()),
        ratio=ratio,
        auc=auc,
        total=judge_total(ratio) if churns >= FEWEST_CHURNS else UNKNOWN,
    )


def _spells_on(facts: Facts, account_ids: Ints, *, day: date) -> Ints:
    """The row of the spell that each account was in on that day; -1 where it was in none."""
    spells, on = facts.spells, np.datetime64(day, "D")
    live = np.flatnonzero((spells.started_on <= on) & ~(spells.ended_on <= on))  # NaT: it has not ended
    spell_of = np.full(len(facts.account_ids) + 1, -1, dtype=np.int64)
    spell_of[spells.account[live]] = live
    place = np.searchsorted(facts.account_ids, account_ids)
    is_known = np.append(facts.account_ids, -1)[place] == account_ids
    return np.where(is_known, spell_of[place], -1)
