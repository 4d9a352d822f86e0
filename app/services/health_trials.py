"""Trying weights of health out, and publishing those that stood the test."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from sqlalchemy.orm import Session

from app.domain.texts import is_one_line
from app.errors import Conflict, Invalid, NotFound
from app.models.health import HealthTrial
from app.models.settings import SettingVersion
from app.services.audit import Act, record_act
from app.services.changes import recording
from app.services.settings import check_health_weights, record_settings

LONGEST_NAME = 200
MOST_ERROR = 2_000


def make_trial(session: Session, name: str, *, weights: Mapping[str, Any], actor: str, at: datetime) -> int:
    """Weights to be replayed on the past, by segment ("" is every other) and dimension; its id. Raises Invalid."""
    if not 1 <= len(name.strip()) <= LONGEST_NAME or not is_one_line(name):
        raise Invalid(
            f"A trial needs a name of 1 to {LONGEST_NAME} characters, on one line.", {"name": ["does not fit"]}
        )
    trial = HealthTrial(name=name.strip(), weights=check_health_weights(weights), actor=actor, created_at=at)
    session.add(trial)
    session.flush()
    act = Act("health_trial.made", f"health_trial:{trial.id}", {"weights": trial.weights})
    record_act(session, act, actor=actor, at=at)
    return trial.id


def note_progress(session: Session, trial_id: int, *, done: int, steps: int) -> None:
    session.get_one(HealthTrial, trial_id).replay = {"done": done, "steps": steps}


def note_found(session: Session, trial_id: int, *, found: Mapping[str, Any], at: datetime) -> None:
    """The replay came to its end."""
    trial = session.get_one(HealthTrial, trial_id)
    trial.replay, trial.replayed_at = (trial.replay or {}) | {"found": found}, at


def note_failure(session: Session, trial_id: int, *, error: str) -> None:
    session.get_one(HealthTrial, trial_id).error = error[:MOST_ERROR]


def publish_trial(session: Session, trial_id: int, *, actor: str, at: datetime, today: date) -> None:
    """Let the weights count from today on: a version of the setting `health_weights`, used by the next night.

    To go back, publish an earlier trial, or one without weights. Raises NotFound; Conflict for one that has not been
    replayed yet.
    """
    trial = session.get(HealthTrial, trial_id, with_for_update=True)
    if trial is None:
        raise NotFound(f"There is no trial of weights {trial_id}.")
    if trial.replayed_at is None:
        raise Conflict("It has not been replayed on the past yet; the worker does that.")
    with recording(session, actor, clock=lambda: at) as change:
        trial.published_at, trial.published_by = at, actor
        record_act(session, Act("health_trial.published", f"health_trial:{trial.id}"), actor=actor, at=at)
        record_settings(session, change, values={"health_weights": trial.weights}, valid_from=today)


def restore_weights(session: Session, version_id: int | None, *, actor: str, at: datetime, today: date) -> None:
    """Let weights that were set before count again from today on; None: those of the beginning, as calculated.

    Raises NotFound for what is no version of the setting `health_weights`.
    """
    weights: Mapping[str, Any] = {}
    if version_id is not None:
        version = session.get(SettingVersion, version_id)
        if version is None or version.name != "health_weights":
            raise NotFound(f"There are no weights {version_id}.")
        weights = version.value
    with recording(session, actor, clock=lambda: at) as change:
        record_settings(session, change, values={"health_weights": weights}, valid_from=today)
