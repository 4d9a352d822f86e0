"""Definitions and the published run through the API."""

from flask.testing import FlaskClient

from app.domain.definitions import DEFINITIONS
from tests.api.conftest import Ask

FIGURES = (
    *("/accounts", "/accounts/1", "/accounts/1/health", "/accounts/1/retention", "/accounts/1/ltv", "/retention"),
    *("/ltv", "/ltv/summary", "/revenue/bookings", "/revenue/arr", "/models/current"),
)


def test_definitions_are_there_for_anyone(client: FlaskClient) -> None:
    found = client.get("/api/v1/definitions").json["data"]
    assert [each["id"] for each in found] == [each.id for each in DEFINITIONS]
    assert all(each["formula"] and each["words"] for each in found)


def test_the_published_run_says_what_it_rests_on(ask: Ask) -> None:
    found = ask("/models/current").json
    assert (found["id"], found["basis"], found["basis_reason"]) == (1, "account", "Learned from 9 churns.")
    assert found["report"]["churns"] == 9
    assert found["evaluation"]["reason"] == "not_run"
    assert found["sha256"] == "0" * 64


def test_every_figure_names_definitions_that_exist_and_its_moment(ask: Ask) -> None:
    known = {each.id for each in DEFINITIONS}
    for path in FIGURES:
        meta = ask(path).json["meta"]
        assert meta["definitions"], path
        assert set(meta["definitions"]) <= known
        assert meta["as_of"] == "2026-03-01"
        assert meta["known_at"] == "2026-02-28T20:00:00Z"
        assert meta["currency"] == "USD"
        assert meta["freshness"]["facts_recorded_at"]
        assert meta["model_run_id"] == (None if path.startswith("/revenue") else 1)


def test_a_definition_is_shown_by_its_version_and_an_unknown_one_is_a_problem_that_names_those_there_are(
    client: FlaskClient,
) -> None:
    shown = client.get("/api/v1/definitions/nrr@1").json
    assert (shown["id"], shown["name"]) == ("nrr@1", "Net revenue retention")
    assert shown in client.get("/api/v1/definitions").json["data"]
    unknown = client.get("/api/v1/definitions/churn@7")
    assert (unknown.status_code, unknown.mimetype) == (404, "application/problem+json")
    assert unknown.json["detail"] == "There is no definition 'churn@7'; there are: churn@1, churn@2."
