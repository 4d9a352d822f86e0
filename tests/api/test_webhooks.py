"""Webhook endpoints and deliveries through the API."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from app.db import reading, transaction
from app.http import Application
from app.models.audit import AuditEntry
from app.models.webhooks import WebhookEndpoint
from app.schemas import webhooks as schemas
from app.services.messages import CHOSEN_TYPES, NewMessage, post_message
from app.services.tokens import WantedToken, create_token
from app.services.webhooks import FORMATS
from integrations.webhooks.signature import secret_bytes, verify
from jobs.deliver import Delivered, deliver_due
from jobs.work import Work
from tests.receiver import LOOPBACK, Receiver, receiving
from tests.small_company import NOW

Call = Callable[..., Any]
CANARY = "canary-of-an-address"


@pytest.fixture
def call(app: Application, client: FlaskClient) -> Call:
    """Call as a program that may administer webhooks; loopback is on the operator's list."""
    app.clock = lambda: NOW
    app.settings = replace(app.settings, private_targets=LOOPBACK)
    with transaction(app.engine) as session:
        wanted = WantedToken("webhooks", ["webhooks:admin"])
        token = create_token(session, wanted, actor="command", now=NOW).token

    def call(method: str, path: str, body: Any = None, **headers: str) -> Any:
        headers = {"Authorization": f"Bearer {token}", **headers}
        return client.open(f"/api/v1{path}", method=method, json=body, headers=headers)

    return call


def make(call: Call, receiver: Receiver, **said: Any) -> dict[str, Any]:
    body = {"name": "The CRM", "url": receiver.url, "types": ["feed.stale"], **said}
    made = call("POST", "/webhook-endpoints", body)
    assert made.status_code == 201, made.text
    return made.json


def test_an_endpoint_is_made_shown_without_its_secrets_changed_and_deleted(call: Call, app: Application) -> None:
    with receiving() as receiver, receiving() as other:
        made = make(call, receiver)
        assert made["secret"].startswith("whsec_")
        own = f"/webhook-endpoints/{made['id']}"
        origin = receiver.url.partition("/in")[0]
        assert (made["origin"], made["is_enabled"], made["pending"]) == (origin, True, 0)
        changed = call("PATCH", own, {"name": "Slack", "url": other.url, "types": list(CHOSEN_TYPES)}).json
        assert changed == call("GET", own).json
        assert (changed["name"], changed["origin"]) == ("Slack", other.url.partition("/in")[0])
        assert changed["types"] == sorted(CHOSEN_TYPES)
        listed = call("GET", "/webhook-endpoints")
        assert listed.json["data"] == [changed]
        for text in (listed.text, call("GET", own).text):
            assert made["secret"] not in text
            assert CANARY not in text
        assert call("DELETE", own).status_code == 204
        assert call("GET", own).status_code == 404
        assert call("PATCH", own, {"name": "x"}).status_code == 404
        assert call("POST", f"{own}/test").status_code == 404
        assert call("GET", "/webhook-endpoints").json == {"data": []}
    with reading(app.engine) as session:
        acts = session.execute(select(AuditEntry.action, AuditEntry.actor, AuditEntry.subject)).all()
    ours = [tuple(act) for act in acts if act.subject == f"webhook_endpoint:{made['id']}"]
    assert [action for action, _, _ in ours] == [
        f"webhook_endpoint.{what}" for what in ("created", "changed", "deleted")
    ]
    assert {actor for _, actor, _ in ours} == {"token:1"}


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "an address inside": ({"url": "http://10.0.0.1/"}, "TENURE_PRIVATE_TARGETS"),
    "a metadata address": ({"url": "http://169.254.169.254/latest/"}, "not public"),
    "no address": ({"url": "hooks"}, "url"),
    "an odd spelling": ({"url": "http://127.1/"}, "usual form"),
    "a user in it": ({"url": "http://a@127.0.0.1/"}, "user name"),
    "a line break in it": ({"url": "http://127.0.0.1/\r\nx: y"}, "control characters"),
    "a test as type": ({"types": ["webhook.test"]}, "types"),
    "an unknown type": ({"types": ["expansion_opportunity.flaged"]}, "expansion_opportunity.flagged"),
    "no type": ({"types": []}, "types"),
    "an unknown format": ({"format": "fax"}, "standard"),
    "a blank name": ({"name": "  "}, "name"),
    "a typing error": ({"nmae": "x"}, "did you mean name?"),
}


@pytest.mark.parametrize(("wrong", "words"), BAD.values(), ids=BAD)
def test_what_is_wrong_is_named_and_nothing_is_made_or_changed(call: Call, wrong: dict[str, Any], words: str) -> None:
    with receiving() as receiver:
        body = {"name": "The CRM", "url": receiver.url, "types": ["feed.stale"]}
        refused = call("POST", "/webhook-endpoints", body | wrong)
        assert (refused.status_code, words in refused.text) == (400, True), refused.text
        before = make(call, receiver)
        refused = call("PATCH", f"/webhook-endpoints/{before['id']}", wrong)
        assert (refused.status_code, words in refused.text) == (400, True), refused.text
        del before["secret"]
        assert call("GET", "/webhook-endpoints").json == {"data": [before]}


def test_a_test_says_what_the_receiver_answered_and_its_signature_is_right(call: Call) -> None:
    with receiving() as receiver:
        made = make(call, receiver)
        tested = call("POST", f"/webhook-endpoints/{made['id']}/test").json
        assert (tested["state"], tested["status"], tested["error"]) == ("delivered", 204, None)
        [request] = receiver.requests
        assert request.id == tested["message_id"]
        assert b'"type":"webhook.test"' in request.body
        assert verify(secret_bytes(made["secret"]), request.headers, body=request.body, now=NOW.timestamp())
    failed = call("POST", f"/webhook-endpoints/{made['id']}/test").json
    assert (failed["state"], failed["status"], failed["error"]) == ("dead", None, "the connection was refused")
    states = [row["state"] for row in call("GET", "/webhook-deliveries").json["data"]]
    assert states == ["dead", "delivered"]


def test_a_test_reaches_an_endpoint_that_is_off_and_a_410_switches_one_off(call: Call) -> None:
    with receiving(lambda _request: (410, {})) as receiver:
        made = make(call, receiver)
        own = f"/webhook-endpoints/{made['id']}"
        assert call("POST", f"{own}/test").json["state"] == "dropped"
        off = call("GET", own).json
        assert (off["is_enabled"], off["disabled_reason"], off["disabled_at"]) == (
            False,
            "gone",
            "2026-03-01T09:00:00Z",
        )
        receiver.reply = lambda _request: (204, {})
        assert call("POST", f"{own}/test").json["state"] == "delivered"
        assert call("PATCH", own, {"is_enabled": True}).json["disabled_reason"] is None
        assert call("PATCH", own, {"is_enabled": False}).json["disabled_reason"] == "switched_off"


def test_deliveries_are_listed_by_pages_and_replayed(call: Call, app: Application) -> None:
    with receiving() as receiver:
        made = make(call, receiver)
        other = make(call, receiver, types=["expansion_opportunity.updated"])
        with transaction(app.engine) as session:
            for n in range(5):
                post_message(session, NewMessage("feed.stale", {"n": n}), at=NOW)
        own = f"endpoint_id={made['id']}"
        first = call("GET", f"/webhook-deliveries?{own}&limit=3")
        following = first.headers["Link"].partition("/api/v1")[2].partition(">")[0]
        rest = call("GET", following)
        ids = [row["id"] for row in first.json["data"] + rest.json["data"]]
        assert ids == sorted(ids, reverse=True)
        assert (len(first.json["data"]), len(rest.json["data"]), len(set(ids))) == (3, 2, 5)
        assert "Link" not in rest.headers
        assert call("GET", f"/webhook-deliveries?endpoint_id={other['id']}").json == {"data": []}
        conflict = call("POST", f"/webhook-deliveries/{ids[0]}/replay")
        assert (conflict.status_code, "on its way" in conflict.text) == (409, True)
        work = Work(app.engine, app.settings, clock=app.clock)
        assert deliver_due(work) == Delivered(delivered=5)
        assert call("GET", "/webhook-deliveries?state=pending&state=dead").json == {"data": []}
        shown = call("GET", f"/webhook-deliveries/{ids[0]}").json
        assert shown["body"] == '{"type":"feed.stale","timestamp":"2026-03-01T09:00:00Z","data":{"n":4}}'
        assert [each["status"] for each in shown["tries"]] == [204]
        replayed = call("POST", f"/webhook-deliveries/{ids[0]}/replay")
        assert (replayed.status_code, replayed.json["state"], replayed.json["attempts"]) == (200, "pending", 0)
        assert deliver_due(work) == Delivered(delivered=1)
        assert receiver.ids.count(shown["message_id"]) == 2
    assert call("POST", "/webhook-deliveries/999/replay").status_code == 404
    assert call("GET", "/webhook-deliveries/999").status_code == 404
    assert call("GET", "/webhook-deliveries?cursor=x").status_code == 400


def test_a_rotated_secret_is_shown_once_and_says_how_long_the_old_one_counts(call: Call, app: Application) -> None:
    with receiving() as receiver:
        made = make(call, receiver)
        own = f"/webhook-endpoints/{made['id']}"
        rotated = call("POST", f"{own}/rotate-secret", {}).json
        assert rotated["old_until"] == "2026-03-02T09:00:00Z"
        assert rotated["secret"] != made["secret"]
        assert call("GET", own).json["old_secrets_until"] == "2026-03-02T09:00:00Z"
        at_once = call("POST", f"{own}/rotate-secret", {"overlap_hours": 0}).json
        assert at_once["old_until"] == "2026-03-01T09:00:00Z"
        assert call("GET", own).json["old_secrets_until"] is None
        for wrong in (-1, 169, 1.5, "1"):
            assert call("POST", f"{own}/rotate-secret", {"overlap_hours": wrong}).status_code == 400
        call("POST", f"{own}/test")
        assert " " not in receiver.requests[-1].headers["webhook-signature"]
        call("POST", f"{own}/rotate-secret", {"overlap_hours": 2})
        for hours, signatures in ((1.99, 2), (2, 1)):
            app.clock = lambda hours=hours: NOW + timedelta(hours=hours)
            call("POST", f"{own}/test")
            assert receiver.requests[-1].headers["webhook-signature"].count("v1,") == signatures


def test_a_repeated_request_with_a_key_makes_one_endpoint_and_gives_the_same_secret(
    call: Call, app: Application
) -> None:
    with receiving() as receiver:
        body = {"name": "The CRM", "url": receiver.url, "types": ["feed.stale"]}
        first, second = (call("POST", "/webhook-endpoints", body, **{"Idempotency-Key": "k1"}) for _ in range(2))
    assert first.json == second.json
    with reading(app.engine) as session:
        assert len(session.scalars(select(WebhookEndpoint)).all()) == 1


def test_an_ingest_key_or_a_reader_cannot_touch_webhooks(app: Application, client: FlaskClient) -> None:
    with transaction(app.engine) as session:
        wanted = WantedToken("reader", ["accounts:read", "opportunities:write"])
        token = create_token(session, wanted, actor="command", now=app.clock()).token
    headers = {"Authorization": f"Bearer {token}"}
    for path in ("/webhook-endpoints", "/webhook-deliveries", "/webhook-deliveries/1"):
        assert client.get(f"/api/v1{path}", headers=headers).status_code == 403
    assert client.post("/api/v1/webhook-endpoints/1/test", headers=headers).status_code == 403


def test_the_documented_choices_are_those_that_there_are() -> None:
    from app.queries.webhooks import STATES

    assert set(schemas.TYPES) == set(CHOSEN_TYPES)
    assert set(schemas.FORMATS) == set(FORMATS)
    assert set(schemas.STATES) == set(STATES)
