"""Standard Webhooks 1.0: what a message is signed with, and how a receiver checks it."""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping

PREFIX = "whsec_"
TOLERANCE_SECONDS = 300
MINIMUM_BYTES, MAXIMUM_BYTES = 24, 64  # as the specification has it


def new_secret() -> str:
    """A signing secret as people copy it."""
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def secret_bytes(text: str) -> bytes:
    """The key in a written secret; ValueError if it is not one."""
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not text.startswith(PREFIX) or not MINIMUM_BYTES <= len(key) <= MAXIMUM_BYTES:
        raise ValueError(f"A secret is {PREFIX} and the Base64 of {MINIMUM_BYTES} to {MAXIMUM_BYTES} bytes.")
    return key


def sign(secret: bytes, *, message_id: str, timestamp: int, body: bytes) -> str:
    """One signature; while a secret is being replaced, the header carries several with spaces between."""
    digest = hmac.new(secret, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def verify(secret: bytes, headers: Mapping[str, str], *, body: bytes, now: float) -> bool:
    """Whether one of the signatures is made with the secret, and the message within five minutes of now."""
    message_id, timestamp, signatures = (
        headers.get(f"webhook-{part}", "") for part in ("id", "timestamp", "signature")
    )
    if not message_id or not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= 15):
        return False
    if abs(now - int(timestamp)) > TOLERANCE_SECONDS:
        return False
    expected = sign(secret, message_id=message_id, timestamp=int(timestamp), body=body).encode()
    return any(hmac.compare_digest(expected, given.encode()) for given in signatures.split(" "))
