"""The step that asks whether the model is right: a fit of a year ago, on what was available then, against what came."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.orm import Session

from app.domain.backtest import (
    STILL_THERE,
    draw_accounts,
    is_undecided,
    judge_forecast,
    months_until_churn,
    rewind_spells,
)
from app.domain.feature_catalog import feature_specs
from app.domain.feature_table import build_features
from app.domain.features import Facts, FeatureTable, Floats
from app.domain.months import MONTHS_OF_A_YEAR, Ints, add_months
from app.domain.survival import (
    FitDidNotConvergeError,
    FitOptions,
    HazardModel,
    fit_hazard,
    predict,
    take_rows,
    training_landmarks,
)
from app.models.scores import ModelRun
from jobs.curves import estimate_curves, observe_spells
from jobs.forecast import forecast_by_segment
from jobs.night import Night
from jobs.steps import Result, Write

MOST_ACCOUNTS = 20_000  # of more a sample says as much, and the night stays short
MOST_MISSED = 10
TERM, MONTHLY = "term", "monthly"


@dataclass(frozen=True, slots=True, eq=False)
class Forecasted:
    """Who was alive at the origin, how likely each was to leave, and when they did."""

    table: FeatureTable
    probability: Floats  # n x 12
    left_in_month: Ints
    reference: Floats
    undecided: int


def evaluate_model(night: Night, results: Mapping[str, Result]) -> Write:
    """Fit as of a year before, score who was alive then, compare; why not, where that cannot be done."""
    run_id, basis = results["fit"]["run_id"], results["fit"]["basis"]
    report = {"reason": basis} if basis in {"segment", "not_applicable"} else _evaluate(night)

    def write(session: Session) -> Result:
        run = session.get_one(ModelRun, run_id)
        run.report = run.report | {"backtest": report}
        return {name: report[name] for name in ("reason", "accounts", "churns", "ranking", "total") if name in report}

    return write


def _evaluate(night: Night) -> dict[str, Any]:
    origin = add_months(night.run.as_of, -MONTHS_OF_A_YEAR)
    facts = draw_accounts(night.facts, most=MOST_ACCOUNTS)
    tracked_from = night.known.settings.tracked_from or min(facts.spells.started_on.tolist())
    landmarks = training_landmarks(origin, min(tracked_from, origin), n_accounts=len(facts.account_ids))
    if not len(landmarks):
        return {"reason": "too_young", "origin": origin.isoformat()}
    then = replace(facts, spells=rewind_spells(facts.spells, origin=origin, grace_days=night.known.settings.grace_days))
    table = build_features(then, np.append(landmarks, np.datetime64(origin, "D")))
    try:
        model = fit_hazard(table, then.spells, specs=feature_specs(then), options=FitOptions(origin, tracked_from))
    except FitDidNotConvergeError:  # the look back is no reason to go without tonight's scores
        return {"reason": "no_fit", "origin": origin.isoformat()}
    made = _forecast(model, facts, table=table, then=then)
    if made is None:
        return {"reason": "nobody", "origin": origin.isoformat()}
    judged = judge_forecast(made.probability, made.left_in_month, reference=made.reference, undecided=made.undecided)
    return asdict(judged) | {
        "origin": origin.isoformat(),
        "basis": model.basis,
        "learned_from_churns": model.n_churns,
        "is_sample": len(facts.account_ids) < len(night.facts.account_ids),
        **_find_missed(made, facts),
    }


def _forecast(model: HazardModel, facts: Facts, *, table: FeatureTable, then: Facts) -> Forecasted | None:
    """`facts` hold what happened, `then` what was known at the origin; those whose renewal is open are left out.

    None where nobody is left.
    """
    origin = model.options.as_of
    alive = np.flatnonzero(table.landmark == np.datetime64(origin))
    month = months_until_churn(facts.spells, table.spell[alive], origin=origin)
    undecided = is_undecided(facts.spells, table.spell[alive])
    scored = take_rows(table, alive[~undecided])
    if not len(scored.account):
        return None
    probability = 1.0 - predict(model, scored, months=MONTHS_OF_A_YEAR).survival
    return Forecasted(
        table=scored,
        probability=probability,
        left_in_month=np.where(month > MONTHS_OF_A_YEAR, STILL_THERE, month)[~undecided],
        reference=_by_contract(then, scored, table=table, options=model.options),
        undecided=int(undecided.sum()),
    )


def _by_contract(then: Facts, scored: FeatureTable, *, table: FeatureTable, options: FitOptions) -> Floats:
    """What one would say without a model: Kaplan-Meier of monthly and of longer contracts, from each one's age on.

    NaN where no account of some kind was under observation for a month.
    """
    kind: NDArray[Any] = np.full(len(then.account_ids), MONTHLY, dtype=object)
    kind[table.account] = np.where(table.term_months > 1, TERM, MONTHLY)  # rows go by landmark: the last one stays
    origin = options.as_of
    begun = then.spells.started_on < np.datetime64(origin)
    columns = ("account", "number", "started_on", "ended_on", "churned")
    spells = replace(then.spells, **{name: getattr(then.spells, name)[begun] for name in columns})
    observed = observe_spells(replace(then, spells=spells), as_of=origin, tracked_from=options.tracked_from)
    curves = estimate_curves(observed, kind)
    if not set(kind[scored.account]) <= set(curves):
        return np.full(len(scored.account), np.nan)
    return 1.0 - forecast_by_segment(scored, curves, segment=kind, as_of=origin).survival[:, MONTHS_OF_A_YEAR - 1]


def _find_missed(made: Forecasted, facts: Facts) -> dict[str, Any]:
    """Those that left although half of all accounts or more had been rated riskier, the safest first."""
    year = made.probability[:, -1]
    order = np.argsort(year, kind="stable")
    safer = np.empty(len(order), dtype=np.int64)
    safer[order] = np.arange(len(order))
    left = [n for n in order[: len(order) // 2] if made.left_in_month[n] <= MONTHS_OF_A_YEAR]
    ended_on = facts.spells.ended_on[made.table.spell]
    return {
        "n_missed": len(left),
        "missed": [
            {
                "account_id": int(facts.account_ids[made.table.account[n]]),
                "probability": float(year[n]),
                "rank": int(safer[n]) + 1,
                "churned_on": ended_on[n].item().isoformat(),
            }
            for n in left[:MOST_MISSED]
        ],
    }
