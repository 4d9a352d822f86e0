"""The step that says of every account how likely it stays and what it is worth, and of every group."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from app.db import Base, reading
from app.domain.contracts import LineState
from app.domain.features import Floats
from app.domain.health import BANDS, Health
from app.domain.ltv import expansion_value, lifetime_value
from app.domain.months import MONTHS_OF_A_YEAR
from app.domain.survival import HazardModel
from app.errors import Conflict
from app.models.accounts import Account
from app.models.scores import FeatureSnapshot, ModelRun, Score
from app.queries.arr import AccountArr, load_account_arr
from app.queries.contract_lines import load_recurring_lines
from app.queries.groups import load_groups
from jobs.groups import curve_rows, draw_rows
from jobs.night import Night
from jobs.scoring import Scoring
from jobs.steps import Result, Write

CHUNK = 5_000
STATUS = {
    LineState.LIVE: "live",
    LineState.IN_GRACE: "in_grace",
    LineState.NOT_STARTED: "upcoming",
    LineState.ENDED: "churned",
}
Row = dict[str, Any]


def score_accounts(night: Night, results: Mapping[str, Result]) -> Write:
    """Score every account and group as of the night's date with the model that the night fitted."""
    run_id = results["fit"]["run_id"]
    with reading(night.engine) as session:
        stored = select(ModelRun.basis, ModelRun.document, ModelRun.sha256).where(ModelRun.id == run_id)
        basis, document, sha256 = session.execute(stored).one()
        known = night.known
        lines = load_recurring_lines(session, known_at=known.known_at, grace_days=known.settings.grace_days)
        arr = load_account_arr(session, known, lines=lines)
        labels = load_groups(session, known, facts=night.facts, lines=lines).labels
        accounts = session.scalars(select(Account.id).order_by(Account.id)).all()
    account_arr = np.array([arr[account_id].minor for account_id in night.facts.account_ids.tolist()], dtype=np.int64)
    if hashlib.sha256(document.encode()).hexdigest() != sha256:
        raise Conflict("The stored model is not the one that was fitted; make the night anew with --again.")
    model = HazardModel.from_json(document)
    scoring = Scoring(night, basis=basis, model=model, labels=dict(labels), account_arr=account_arr)
    of_live = {row["account_id"]: row for row in _live_rows(scoring)}
    blank = dict.fromkeys((column.name for column in Score.__table__.columns), None)
    written: list[tuple[type[Base], list[Row]]] = [
        (Score, [blank | _status_row(arr.get(i), i, basis=basis) | of_live.get(i, {}) for i in accounts]),
        (FeatureSnapshot, list(_snapshot_rows(scoring))),
        draw_rows(scoring),
        curve_rows(scoring),
    ]

    def write(session: Session) -> Result:
        for table, rows in written:
            _insert(session, table, rows=[row | {"run_id": run_id} for row in rows])
        return {"accounts": len(accounts), "scored": len(of_live), "broken_curves": scoring.forecast.n_broken}

    return write


def _insert(session: Session, table: type[Base], *, rows: Sequence[Row]) -> None:
    for start in range(0, len(rows), CHUNK):
        # Without render_nulls rows are cut into a statement for every pattern of empty columns.
        statement = insert(table).execution_options(render_nulls=True)
        session.execute(statement, rows[start : start + CHUNK])


def _status_row(arr: AccountArr | None, account_id: int, *, basis: str) -> Row:
    if arr is None:
        return {"account_id": account_id, "status": "not_applicable", "basis": "not_applicable", "arr_minor": 0}
    status = STATUS[arr.state]
    return {
        "account_id": account_id,
        "status": status,
        "basis": basis,
        "arr_minor": arr.minor,
        "started_on": arr.started_on,
    }


def _live_rows(scoring: Scoring) -> list[Row]:
    """The columns of the accounts that have a curve."""
    forecast, table = scoring.forecast, scoring.table
    survival, retention = forecast.bounds("survival"), forecast.bounds("retention")
    is_same = (forecast.survival == forecast.retention).all(axis=1)
    value, bounds = _values(scoring, retention)
    account_ids = scoring.night.facts.account_ids[table.account].tolist()
    churn = 1.0 - forecast.survival[:, MONTHS_OF_A_YEAR - 1]
    at_risk = np.rint(scoring.account_arr[table.account] * churn).astype(np.int64).tolist()
    rows = []
    for n, account_id in enumerate(account_ids):
        curves = {"survival": forecast.survival[n], "survival_lower": survival[0][n], "survival_upper": survival[1][n]}
        if not is_same[n]:
            curves |= {
                "retention": forecast.retention[n],
                "retention_lower": retention[0][n],
                "retention_upper": retention[1][n],
            }
        rows.append(
            {name: packed(curve) for name, curve in curves.items()}
            | {
                "account_id": account_id,
                "started_on": table.started_on[n].item(),
                "tenure_months": int(forecast.tenure_months[n]),
                "renewal_on": _day(table.renewal_on[n]),
                "churn_probability": float(churn[n]),
                "arr_at_risk_minor": at_risk[n],
                "renewal_churn_probability": _number(forecast.renewal_churn[n]),
                "ltv_residual_minor": round(value["residual"][n]),
                "ltv_residual_lower_minor": round(bounds[0][n]),
                "ltv_residual_upper_minor": round(bounds[1][n]),
                "ltv_expansion_minor": round(value["expansion"][n]),
                "monthly_drift": float(scoring.drift[n]),
                "supported_months": int(forecast.supported_months[n]),
            }
            | ({} if scoring.health is None else _health_row(scoring, scoring.health, n=n))
        )
    return rows


def _values(scoring: Scoring, bounds: tuple[Floats, Floats]) -> tuple[dict[str, Floats], list[Floats]]:
    mrr, retention, terms = scoring.mrr, scoring.forecast.retention, scoring.terms
    value = {
        "residual": lifetime_value(mrr, retention, terms=terms),
        "expansion": expansion_value(mrr, retention, drift=scoring.drift, terms=terms),
    }
    return value, [lifetime_value(mrr, bound, terms=terms) for bound in bounds]


def _health_row(scoring: Scoring, health: Health, *, n: int) -> Row:
    dimensions = [
        {
            "name": name,
            "contribution": float(health.dimension_contributions[n, j]),
            "is_known": bool(health.dimension_known[n, j]),
        }
        for j, name in enumerate(health.dimensions)
    ]
    band = int(health.band[n])
    return {
        "risk": float(health.risk[n]),
        "health": _number(health.score[n]),
        "band": None if band < 0 else BANDS[band],
        "coverage": float(health.coverage[n]),
        "explanation": {
            "reference_logit": float(health.reference_logit[n]),
            "drivers": list(_drivers(scoring, health, n=n)),
            "dimensions": dimensions,
        },
    }


def _drivers(scoring: Scoring, health: Health, *, n: int) -> Iterator[Row]:
    """The drivers of one account; the columns of an attribute, one a level, are one driver: the level it has."""
    levels: dict[str, Row] = {}
    for j, driver in enumerate(health.drivers):
        value = _number(scoring.table.values[n, j]) if j < scoring.table.values.shape[1] else None
        row = {
            "name": driver.name,
            "dimension": driver.dimension,
            "contribution": float(health.contributions[n, j]),
            "value": value,
            "is_known": bool(health.known[n, j]),
            "is_learned": driver.is_learned,
            "churns": driver.n_churns,
        }
        attribute, is_level, _ = driver.name.partition(": ")
        if not is_level:
            yield row
        elif attribute not in levels:
            levels[attribute] = row
        else:
            levels[attribute] = _joined(levels[attribute], row)
    yield from levels.values()


def _joined(one: Row, other: Row) -> Row:
    """Two levels of an attribute as one driver, named by the level that the account has."""
    named = other if other["value"] else one
    return named | {"contribution": one["contribution"] + other["contribution"]}


def _snapshot_rows(scoring: Scoring) -> list[Row]:
    coverage = np.ones(len(scoring.table.account)) if scoring.health is None else scoring.health.coverage
    return [
        {
            "account_id": account_id,
            "landmark": scoring.night.run.as_of,
            "values": values.astype("<f8").tobytes(),
            "coverage": float(covered),
        }
        for account_id, values, covered in zip(
            scoring.night.facts.account_ids[scoring.table.account].tolist(), scoring.table.values, coverage, strict=True
        )
    ]


def packed(curve: Floats) -> bytes:
    return curve.astype("<f4").tobytes()


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _day(value: np.datetime64) -> date | None:
    return None if np.isnat(value) else date.fromisoformat(str(value))
