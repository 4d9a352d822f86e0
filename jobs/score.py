"""The step that says of every account how likely it stays and what it is worth, and of every group.

Accounts are scored and written part by part, so that the memory is that of a part. Nobody sees the rows before the
step has its mark and the run is published; what a dead attempt left is taken away before the first part.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from app.db import Base, reading
from app.domain.causes import pack_probabilities
from app.domain.features import Bools, Floats
from app.domain.health import BANDS, Health
from app.domain.ltv import expansion_value, lifetime_value
from app.domain.months import MONTHS_OF_A_YEAR
from app.domain.survival import HazardModel
from app.errors import Conflict
from app.models.scores import FeatureSnapshot, ModelRun, Score
from app.services.bulk import add_columns
from jobs.compare import find_base
from jobs.groups import GroupTotals, curve_rows
from jobs.health_moves import HealthMoves
from jobs.inputs import count_known, list_inputs, report_inputs
from jobs.ledger import NOT_APPLICABLE
from jobs.new_customers import new_customer_rows
from jobs.night import Night
from jobs.scoring import ScoredPart, Scoring
from jobs.steps import Result, Write

CURVES = ("survival", "retention")
Columns = dict[str, NDArray[Any]]


def score_accounts(night: Night, results: Mapping[str, Result]) -> Write:
    """Score every account and group as of the night's date with the model that the night fitted."""
    run_id = results["fit"]["run_id"]
    scoring, base_id = _load(night, run_id)
    moves, totals = HealthMoves(scoring, base_id=base_id), GroupTotals(scoring)
    known, broken = np.zeros(len(scoring.model.specs), dtype=np.int64), 0
    _clear(night, run_id)
    for part in scoring.parts():
        live = _live_columns(part) | {"health_moves": moves.find(part)}
        others = _other_columns(part, basis=scoring.basis)
        totals.add(part)
        known, broken = known + count_known(part), broken + part.forecast.n_broken
        with night.work.writing() as session:
            for columns in (*_split(live, differs=part.forecast.differs), others):
                _add(session, Score, columns=columns, run_id=run_id)
            _add(session, FeatureSnapshot, columns=_snapshot_columns(part), run_id=run_id)
    by_group = (totals.rows(), curve_rows(scoring), new_customer_rows(scoring))
    inputs = list_inputs(scoring, known)

    def write(session: Session) -> Result:
        for group_table, rows in by_group:
            if rows:
                session.execute(insert(group_table), [row | {"run_id": run_id} for row in rows])
        run = session.get_one(ModelRun, run_id)
        run.report = report_inputs(run.report, inputs)
        return {
            "accounts": len(scoring.page.ids),
            "scored": len(scoring.live),
            "broken_curves": broken,
            "compared_with": base_id,
        }

    return write


def _load(night: Night, run_id: int) -> tuple[Scoring, int | None]:
    """The model that was fitted, and the run that this one is compared with."""
    with reading(night.engine) as session:
        stored = select(ModelRun.basis, ModelRun.document, ModelRun.sha256).where(ModelRun.id == run_id)
        basis, document, sha256 = session.execute(stored).one()
        base_id = find_base(session, night)
    if hashlib.sha256(document.encode()).hexdigest() != sha256:
        raise Conflict("The stored model is not the one that was fitted; make the night anew with --again.")
    return Scoring(night, basis=basis, model=HazardModel.from_json(document)), base_id


def _clear(night: Night, run_id: int) -> None:
    """Take away what an attempt that died had written."""
    with night.work.writing() as session:
        for table in (Score, FeatureSnapshot):
            session.execute(delete(table).where(table.run_id == run_id))


def _add(session: Session, table: type[Base], *, columns: Columns, run_id: int) -> None:
    size = len(columns["account_id"])
    add_columns(session, table, columns={"run_id": np.full(size, run_id)} | columns)


def _other_columns(part: ScoredPart, *, basis: str) -> Columns:
    """The accounts without a curve: not yet there, in grace, gone, or never with recurring revenue."""
    page, (first, last) = part.scoring.page, part.part.span
    own = slice(*np.searchsorted(page.ids, [first, last + 1]).tolist())
    rows = np.arange(own.start, own.stop)[~np.isin(page.ids[own], part.account_ids)]
    has_revenue = page.status[rows] != NOT_APPLICABLE
    return {
        "account_id": page.ids[rows],
        "status": page.status[rows],
        "basis": np.where(has_revenue, basis, NOT_APPLICABLE).astype(object),
        "arr_minor": page.arr_minor[rows],
        "started_on": page.started_on[rows],
        "ltv_historical_minor": page.earned_minor[rows],
    }


def _live_columns(part: ScoredPart) -> Columns:
    """The columns of the accounts that have a curve."""
    forecast, table, page = part.forecast, part.table, part.scoring.page
    bounds = forecast.bounds()
    curves = {name: (getattr(forecast, name), *bounds[name]) for name in CURVES}
    churn = 1.0 - forecast.survival[:, MONTHS_OF_A_YEAR - 1]
    rows = np.searchsorted(page.ids, part.account_ids)
    arr = page.arr_minor[rows]
    return {
        "account_id": part.account_ids,
        "status": page.status[rows],
        "basis": np.full(len(arr), part.scoring.basis, dtype=object),
        "arr_minor": arr,
        "started_on": table.started_on,
        "tenure_months": forecast.tenure_months,
        "renewal_on": table.renewal_on,
        "churn_probability": churn,
        "cause_probabilities": pack_probabilities(forecast.cause_probabilities),
        "arr_at_risk_minor": np.rint(arr * churn).astype(np.int64),
        "renewal_churn_probability": forecast.renewal_churn,
        "monthly_drift": part.drift,
        "supported_months": forecast.supported_months,
        "ltv_historical_minor": page.earned_minor[rows],
        **_value_columns(part, bounds["retention"]),
        **({} if part.health is None else _health_columns(part.health)),
        **{
            f"{name}{bound}": curve.astype("<f4")
            for name, three in curves.items()
            for bound, curve in zip(("", "_lower", "_upper"), three, strict=True)
        },
    }


def _split(live: Columns, *, differs: Bools) -> Iterator[Columns]:
    """Retention is stored only where it is not survival, so the rows come in two kinds."""
    yield {name: column[differs] for name, column in live.items()}
    yield {name: column[~differs] for name, column in live.items() if not name.startswith("retention")}


def _value_columns(part: ScoredPart, bounds: tuple[Floats, Floats]) -> Columns:
    mrr, retention, terms = part.mrr, part.forecast.retention, part.scoring.terms
    lower, upper = (lifetime_value(mrr, bound, terms=terms) for bound in bounds)
    value = {
        "ltv_residual_minor": lifetime_value(mrr, retention, terms=terms),
        "ltv_residual_lower_minor": lower,
        "ltv_residual_upper_minor": upper,
        "ltv_expansion_minor": expansion_value(mrr, retention, drift=part.drift, terms=terms),
    }
    return {name: np.rint(amount).astype(np.int64) for name, amount in value.items()}


def _health_columns(health: Health) -> Columns:
    return {
        "risk": health.risk,
        "health": health.score,
        "band": np.array([*BANDS, None], dtype=object)[health.band],
        "coverage": health.coverage,
        "contributions": np.column_stack([health.reference_logit, health.contributions]).astype("<f8"),
    }


def _snapshot_columns(part: ScoredPart) -> Columns:
    size = len(part.table.account)
    return {
        "account_id": part.account_ids,
        "landmark": np.full(size, part.scoring.night.run.as_of, dtype="datetime64[D]"),
        "values": part.table.values.astype("<f8"),
        "term_months": part.table.term_months,
        "coverage": np.ones(size) if part.health is None else part.health.coverage,
    }
