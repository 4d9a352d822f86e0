"""The doorbell of the CRMs: only who signs rings it, and all that it does is to ask for a sync."""

import base64
import hashlib
import hmac
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from app.config import Settings
from app.db import reading, transaction
from app.factory import create_app
from app.http import Application
from app.models.crm import CrmConnection
from app.services.crm import NewConnection, create_connection, pause_connection
from app.services.secrets import Keyring
from tests.small_company import NOW

SECRET = "what HubSpot signs with"
BODY = b'[{"objectId": 1}]'
PATH = "/api/v1/crm/hubspot/push"

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def app(settings: Settings) -> Iterator[Application]:
    app = create_app(settings)
    app.clock = lambda: NOW
    keyring = Keyring.of(settings)
    with transaction(app.engine) as session:
        for kind, push in (("hubspot", SECRET), ("salesforce", SECRET), ("tryton", None)):
            new = NewConnection(f'kind = "{kind}"', {"token": "x"}, push)
            create_connection(session, new, keyring=keyring, actor="command", at=NOW)
    yield app
    app.engine.dispose()


@pytest.fixture
def client(app: Application) -> FlaskClient:
    return app.test_client()


def signed(*, body: bytes = BODY, secret: str = SECRET, minutes_old: int = 0) -> dict[str, str]:
    """As HubSpot's documentation has it: method, URL, body and time, under the app's secret."""
    timestamp = str(round((NOW - timedelta(minutes=minutes_old)).timestamp() * 1000))
    content = f"POSThttp://127.0.0.1:8000{PATH}".encode() + body + timestamp.encode()
    digest = hmac.new(secret.encode(), content, hashlib.sha256).digest()
    return {"X-HubSpot-Request-Timestamp": timestamp, "X-HubSpot-Signature-v3": base64.b64encode(digest).decode()}


def due(app: Application) -> Any:
    with reading(app.engine) as session:
        return session.execute(
            select(CrmConnection.due_at, CrmConnection.rung_at).where(CrmConnection.name == "hubspot")
        ).one()


@pytest.fixture
def later(app: Application) -> None:
    with transaction(app.engine) as session:
        session.scalar(select(CrmConnection).where(CrmConnection.name == "hubspot")).due_at = NOW + timedelta(hours=1)


def test_a_signed_push_makes_the_crm_due_at_once(app: Application, client: FlaskClient, later: None) -> None:
    answer = client.post(PATH, data=BODY, headers=signed())
    assert (answer.status_code, answer.json) == (202, {"is_rung": True})
    assert tuple(due(app)) == (None, NOW)


def test_who_rings_again_and_again_rings_once_in_ten_seconds(app: Application, client: FlaskClient) -> None:
    rings = [client.post(PATH, data=BODY, headers=signed()).json["is_rung"] for _ in range(5)]
    app.clock = lambda: NOW + timedelta(seconds=10)
    rings.append(client.post(PATH, data=BODY, headers=signed()).json["is_rung"])
    assert rings == [True, False, False, False, False, True]


@pytest.mark.parametrize(
    "headers",
    [{}, signed(secret="another"), signed(body=b"[]"), signed(minutes_old=6), signed(minutes_old=-6)],
    ids=["unsigned", "another secret", "another body", "too old", "of the future"],
)
def test_what_is_not_signed_so_rings_nothing(
    app: Application, client: FlaskClient, later: None, headers: dict[str, str]
) -> None:
    answer = client.post(PATH, data=BODY, headers=headers)
    assert answer.status_code == 403
    assert due(app).rung_at is None
    assert SECRET not in answer.text


def test_a_crm_that_shares_a_secret_brings_it(client: FlaskClient) -> None:
    path = "/api/v1/crm/salesforce/push"
    assert client.post(path, headers={"X-Tenure-Doorbell": "wrong"}).status_code == 403
    answer = client.post(path, headers={"X-Tenure-Doorbell": SECRET})
    assert (answer.status_code, answer.json) == (202, {"is_rung": True})


@pytest.mark.parametrize("name", ["tryton", "nobody", "%00", "a" * 500])
def test_one_that_does_not_push_is_not_there(client: FlaskClient, name: str) -> None:
    assert client.post(f"/api/v1/crm/{name}/push", data=BODY, headers=signed()).status_code == 404


def test_one_that_is_paused_is_not_rung(app: Application, client: FlaskClient) -> None:
    with transaction(app.engine) as session:
        pause_connection(session, "hubspot", is_paused=True, actor="command", at=NOW)
    assert client.post(PATH, data=BODY, headers=signed()).json == {"is_rung": False}
