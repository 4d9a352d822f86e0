"""What moved each account's health since the run that the night is compared with."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

import numpy as np
from numpy.typing import NDArray

from app.db import reading
from app.domain.feature_company import observe_company
from app.domain.feature_inputs import is_fresh
from app.domain.feature_table import build_features
from app.domain.features import Facts
from app.domain.health import Health, recall_notices
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
    facts = know_in_hindsight(scoring.night.facts, known_on=scoring.night.run.as_of)
    hindsight = build_features(facts, np.array([base.as_of], dtype="datetime64[D]"))
    silent = _silent_inputs(scoring, base.as_of, facts=facts)
    nothing = take_rows(hindsight, np.arange(0))
    for scored, known_now in ((base, hindsight), *((each, nothing) for each in others)):
        rows, before, after = _pair_up(scored, scoring, health=scoring.health)
        found = split_move(before, after, hindsight=known_now, silent=silent)
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


def _silent_inputs(scoring: Scoring, earlier_on: date, *, facts: Facts) -> set[str]:
    """The features whose feed is silent now, or was on the earlier day for all that is known of it now."""
    looks = (
        (observe_company(known, np.array([day], dtype="datetime64[D]")), day)
        for known, day in ((scoring.night.facts, scoring.night.run.as_of), (facts, earlier_on))
    )
    feeds = {spec.feed for spec in scoring.model.specs if spec.feed}
    silent = {
        feed
        for company, day in looks
        for feed in feeds
        if not is_fresh(feed, company.heard_on(feed, as_of=day), as_of=day)
    }
    return {spec.name for spec in scoring.model.specs if spec.feed in silent}


def _pair_up(base: ScoredAccounts, scoring: Scoring, *, health: Health) -> tuple[Ints, Assessed, Assessed]:
    """The rows of the scored table that the base has, too, and both assessments of them."""
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
        **recall_notices(base.risk[own]),
        names=base.names,
        values=base.values[own],
    )
    model = _read_model(base, otherwise=scoring.model)
    before = Assessed(model, earlier, base.risk[own], base.weights, _take(base.segments, own))
    return rows, before, after


def _take(names: Sequence[str | None], rows: Ints) -> list[str | None]:
    return [names[row] for row in rows.tolist()]


def _read_model(base: ScoredAccounts, *, otherwise: HazardModel) -> HazardModel:
    """The model of the base run; the present one where this version cannot read it."""
    try:
        return HazardModel.from_json(base.document)
    except ValueError:
        return otherwise
