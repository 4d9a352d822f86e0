"""Webhook endpoints and what was sent to them, as lists and one by one. No address and no secret is in here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, exists, func, or_, select
from sqlalchemy.orm import Session

from app.errors import NotFound
from app.models.webhooks import DeliveryAttempt, WebhookDelivery, WebhookEndpoint, WebhookMessage, WebhookSecret
from app.queries.cursors import Position, Sort, decode_cursor, encode_cursor

NEWEST_FIRST = Sort("newest", is_descending=True)
STATES = {
    "pending": "on its way",
    "delivered": "arrived: the receiver answered 2xx",
    "dead": "given up after the last attempt",
    "dropped": "not sent: the endpoint was switched off",
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`old_secrets_until` is set while messages carry the signatures of former secrets, too."""

    id: int
    name: str
    origin: str
    types: list[str]
    format: str
    created_at: datetime
    disabled_at: datetime | None
    disabled_reason: str | None
    old_secrets_until: datetime | None
    last_delivered_at: datetime | None
    pending: int
    dead: int

    @property
    def is_enabled(self) -> bool:
        return self.disabled_at is None


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message on its way to an endpoint; `last_status` and `last_error` are of its newest attempt."""

    id: int
    message_id: str
    type: str
    opportunity_id: int | None
    endpoint_id: int
    endpoint_name: str
    origin: str
    state: str
    attempts: int
    created_at: datetime
    due_at: datetime
    ended_at: datetime | None
    last_status: int | None
    last_error: str | None


@dataclass(frozen=True, slots=True)
class Attempt:
    started_at: datetime
    duration_ms: int
    status: int | None
    error: str | None


@dataclass(frozen=True, slots=True)
class DeliveryFull:
    """A delivery with the body that is signed and every attempt, the first one first."""

    delivery: Delivery
    body: str
    tries: list[Attempt]


@dataclass(frozen=True, slots=True)
class DeliveriesAsked:
    endpoint_id: int | None = None
    states: Sequence[str] = ()
    cursor: str | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class DeliveryPage:
    rows: list[Delivery]
    next_cursor: str | None


def list_endpoints(session: Session, *, at: datetime) -> list[Endpoint]:
    """Every endpoint that was not deleted, the oldest first."""
    return _endpoints(session, select(WebhookEndpoint), at=at)


def find_endpoint(session: Session, endpoint_id: int, *, at: datetime) -> Endpoint:
    """Raises NotFound."""
    found = _endpoints(session, select(WebhookEndpoint).where(WebhookEndpoint.id == endpoint_id), at=at)
    if not found:
        raise NotFound("There is no such webhook endpoint.")
    return found[0]


def _endpoints(session: Session, wanted: Select[WebhookEndpoint], *, at: datetime) -> list[Endpoint]:
    rows = session.scalars(wanted.where(WebhookEndpoint.deleted_at.is_(None)).order_by(WebhookEndpoint.id)).all()
    ids = [row.id for row in rows]
    deliveries = (
        select(WebhookDelivery.endpoint_id, WebhookDelivery.state, func.count(), func.max(WebhookDelivery.ended_at))
        .where(WebhookDelivery.endpoint_id.in_(ids))
        .group_by(WebhookDelivery.endpoint_id, WebhookDelivery.state)
    )
    counts = {(endpoint_id, state): (count, last) for endpoint_id, state, count, last in session.execute(deliveries)}
    replaced = (
        select(WebhookSecret.endpoint_id, func.max(WebhookSecret.expires_at))
        .where(WebhookSecret.endpoint_id.in_(ids), WebhookSecret.expires_at > at)
        .group_by(WebhookSecret.endpoint_id)
    )
    until = {row[0]: row[1] for row in session.execute(replaced)}
    shown = ("id", "name", "origin", "types", "format", "created_at", "disabled_at", "disabled_reason")
    return [
        Endpoint(
            **{name: getattr(row, name) for name in shown},
            old_secrets_until=until.get(row.id),
            last_delivered_at=counts.get((row.id, "delivered"), (0, None))[1],
            pending=counts.get((row.id, "pending"), (0, None))[0],
            dead=counts.get((row.id, "dead"), (0, None))[0],
        )
        for row in rows
    ]


def list_deliveries(session: Session, asked: DeliveriesAsked) -> DeliveryPage:
    """A page of the log, the newest first; also of endpoints that were deleted. Raises Invalid for a cursor."""
    statement = _deliveries()
    if asked.endpoint_id is not None:
        statement = statement.where(WebhookDelivery.endpoint_id == asked.endpoint_id)
    if asked.states:
        statement = statement.where(WebhookDelivery.state.in_(asked.states))
    if asked.cursor:
        after = decode_cursor(asked.cursor, sort=NEWEST_FIRST)
        statement = statement.where(WebhookDelivery.id < after.account_id)
    found = session.execute(statement.order_by(WebhookDelivery.id.desc()).limit(asked.limit + 1)).all()
    rows = [Delivery(*row) for row in found[: asked.limit]]
    has_more = len(found) > asked.limit
    return DeliveryPage(rows, encode_cursor(Position(NEWEST_FIRST, None, rows[-1].id, None)) if has_more else None)


def find_delivery(session: Session, delivery_id: int) -> DeliveryFull:
    """Raises NotFound."""
    row = session.execute(_deliveries().where(WebhookDelivery.id == delivery_id)).one_or_none()
    if row is None:
        raise NotFound("There is no such delivery.")
    delivery = Delivery(*row)
    body = session.scalars(select(WebhookMessage.body).where(WebhookMessage.message_id == delivery.message_id)).one()
    columns = (getattr(DeliveryAttempt, name) for name in Attempt.__dataclass_fields__)
    attempts = select(*columns).where(DeliveryAttempt.delivery_id == delivery_id).order_by(DeliveryAttempt.id)
    return DeliveryFull(delivery, body, [Attempt(*each) for each in session.execute(attempts)])


def find_replayable(session: Session, endpoint_id: int, *, ended_after: datetime) -> list[int]:
    """What did not arrive at an endpoint and ended since an instant, the oldest first; tests are not among it."""
    missed = (
        WebhookDelivery.endpoint_id == endpoint_id,
        WebhookDelivery.state.in_(("dead", "dropped")),
        WebhookDelivery.ended_at >= ended_after,
        WebhookMessage.type != "webhook.test",
    )
    statement = select(WebhookDelivery.id).join(WebhookMessage, WebhookMessage.id == WebhookDelivery.message_id)
    return list(session.scalars(statement.where(*missed).order_by(WebhookDelivery.id)))


def _deliveries() -> Select[*tuple[Any, ...]]:
    newest = (
        select(func.max(DeliveryAttempt.id))
        .where(DeliveryAttempt.delivery_id == WebhookDelivery.id)
        .correlate(WebhookDelivery)
        .scalar_subquery()
    )
    return (
        select(
            WebhookDelivery.id,
            WebhookMessage.message_id,
            WebhookMessage.type,
            WebhookMessage.opportunity_id,
            WebhookDelivery.endpoint_id,
            WebhookEndpoint.name,
            WebhookEndpoint.origin,
            WebhookDelivery.state,
            WebhookDelivery.attempts,
            WebhookMessage.created_at,
            WebhookDelivery.due_at,
            WebhookDelivery.ended_at,
            DeliveryAttempt.status,
            DeliveryAttempt.error,
        )
        .join(WebhookMessage, WebhookMessage.id == WebhookDelivery.message_id)
        .join(WebhookEndpoint, WebhookEndpoint.id == WebhookDelivery.endpoint_id)
        .outerjoin(DeliveryAttempt, DeliveryAttempt.id == newest)
    )


def find_due_endpoints(session: Session, *, at: datetime) -> list[int]:
    """The endpoints that are on and to which something is due that nobody is sending."""
    due = exists().where(
        WebhookDelivery.endpoint_id == WebhookEndpoint.id,
        WebhookDelivery.state == "pending",
        WebhookDelivery.due_at <= at,
        or_(WebhookDelivery.claimed_until.is_(None), WebhookDelivery.claimed_until <= at),
    )
    live = WebhookEndpoint.disabled_at.is_(None), WebhookEndpoint.deleted_at.is_(None)
    return list(session.scalars(select(WebhookEndpoint.id).where(*live, due).order_by(WebhookEndpoint.id)))
