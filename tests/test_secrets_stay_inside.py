"""Planted secrets are looked for wherever they must not be: the database, the logs, answers, errors, the audit."""

import base64
import logging
from dataclasses import replace
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, select, text

from app.db import Base, reading, transaction
from app.http import Application
from app.models.webhooks import WebhookEndpoint, WebhookSecret
from app.services.messages import NewMessage, post_message
from app.services.tokens import WantedToken, create_token
from jobs.deliver import deliver_due
from jobs.work import Work
from tests.receiver import LOOPBACK, receiving
from tests.small_company import NOW

ADDRESS = "canary-of-an-address"  # in each URL that `receiving` gives


def stored(engine: Engine, folder: Path) -> bytes:
    """Every byte of SQLite's files; every row of every table as text where the files are a server's."""
    if engine.dialect.name == "sqlite":
        return b"".join(path.read_bytes() for path in folder.iterdir() if path.name.startswith("tenure.db"))
    with reading(engine) as session:
        names = [table.name for table in Base.metadata.sorted_tables]
        rows = [str(row) for name in names for row in session.scalars(text(f"SELECT t::text FROM {name} t"))]  # noqa: S608
        raw = session.scalars(select(WebhookSecret.ciphertext)).all()
        raw += session.scalars(select(WebhookEndpoint.url_ciphertext)).all()
    assert len(rows) > 5
    return "\n".join(rows).encode() + b"".join(raw)


def looks_of(secret: str) -> list[bytes]:
    """A secret as it is given out, as bytes, and in hexadecimal as PostgreSQL shows them."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    forms = [secret.encode(), secret.removeprefix("whsec_").encode(), key]
    return [*forms, *(form.hex().encode() for form in forms)]


def test_no_secret_is_where_it_must_not_be(
    app: Application, client: FlaskClient, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app.clock = lambda: NOW
    app.settings = replace(app.settings, private_targets=LOOPBACK)
    with transaction(app.engine) as session:
        token = create_token(session, WantedToken("a", ["webhooks:admin"]), actor="command", now=NOW).token
    headers = {"Authorization": f"Bearer {token}"}
    secrets, answers = [], []

    def call(method: str, path: str, body: object = None, **more: str) -> None:
        answer = client.open(f"/api/v1{path}", method=method, json=body, headers={**headers, **more})
        if "secret" in (answer.json or {}):
            secrets.append(answer.json["secret"])
        else:
            answers.append(answer.get_data())

    with caplog.at_level(logging.DEBUG), receiving(lambda _request: (500, {})) as receiver:
        wanted = {"name": "The CRM", "url": receiver.url, "types": ["feed.stale"]}
        call("POST", "/webhook-endpoints", wanted, **{"Idempotency-Key": "k"})
        call("POST", "/webhook-endpoints/1/rotate-secret", {}, **{"Idempotency-Key": "l"})
        assert len(secrets) == 2
        call("POST", "/webhook-endpoints", wanted | {"url": f"http://10.0.0.1/{ADDRESS}"})
        call("POST", "/webhook-endpoints", wanted | {"url": f"http://127.0.0.1/{ADDRESS} "})
        call("POST", "/webhook-endpoints", wanted | {"url": f"http://a:{ADDRESS}@127.0.0.1/"})
        call("PATCH", "/webhook-endpoints/1", {"url": f"{receiver.url}&more=1"})
        call("POST", "/webhook-endpoints/1/test")
        with transaction(app.engine) as session:
            post_message(session, NewMessage("feed.stale", {}), at=NOW)
        work = Work(app.engine, app.settings, clock=app.clock)
        assert deliver_due(work).pending == 1
        with transaction(app.engine) as session:  # damaged at rest
            session.execute(text("UPDATE webhook_secrets SET ciphertext = substr(ciphertext, 2)"))
        call("POST", "/webhook-endpoints/1/test")
    call("POST", "/webhook-endpoints/1/test")  # nobody there any more
    for path in ("/webhook-endpoints", "/webhook-deliveries", "/webhook-deliveries/1", "/webhook-deliveries/3"):
        call("GET", path)
    assert len(receiver.requests) == 2
    places = {"answers": b"".join(answers), "logs": caplog.text.encode(), "database": stored(app.engine, tmp_path)}
    for place, content in places.items():
        assert ADDRESS.encode() not in content, place
        assert ADDRESS.encode().hex().encode() not in content, place
        for form in (form for secret in secrets for form in looks_of(secret)):
            assert form not in content, place
    assert b"webhook_secrets.ciphertext of row" in places["answers"]
