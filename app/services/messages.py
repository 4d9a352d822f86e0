"""The outbox: what other systems are told, written in the transaction that makes it true."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models.webhooks import WebhookDelivery, WebhookEndpoint, WebhookMessage

TEST_TYPE = "webhook.test"
MESSAGE_TYPES = {
    "expansion_opportunity.flagged": "the night found an account that is ready for more",
    "expansion_opportunity.updated": "an opportunity was accepted, rejected, snoozed, won, lost, or has lapsed",
    "feed.stale": "data that should have come has not",
    TEST_TYPE: "somebody asked to see whether messages arrive; sent without being chosen",
}
CHOSEN_TYPES = tuple(name for name in MESSAGE_TYPES if name != TEST_TYPE)


@dataclass(frozen=True, slots=True)
class NewMessage:
    """`data` is JSON: texts, numbers, dates, instants, lists and mappings of these; ids of persons, not names.

    `message_id` is given where the data have to name it themselves (`new_message_id`).
    """

    type: str
    data: Mapping[str, Any]
    opportunity_id: int | None = None
    message_id: str | None = None


def new_message_id() -> str:
    return f"msg_{secrets.token_hex(16)}"


def post_message(session: Session, message: NewMessage, *, at: datetime) -> str:
    """Write the message, and a delivery that is due at once to every live endpoint that chose its type.

    The body is kept as the text that will be signed. Without any endpoint the message is kept all the
    same. Returns its id, the header `webhook-id` of every attempt. Raises ValueError for a type that
    MESSAGE_TYPES does not have.
    """
    written = write_message(session, message, at=at)
    live = select(WebhookEndpoint).where(WebhookEndpoint.disabled_at.is_(None), WebhookEndpoint.deleted_at.is_(None))
    for endpoint in session.scalars(live.order_by(WebhookEndpoint.id)):
        if message.type in endpoint.types:
            add_delivery(session, written, endpoint_id=endpoint.id, at=at)
    session.flush()
    return written.message_id


def write_message(session: Session, message: NewMessage, *, at: datetime) -> WebhookMessage:
    """The message alone, on its way to nobody yet."""
    if message.type not in MESSAGE_TYPES:
        raise ValueError(f"there is no type of message {message.type!r}")
    written = WebhookMessage(
        message_id=message.message_id or new_message_id(),
        type=message.type,
        body=_body(message, at=at),
        created_at=at,
        opportunity_id=message.opportunity_id,
    )
    session.add(written)
    session.flush()
    return written


def add_delivery(session: Session, message: WebhookMessage, *, endpoint_id: int, at: datetime) -> WebhookDelivery:
    delivery = WebhookDelivery(message_id=message.id, endpoint_id=endpoint_id, state="pending", attempts=0, due_at=at)
    session.add(delivery)
    return delivery


def _body(message: NewMessage, *, at: datetime) -> str:
    """Compact JSON as Standard Webhooks has it; instants in UTC with a Z."""
    content = {"type": message.type, "timestamp": at.astimezone(UTC), "data": dict(message.data)}
    return orjson.dumps(content, option=orjson.OPT_UTC_Z).decode()
