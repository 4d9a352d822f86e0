"""What moved each account's health since the run that the night is compared with."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from app.db import reading
from app.domain.feature_table import build_features
from app.domain.features import FeatureTable, Floats
from app.domain.health import Health
from app.domain.health_change import Assessed, split_move
from app.domain.hindsight import know_in_hindsight
from app.domain.months import Ints
from app.domain.survival import HazardModel, take_rows
from app.queries.health_change import ScoredAccounts, find_last_scored, load_chain, load_scored_accounts
from jobs.scoring import Scoring


def find_health_moves(scoring: Scoring, *, base_id: int | None) -> NDArray[np.object_]:
    """For each row of the scored table the bytes of `Score.health_moves`; None where there was no health before.

    An account that the base run had no risk for, as one in grace, is compared with the last run that had one. Late
    data are then not told from what has happened: the features of its earlier day are not worked out anew.
    """
    moves = np.full(len(scoring.table.account), None, dtype=object)
    if scoring.health is None or base_id is None:
        return moves
    base, *others = _load_bases(scoring, base_id=base_id)
    hindsight = _look_back(scoring, base)
    nothing = take_rows(hindsight, np.arange(0))
    for scored, known_now in ((base, hindsight), *((each, nothing) for each in others)):
        rows, found = _split_since(scored, scoring, health=scoring.health, hindsight=known_now)
        moves[rows] = [each.tobytes() for each in found.astype("<f8")]
    return moves


def _load_bases(scoring: Scoring, *, base_id: int) -> list[ScoredAccounts]:
    """The base run with its accounts, then the others with those that it had no risk for."""
    with reading(scoring.night.engine) as session:
        base = load_scored_accounts(session, base_id)
        missing = np.setdiff1d(_account_ids(scoring), base.account_id, assume_unique=True).tolist()
        found = find_last_scored(session, load_chain(session, run_id=base_id), account_ids=missing)
        return [base, *(load_scored_accounts(session, run_id, account_ids=own) for run_id, own in found.items())]


def _account_ids(scoring: Scoring) -> Ints:
    return scoring.night.facts.account_ids[scoring.table.account]


def _look_back(scoring: Scoring, base: ScoredAccounts) -> FeatureTable:
    """The features of the base run's day, as known now."""
    facts = know_in_hindsight(scoring.night.facts, known_on=scoring.night.run.as_of)
    return build_features(facts, np.array([base.as_of], dtype="datetime64[D]"))


def _split_since(
    base: ScoredAccounts, scoring: Scoring, *, health: Health, hindsight: FeatureTable
) -> tuple[Ints, Floats]:
    """The rows of the scored table that the base has, too, and what moved each since."""
    _, rows, own = np.intersect1d(_account_ids(scoring), base.account_id, assume_unique=True, return_indices=True)
    then = take_rows(scoring.table, rows)
    settings = scoring.night.known.settings
    after = Assessed(scoring.model, then, health.risk[rows], settings.health_weights, _take(scoring.segments, rows))
    earlier = replace(
        then,
        landmark=np.full(len(rows), base.as_of, dtype="datetime64[D]"),
        started_on=base.started_on[own],
        term_months=base.term_months[own],
        renewal_on=base.renewal_on[own],
        names=base.names,
        values=base.values[own],
    )
    model = _read_model(base, otherwise=scoring.model)
    before = Assessed(model, earlier, base.risk[own], base.weights, _take(base.segments, own))
    return rows, split_move(before, after, hindsight=hindsight)


def _take(names: Sequence[str | None], rows: Ints) -> list[str | None]:
    return [names[row] for row in rows.tolist()]


def _read_model(base: ScoredAccounts, *, otherwise: HazardModel) -> HazardModel:
    """The model of the base run; the present one where this version cannot read it."""
    try:
        return HazardModel.from_json(base.document)
    except ValueError:
        return otherwise
