"""The step that fits churn and records the run; nobody sees it before it is published."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any

import numpy as np
from sqlalchemy.orm import Session

from app.db import reading
from app.domain.backtest import rank_accounts
from app.domain.feature_catalog import feature_specs
from app.domain.feature_table import build_features
from app.domain.features import Facts, Floats
from app.domain.hazard_guards import SurvivalGap, compare_with_kaplan_meier, pool_gaps
from app.domain.health import list_drivers
from app.domain.survival import (
    FitOptions,
    HazardModel,
    decide_basis,
    fit_hazard,
    take_rows,
    training_landmarks,
)
from app.models.scores import ModelRun, PublishedRun
from app.queries.runs import CHURN
from jobs.night import Night
from jobs.steps import Result, Write

DEFINITION = "churn@2"
REASONS = {
    "account": "Learned from {churns} churns in {months:.0f} account-months, starting from the default weights.",
    "prior": "Not enough data: {churns} churns so far. The default weights are shown until there are two.",
    "guarded": "Not enough data: what {churns} churns taught failed a check, so the default weights are shown.",
    "less_accurate": (
        "Not enough data: over the years behind, what {churns} churns taught was less accurate than the default "
        "weights, so these are shown."
    ),
    "wrong_total": (
        "Not enough data: over the years behind, what {churns} churns taught did not expect as many to leave as did, "
        "so the default weights are shown."
    ),
    "segment": (
        "All {churns} churns fall into one calendar month, so nothing can be learned of how churn follows behaviour "
        "over time. Kaplan-Meier of each segment is shown instead, the same for all accounts of a segment and tenure."
    ),
    "not_applicable": "Not applicable: no account has recurring revenue, so there is nothing to retain.",
}

OTHER_CHURNS = (
    " {others} more lie outside the months that can be learned from: before the first tracked month, or of accounts "
    "that came and went between two landmarks."
)


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    model: HazardModel
    gaps: tuple[SurvivalGap, ...]

    @property
    def is_acceptable(self) -> bool:
        return not self.gaps or pool_gaps(self.gaps).is_acceptable


def fit_churn(night: Night, _results: Mapping[str, Result]) -> Write:
    """Fit the hazard on all landmarks before the night's date, and hold it against what happened.

    Where it fails and nothing is published yet, the default weights take its place; where something
    is, the step that publishes keeps that.
    """
    fitted = fit_night(night)
    basis = decide_basis(fitted.model, night.everyone.spells) if len(night.everyone.account_ids) else "not_applicable"
    why = basis
    if basis == "account" and not fitted.is_acceptable and not _is_anything_published(night):
        fitted, basis, why = fit_night(night, defaults_only=True), "prior", "guarded"
    columns = describe_fit(night, fitted, basis=basis, why=why)
    is_held_back = basis == "account" and not fitted.is_acceptable

    def write(session: Session) -> Result:
        run = ModelRun(
            kind=CHURN,
            as_of=night.run.as_of,
            known_at=night.run.known_at,
            created_at=night.clock(),
            definition=DEFINITION,
            currency=night.known.settings.reporting_currency,
            **columns,
        )
        session.add(run)
        session.flush()
        churns = columns["report"]["churns"]
        return {"run_id": run.id, "basis": basis, "churns": churns, "is_held_back": is_held_back}

    return write


def fit_night(night: Night, *, defaults_only: bool = False) -> Fitted:
    """The hazard as of the night's date; with `defaults_only` its intercept alone, at the default weights."""
    everyone, as_of = night.everyone, night.run.as_of
    options = FitOptions(as_of=as_of, tracked_from=tracked_from(everyone, night), defaults_only=defaults_only)
    landmarks = training_landmarks(as_of, options.tracked_from, n_accounts=len(everyone.account_ids))
    drawn = draw_learned(everyone, panel=night.panel_accounts)
    facts = night.gather(drawn > 0)
    company = night.company_at(np.concatenate([landmarks, night.landmark]))
    table = build_features(facts, landmarks, company=company)
    model = fit_hazard(table, facts.spells, specs=feature_specs(facts), options=options, drawn=drawn[drawn > 0])
    of_panel = np.isin(facts.account_ids, night.panel.account_ids)
    panel_rows = take_rows(table, np.flatnonzero(of_panel[table.account]))
    return Fitted(model, compare_with_kaplan_meier(model, panel_rows, spells=facts.spells))


def draw_learned(everyone: Facts, *, panel: int) -> Floats:
    """With what probability each account is learned from, 0 for those that are not: the panel and, of the accounts
    that churned, as many again as the panel has. Of a company of no more accounts all are.
    """
    size, spells = len(everyone.account_ids), everyone.spells
    if size <= panel:
        return np.ones(size)
    churned = np.zeros(size, dtype=bool)
    churned[spells.account[spells.churned]] = True
    rank = rank_accounts(everyone.account_ids)
    drawn = np.zeros(size)
    for kind, first in ((churned, np.argsort(rank[churned], kind="stable")), (~churned, None)):
        members = np.flatnonzero(kind)
        kept = members[first[:panel]] if first is not None else members[rank[members] < panel]
        drawn[kept] = len(kept) / max(1, len(members))
    return drawn


def describe_fit(night: Night, fitted: Fitted, *, basis: str, why: str) -> dict[str, Any]:
    """The columns of a run that say what was fitted; `why` is a key of `REASONS`."""
    model, all_churns = fitted.model, int(night.everyone.spells.churned.sum())
    churns = model.n_churns if basis != "segment" else all_churns
    reason = REASONS[why].format(churns=churns, months=model.account_months)
    if basis in {"account", "prior"} and (others := all_churns - churns) > 0:
        reason += OTHER_CHURNS.format(others=others)
    document = model.to_json()
    return {
        "basis": basis,
        "basis_reason": reason,
        "document": document,
        "sha256": hashlib.sha256(document.encode()).hexdigest(),
        "report": {
            "churns": model.n_churns,
            "account_months": model.account_months,
            "newton_steps": model.n_steps,
            "tracked_from": model.options.tracked_from.isoformat(),
            "is_acceptable": fitted.is_acceptable,
            "drivers": [asdict(driver) for driver in list_drivers(model)],
            "quintiles": [asdict(gap) for gap in fitted.gaps],
        },
    }


def tracked_from(facts: Facts, night: Night) -> date:
    """The first tracked month: as set, else the first start of any account."""
    first_on: date = min(facts.spells.started_on.tolist(), default=night.run.as_of)
    return min(night.known.settings.tracked_from or first_on, night.run.as_of)


def _is_anything_published(night: Night) -> bool:
    with reading(night.engine) as session:
        return session.get(PublishedRun, CHURN) is not None
