"""The step that says of every account how likely it stays and what it is worth, and of every group."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from app.db import Base, reading
from app.domain.causes import pack_probabilities
from app.domain.contracts import LineState
from app.domain.features import Bools, Floats
from app.domain.health import BANDS, Health
from app.domain.ltv import expansion_value, lifetime_value
from app.domain.months import MONTHS_OF_A_YEAR, Ints
from app.domain.survival import HazardModel
from app.errors import Conflict
from app.models.accounts import Account
from app.models.products import Product
from app.models.scores import FeatureSnapshot, ModelRun, Score
from app.queries.arr import AccountArr, load_account_arr
from app.queries.earned import load_earned
from app.queries.groups import load_groups
from app.services.bulk import add_columns
from jobs.compare import find_base
from jobs.groups import curve_rows, draw_rows
from jobs.health_moves import find_health_moves
from jobs.inputs import list_inputs, report_inputs
from jobs.new_customers import new_customer_rows
from jobs.night import Night
from jobs.scoring import Scoring
from jobs.steps import Result, Write

STATUS = {
    LineState.LIVE: "live",
    LineState.IN_GRACE: "in_grace",
    LineState.NOT_STARTED: "upcoming",
    LineState.ENDED: "churned",
}
NOT_APPLICABLE = "not_applicable"
CURVES = ("survival", "retention")
Columns = dict[str, NDArray[Any]]


def score_accounts(night: Night, results: Mapping[str, Result]) -> Write:
    """Score every account and group as of the night's date with the model that the night fitted."""
    run_id = results["fit"]["run_id"]
    with reading(night.engine) as session:
        stored = select(ModelRun.basis, ModelRun.document, ModelRun.sha256).where(ModelRun.id == run_id)
        basis, document, sha256 = session.execute(stored).one()
        base_id = find_base(session, night)
        arr = load_account_arr(session, night.known, lines=night.lines)
        labels = load_groups(session, night.known, facts=night.facts, lines=night.lines).labels
        earned = load_earned(session, night.known, lines=night.lines)
        skus = dict(session.execute(select(Product.id, Product.sku)).all())
        accounts = np.array(session.scalars(select(Account.id).order_by(Account.id)).all(), dtype=np.int64)
    account_arr = np.array([arr[account_id].minor for account_id in night.facts.account_ids.tolist()], dtype=np.int64)
    if hashlib.sha256(document.encode()).hexdigest() != sha256:
        raise Conflict("The stored model is not the one that was fitted; make the night anew with --again.")
    model = HazardModel.from_json(document)
    by_sku = [{skus[n]: minor for n, minor in arr[i].by_product.items()} for i in night.facts.account_ids.tolist()]
    scoring = Scoring(night, basis=basis, model=model, labels=dict(labels), account_arr=account_arr, product_arr=by_sku)
    live = _live_columns(scoring, arr) | {"health_moves": find_health_moves(scoring, base_id=base_id)}
    others = _other_columns(np.setdiff1d(accounts, live["account_id"], assume_unique=True), arr, basis=basis)
    snapshots, inputs = _snapshot_columns(scoring, live["account_id"]), list_inputs(scoring)
    for columns in (live, others):
        columns["ltv_historical_minor"] = _earned_column(columns["account_id"], earned)
    by_group = (draw_rows(scoring), curve_rows(scoring), new_customer_rows(scoring))

    def write(session: Session) -> Result:
        for table, parts in (
            (Score, [*_split(live, differs=scoring.forecast.differs), others]),
            (FeatureSnapshot, [snapshots]),
        ):
            for columns in parts:
                _add(session, table, columns=columns, run_id=run_id)
        for group_table, rows in by_group:
            if rows:
                session.execute(insert(group_table), [row | {"run_id": run_id} for row in rows])
        run = session.get_one(ModelRun, run_id)
        run.report = report_inputs(run.report, inputs)
        scored = len(live["account_id"])
        return {
            "accounts": len(accounts),
            "scored": scored,
            "broken_curves": scoring.forecast.n_broken,
            "compared_with": base_id,
        }

    return write


def _add(session: Session, table: type[Base], *, columns: Columns, run_id: int) -> None:
    size = len(columns["account_id"])
    add_columns(session, table, columns={"run_id": np.full(size, run_id)} | columns)


def _other_columns(ids: Ints, arr: Mapping[int, AccountArr], *, basis: str) -> Columns:
    """The accounts without a curve: not yet there, in grace, gone, or never with recurring revenue."""
    known = [arr.get(i) for i in ids.tolist()]
    return {
        "account_id": ids,
        "status": np.array([NOT_APPLICABLE if each is None else STATUS[each.state] for each in known], dtype=object),
        "basis": np.array([NOT_APPLICABLE if each is None else basis for each in known], dtype=object),
        "arr_minor": np.array([0 if each is None else each.minor for each in known], dtype=np.int64),
        "started_on": np.array([None if each is None else each.started_on for each in known], dtype="datetime64[D]"),
    }


def _live_columns(scoring: Scoring, accounts: Mapping[int, AccountArr]) -> Columns:
    """The columns of the accounts that have a curve."""
    forecast, table = scoring.forecast, scoring.table
    bounds = forecast.bounds()
    curves = {name: (getattr(forecast, name), *bounds[name]) for name in CURVES}
    churn = 1.0 - forecast.survival[:, MONTHS_OF_A_YEAR - 1]
    ids, arr = scoring.night.facts.account_ids[table.account], scoring.account_arr[table.account]
    return {
        "account_id": ids,
        "status": np.array([STATUS[accounts[i].state] for i in ids.tolist()], dtype=object),
        "basis": np.full(len(arr), scoring.basis, dtype=object),
        "arr_minor": arr,
        "started_on": table.started_on,
        "tenure_months": forecast.tenure_months,
        "renewal_on": table.renewal_on,
        "churn_probability": churn,
        "cause_probabilities": pack_probabilities(forecast.cause_probabilities),
        "arr_at_risk_minor": np.rint(arr * churn).astype(np.int64),
        "renewal_churn_probability": forecast.renewal_churn,
        "monthly_drift": scoring.drift,
        "supported_months": forecast.supported_months,
        **_value_columns(scoring, bounds["retention"]),
        **({} if scoring.health is None else _health_columns(scoring.health)),
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


def _value_columns(scoring: Scoring, bounds: tuple[Floats, Floats]) -> Columns:
    mrr, retention, terms = scoring.mrr, scoring.forecast.retention, scoring.terms
    lower, upper = (lifetime_value(mrr, bound, terms=terms) for bound in bounds)
    value = {
        "ltv_residual_minor": lifetime_value(mrr, retention, terms=terms),
        "ltv_residual_lower_minor": lower,
        "ltv_residual_upper_minor": upper,
        "ltv_expansion_minor": expansion_value(mrr, retention, drift=scoring.drift, terms=terms),
    }
    return {name: np.rint(amount).astype(np.int64) for name, amount in value.items()}


def _earned_column(ids: Ints, earned: Mapping[int, int]) -> NDArray[Any]:
    return np.array([earned.get(i) for i in ids.tolist()], dtype=object)


def _health_columns(health: Health) -> Columns:
    return {
        "risk": health.risk,
        "health": health.score,
        "band": np.array([*BANDS, None], dtype=object)[health.band],
        "coverage": health.coverage,
        "contributions": np.column_stack([health.reference_logit, health.contributions]).astype("<f8"),
    }


def _snapshot_columns(scoring: Scoring, account_ids: Ints) -> Columns:
    size = len(account_ids)
    return {
        "account_id": account_ids,
        "landmark": np.full(size, scoring.night.run.as_of, dtype="datetime64[D]"),
        "values": scoring.table.values.astype("<f8"),
        "term_months": scoring.table.term_months,
        "coverage": np.ones(size) if scoring.health is None else scoring.health.coverage,
    }
