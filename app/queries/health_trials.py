"""Weights of health that are tried out, with what a replay on the past found."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.errors import NotFound
from app.models.accounts import AccountVersion
from app.models.health import HealthTrial
from app.queries.known import in_force, valid_on

MOST_TRIALS = 200


@dataclass(frozen=True, slots=True)
class Trial:
    """`replay` says how far it is (`done` of `steps`) and, at the end, what it `found`."""

    id: int
    name: str
    weights: dict[str, dict[str, float]]
    actor: str
    created_at: datetime
    replay: dict[str, Any] | None
    replayed_at: datetime | None
    error: str | None
    published_at: datetime | None
    published_by: str | None

    @property
    def state(self) -> str:
        if self.error is not None:
            return "failed"
        if self.published_at is not None:
            return "published"
        return "waiting" if self.replay is None else "running" if self.replayed_at is None else "replayed"


COLUMNS = tuple(getattr(HealthTrial, name) for name in Trial.__dataclass_fields__)


def list_trials(session: Session) -> list[Trial]:
    """The newest first, at most MOST_TRIALS."""
    rows = session.execute(select(*COLUMNS).order_by(HealthTrial.id.desc()).limit(MOST_TRIALS))
    return [Trial(*row) for row in rows]


def find_trial(session: Session, trial_id: int) -> Trial:
    """Raises NotFound."""
    row = session.execute(select(*COLUMNS).where(HealthTrial.id == trial_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no trial of weights {trial_id}.")
    return Trial(*row)


def find_waiting_trial(session: Session) -> Trial | None:
    """The oldest that has not been replayed to its end, and has not failed."""
    waiting = select(*COLUMNS).where(HealthTrial.replayed_at.is_(None), HealthTrial.error.is_(None))
    row = session.execute(waiting.order_by(HealthTrial.id).limit(1)).one_or_none()
    return None if row is None else Trial(*row)


def load_segments(session: Session, *, as_of: date, known_at: datetime) -> dict[int, str | None]:
    """The segment of each account on a day."""
    version = AccountVersion
    rows = session.execute(
        select(version.account_id, version.segment).where(in_force(version, known_at), valid_on(version, as_of))
    )
    segments: dict[int, str | None] = dict(rows.all())
    return segments
