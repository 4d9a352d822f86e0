"""The step that asks whether the model is right, before anything is scored with it.

Forecasts of the past against what came; the gate that decides between what was learned and the default weights; what
published runs said against what has happened since; and whether today's accounts are those that were learned from.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any

import numpy as np
from sqlalchemy import insert
from sqlalchemy.orm import Session

from app.domain.backtest import counts_for_gate, draw_accounts, list_origins
from app.domain.baselines import DEFAULTS
from app.domain.feature_table import build_features
from app.domain.gate import NOT_JUDGED, Gate, decide_gate
from app.domain.input_drift import InputDrift, measure_drift
from app.domain.leaving import is_leaving
from app.domain.months import Days
from app.domain.survival import FitDidNotConvergeError, take_rows, training_landmarks
from app.models.scores import Backtest, ModelRun
from jobs.fit import describe_fit, fit_night, tracked_from
from jobs.follow_up import follow_up_runs
from jobs.look_back import LookBack, Past, look_back, stored_rows
from jobs.night import Night
from jobs.steps import Result, Write

MOST_ACCOUNTS = 20_000  # of more a sample says as much, and the night stays short


@dataclass(frozen=True, slots=True, eq=False)
class Evaluation:
    """`reasons` say by origin why it could not be looked back from."""

    look_backs: dict[date, LookBack] = field(default_factory=dict)
    reasons: dict[date, str] = field(default_factory=dict)
    gate: Gate = NOT_JUDGED
    inputs: tuple[InputDrift, ...] = ()
    share: float = 1.0  # of the accounts that were drawn


def evaluate_model(night: Night, results: Mapping[str, Result]) -> Write:
    """Judge the model by the years behind it. Where the gate says so, the run gets the default weights instead."""
    run_id, basis = results["fit"]["run_id"], results["fit"]["basis"]
    is_learned = basis not in {"segment", "not_applicable"}
    made = _evaluate(night) if is_learned else Evaluation()
    said = {
        "reason": None if made.look_backs else next(iter(made.reasons.values()), basis),
        "origins": [{"origin": origin.isoformat(), "reason": reason} for origin, reason in made.reasons.items()],
        "is_sample": made.share < 1,
        "gate": asdict(made.gate),
        "inputs": [asdict(each) for each in made.inputs],
        "since": follow_up_runs(night),
    }
    rows = list(stored_rows(made.look_backs, capacity=max(1, round(night.known.settings.team_capacity * made.share))))
    is_refused = basis == "account" and made.gate.verdict == DEFAULTS and not results["fit"]["is_held_back"]
    instead = _fit_defaults(night, why=made.gate.reason) if is_refused else {}

    def write(session: Session) -> Result:
        run = session.get_one(ModelRun, run_id)
        for name, value in instead.items():
            setattr(run, name, value)
        run.report = run.report | {"evaluation": said}
        if rows:
            session.execute(insert(Backtest), [row | {"run_id": run_id} for row in rows])
        return {
            "origins": len(made.look_backs),
            "gate": made.gate.verdict,
            "because": said["reason"] or made.gate.reason,
        }

    return write


def _fit_defaults(night: Night, *, why: str) -> dict[str, Any]:
    return describe_fit(night, fit_night(night, defaults_only=True), basis="prior", why=why)


def _evaluate(night: Night) -> Evaluation:
    as_of, facts = night.run.as_of, draw_accounts(night.panel, most=MOST_ACCOUNTS)
    first_on = tracked_from(night.everyone, night)
    origins = list_origins(as_of, first_on)
    n, grids = len(facts.account_ids), [as_of, *origins]
    landmarks = [training_landmarks(day, min(first_on, day), n_accounts=n) for day in grids]
    table = build_features(facts, np.unique(np.concatenate([*landmarks, np.array(grids, dtype="datetime64[D]")])))
    past = Past(facts, table, tracked_from=first_on, grace_days=night.known.settings.grace_days)
    look_backs, reasons = _look_back(past, origins)
    return Evaluation(
        look_backs=look_backs,
        reasons=reasons,
        gate=decide_gate(
            [each.year for day, each in look_backs.items() if counts_for_gate(day, as_of, tracked_from=first_on)]
        ),
        inputs=_measure_inputs(past, landmarks[0], as_of=as_of),
        share=n / max(1, len(night.everyone.account_ids)),
    )


def _look_back(past: Past, origins: tuple[date, ...]) -> tuple[dict[date, LookBack], dict[date, str]]:
    look_backs: dict[date, LookBack] = {}
    reasons: dict[date, str] = {}
    for origin in origins:
        try:
            found = look_back(past, origin)
        except FitDidNotConvergeError:  # the look back is no reason to go without tonight's scores
            found = "no_fit"
        if isinstance(found, str):
            reasons[origin] = found
        else:
            look_backs[origin] = found
    return look_backs, reasons


def _measure_inputs(past: Past, landmarks: Days, *, as_of: date) -> tuple[InputDrift, ...]:
    """The rows that the night's fit learned from, against those that are scored by it: nobody that gave notice."""
    asked = take_rows(past.table, np.flatnonzero(~is_leaving(past.table)))
    then = take_rows(asked, np.flatnonzero(np.isin(asked.landmark, landmarks)))
    now = take_rows(asked, np.flatnonzero(asked.landmark == np.datetime64(as_of, "D")))
    names = past.table.names
    return measure_drift(then.values, now.values, accounts=then.account, days=then.landmark, names=names)
