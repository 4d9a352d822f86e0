"""What the published run says of one account: its curves, its health and why."""

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
from sqlalchemy import and_, bindparam, select
from sqlalchemy.orm import Session

from app.domain.causes import unpack_probabilities
from app.domain.features import Floats
from app.errors import NotFound, NotReady
from app.models.accounts import Account
from app.models.scores import FeatureSnapshot, ModelRun, PublishedRun, Score
from app.queries.explanations import DRIVERS, Explanation, explain
from app.queries.runs import CHURN, NOT_PUBLISHED, RUN_COLUMNS, Run


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """A probability by month ahead, months 1 to n, with its bounds at 90 %."""

    estimate: Floats
    lower: Floats
    upper: Floats


@dataclass(frozen=True, slots=True, eq=False)
class AccountScore:
    """`survival` is S, of the account; `retention` is R, of its revenue. None where the run has no curve for it."""

    account_id: int
    run: Run
    status: str
    basis: str
    arr_minor: int
    tenure_months: int | None
    started_on: date | None
    renewal_on: date | None
    churn_probability: float | None
    renewal_churn_probability: float | None
    risk: float | None
    health: float | None
    band: str | None
    coverage: float | None
    ltv_residual_minor: int | None
    ltv_historical_minor: int | None
    monthly_drift: float | None
    supported_months: int | None
    survival: Curve | None
    retention: Curve | None
    by_cause: dict[int, dict[str, float]] | None  # P(churn) within 1, 3, 6 and 12 months, by cause
    explanation: Explanation | None


SCALARS = tuple(AccountScore.__dataclass_fields__)[2:-4]
CURVES = tuple(f"{curve}{bound}" for curve in ("survival", "retention") for bound in ("", "_lower", "_upper"))


# Built once: building it costs more than running it.
SCORE = (
    select(
        Account.id,
        *(getattr(Score, name) for name in (*SCALARS, *CURVES)),
        Score.cause_probabilities,
        Score.contributions,
        FeatureSnapshot.values,
        DRIVERS.label("drivers"),
        *RUN_COLUMNS,
    )
    .select_from(Account)
    .outerjoin(PublishedRun, PublishedRun.kind == CHURN)
    .outerjoin(ModelRun, ModelRun.id == PublishedRun.run_id)
    .outerjoin(Score, and_(Score.run_id == ModelRun.id, Score.account_id == Account.id))
    .outerjoin(FeatureSnapshot, and_(FeatureSnapshot.run_id == Score.run_id, FeatureSnapshot.account_id == Account.id))
    .where(Account.id == bindparam("account_id"))
)


def load_score(session: Session, account_id: int) -> AccountScore:
    """Raises NotFound for no such account, NotReady where no run was published or none of it speaks of the account."""
    row = session.execute(SCORE, {"account_id": account_id}).one_or_none()
    if row is None:
        raise NotFound(f"There is no account {account_id}.")
    run_cells = row[-len(RUN_COLUMNS) :]
    if run_cells[0] is None:
        raise NotReady(NOT_PUBLISHED)
    if row.status is None:
        raise NotReady(f"Account {account_id} came after the last night; run `tenure nightly` to have it scored.")
    survival, retention = _curve(row, "survival"), _curve(row, "retention")
    scalars: dict[str, Any] = dict(zip(SCALARS, row[1:], strict=False))
    why = None if row.contributions is None else explain(row.drivers, row.contributions, values=row.values)
    return AccountScore(
        account_id=account_id,
        run=Run(*run_cells),
        **scalars,
        survival=survival,
        retention=retention or survival,
        by_cause=None if row.cause_probabilities is None else unpack_probabilities(row.cause_probabilities),
        explanation=why,
    )


def _curve(row: Any, name: str) -> Curve | None:
    packed = getattr(row, name)
    if packed is None:
        return None
    return Curve(
        unpack_curve(packed), unpack_curve(getattr(row, f"{name}_lower")), unpack_curve(getattr(row, f"{name}_upper"))
    )


def unpack_curve(packed: bytes) -> Floats:
    """A stored curve: little-endian float32, one value a month ahead."""
    return np.frombuffer(packed, dtype="<f4").astype(np.float64)
