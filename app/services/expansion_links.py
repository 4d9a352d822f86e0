"""Answers in one click: addresses that say what is to be done, signed, and good for two weeks.

Whoever has such an address may do that one thing to that one opportunity. It is bound to the
message that carried it, and to the moment until which it can be used.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from itsdangerous import BadSignature, URLSafeSerializer

from app.domain.expansion_moves import ACCEPT, REJECT, SNOOZE
from app.errors import Invalid

GOOD_FOR = timedelta(days=14)
LINKED_ACTIONS = (ACCEPT, REJECT, SNOOZE)
SALT = "expansion-opportunity-link"
SIGNER = {"key_derivation": "hmac", "digest_method": hashlib.sha256}


class LinkExpired(Invalid):
    """This link has expired."""


@dataclass(frozen=True, slots=True)
class Linked:
    """What an address stands for."""

    opportunity_id: int
    action: str
    message_id: str
    expires_at: datetime


def sign_link(linked: Linked, *, secret_key: str) -> str:
    """The part of the address that carries it. The key is the installation's, used for nothing else by its salt."""
    content = [linked.opportunity_id, linked.action, linked.message_id, int(linked.expires_at.timestamp())]
    return str(_serializer([secret_key]).dumps(content))


def read_link(token: str, *, secret_keys: Sequence[str], now: datetime) -> Linked:
    """What was signed under one of the keys. Raises Invalid for anything else, LinkExpired once its time is over."""
    try:
        opportunity_id, action, message_id, expires = _serializer(secret_keys).loads(token)
    except BadSignature:
        raise Invalid("This link is damaged.") from None
    linked = Linked(opportunity_id, action, message_id, datetime.fromtimestamp(expires, now.tzinfo))
    if now >= linked.expires_at:
        raise LinkExpired
    return linked


def _serializer(secret_keys: Sequence[str]) -> URLSafeSerializer:
    return URLSafeSerializer(list(secret_keys), salt=SALT, signer_kwargs=SIGNER)
