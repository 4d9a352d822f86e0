"""What the runs that were published some months ago said, and what has happened since."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import date
from typing import Any

import numpy as np
from sqlalchemy import ColumnElement, Row, func, select
from sqlalchemy.orm import Session

from app.db import reading
from app.domain.follow_up import follow_up
from app.domain.hazard_clock import months_before
from app.domain.months import add_months
from app.domain.survival import FORECAST_MONTHS
from app.models.scores import ModelRun, Score
from app.queries.runs import CHURN
from jobs.night import Night

MONTHS = (1, 3, 6, 12)
MOST_ACCOUNTS = 20_000  # of more a part says as much


def follow_up_runs(night: Night) -> list[dict[str, Any]]:
    """Of the latest run that was published at least 1, 3, 6 and 12 months ago, and no month longer: what came of it."""
    with reading(night.engine) as session:
        return list(_follow_up(session, night))


def _follow_up(session: Session, night: Night) -> Iterator[dict[str, Any]]:
    as_of = night.run.as_of
    for months in MONTHS:
        run = _find_run(session, before=add_months(as_of, -months), after=add_months(as_of, -months - 1))
        if run is None:
            continue
        rows = session.execute(
            select(Score.account_id, Score.survival).where(
                Score.run_id == run.id, Score.survival.is_not(None), _is_drawn(session, run.id)
            )
        ).all()
        elapsed = months_before(as_of, run.as_of)
        curves = np.frombuffer(b"".join(row.survival for row in rows), dtype="<f4").reshape(len(rows), FORECAST_MONTHS)
        asked = np.flatnonzero(curves[:, -1] > 0)  # a curve ends at 0 where a notice ends it: that is no forecast
        account_ids = np.array([row.account_id for row in rows], dtype=np.int64)[asked]
        probability = 1.0 - curves[asked, elapsed - 1].astype(np.float64)
        found = follow_up(night.everyone, account_ids, probability=probability, said_on=run.as_of, months=elapsed)
        if found is not None:
            yield asdict(found) | {"run_id": run.id, "as_of": run.as_of.isoformat()}


def _find_run(session: Session, *, before: date, after: date) -> Row[int, date] | None:
    return session.execute(
        select(ModelRun.id, ModelRun.as_of)
        .where(
            ModelRun.kind == CHURN,
            ModelRun.published_at.is_not(None),
            ModelRun.as_of <= before,
            ModelRun.as_of > after,
        )
        .order_by(ModelRun.as_of.desc(), ModelRun.id.desc())
        .limit(1)
    ).one_or_none()


def _is_drawn(session: Session, run_id: int) -> ColumnElement[bool]:
    """Every account, or every so-many-th where there are many: ids go by arrival, so each age is there."""
    n = session.scalar(select(func.count()).select_from(Score).where(Score.run_id == run_id)) or 0
    return Score.account_id % max(1, -(-n // MOST_ACCOUNTS)) == 0
