"""Users by API: added, given a role, shut out, let in; by administrators only, and on record."""

from typing import Any

import pytest
from flask.testing import FlaskClient

from app.db import reading, transaction
from app.http import Application
from app.queries.audit import Asked, list_entries
from app.schemas.users import ROLES as ROLES_OF_SCHEMA
from app.services.changes import recording
from app.services.tokens import WantedToken, create_token
from app.services.users import ROLES, NewUser, add_user, verify_password
from tests.small_company import NOW

PASSWORD = "three unrelated words"
BO = {"name": "Bo", "email": "bo@example.com", "password": PASSWORD, "role": "csm"}


@pytest.fixture
def app(app: Application) -> Application:
    app.clock = lambda: NOW
    with transaction(app.engine) as session, recording(session, "test", clock=lambda: NOW) as change:
        add_user(session, change, new=NewUser("Ai", "ai@example.com", PASSWORD))
    return app


@pytest.fixture
def headers(app: Application) -> dict[str, str]:
    with transaction(app.engine) as session:
        made = create_token(session, WantedToken("an admin", ["admin"]), actor="command", now=NOW)
    return {"Authorization": f"Bearer {made.token}"}


def post(client: FlaskClient, path: str, headers: dict[str, str], body: Any = None) -> Any:
    return client.post(f"/api/v1{path}", headers=headers, **({"json": body} if body else {}))


def test_a_user_is_added_with_a_role_and_can_log_in(
    app: Application, client: FlaskClient, headers: dict[str, str]
) -> None:
    made = post(client, "/users", headers, BO)
    assert made.status_code == 201
    assert (made.json["name"], made.json["role"], made.json["is_active"]) == ("Bo", "csm", True)
    assert "password" not in made.text
    with reading(app.engine) as session:
        assert verify_password(session, email="bo@example.com", password=PASSWORD).user_id == made.json["id"]
    listed = client.get("/api/v1/users", headers=headers).json["data"]
    assert [(user["name"], user["role"]) for user in listed] == [("Ai", "admin"), ("Bo", "csm")]


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"role": "root"}, 400),
        ({"password": "short"}, 400),
        ({"email": "nobody"}, 400),
        ({"name": ""}, 400),
        ({"name": "a\nb"}, 400),
        ({"email": "AI@example.com"}, 409),
    ],
)
def test_a_user_that_cannot_be_is_refused(
    client: FlaskClient, headers: dict[str, str], wrong: dict[str, str], status: int
) -> None:
    assert post(client, "/users", headers, BO | wrong).status_code == status
    assert len(client.get("/api/v1/users", headers=headers).json["data"]) == 1


def test_role_password_and_door_are_changed_and_it_is_on_record(
    app: Application, client: FlaskClient, headers: dict[str, str]
) -> None:
    user_id = post(client, "/users", headers, BO).json["id"]
    assert post(client, f"/users/{user_id}/role", headers, {"role": "finance"}).json["role"] == "finance"
    assert post(client, f"/users/{user_id}/deactivate", headers).json["is_active"] is False
    assert post(client, f"/users/{user_id}/reactivate", headers).json["is_active"] is True
    new = {"password": "four quite unrelated words"}
    assert post(client, f"/users/{user_id}/password", headers, new).status_code == 204
    with reading(app.engine) as session:
        assert verify_password(session, email="bo@example.com", password=new["password"]).user_id == user_id
        acts = [(entry.actor, entry.action) for entry in list_entries(session, Asked()).entries]
    assert acts[:5] == [
        ("token:1", "user.password_changed"),
        ("token:1", "user.reactivated"),
        ("token:1", "user.deactivated"),
        ("token:1", "user.role_changed"),
        ("token:1", "user.added"),
    ]


def test_the_last_administrator_stays(client: FlaskClient, headers: dict[str, str]) -> None:
    assert post(client, "/users/1/deactivate", headers).status_code == 409
    assert post(client, "/users/1/role", headers, {"role": "csm"}).status_code == 409


@pytest.mark.parametrize("act", ["deactivate", "reactivate"])
def test_a_user_who_is_not_there(client: FlaskClient, headers: dict[str, str], act: str) -> None:
    assert post(client, f"/users/99/{act}", headers).status_code == 404


def test_the_document_names_the_roles_that_there_are() -> None:
    assert ROLES_OF_SCHEMA == ROLES


def test_the_audit_is_read_a_page_at_a_time_and_as_csv(client: FlaskClient, headers: dict[str, str]) -> None:
    post(client, "/users", headers, BO)
    first = client.get("/api/v1/audit?limit=2", headers=headers)
    assert [entry["action"] for entry in first.json["data"]] == ["user.added", "token.created"]
    link = first.headers["Link"].partition(">")[0].removeprefix("<")
    second = client.get(link, headers=headers)
    assert [entry["subject"] for entry in second.json["data"]] == ["user:1"]
    assert "Link" not in second.headers
    mine = client.get("/api/v1/audit?actor=token:1&action=user.", headers=headers).json["data"]
    assert [entry["details"] for entry in mine] == [{"role": "csm"}]
    table = client.get("/api/v1/audit?format=csv", headers=headers)
    assert table.mimetype == "text/csv"
    assert table.data.decode("utf-8-sig").splitlines()[0] == "id,at,actor,action,subject,details,digest"
    assert len(table.data.splitlines()) == 4
