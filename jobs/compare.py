"""The step that writes down whose health is another than in the run that is published now: what changed overnight."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.orm import Session, aliased

from app.db import reading
from app.models.scores import ModelRun, PublishedRun, Score, ScoreChange
from app.queries.runs import CHURN
from jobs.night import Night
from jobs.steps import Result, Write

# From best to worst; what is none of these says nothing of better or worse.
ORDER = ("healthy", "watch", "at_risk", "in_grace", "churned")


def compare_with_published(night: Night, results: Mapping[str, Result]) -> Write:
    """Compare the new run with the published one; the night made again, with what the first was compared with."""
    run_id, base_id = results["fit"]["run_id"], results["score"]["compared_with"]
    with reading(night.engine) as session:
        rows = [] if base_id is None else _changes(session, run_id, base_id=base_id)

    def write(session: Session) -> Result:
        if rows:
            session.execute(insert(ScoreChange), rows)
        session.get_one(ModelRun, run_id).compared_with_id = base_id
        return {"changes": len(rows)}

    return write


def find_base(session: Session, night: Night) -> int | None:
    """The run that the night is compared with; None before the first, and for a day before the published one's."""
    columns = (ModelRun.id, ModelRun.as_of, ModelRun.compared_with_id)
    published = (
        select(*columns).join(PublishedRun, PublishedRun.run_id == ModelRun.id).where(PublishedRun.kind == CHURN)
    )
    run = session.execute(published).one_or_none()
    if run is None or run.as_of > night.run.as_of:
        return None
    base_id: int | None = run.id if run.as_of < night.run.as_of else run.compared_with_id
    return base_id


def _changes(session: Session, run_id: int, *, base_id: int) -> list[dict[str, Any]]:
    new, old = aliased(Score), aliased(Score)
    statement = (
        select(new.account_id, old.band, old.status, old.arr_minor, new.band, new.status, new.arr_minor)
        .outerjoin(old, (old.account_id == new.account_id) & (old.run_id == base_id))
        .where(
            new.run_id == run_id,
            new.band.is_distinct_from(old.band) | new.status.is_distinct_from(old.status),
        )
    )
    return [row for found in session.execute(statement) if (row := _change(found, run_id))]


def _change(found: Sequence[Any], run_id: int) -> dict[str, Any] | None:
    """None where the band changed but nothing that is shown, or where the account never had recurring revenue."""
    account_id, old_band, old_status, old_arr, new_band, new_status, new_arr = found
    before, after = old_band or old_status, new_band or new_status
    if before == after or (before is None and after == "not_applicable"):
        return None
    return {
        "run_id": run_id,
        "account_id": account_id,
        "from_state": before,
        "to_state": after,
        "direction": _direction(before, after),
        "arr_minor": max(old_arr or 0, new_arr),
    }


def _direction(before: str | None, after: str) -> str:
    if before not in ORDER or after not in ORDER:
        return "other"
    return "worse" if ORDER.index(after) > ORDER.index(before) else "better"
