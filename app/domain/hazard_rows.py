"""Which months of which spells the hazard learns from, and how much each row counts."""

from dataclasses import dataclass, fields, replace
from datetime import date

import numpy as np

from app.domain.causes import CAUSES, taken_as
from app.domain.features import Bools, FeatureTable, Floats, Spells
from app.domain.hazard_clock import landmark_offsets, month_offsets
from app.domain.months import Ints

MOST_CASES = 60_000  # beyond, spells are sampled and weighted up: first those without churn
AT_RISK_FOR_SUPPORT = 10


@dataclass(frozen=True, slots=True, eq=False)
class TrainingRows:
    """Row (case i, month s) is at risk for s = 1..last_month[i]; a case is a row of the feature table.

    `weight` (cases x horizon) is 1 / (number of landmarks that cover the same spell and month),
    so that every month of a spell counts once, times 1 / `share`; 0 where not at risk. A landmark at which the
    account had said that it leaves is no case, but is counted among those that cover: a weight must not know what
    was said later.
    """

    table_row: Ints
    spell: Ints
    last_month: Ints
    event_month: Ints  # the month of churn, 0 for none within the horizon
    cause: Ints  # of that churn, index into `causes.CAUSES`
    weight: Floats
    share: Floats  # with what probability the case was sampled; its weight makes up for it
    churns: Ints  # by cause: spells whose churn is among the rows, before a sample was taken of them

    @property
    def n_churns(self) -> int:
        return int(self.churns.sum())


def build_training_rows(
    table: FeatureTable, spells: Spells, *, as_of: date, tracked_from: date, horizon_months: int
) -> TrainingRows:
    """The rows of the landmarks in [`tracked_from`, `as_of`), ordered by account and landmark.

    A spell that ended by churn before `as_of` has its event in the month that contains `ended_on`; one
    censored there counts up to the month before; anything later has not happened yet at `as_of`.
    """
    back = -landmark_offsets(as_of, table.landmark)
    rows = np.lexsort((-back, table.account))
    rows = rows[(back[rows] > 0) & (table.landmark[rows] >= np.datetime64(tracked_from))]
    back, spell = back[rows], table.spell[rows]
    end = month_offsets(as_of, spells.ended_on)[spell]
    churned = (end < 0) & spells.churned[spell]
    event = np.where(churned, end + back + 1, 0)
    last = np.minimum(np.where(churned, event, np.where(end < 0, end + back, back)), horizon_months)
    event = np.where(event > horizon_months, 0, event)
    cause = taken_as(spells.cause)
    told = ~np.isnat(table.leaves_on[rows])
    churns = np.bincount(cause[np.unique(spell[(event > 0) & ~told])], minlength=len(CAUSES))
    keep, share = _sample(table.account[rows], churned=churned, at_risk=last > 0)
    rows, back, spell, event, last = (a[keep] for a in (rows, back, spell, event, last))
    share, case = share[keep], ~told[keep]
    weight = _row_weights(spell, back, last=last, horizon_months=horizon_months) / share[:, None]
    rows, spell, event, last = (a[case] for a in (rows, spell, event, last))
    return TrainingRows(rows, spell, last, event, cause[spell], weight[case], share[case], churns)


def take_rows(table: FeatureTable, rows: Ints) -> FeatureTable:
    """The given rows of a feature table, in that order."""
    columns = {field.name: getattr(table, field.name)[rows] for field in fields(table) if field.name != "names"}
    return replace(table, **columns)


def weigh_up(rows: TrainingRows, drawn: Floats) -> TrainingRows:
    """The rows as of all accounts, where each case's was `drawn` with a probability: one of all that churned."""
    of_churned = float(drawn[rows.event_month > 0].min(initial=1.0))
    churns = np.rint(rows.churns / of_churned).astype(np.int64)
    return replace(rows, weight=rows.weight / drawn[:, None], share=rows.share * drawn, churns=churns)


def last_supported_tenure(rows: TrainingRows, tenure_months: Ints) -> int:
    """The longest tenure, in months, at which at least 10 spells were at risk in the rows; 0 if none was."""
    if not len(rows.spell):
        return 0
    _, spell = np.unique(rows.spell, return_inverse=True)
    first = np.full(spell.max() + 1, np.iinfo(np.int64).max)
    last = np.full(spell.max() + 1, -1, dtype=np.int64)
    np.minimum.at(first, spell, tenure_months[:, 0])
    np.maximum.at(last, spell, np.take_along_axis(tenure_months, rows.last_month[:, None] - 1, axis=1)[:, 0])
    at_risk = np.cumsum(np.bincount(first, minlength=last.max() + 2) - np.bincount(last + 1, minlength=last.max() + 2))
    supported = np.flatnonzero(at_risk >= AT_RISK_FOR_SUPPORT)
    return int(supported[-1]) if len(supported) else 0


def _sample(account: Ints, *, churned: Bools, at_risk: Bools) -> tuple[Bools, Floats]:
    """Cases to keep and which share of their kind that is: of spells with churn as many as three quarters of
    `MOST_CASES` hold, which is all of them up to some 20,000 churns; of the rest what is left.

    Chosen by a hash of the account, so that the order of rows has no say.
    """
    hashed = (account.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(40)
    keep, share, room = np.zeros(len(account), dtype=bool), np.ones(len(account)), MOST_CASES
    for kind, most in ((at_risk & churned, MOST_CASES * 3 // 4), (at_risk & ~churned, MOST_CASES)):
        size = int(kind.sum())
        kept = kind & (hashed.astype(np.float64) < min(1.0, min(most, room) / max(1, size)) * 2.0**24)
        share[kind] = kept.sum() / max(1, size)
        keep |= kept
        room -= min(most, size)
    return keep, share


def _row_weights(spell: Ints, back: Ints, *, last: Ints, horizon_months: int) -> Floats:
    if not len(spell):
        return np.zeros((0, horizon_months))
    month = np.arange(1, horizon_months + 1)[None, :]
    at_risk = month <= last[:, None]
    width = int(back.max()) + 1
    _, dense = np.unique(spell, return_inverse=True)
    cell = np.where(at_risk, dense[:, None] * width + back[:, None] - month + 1, 0)
    covered = np.bincount(cell[at_risk], minlength=int(cell.max()) + 1)
    return np.where(at_risk, 1.0 / np.maximum(covered[cell], 1), 0.0)
