"""`Idempotency-Key`: a request that may be sent again after its answer was lost."""

import hashlib
from collections.abc import Callable

from flask import Response, request

from app.api.media import JSON
from app.auth import current_actor
from app.errors import Invalid
from app.http import application, database, now
from app.services.idempotency import Answer, Sent, claim_key, keep_answer
from app.services.secrets import Keyring

HEADER = "Idempotency-Key"
LONGEST_KEY = 200


def answer_once(act: Callable[[], Response]) -> Response:
    """The answer of `act`, or without acting the one that the same request with the same key got before."""
    sent = _read_key()
    if sent is None:
        return act()
    keyring = Keyring.of(application().settings)
    before = claim_key(database(), sent, keyring=keyring, now=now())
    if before is not None:
        mimetype = JSON if before.body else None
        return Response(before.body, before.status, {"Idempotent-Replay": "true"}, mimetype=mimetype)
    response = act()
    answer = Answer(response.status_code, response.get_data(as_text=True))
    keep_answer(database(), sent, answer=answer, keyring=keyring)
    return response


def _read_key() -> Sent | None:
    key = request.headers.get(HEADER)
    if key is None:
        return None
    if not 1 <= len(key) <= LONGEST_KEY or not key.isascii() or not key.isprintable():
        raise Invalid(f"{HEADER} must be 1 to {LONGEST_KEY} ASCII characters, such as a UUID.")
    asked = f"{request.method} {request.full_path}\0".encode() + request.get_data()
    return Sent(current_actor(), key, hashlib.sha256(asked).digest())
