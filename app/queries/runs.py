"""The published run: what it rests on, and whether the service can answer at all."""

from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.errors import NotReady
from app.migrate import is_current
from app.models.scores import ModelRun, PublishedRun
from app.queries.feeds import STALE, split_names

CHURN = "churn"
NOT_PUBLISHED = "Nothing has been computed yet: import deals, then run `tenure nightly`."


@dataclass(frozen=True, slots=True)
class Run:
    """One fit and scoring as of a date, from what was known at an instant."""

    id: int
    kind: str
    as_of: date
    known_at: datetime
    created_at: datetime
    definition: str
    basis: str
    basis_reason: str
    currency: str
    sha256: str
    compared_with_id: int | None
    stale: str | None = None  # feeds that are stale now; of a run that was asked for by its id: none

    @property
    def stale_feeds(self) -> tuple[str, ...]:
        return split_names(self.stale)


@dataclass(frozen=True, slots=True)
class Readiness:
    is_reachable: bool
    is_migrated: bool
    has_run: bool


RUN_COLUMNS = (*(getattr(ModelRun, name) for name in Run.__dataclass_fields__ if name != "stale"), STALE)
ONE_RUN = select(*RUN_COLUMNS).where(ModelRun.id == bindparam("run_id"), ModelRun.kind == CHURN)
PUBLISHED = (
    select(*RUN_COLUMNS).join(PublishedRun, PublishedRun.run_id == ModelRun.id).where(PublishedRun.kind == CHURN)
)


def find_run(session: Session, *, run_id: int | None = None) -> Run | None:
    """The published run, or the one with this id; None where there is none."""
    rows = session.execute(PUBLISHED) if run_id is None else session.execute(ONE_RUN, {"run_id": run_id})
    row = rows.one_or_none()
    if row is None:
        return None
    return Run(*row) if run_id is None else replace(Run(*row), stale=None)


def load_run(session: Session) -> Run:
    """The published run; NotReady where there is none."""
    run = find_run(session)
    if run is None:
        raise NotReady(NOT_PUBLISHED)
    return run


def load_run_report(session: Session, run: Run) -> dict[str, Any]:
    """What the run reports of itself: counts, guards, defaults."""
    report: dict[str, Any] = session.execute(select(ModelRun.report).where(ModelRun.id == run.id)).scalar_one()
    return report


def check_readiness(session: Session) -> Readiness:
    try:
        if not is_current(session.connection()):
            return Readiness(is_reachable=True, is_migrated=False, has_run=False)
        return Readiness(is_reachable=True, is_migrated=True, has_run=find_run(session) is not None)
    except OperationalError:
        return Readiness(is_reachable=False, is_migrated=False, has_run=False)
