"""What is told to other systems is written where it becomes true."""

import json
import re
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from sqlalchemy import Engine, select

from app.db import reading, transaction
from app.models.webhooks import WebhookDelivery, WebhookEndpoint, WebhookMessage
from app.services.messages import CHOSEN_TYPES, MESSAGE_TYPES, NewMessage, post_message

NOON = datetime(2026, 3, 1, 12, 0, 0, 5, tzinfo=UTC)
FLAGGED = NewMessage("expansion_opportunity.flagged", {"opportunity_id": 7, "on": date(2026, 3, 1), "name": "Zoë 🎉"})


def endpoint(*types: str, **columns) -> WebhookEndpoint:
    return WebhookEndpoint(
        name="n", origin="https://x.test", url_ciphertext=b"", types=list(types), created_at=NOON, **columns
    )


def test_the_body_is_the_compact_json_of_standard_webhooks(engine: Engine) -> None:
    with transaction(engine) as session:
        message_id = post_message(session, FLAGGED, at=NOON.astimezone(timezone(timedelta(hours=9))))
    with reading(engine) as session:
        kept = session.scalars(select(WebhookMessage)).one()
    assert kept.body == (
        '{"type":"expansion_opportunity.flagged","timestamp":"2026-03-01T12:00:00.000005Z",'
        '"data":{"opportunity_id":7,"on":"2026-03-01","name":"Zoë 🎉"}}'
    )
    assert json.loads(kept.body)["data"]["name"] == "Zoë 🎉"
    assert (kept.message_id, kept.created_at) == (message_id, NOON)
    assert re.fullmatch(r"msg_[0-9a-f]{32}", message_id)


def test_a_delivery_is_due_at_once_to_every_live_endpoint_that_chose_the_type(engine: Engine) -> None:
    with transaction(engine) as session:
        chosen = [endpoint(FLAGGED.type), endpoint("feed.stale", FLAGGED.type)]
        others = [
            endpoint("feed.stale"),
            endpoint(FLAGGED.type, disabled_at=NOON),
            endpoint(FLAGGED.type, deleted_at=NOON),
        ]
        session.add_all(chosen + others)
        session.flush()
        post_message(session, FLAGGED, at=NOON)
        found = session.scalars(select(WebhookDelivery).order_by(WebhookDelivery.endpoint_id)).all()
        assert [each.endpoint_id for each in found] == [each.id for each in chosen]
        assert {(each.state, each.attempts, each.due_at, each.claimed_by) for each in found} == {
            ("pending", 0, NOON, None)
        }


def test_a_message_goes_back_with_the_transaction_that_would_have_made_it_true(engine: Engine) -> None:
    with suppress(ZeroDivisionError), transaction(engine) as session:
        post_message(session, FLAGGED, at=NOON)
        raise ZeroDivisionError
    with reading(engine) as session:
        assert session.scalars(select(WebhookMessage)).all() == []


def test_a_type_that_nobody_could_choose_is_refused(engine: Engine) -> None:
    with transaction(engine) as session, pytest.raises(ValueError, match=r"opportunity\.flaged"):
        post_message(session, NewMessage("opportunity.flaged", {}), at=NOON)
    assert set(MESSAGE_TYPES) - set(CHOSEN_TYPES) == {"webhook.test"}
