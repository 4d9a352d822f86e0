"""What is cleared away behind the deliveries: what was stranded, and what is too old to be kept."""

from datetime import datetime, timedelta

from sqlalchemy import Select, delete, exists, or_, select
from sqlalchemy.orm import Session

from app.models.webhooks import DeliveryAttempt, WebhookDelivery, WebhookEndpoint, WebhookMessage, WebhookSecret
from app.services.deliveries import REPLAYABLE
from app.services.webhooks import drop_pending

KEPT = timedelta(days=30)
PRUNED_AT_ONCE = 500


def needs_upkeep(session: Session, *, at: datetime) -> bool:
    """Whether there is anything to clear away: it is asked often, and the answer is mostly no."""
    expired = select(WebhookSecret.id).where(WebhookSecret.expires_at <= at)
    return any(session.scalar(each.limit(1)) is not None for each in (_stranded(at), _old(at), expired))


def drop_stranded(session: Session, *, at: datetime) -> int:
    """End what was posted to an endpoint at the moment when it was switched off."""
    found = session.scalars(_stranded(at).order_by(WebhookEndpoint.id).with_for_update(key_share=True))
    return sum(drop_pending(session, endpoint_id, at=at) for endpoint_id in found.all())


def prune(session: Session, *, at: datetime) -> int:
    """Delete messages, 30 days after they were posted, with their deliveries and attempts, and secrets that expired.

    A message stays while it is on its way or can be replayed. Returns how many went; at most 500 at once.
    """
    session.execute(delete(WebhookSecret).where(WebhookSecret.expires_at <= at))
    oldest = _old(at).order_by(WebhookMessage.created_at).limit(PRUNED_AT_ONCE)
    ids = session.scalars(oldest.with_for_update(skip_locked=True)).all()
    deliveries = select(WebhookDelivery.id).where(WebhookDelivery.message_id.in_(ids))
    session.execute(delete(DeliveryAttempt).where(DeliveryAttempt.delivery_id.in_(deliveries)))
    session.execute(delete(WebhookDelivery).where(WebhookDelivery.message_id.in_(ids)))
    session.execute(delete(WebhookMessage).where(WebhookMessage.id.in_(ids)))
    return len(ids)


def _stranded(at: datetime) -> Select[int]:
    unclaimed = or_(WebhookDelivery.claimed_until.is_(None), WebhookDelivery.claimed_until <= at)
    own = WebhookDelivery.endpoint_id == WebhookEndpoint.id
    waiting = exists().where(own, WebhookDelivery.state == "pending", unclaimed)
    off = or_(WebhookEndpoint.disabled_at.is_not(None), WebhookEndpoint.deleted_at.is_not(None))
    return select(WebhookEndpoint.id).where(off, waiting)


def _old(at: datetime) -> Select[int]:
    needed = or_(WebhookDelivery.state == "pending", WebhookDelivery.ended_at > at - REPLAYABLE)
    still_needed = exists().where(WebhookDelivery.message_id == WebhookMessage.id, needed)
    return select(WebhookMessage.id).where(WebhookMessage.created_at < at - KEPT, ~still_needed)
