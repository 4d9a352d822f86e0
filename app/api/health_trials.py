"""Weights of health: tried out, replayed on the past by the worker, and published."""

from typing import Any

from app.api.endpoint import Reply, endpoint
from app.api.health_said import READ, known_now
from app.auth import current_actor
from app.http import database, now
from app.queries import health_trials as queries
from app.schemas import trials as schemas
from app.services.health_trials import make_trial, publish_trial

ADMIN = "admin"
ONE = "/health-trials/<id:trial_id>"


@endpoint("/health-trials", scope=READ, answer=schemas.TrialList())
def list_health_trials() -> Reply:
    """Weights of health that were tried out."""
    return Reply({"data": queries.list_trials(database())})


@endpoint(ONE, scope=READ, answer=schemas.TrialItem())
def show_health_trial(trial_id: int) -> Reply:
    """One trial: how far its replay is, and what it found.

    The replay asks, over the year behind the published run, which accounts would flip today, how many alerts a day
    there would have been, and how right the weighted risks of a year ago would have been beside those calculated.
    """
    return Reply(queries.find_trial(database(), trial_id))


@endpoint(
    "/health-trials", method="POST", scope=ADMIN, body=schemas.TrialBody(), answer=schemas.TrialItem(), status=201
)
def make_health_trial(body: dict[str, Any]) -> Reply:
    """Try weights out; they change nothing yet. The worker replays them within minutes."""
    trial_id = make_trial(database(), body["name"], weights=body["weights"], actor=current_actor(), at=now())
    return Reply(queries.find_trial(database(), trial_id), status=201)


@endpoint(f"{ONE}/publish", method="POST", scope=ADMIN, answer=schemas.TrialItem())
def publish_health_trial(trial_id: int) -> Reply:
    """Let the weights count, from the next night on.

    A version of the setting health_weights, from today. To go back, publish an earlier trial, or one without weights.
    """
    publish_trial(database(), trial_id, actor=current_actor(), at=now(), today=known_now().as_of)
    return Reply(queries.find_trial(database(), trial_id))
