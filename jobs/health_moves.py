"""What moved each account's health since the run that the night is compared with."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from app.db import reading
from app.domain.feature_company import Company
from app.domain.feature_inputs import is_fresh
from app.domain.feature_table import build_features, describe_company
from app.domain.features import Facts
from app.domain.health import Health, recall_notices
from app.domain.health_change import Assessed, split_move
from app.domain.hindsight import know_in_hindsight
from app.domain.months import Ints
from app.domain.survival import HazardModel, take_rows
from app.models.scores import ModelRun
from app.queries.health_change import ScoredAccounts, find_last_scored, load_chain, load_scored_accounts
from jobs.scoring import ScoredPart, Scoring


class HealthMoves:
    """What moved the health of accounts since the run `base_id`: as known now of its day, for a part at a time."""

    def __init__(self, scoring: Scoring, *, base_id: int | None) -> None:
        self._scoring, self._base_id = scoring, base_id

    def find(self, part: ScoredPart) -> NDArray[np.object_]:
        """For each row of the part the bytes of `Score.health_moves`; None where there was no health before.

        An account that the base run had no risk for, as one in grace, is compared with the last run that had one. Late
        data are then not told from what has happened: the features of its earlier day are not worked out anew.
        """
        moves = np.full(len(part.table.account), None, dtype=object)
        if part.health is None or self._base_id is None:
            return moves
        base, *others = self._load_bases(part, base_id=self._base_id)
        landmark = np.array([base.as_of], dtype="datetime64[D]")
        hindsight = build_features(self._know(part.part.facts), landmark, company=self._company)
        hindsight = replace(hindsight, account=hindsight.account + part.part.first)
        nothing = take_rows(hindsight, np.arange(0))
        for scored, known_now in ((base, hindsight), *((each, nothing) for each in others)):
            rows, before, after = _pair_up(scored, part, health=part.health)
            found = split_move(before, after, hindsight=known_now, silent=self._silent)
            moves[rows] = [each.tobytes() for each in found.astype("<f8")]
        return moves

    @cached_property
    def _base_on(self) -> date:
        with reading(self._scoring.night.engine) as session:
            return session.get_one(ModelRun, self._base_id).as_of

    def _know(self, facts: Facts) -> Facts:
        night = self._scoring.night
        return know_in_hindsight(facts, known_on=night.run.as_of, like=night.panel)

    @cached_property
    def _company(self) -> Company:
        """The company on the earlier day for all that is known of it now."""
        night, landmark = self._scoring.night, np.array([self._base_on], dtype="datetime64[D]")
        parts = (self._know(part.facts) for part in night.parts())
        return describe_company(parts, landmark, panel=self._know(night.panel))

    @cached_property
    def _silent(self) -> set[str]:
        """The features whose feed is silent now, or was on the earlier day for all that is known of it now."""
        night, specs = self._scoring.night, self._scoring.model.specs
        looks = ((night.company_at(night.landmark), night.run.as_of), (self._company, self._base_on))
        silent = {
            feed
            for company, day in looks
            for feed in {spec.feed for spec in specs if spec.feed}
            if not is_fresh(feed, company.heard_on(feed, as_of=day), as_of=day)
        }
        return {spec.name for spec in specs if spec.feed in silent}

    def _load_bases(self, part: ScoredPart, *, base_id: int) -> list[ScoredAccounts]:
        """The base run with the part's accounts, then the others with those that it had no risk for."""
        with reading(self._scoring.night.engine) as session:
            base = load_scored_accounts(session, base_id, between=part.part.span)
            missing = np.setdiff1d(part.account_ids, base.account_id, assume_unique=True).tolist()
            found = find_last_scored(session, load_chain(session, run_id=base_id), account_ids=missing)
            return [base, *(load_scored_accounts(session, run_id, account_ids=own) for run_id, own in found.items())]


def _pair_up(base: ScoredAccounts, part: ScoredPart, *, health: Health) -> tuple[Ints, Assessed, Assessed]:
    """The rows of the scored table that the base has, too, and both assessments of them."""
    _, rows, own = np.intersect1d(part.account_ids, base.account_id, assume_unique=True, return_indices=True)
    then, model = take_rows(part.table, rows), part.scoring.model
    settings = part.scoring.night.known.settings
    after = Assessed(model, then, health.risk[rows], settings.health_weights, _take(part.segments, rows))
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
    read = _read_model(base, otherwise=model)
    before = Assessed(read, earlier, base.risk[own], base.weights, _take(base.segments, own))
    return rows, before, after


def _take(names: Sequence[str | None], rows: Ints) -> list[str | None]:
    return [names[row] for row in rows.tolist()]


def _read_model(base: ScoredAccounts, *, otherwise: HazardModel) -> HazardModel:
    """The model of the base run; the present one where this version cannot read it."""
    try:
        return HazardModel.from_json(base.document)
    except ValueError:
        return otherwise
