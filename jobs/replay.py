"""Weights of health that somebody tries out, replayed on the year behind the published run."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from app.db import reading
from app.domain.backtest import draw_accounts
from app.domain.feature_table import build_features
from app.domain.features import FeatureTable
from app.domain.health_replay import Bands, Terms, alerts_a_day, assess_with, count_flips, measure_accuracy
from app.domain.months import MONTHS_OF_A_YEAR, add_months
from app.domain.survival import FitDidNotConvergeError, HazardModel, training_landmarks
from app.errors import NotReady
from app.queries.facts import Known, load_facts
from app.queries.health_trials import Trial, find_waiting_trial, load_segments
from app.queries.runs import Run, load_run
from app.queries.settings import CompanySettings, load_company_settings
from app.services.health_trials import note_failure, note_found, note_progress
from jobs.look_back import LookBack, Past, look_back
from jobs.work import Work

MOST_ACCOUNTS = 5_000  # of more a sample says as much
AS_CALCULATED: dict[str, dict[str, float]] = {}
MOST_FLIPS = 50
TOO_YOUNG = "There is no year behind to replay on: too little was on record a year ago."


@dataclass(frozen=True, slots=True)
class Replayed:
    """The trial that was replayed, if one waited."""

    trial_id: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """What a trial is replayed on: a model of a year ago, and the accounts of each month since.

    `segments` are today's, by the position of the account in the facts.
    """

    behind: LookBack
    segments: Sequence[str | None]
    terms: Terms

    def bands(self, table: FeatureTable, weights: Any) -> Bands:
        health = self.assess(table, weights)
        order = np.argsort(table.account, kind="stable")
        return Bands(int(table.landmark[0].astype(np.int64)), table.account[order], health.band[order])

    def assess(self, table: FeatureTable, weights: Any) -> Any:
        segments = [self.segments[position] for position in table.account.tolist()]
        return assess_with(self.model, table, weights=weights, segments=segments, terms=self.terms)

    @property
    def model(self) -> HazardModel:
        return self.behind.learned


def replay_trials(work: Work) -> Replayed:
    """Replay the oldest trial that waits; one that cannot be is noted with the reason."""
    with reading(work.engine) as session:
        trial = find_waiting_trial(session)
    if trial is None:
        return Replayed()
    try:
        ground = _prepare(work)
        found = _replay(ground, trial, note=lambda done, steps: _note(work, trial.id, done=done, steps=steps))
    except (NotReady, FitDidNotConvergeError) as error:
        with work.writing() as session:
            note_failure(session, trial.id, error=str(error))
        return Replayed(trial.id)
    with work.writing() as session:
        note_found(session, trial.id, found=found, at=work.clock())
    return Replayed(trial.id)


def _note(work: Work, trial_id: int, *, done: int, steps: int) -> None:
    with work.writing() as session:
        note_progress(session, trial_id, done=done, steps=steps)


def _prepare(work: Work) -> Ground:
    """Raises NotReady where no run is published, or no year lies behind it."""
    with reading(work.engine) as session:
        run = load_run(session)
        settings = load_company_settings(session, as_of=run.as_of, known_at=run.known_at)
        facts = draw_accounts(load_facts(session, Known(run.as_of, run.known_at, settings)), most=MOST_ACCOUNTS)
        segment_of = load_segments(session, as_of=run.as_of, known_at=run.known_at)
    segments = [segment_of.get(account_id) for account_id in facts.account_ids.tolist()]
    behind = look_back(_build_past(facts, run, settings=settings), add_months(run.as_of, -MONTHS_OF_A_YEAR))
    if isinstance(behind, str):
        raise NotReady(TOO_YOUNG)
    return Ground(behind, segments, Terms(float(settings.reference_churn), float(settings.minimum_coverage)))


def _build_past(facts: Any, run: Run, *, settings: CompanySettings) -> Past:
    origin = add_months(run.as_of, -MONTHS_OF_A_YEAR)
    started = facts.spells.started_on
    first_on = settings.tracked_from or (started.min().item() if len(started) else origin)
    training = training_landmarks(origin, min(first_on, origin), n_accounts=len(facts.account_ids))
    months = [add_months(run.as_of, -back) for back in range(MONTHS_OF_A_YEAR, -1, -1)]
    landmarks = np.unique(np.concatenate([training, np.array(months, dtype="datetime64[D]")]))
    return Past(facts, build_features(facts, landmarks), tracked_from=first_on, grace_days=settings.grace_days)


def _replay(ground: Ground, trial: Trial, *, note: Callable[[int, int], None]) -> dict[str, Any]:
    """Both ways: as calculated, and with the trial's weights."""
    past, ways = ground.behind.past, {"as_calculated": AS_CALCULATED, "tried": trial.weights}
    looks = [add_months(ground.behind.origin, months) for months in range(MONTHS_OF_A_YEAR + 1)]
    seen: dict[str, list[Bands]] = {way: [] for way in ways}
    for done, day in enumerate(looks):
        note(done, len(looks))
        table = past.rows_at(day)
        if len(table.account):
            for way, weights in ways.items():
                seen[way].append(ground.bands(table, weights))
    note(len(looks), len(looks))
    last = {way: bands[-1] for way, bands in seen.items()}
    before, after = last["as_calculated"].band, last["tried"].band
    flipped = np.flatnonzero(before != after)
    left, risks = ground.behind.year.left, {w: ground.assess(ground.behind.scored, ways[w]).risk for w in ways}
    return {
        "origin_on": ground.behind.origin.isoformat(),
        "accounts": len(before),
        "flips": count_flips(before, after),
        "flipped": past.facts.account_ids[last["tried"].account[flipped]][:MOST_FLIPS].tolist(),
        "alerts_a_day": {way: alerts_a_day(bands) if len(bands) > 1 else None for way, bands in seen.items()},
        "left": int(left.sum()),
        "judged": len(left),
        "accuracy": {way: asdict(measure_accuracy(risk, left)) for way, risk in risks.items()},
    }
