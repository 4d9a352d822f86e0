"""Tokens made and ended through the API."""

from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import func, select

from app.db import reading, transaction
from app.http import Application
from app.models.users import Token
from app.services.tokens import WantedToken, create_token
from tests.small_company import NOW


def admin(app: Application) -> dict[str, str]:
    app.clock = lambda: NOW
    with transaction(app.engine) as session:
        made = create_token(session, WantedToken("the first", ["admin"]), actor="command", now=NOW)
    return {"Authorization": f"Bearer {made.token}"}


def test_a_token_is_shown_once_works_and_is_ended(app: Application, client: FlaskClient) -> None:
    headers = admin(app)
    body = {"name": "BI", "scopes": ["finance:read"], "expires_in_days": 30}
    made = client.post("/api/v1/tokens", json=body, headers=headers)
    assert made.status_code == 201
    assert made.json["expires_at"] == "2026-03-31T09:00:00Z"
    own = {"Authorization": f"Bearer {made.json['token']}"}
    assert client.get("/api/v1/revenue/arr", headers=own).status_code == 200
    assert client.get("/api/v1/tokens", headers=own).status_code == 403
    listed = client.get("/api/v1/tokens", headers=headers)
    assert made.json["token"] not in listed.text
    assert [each["prefix"] for each in listed.json["data"]][1] == made.json["prefix"]
    ended = client.delete(f"/api/v1/tokens/{made.json['id']}", headers=headers)
    assert (ended.status_code, ended.data) == (204, b"")
    assert client.get("/api/v1/revenue/arr", headers=own).status_code == 401
    assert client.delete("/api/v1/tokens/999", headers=headers).status_code == 404


BAD: dict[str, tuple[Any, str]] = {
    "no scope": ({"name": "BI", "scopes": []}, "scopes"),
    "a scope that is none": ({"name": "BI", "scopes": ["finance:red"]}, "finance:read"),
    "no name": ({"scopes": ["admin"]}, "name"),
    "a typing error": ({"nmae": "BI", "scopes": ["admin"]}, "did you mean name?"),
    "days as text": ({"name": "BI", "scopes": ["admin"], "expires_in_days": "30"}, "expires_in_days"),
    "no day at all": ({"name": "BI", "scopes": ["admin"], "expires_in_days": 0}, "expires_in_days"),
    "half a day": ({"name": "BI", "scopes": ["admin"], "expires_in_days": 1.5}, "expires_in_days"),
    "scopes that are no list": ({"name": "BI", "scopes": "admin"}, "scopes"),
    "scopes of another kind": ({"name": "BI", "scopes": [{"a": 1}]}, "scopes"),
    "a list": ([], "object"),
}


def test_a_bad_body_is_named_and_makes_nothing(app: Application, client: FlaskClient) -> None:
    headers = admin(app)
    for name, (body, words) in BAD.items():
        answer = client.post("/api/v1/tokens", json=body, headers=headers)
        assert answer.status_code == 400, name
        assert words in answer.json["detail"], name
    deep = b'{"name": ' + b"[" * 2000 + b"]" * 2000 + b"}"
    answer = client.post("/api/v1/tokens", data=deep, headers={**headers, "Content-Type": "application/json"})
    assert answer.status_code == 400
    with reading(app.engine) as session:
        assert session.scalar(select(func.count()).select_from(Token)) == 1
