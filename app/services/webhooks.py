"""Webhook endpoints: where messages go, what they are signed with, and when they are switched off."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from app.domain.texts import is_one_line
from app.errors import Invalid, NotFound
from app.models.webhooks import WebhookDelivery, WebhookEndpoint, WebhookSecret
from app.services.audit import Act, record_act
from app.services.messages import CHOSEN_TYPES
from app.services.secrets import Keyring, Place
from integrations.http_client import Policy, TargetRefused, check_target
from integrations.webhooks.signature import new_secret

FORMATS = {"standard": "JSON as Standard Webhooks has it"}
DISABLED_REASONS = {
    "switched_off": "somebody switched it off",
    "gone": "the receiver answered 410: it wants no more messages",
    "given_up": "five messages in a row were given up, each after ten attempts",
}
OVERLAP = timedelta(hours=24)
LONGEST_OVERLAP = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Address:
    """An address that the guarded client would go to. It can be a secret of its own: only its origin is shown."""

    url: str = field(repr=False)
    origin: str


@dataclass(frozen=True, slots=True)
class NewEndpoint:
    name: str
    address: Address
    types: Sequence[str]
    format: str = "standard"


@dataclass(frozen=True, slots=True)
class MadeEndpoint:
    """`secret` is shown this once: it is kept encrypted and never answered again."""

    id: int
    origin: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class EndpointChange:
    """What is to be different; None stays as it is."""

    endpoint_id: int
    name: str | None = None
    address: Address | None = None
    types: Sequence[str] | None = None
    format: str | None = None
    is_enabled: bool | None = None


@dataclass(frozen=True, slots=True)
class Rotation:
    endpoint_id: int
    overlap: timedelta = OVERLAP


@dataclass(frozen=True, slots=True)
class NewSecret:
    """The secret that takes over, and until when messages carry the signatures of its predecessors, too."""

    secret: str = field(repr=False)
    old_until: datetime


def check_address(url: str, *, policy: Policy) -> Address:
    """Look the address up as every delivery will. Asks the network: before a transaction's first statement, please.

    Raises Invalid for one that messages may not be sent to.
    """
    try:
        target = check_target(url, policy=policy)
    except TargetRefused as refused:
        raise Invalid(str(refused), {"url": [str(refused)]}) from None
    return Address(url, target.origin)


def create_endpoint(session: Session, new: NewEndpoint, *, keyring: Keyring, actor: str, at: datetime) -> MadeEndpoint:
    """Add an endpoint with a secret of its own. Raises Invalid for a name, type or format that is none."""
    name, types, format_ = _named(new.name), _chosen(new.types), _formatted(new.format)
    endpoint = WebhookEndpoint(
        name=name, origin=new.address.origin, url_ciphertext=b"", types=types, format=format_, created_at=at
    )
    session.add(endpoint)
    session.flush()
    endpoint.url_ciphertext = keyring.encrypt(new.address.url, url_place(endpoint.id))
    secret = _add_secret(session, endpoint.id, keyring=keyring, at=at)
    _note(session, endpoint, what="created", actor=actor, at=at)
    return MadeEndpoint(endpoint.id, endpoint.origin, secret)


def update_endpoint(session: Session, change: EndpointChange, *, keyring: Keyring, actor: str, at: datetime) -> None:
    """Change what is given. A message already on its way goes to the new address.

    Switching off ends what is pending as dropped; while off, no message is kept for the endpoint.
    Raises NotFound, and Invalid as `create_endpoint`.
    """
    endpoint = lock_endpoint(session, change.endpoint_id)
    endpoint.name = endpoint.name if change.name is None else _named(change.name)
    endpoint.types = endpoint.types if change.types is None else _chosen(change.types)
    endpoint.format = endpoint.format if change.format is None else _formatted(change.format)
    if change.address is not None:
        endpoint.origin = change.address.origin
        endpoint.url_ciphertext = keyring.encrypt(change.address.url, url_place(endpoint.id))
    if session.is_modified(endpoint):
        _note(session, endpoint, what="changed", actor=actor, at=at)
    if change.is_enabled is False:
        disable_endpoint(session, endpoint, reason="switched_off", actor=actor, at=at)
    if change.is_enabled is True and endpoint.disabled_at is not None:
        endpoint.disabled_at = endpoint.disabled_reason = None
        _note(session, endpoint, what="enabled", actor=actor, at=at)


def disable_endpoint(session: Session, endpoint: WebhookEndpoint, *, reason: str, actor: str, at: datetime) -> None:
    """Switch a locked endpoint off for one of DISABLED_REASONS, and drop what was to be sent to it."""
    if endpoint.disabled_at is not None:
        return
    endpoint.disabled_at, endpoint.disabled_reason = at, reason
    drop_pending(session, endpoint.id, at=at)
    _note(session, endpoint, what="disabled", actor=actor, at=at)


def delete_endpoint(session: Session, endpoint_id: int, *, actor: str, at: datetime) -> None:
    """Take the endpoint away with its address and secrets; the log of what was sent to it stays. Raises NotFound."""
    endpoint = lock_endpoint(session, endpoint_id)
    endpoint.deleted_at, endpoint.url_ciphertext = at, b""
    for secret in session.scalars(select(WebhookSecret).where(WebhookSecret.endpoint_id == endpoint_id)):
        session.delete(secret)
    drop_pending(session, endpoint_id, at=at)
    _note(session, endpoint, what="deleted", actor=actor, at=at)


def rotate_secret(session: Session, rotation: Rotation, *, keyring: Keyring, actor: str, at: datetime) -> NewSecret:
    """Make a new secret. For the overlap messages carry the signatures of the old ones, too; zero ends those at once.

    Raises NotFound, and Invalid for an overlap below zero or above a week.
    """
    if not timedelta(0) <= rotation.overlap <= LONGEST_OVERLAP:
        raise Invalid("The old secret can count for 0 to 168 hours more.", {"overlap_hours": ["must be 0 to 168"]})
    endpoint, until = lock_endpoint(session, rotation.endpoint_id), at + rotation.overlap
    counts_longer = or_(WebhookSecret.expires_at.is_(None), WebhookSecret.expires_at > until)
    old = update(WebhookSecret).where(WebhookSecret.endpoint_id == endpoint.id, counts_longer)
    session.execute(old.values(expires_at=until))
    secret = _add_secret(session, endpoint.id, keyring=keyring, at=at)
    _note(session, endpoint, what="secret_rotated", actor=actor, at=at)
    return NewSecret(secret, until)


def lock_endpoint(session: Session, endpoint_id: int) -> WebhookEndpoint:
    """The endpoint, changed by nobody else until the end of the transaction. Raises NotFound.

    Whoever touches several deliveries of an endpoint locks it first, so that two that do wait for
    each other in one order. New deliveries to it are not held up.
    """
    statement = select(WebhookEndpoint).where(WebhookEndpoint.id == endpoint_id, WebhookEndpoint.deleted_at.is_(None))
    endpoint = session.scalar(statement.with_for_update(key_share=True).execution_options(populate_existing=True))
    if endpoint is None:
        raise NotFound("There is no such webhook endpoint.")
    return endpoint


def drop_pending(session: Session, endpoint_id: int, *, at: datetime) -> int:
    """End what waits for an endpoint; what is being sent at this moment is left to whoever sends it."""
    waiting = (
        WebhookDelivery.endpoint_id == endpoint_id,
        WebhookDelivery.state == "pending",
        or_(WebhookDelivery.claimed_until.is_(None), WebhookDelivery.claimed_until <= at),
    )
    dropped = session.execute(
        update(WebhookDelivery).where(*waiting).values(state="dropped", ended_at=at).returning(WebhookDelivery.id)
    )
    return len(dropped.all())


def url_place(endpoint_id: int) -> Place:
    return Place("webhook_endpoints", endpoint_id, "url_ciphertext")


def secret_place(secret_id: int) -> Place:
    return Place("webhook_secrets", secret_id, "ciphertext")


def _add_secret(session: Session, endpoint_id: int, *, keyring: Keyring, at: datetime) -> str:
    text = new_secret()
    secret = WebhookSecret(endpoint_id=endpoint_id, ciphertext=b"", created_at=at)
    session.add(secret)
    session.flush()
    secret.ciphertext = keyring.encrypt(text, secret_place(secret.id))
    session.flush()
    return text


def _note(session: Session, endpoint: WebhookEndpoint, *, what: str, actor: str, at: datetime) -> None:
    details: dict[str, Any] = {"origin": endpoint.origin, "types": endpoint.types, "format": endpoint.format}
    if what == "disabled":
        details = {"reason": endpoint.disabled_reason}
    record_act(session, Act(f"webhook_endpoint.{what}", f"webhook_endpoint:{endpoint.id}", details), actor=actor, at=at)


def _named(name: str) -> str:
    if not name.strip() or len(name) > 100 or not is_one_line(name):
        said = "must have 1 to 100 characters, on one line"
        raise Invalid("An endpoint needs a name of 1 to 100 characters, on one line.", {"name": [said]})
    return name.strip()


def _chosen(types: Sequence[str]) -> list[str]:
    unknown = sorted(set(types) - set(CHOSEN_TYPES))
    if unknown or not types:
        said = f"There is no type of message {unknown[0][:60]!r}" if unknown else "An endpoint needs a type of message"
        raise Invalid(f"{said}; there are: {', '.join(CHOSEN_TYPES)}.", {"types": ["are not all known"]})
    return sorted(set(types))


def _formatted(name: str) -> str:
    if name not in FORMATS:
        raise Invalid(f"There is no format {name[:60]!r}; there are: {', '.join(FORMATS)}.", {"format": ["is none"]})
    return name
