"""What is on its way: claimed, sent outside of any transaction, written down, and sent again on request."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Self

from sqlalchemy import Row, Select, or_, select, update
from sqlalchemy.orm import Session

from app.config import Settings
from app.domain.delivery_schedule import retry_delay_seconds
from app.errors import Conflict, NotFound
from app.models.webhooks import DeliveryAttempt, WebhookDelivery, WebhookEndpoint, WebhookMessage, WebhookSecret
from app.services.audit import Act, record_act
from app.services.messages import TEST_TYPE, NewMessage, add_delivery, write_message
from app.services.secrets import Keyring, SecretUnreadable
from app.services.webhooks import disable_endpoint, lock_endpoint, secret_place, url_place
from integrations.http_client import ExchangeFailed, Policy, TargetRefused, check_target, post
from integrations.webhooks.signature import secret_bytes, sign

CLAIM = timedelta(seconds=60)  # an exchange ends after 15 s; the rest is patience with a busy database afterwards
SENT_BEFORE_END = timedelta(seconds=30)  # a worker that slept through its claim begins no exchange
GIVEN_UP_IN_A_ROW = 5
REPLAYABLE = timedelta(days=14)
GONE, TOO_MANY, UNAVAILABLE = 410, 429, 503
ACTOR = "deliver"

Writing = Callable[[], AbstractContextManager[Session]]


@dataclass(frozen=True, slots=True)
class Sender:
    """What sending needs besides the message: the keys, where it may go, and the clock."""

    keyring: Keyring
    policy: Policy
    clock: Callable[[], datetime]

    @classmethod
    def of(cls, settings: Settings, clock: Callable[[], datetime]) -> Self:
        return cls(Keyring.of(settings), Policy(private_targets=settings.private_targets), clock)


@dataclass(frozen=True, slots=True)
class Claim:
    """Who sends, and how much of what is due to an endpoint they take at once."""

    by: str
    endpoint_id: int
    most: int = 1


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that is ours until an instant, with all that an exchange needs."""

    delivery_id: int
    endpoint_id: int
    message_id: str
    type: str
    body: str = field(repr=False)
    attempts: int
    by: str
    until: datetime
    url: bytes = field(repr=False)  # encrypted, as the secrets are
    secrets: tuple[tuple[int, bytes], ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Sent:
    """An attempt, and how it ended: with a status, or without one for the reason in `error`."""

    claimed: Claimed
    started_at: datetime
    duration_ms: int
    status: int | None = None
    error: str | None = None
    retry_after_seconds: int | None = None

    @property
    def is_delivered(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def asks_for_rest(self) -> bool:
        return self.status in {None, TOO_MANY, UNAVAILABLE}


@dataclass(frozen=True, slots=True)
class Tested:
    """What became of a test message: `state` is delivered, dead, or dropped (the receiver answered 410)."""

    message_id: str
    delivery_id: int
    state: str
    status: int | None
    error: str | None
    duration_ms: int


def claim_due(session: Session, claim: Claim, *, at: datetime) -> list[Claimed]:
    """Take what is due to an endpoint, the longest due first; what somebody else has just taken is passed over."""
    free = or_(WebhookDelivery.claimed_until.is_(None), WebhookDelivery.claimed_until <= at)
    due = (
        WebhookDelivery.state == "pending",
        WebhookDelivery.endpoint_id == claim.endpoint_id,
        WebhookDelivery.due_at <= at,
        free,
    )
    longest_due = _to_send().where(*due).order_by(WebhookDelivery.due_at, WebhookDelivery.id).limit(claim.most)
    rows = session.execute(longest_due.with_for_update(of=WebhookDelivery, skip_locked=True)).all()
    return _take(session, rows, claim=claim, at=at)


def _to_send() -> Select[WebhookDelivery, WebhookMessage, bytes]:
    return (
        select(WebhookDelivery, WebhookMessage, WebhookEndpoint.url_ciphertext)
        .join(WebhookMessage, WebhookMessage.id == WebhookDelivery.message_id)
        .join(WebhookEndpoint, WebhookEndpoint.id == WebhookDelivery.endpoint_id)
    )


def _take(
    session: Session, rows: Sequence[Row[WebhookDelivery, WebhookMessage, bytes]], *, claim: Claim, at: datetime
) -> list[Claimed]:
    until = at + CLAIM
    secrets = _secrets_of(session, claim.endpoint_id, at=at) if rows else ()
    for delivery, _, _ in rows:
        delivery.claimed_by, delivery.claimed_until = claim.by, until
    session.flush()
    return [
        Claimed(
            delivery_id=delivery.id,
            endpoint_id=claim.endpoint_id,
            message_id=message.message_id,
            type=message.type,
            body=message.body,
            attempts=delivery.attempts,
            by=claim.by,
            until=until,
            url=url,
            secrets=secrets,
        )
        for delivery, message, url in rows
    ]


def _secrets_of(session: Session, endpoint_id: int, *, at: datetime) -> tuple[tuple[int, bytes], ...]:
    """The secrets that count now, the newest first."""
    counts = or_(WebhookSecret.expires_at.is_(None), WebhookSecret.expires_at > at)
    statement = select(WebhookSecret.id, WebhookSecret.ciphertext).where(
        WebhookSecret.endpoint_id == endpoint_id, counts
    )
    return tuple((row.id, row.ciphertext) for row in session.execute(statement.order_by(WebhookSecret.id.desc())))


def send(claimed: Claimed, sender: Sender) -> Sent:
    """One exchange: the address is looked up anew, the headers are Standard Webhooks'. To be called outside of
    any transaction."""
    started_at, begun = sender.clock(), time.monotonic()
    try:
        url = sender.keyring.decrypt(claimed.url, url_place(claimed.endpoint_id))
        body = claimed.body.encode()
        headers = _headers(claimed, body, timestamp=int(started_at.timestamp()), keyring=sender.keyring)
        answer = post(check_target(url, policy=sender.policy), body=body, headers=headers, policy=sender.policy)
    except (SecretUnreadable, TargetRefused, ExchangeFailed) as error:
        return Sent(claimed, started_at, round(1000 * (time.monotonic() - begun)), error=str(error)[:300])
    return Sent(claimed, started_at, answer.duration_ms, answer.status, retry_after_seconds=answer.retry_after_seconds)


def _headers(claimed: Claimed, body: bytes, *, timestamp: int, keyring: Keyring) -> dict[str, str]:
    signatures = [
        sign(
            secret_bytes(keyring.decrypt(ciphertext, secret_place(secret_id))),
            message_id=claimed.message_id,
            timestamp=timestamp,
            body=body,
        )
        for secret_id, ciphertext in claimed.secrets
    ]
    return {
        "Content-Type": "application/json",
        "webhook-id": claimed.message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }


def record_sent(session: Session, sent: Sent, *, at: datetime, draw: float) -> str:
    """Write down an attempt and what follows from it; `draw` in [0, 1) spreads the next one.

    Returns `delivered`, `pending` (to be tried again), `dead` (given up), `dropped` (the endpoint is off), or
    `lost`: the claim had ended, somebody else sends it, and nothing was written. A 410 switches the
    endpoint off, and so do five messages given up in a row.
    """
    endpoint = None if sent.is_delivered else _lock_endpoint(session, sent.claimed.endpoint_id)
    delay = _delay_seconds(sent, draw=draw)
    state = _state_after(sent, endpoint=endpoint, delay=delay)
    values: dict[str, Any] = {"state": state, "claimed_by": None, "claimed_until": None}
    values |= {"attempts": sent.claimed.attempts + 1, "ended_at": None if state == "pending" else at}
    if state == "pending" and delay is not None:
        values["due_at"] = at + timedelta(seconds=delay)
    if not _still_ours(session, sent.claimed, values=values):
        return "lost"
    session.add(
        DeliveryAttempt(
            delivery_id=sent.claimed.delivery_id,
            started_at=sent.started_at,
            duration_ms=sent.duration_ms,
            status=sent.status,
            error=sent.error,
        )
    )
    session.flush()
    _disable_after(session, sent, endpoint=endpoint, state=state, at=at)
    return state


def _lock_endpoint(session: Session, endpoint_id: int) -> WebhookEndpoint | None:
    try:
        return lock_endpoint(session, endpoint_id)
    except NotFound:
        return None


def _delay_seconds(sent: Sent, *, draw: float) -> float | None:
    """Until the next attempt; a test has none, for somebody looks at its outcome."""
    if sent.claimed.type == TEST_TYPE:
        return None
    asked = sent.retry_after_seconds if sent.status in {TOO_MANY, UNAVAILABLE} else None
    return retry_delay_seconds(sent.claimed.attempts + 1, draw=draw, asked_seconds=asked)


def _state_after(sent: Sent, *, endpoint: WebhookEndpoint | None, delay: float | None) -> str:
    if sent.is_delivered:
        return "delivered"
    if endpoint is None or sent.status == GONE:
        return "dropped"
    if delay is None:
        return "dead"
    return "pending" if endpoint.disabled_at is None else "dropped"


def _still_ours(session: Session, claimed: Claimed, *, values: dict[str, Any]) -> bool:
    """Write the outcome, unless the claim has gone to somebody else or the delivery has ended."""
    ours = (
        WebhookDelivery.id == claimed.delivery_id,
        WebhookDelivery.state == "pending",
        WebhookDelivery.claimed_by == claimed.by,
        WebhookDelivery.claimed_until == claimed.until,
    )
    written = session.execute(update(WebhookDelivery).where(*ours).values(**values).returning(WebhookDelivery.id))
    return written.first() is not None


def _disable_after(session: Session, sent: Sent, *, endpoint: WebhookEndpoint | None, state: str, at: datetime) -> None:
    if endpoint is None:
        return
    if sent.status == GONE:
        disable_endpoint(session, endpoint, reason="gone", actor=ACTOR, at=at)
    elif state == "dead" and sent.claimed.type != TEST_TYPE and _is_given_up(session, endpoint.id):
        disable_endpoint(session, endpoint, reason="given_up", actor=ACTOR, at=at)


def _is_given_up(session: Session, endpoint_id: int) -> bool:
    last = session.scalars(
        select(WebhookDelivery.state)
        .join(WebhookMessage, WebhookMessage.id == WebhookDelivery.message_id)
        .where(
            WebhookDelivery.endpoint_id == endpoint_id,
            WebhookDelivery.state.in_(("delivered", "dead")),
            WebhookMessage.type != TEST_TYPE,
        )
        .order_by(WebhookDelivery.ended_at.desc(), WebhookDelivery.id.desc())
        .limit(GIVEN_UP_IN_A_ROW)
    ).all()
    return list(last) == ["dead"] * GIVEN_UP_IN_A_ROW


def send_test(writing: Writing, endpoint_id: int, *, sender: Sender, actor: str) -> Tested:
    """Send a test message now and say what came of it; it goes to an endpoint that is off, too, and once only.

    `writing` opens a transaction: one before the exchange, one after it, none during it. Raises NotFound.
    """
    claim = Claim(actor, endpoint_id)
    with writing() as session:
        lock_endpoint(session, endpoint_id)
        at = sender.clock()
        message = write_message(session, NewMessage(TEST_TYPE, {"endpoint_id": endpoint_id}), at=at)
        delivery = add_delivery(session, message, endpoint_id=endpoint_id, at=at)
        session.flush()
        rows = session.execute(_to_send().where(WebhookDelivery.id == delivery.id)).all()
        [claimed] = _take(session, rows, claim=claim, at=at)
        record_act(session, Act("webhook_endpoint.tested", f"webhook_endpoint:{endpoint_id}"), actor=actor, at=at)
    sent = send(claimed, sender)
    with writing() as session:
        state = record_sent(session, sent, at=sender.clock(), draw=0.5)
    return Tested(claimed.message_id, claimed.delivery_id, state, sent.status, sent.error, sent.duration_ms)


def replay_delivery(session: Session, delivery_id: int, *, actor: str, at: datetime) -> None:
    """Send an ended delivery again under the same id, with ten attempts more.

    Raises NotFound, and Conflict where it is still on its way, ended more than 14 days ago, or its
    endpoint is off.
    """
    endpoint_id = session.scalar(select(WebhookDelivery.endpoint_id).where(WebhookDelivery.id == delivery_id))
    if endpoint_id is None:
        raise NotFound("There is no such delivery.")
    endpoint = lock_endpoint(session, endpoint_id)
    delivery = session.get_one(WebhookDelivery, delivery_id, with_for_update=True)
    if endpoint.disabled_at is not None:
        raise Conflict("The endpoint is off; enable it first.")
    if delivery.ended_at is None:
        raise Conflict("This delivery is still on its way.")
    if at - delivery.ended_at > REPLAYABLE:
        raise Conflict(f"This delivery ended more than {REPLAYABLE.days} days ago and can no longer be replayed.")
    delivery.state, delivery.attempts, delivery.due_at, delivery.ended_at = "pending", 0, at, None
    record_act(session, Act("webhook_delivery.replayed", f"webhook_delivery:{delivery_id}"), actor=actor, at=at)
