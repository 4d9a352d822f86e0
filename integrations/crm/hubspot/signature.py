"""HubSpot's signature, version 3: base64 of HMAC-SHA256 over method, URI, body and timestamp, good for five minutes."""

import base64
import hashlib
import hmac
import re
from datetime import datetime

from integrations.crm.client import Push

TOLERANCE_SECONDS = 300

# HubSpot signs the URI with these decoded, and the others as they came.
_DECODED = {
    "%3A": ":", "%2F": "/", "%3F": "?", "%40": "@", "%21": "!", "%24": "$",
    "%27": "'", "%28": "(", "%29": ")", "%2A": "*", "%2C": ",", "%3B": ";",
}  # fmt: skip
_ENCODED = re.compile("|".join(_DECODED), re.IGNORECASE)


def sign(push: Push, *, secret: str, timestamp: str) -> str:
    url = _ENCODED.sub(lambda found: _DECODED[found.group().upper()], push.url)
    told = push.method.upper().encode() + url.encode() + push.body + timestamp.encode()
    return base64.b64encode(hmac.new(secret.encode(), told, hashlib.sha256).digest()).decode()


def is_genuine(push: Push, *, secret: str, now: datetime) -> bool:
    """Whether the app's client secret signed it within five minutes of `now`."""
    headers = {name.lower(): value for name, value in push.headers.items()}
    timestamp, given = headers.get("x-hubspot-request-timestamp", ""), headers.get("x-hubspot-signature-v3", "")
    if not secret or not re.fullmatch(r"[0-9]{1,15}", timestamp):
        return False
    if abs(now.timestamp() - int(timestamp) / 1000) > TOLERANCE_SECONDS:
        return False
    return hmac.compare_digest(sign(push, secret=secret, timestamp=timestamp).encode(), given.encode())
