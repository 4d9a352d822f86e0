"""Weights of health by API: tried out, published, taken back by publishing an earlier one."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from app.db import reading, transaction
from app.http import Application
from app.queries.settings import load_company_settings
from app.services.health_trials import note_failure, note_found, note_progress
from app.services.tokens import WantedToken, create_token
from tests.small_company import NOW

WEIGHTS = {"": {"support": 1.5}, "smb": {"commercial": 0}}


@pytest.fixture
def call(company: Application, client: FlaskClient) -> Any:
    with transaction(company.engine) as session:
        token = create_token(session, WantedToken("admin", ("admin",)), actor="command", now=NOW).token

    def call(method: str, path: str, body: Any = None) -> Any:
        return client.open(f"/api/v1{path}", method=method, json=body, headers={"Authorization": f"Bearer {token}"})

    return call


def made(call: Any, weights: Any = None) -> int:
    answer = call(
        "POST", "/health-trials", {"name": "Support counts more", "weights": WEIGHTS if weights is None else weights}
    )
    assert answer.status_code == 201, answer.text
    return int(answer.json["id"])


def replayed(company: Application, trial_id: int) -> None:
    with transaction(company.engine) as session:
        note_progress(session, trial_id, done=13, steps=13)
        note_found(session, trial_id, found={"accounts": 3, "flips": {"watch>at_risk": 1}}, at=NOW)


def in_force(company: Application) -> Any:
    with reading(company.engine) as session:
        return load_company_settings(session).health_weights


def test_a_trial_waits_runs_and_is_replayed(call: Any, company: Application) -> None:
    trial_id = made(call)
    first = call("GET", f"/health-trials/{trial_id}").json
    assert (first["state"], first["weights"], first["replay"]) == ("waiting", WEIGHTS, None)
    with transaction(company.engine) as session:
        note_progress(session, trial_id, done=4, steps=13)
    running = call("GET", f"/health-trials/{trial_id}").json
    assert (running["state"], running["replay"]) == ("running", {"done": 4, "steps": 13})
    replayed(company, trial_id)
    [listed] = call("GET", "/health-trials").json["data"]
    assert (listed["state"], listed["replay"]["found"]["flips"]) == ("replayed", {"watch>at_risk": 1})
    assert in_force(company) == {}


def test_what_was_not_replayed_cannot_be_published(call: Any, company: Application) -> None:
    trial_id = made(call)
    assert call("POST", f"/health-trials/{trial_id}/publish").status_code == 409
    with transaction(company.engine) as session:
        note_failure(session, trial_id, error="There is no year behind.")
    assert call("GET", f"/health-trials/{trial_id}").json["state"] == "failed"
    assert call("POST", f"/health-trials/{trial_id}/publish").status_code == 409
    assert call("POST", "/health-trials/99/publish").status_code == 404


def test_published_weights_are_a_version_of_the_setting_and_go_back_by_an_earlier_one(
    call: Any, company: Application
) -> None:
    none, some = made(call, {}), made(call)
    for trial_id, weights in ((some, WEIGHTS), (none, {}), (some, WEIGHTS)):
        replayed(company, trial_id)
        answer = call("POST", f"/health-trials/{trial_id}/publish")
        assert (answer.status_code, answer.json["state"]) == (200, "published")
        assert in_force(company) == weights
    acts = [entry["action"] for entry in call("GET", "/audit").json["data"]]
    assert acts.count("health_trial.published") == 3
    assert acts.count("setting.changed") == 3


@pytest.mark.parametrize(
    "weights",
    [
        {"": {"support": 3.5}},
        {"": {"support": -1}},
        {"": {"luck": 1}},
        {"": {"support": "2"}},
        {"": {"support": True}},
        {"": 2},
        {"": {"support": None}},
        {f"segment {n}": {"support": 1} for n in range(51)},
        {"s" * 101: {"support": 1}},
    ],
)
def test_what_is_no_weight_is_refused(call: Any, weights: Any) -> None:
    assert call("POST", "/health-trials", {"name": "x", "weights": weights}).status_code == 400
