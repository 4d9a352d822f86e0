"""The step that fits churn and records the run; nobody sees it before it is published."""

import hashlib
from collections.abc import Mapping
from datetime import date
from typing import Any

from sqlalchemy.orm import Session

from app.domain.feature_catalog import feature_specs
from app.domain.feature_table import build_features
from app.domain.features import Facts
from app.domain.survival import (
    FitOptions,
    HazardModel,
    decide_basis,
    fit_hazard,
    training_landmarks,
)
from app.models.scores import ModelRun
from jobs.night import Night
from jobs.steps import Result, Write

KIND = "churn"
DEFINITION = "churn@1"
REASONS = {
    "account": "Learned from {churns} churns in {months:.0f} account-months, starting from the default weights.",
    "prior": "Not enough data: {churns} churns so far. The default weights are shown until there are two.",
    "segment": (
        "All {churns} churns fall into one calendar month, so nothing can be learned of how churn follows behaviour "
        "over time. Kaplan-Meier of each segment is shown instead, the same for all accounts of a segment and tenure."
    ),
    "not_applicable": "Not applicable: no account has recurring revenue, so there is nothing to retain.",
}


def fit_churn(night: Night, _results: Mapping[str, Result]) -> Write:
    """Fit the hazard on all landmarks before the night's date."""
    facts = night.facts
    model = _fit(facts, as_of=night.run.as_of, tracked_from=night.known.settings.tracked_from)
    basis = decide_basis(model, facts.spells) if len(facts.account_ids) else "not_applicable"
    churns = model.n_churns if basis != "segment" else int(facts.spells.churned.sum())
    reason = REASONS[basis].format(churns=churns, months=model.account_months)
    return lambda session: _record_run(session, night, model=model, basis=basis, reason=reason)


def _fit(facts: Facts, *, as_of: date, tracked_from: date | None) -> HazardModel:
    first_on = tracked_from or min(facts.spells.started_on.tolist(), default=as_of)
    options = FitOptions(as_of=as_of, tracked_from=min(first_on, as_of))
    landmarks = training_landmarks(as_of, options.tracked_from, n_accounts=len(facts.account_ids))
    table = build_features(facts, landmarks)
    return fit_hazard(table, facts.spells, specs=feature_specs(facts), options=options)


def _record_run(session: Session, night: Night, *, model: HazardModel, basis: str, reason: str) -> dict[str, Any]:
    document = model.to_json()
    run = ModelRun(
        kind=KIND,
        as_of=night.run.as_of,
        known_at=night.run.known_at,
        created_at=night.clock(),
        definition=DEFINITION,
        basis=basis,
        basis_reason=reason,
        currency=night.known.settings.reporting_currency,
        document=document,
        sha256=hashlib.sha256(document.encode()).hexdigest(),
        report={"churns": model.n_churns, "account_months": model.account_months, "newton_steps": model.n_steps},
    )
    session.add(run)
    session.flush()
    return {"run_id": run.id, "basis": basis, "churns": model.n_churns}
