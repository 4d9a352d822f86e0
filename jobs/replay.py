"""Weights of health that somebody tries out, held beside those in force: today, and over the year behind."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from functools import partial
from typing import Any, Protocol

import numpy as np

from app.db import reading
from app.domain.backtest import draw_accounts
from app.domain.causes import VOLUNTARY, taken_as
from app.domain.feature_table import build_features
from app.domain.features import FeatureTable, Floats
from app.domain.health import Health, assess_health
from app.domain.health_replay import (
    Bands,
    Weighted,
    Weights,
    alerts_a_day,
    count_flips,
    measure_accuracy,
    measure_gain,
    name_band,
    weigh,
)
from app.domain.months import MONTHS_OF_A_YEAR, add_months
from app.domain.survival import FitDidNotConvergeError, HazardModel, training_landmarks
from app.errors import NotReady
from app.queries.facts import Known, load_facts
from app.queries.health_trials import ScoredToday, Segments, Trial, find_waiting_trial, load_scored, load_segments
from app.queries.runs import Run, load_run
from app.queries.settings import CompanySettings, load_company_settings
from app.services.health_trials import note_failure, note_found, note_progress
from jobs.look_back import LookBack, Past, look_back
from jobs.work import Work

MOST_ACCOUNTS = 20_000  # of more a sample says as much
MOST_FLIPS = 200  # that are named; those with most revenue
IN_FORCE, TRIED = "in_force", "tried"
UNREADABLE = "The published run was made by another version of Tenure; make a night first."
NO_HEALTH = "No health is calculated: {reason}"
TOO_YOUNG = "There is no year behind to replay on: too little was on record a year ago."


class Note(Protocol):
    """Tells how far it is."""

    def __call__(self, done: int, *, steps: int) -> None: ...


@dataclass(frozen=True, slots=True)
class Replayed:
    """The trial that was replayed, if one waited."""

    trial_id: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """What a trial is replayed on: a model of a year ago, and the accounts of each month since.

    `model` is of the kind that is published: what was learned by then, or the default weights. `share` of all
    accounts were drawn. `ways` are the weights in force and those tried.
    """

    behind: LookBack
    model: HazardModel
    segments: Segments
    settings: CompanySettings
    ways: Mapping[str, Weights]
    share: float

    def weigh(self, table: FeatureTable, day: date) -> dict[str, Weighted]:
        health = _assess(self.model, table, settings=self.settings)
        ids = self.behind.past.facts.account_ids[table.account]
        return _weigh(health, self.ways, segments=self.segments.on(ids, day), settings=self.settings)


def replay_trials(work: Work) -> Replayed:
    """Replay the oldest trial that waits; one that cannot be is noted with the reason."""
    with reading(work.engine) as session:
        trial = find_waiting_trial(session)
    if trial is None:
        return Replayed()
    try:
        found = _replay(work, trial, note=partial(_note, work, trial_id=trial.id))
    except (NotReady, FitDidNotConvergeError) as error:
        with work.writing() as session:
            note_failure(session, trial.id, error=str(error))
        return Replayed(trial.id)
    with work.writing() as session:
        note_found(session, trial.id, found=found, at=work.clock())
    return Replayed(trial.id)


def _note(work: Work, done: int, *, steps: int, trial_id: int) -> None:
    with work.writing() as session:
        note_progress(session, trial_id, done=done, steps=steps)


def _replay(work: Work, trial: Trial, *, note: Note) -> dict[str, Any]:
    """Raises NotReady where no run is published, it has no health, or no year lies behind it."""
    note(0, steps=MONTHS_OF_A_YEAR + 2)
    with reading(work.engine) as session:
        run = load_run(session)
        if run.basis not in {"account", "prior"}:
            raise NotReady(NO_HEALTH.format(reason=run.basis_reason))
        settings = load_company_settings(session, as_of=run.as_of, known_at=run.known_at)
        ways = {IN_FORCE: load_company_settings(session).health_weights, TRIED: trial.weights}
        segments = load_segments(session, known_at=run.known_at)
        scored = load_scored(session, run)
    today = _compare_today(scored, segments, settings=settings, ways=ways)
    ground = _prepare(work, run, settings=settings, segments=segments, ways=ways)
    year = _replay_year(ground, note=note)
    return {"as_of": run.as_of.isoformat(), "weights_in_force": ways[IN_FORCE], **today, **year}


def _compare_today(
    scored: ScoredToday, segments: Segments, *, settings: CompanySettings, ways: Mapping[str, Weights]
) -> dict[str, Any]:
    """The bands of all accounts by the published model, under both weights; withheld stays withheld."""
    try:
        model = HazardModel.from_json(scored.document)
    except ValueError:
        raise NotReady(UNREADABLE) from None
    health = _assess(model, scored.table, settings=settings)
    weighted = _weigh(health, ways, segments=segments.on(scored.account_id, scored.as_of), settings=settings)
    before, after = (np.where(scored.is_withheld, -1, weighted[way].band) for way in (IN_FORCE, TRIED))
    flipped = np.flatnonzero(before != after)
    named = flipped[np.argsort(-scored.arr_minor[flipped], kind="stable")][:MOST_FLIPS]
    return {
        "accounts": len(before),
        "flips": count_flips(before, after),
        "flipped": [
            {
                "account_id": int(scored.account_id[n]),
                "before": name_band(int(before[n])),
                "after": name_band(int(after[n])),
            }
            for n in named
        ],
    }


def _assess(model: HazardModel, table: FeatureTable, *, settings: CompanySettings) -> Health:
    """Without weights."""
    limit = float(settings.minimum_coverage)
    return assess_health(model, table, reference_churn=float(settings.reference_churn), coverage_limit=limit)


def _weigh(
    health: Health, ways: Mapping[str, Weights], *, segments: list[str | None], settings: CompanySettings
) -> dict[str, Weighted]:
    reference = float(settings.reference_churn)
    return {way: weigh(health, weights, segments=segments, reference_churn=reference) for way, weights in ways.items()}


def _prepare(
    work: Work, run: Run, *, settings: CompanySettings, segments: Segments, ways: Mapping[str, Weights]
) -> Ground:
    with reading(work.engine) as session:
        every = load_facts(session, Known(run.as_of, run.known_at, settings))
    facts = draw_accounts(every, most=MOST_ACCOUNTS)
    origin = add_months(run.as_of, -MONTHS_OF_A_YEAR)
    started = facts.spells.started_on
    first_on = settings.tracked_from or (started.min().item() if len(started) else origin)
    training = training_landmarks(origin, min(first_on, origin), n_accounts=len(facts.account_ids))
    months = [add_months(run.as_of, -back) for back in range(MONTHS_OF_A_YEAR, -1, -1)]
    landmarks = np.unique(np.concatenate([training, np.array(months, dtype="datetime64[D]")]))
    past = Past(facts, build_features(facts, landmarks), tracked_from=first_on, grace_days=settings.grace_days)
    behind = look_back(past, origin)
    if isinstance(behind, str):
        raise NotReady(TOO_YOUNG)
    model = behind.defaults if run.basis == "prior" else behind.learned
    share = len(facts.account_ids) / len(every.account_ids)
    return Ground(behind, model, segments, settings=settings, ways=ways, share=share)


def _replay_year(ground: Ground, *, note: Note) -> dict[str, Any]:
    past, origin = ground.behind.past, ground.behind.origin
    looks = [add_months(origin, months) for months in range(MONTHS_OF_A_YEAR + 1)]
    seen: dict[str, list[Bands]] = {way: [] for way in ground.ways}
    for done, day in enumerate(looks, start=1):
        note(done, steps=len(looks) + 1)
        table = past.rows_at(day)
        if len(table.account):
            order = np.argsort(table.account, kind="stable")
            for way, weighted in ground.weigh(table, day).items():
                bands = Bands(int(np.datetime64(day, "D").astype(np.int64)), table.account[order], weighted.band[order])
                seen[way].append(bands)
    note(len(looks) + 1, steps=len(looks) + 1)
    return {
        "origin_on": origin.isoformat(),
        "followed": len(past.facts.account_ids),
        "is_sample": ground.share < 1,
        "alerts_a_day": {
            way: alerts_a_day(bands) / ground.share if len(bands) > 1 else None for way, bands in seen.items()
        },
        **_judge(ground),
    }


def _judge(ground: Ground) -> dict[str, Any]:
    """The risks of a year ago against who decided to leave since, which is what health speaks of.

    Who left for another cause is left out: nobody knows whether they would have stayed.
    """
    behind = ground.behind
    cause = taken_as(behind.past.facts.spells.cause[behind.scored.spell])
    has_left = behind.month <= MONTHS_OF_A_YEAR
    counts = ~has_left | (cause == VOLUNTARY)
    if not counts.any():
        raise NotReady(TOO_YOUNG)
    risk: dict[str, Floats] = {
        way: weighted.risk[counts] for way, weighted in ground.weigh(behind.scored, behind.origin).items()
    }
    left = has_left[counts]
    return {
        "judged": len(left),
        "left": int(left.sum()),
        "left_otherwise": int((~counts).sum()),
        "undecided": behind.undecided,
        "accuracy": {way: asdict(measure_accuracy(each, left)) for way, each in risk.items()},
        "gain": asdict(measure_gain(risk[TRIED], risk[IN_FORCE], left=left)),
    }
