"""Usage events in, as the client libraries of Segment send them: point them here by their host.

Answered once what was sent is stored. A batch of which at least one message is fine is answered 200, with the others
named by position; one of which none is fine is answered 400, which clients do not send again.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import orjson
from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import RequestEntityTooLarge

from app.api.group_commit import GroupCommit
from app.auth import current_caller, requires
from app.db import transaction
from app.errors import Invalid, NotAllowed, TooLarge
from app.http import Application, now, own_transaction
from app.queries.callers import Program
from app.schemas.events import BATCH_LIMIT_BYTES, TOO_LARGE, Batch, read_batch, read_single, unpack
from app.services.event_reading import Delivery, Digests, Origin, read_delivery
from app.services.events import Receipt, ensure_sources, find_person_key, record_deliveries
from app.services.secrets import Keyring
from app.services.tokens import INGEST

PREFIXES = ("/v1", "/ingest/v1")
SINGLES = ("track", "page", "screen", "identify", "group", "alias")
MOST_NAMED = 1_000  # refused messages in an answer

Committer = GroupCommit[Delivery, Receipt]


def register(app: Application) -> None:
    """The addresses, each also below a prefix: some clients want a host with a path."""
    blueprint = Blueprint("ingest", __name__)
    committer: Committer = GroupCommit(lambda deliveries: _commit(app, deliveries))
    origin_of = _Origins(app)
    views: dict[str, Callable[[bytes], Batch]] = {"batch": read_batch}
    views |= {name: partial(read_single, name) for name in SINGLES}
    for name, read in views.items():
        view = own_transaction(requires(INGEST)(_view(committer, origin_of, read=read)))
        for prefix in PREFIXES:
            blueprint.add_url_rule(
                f"{prefix}/{name}", f"{name}{'_below' if prefix != PREFIXES[0] else ''}", view, methods=["POST"],
                strict_slashes=False,
            )  # fmt: skip
    app.register_blueprint(blueprint)


def _view(
    committer: Committer, origin_of: Callable[[str], Origin], *, read: Callable[[bytes], Batch]
) -> Callable[[], ResponseReturnValue]:
    def view() -> ResponseReturnValue:
        origin = origin_of(_source())
        delivery = read_delivery(read(_body()), origin=origin, received_at=now())
        return _answer(committer.submit(delivery))

    return view


class _Origins:
    """The sources that events came from so far, each looked up once: they stay."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self._known: dict[str, Origin] = {}

    def __call__(self, source: str) -> Origin:
        if source not in self._known:
            with transaction(self._app.engine) as session:
                source_id = ensure_sources(session, {source})[source]
                person_key = find_person_key(session, source_id, keyring=Keyring.of(self._app.settings))
            self._known[source] = Origin(source_id, source, Digests(person_key, source))
        return self._known[source]


def _commit(app: Application, deliveries: Sequence[Delivery]) -> list[Receipt]:
    with transaction(app.engine) as session:
        return record_deliveries(session, deliveries)


def _source() -> str:
    caller = current_caller()
    if not isinstance(caller, Program) or caller.source is None:
        raise NotAllowed(
            "This key belongs to no event source; make one with `tenure token create --scope ingest:write --source ...`"
        )
    return caller.source


def _body() -> bytes:
    request.max_content_length = BATCH_LIMIT_BYTES + 1  # a chunked body is cut off there: that it is too long shows
    try:
        body = request.get_data(cache=False)
    except RequestEntityTooLarge:
        raise TooLarge(TOO_LARGE) from None
    return unpack(body, request.headers.get("Content-Encoding", ""))


def _answer(receipt: Receipt) -> ResponseReturnValue:
    kept = receipt.accepted + receipt.ignored
    if receipt.refused and not kept:
        fields = {f"batch[{each.position}]": [each.words] for each in receipt.refused[:MOST_NAMED]}
        first = receipt.refused[0]
        raise Invalid(f"None of these messages can be taken; message {first.position} {first.words}.", fields)
    answer: dict[str, Any] = {
        "success": True,
        "accepted": receipt.accepted,
        "ignored": receipt.ignored,
        "refused": [
            {"index": each.position, "messageId": each.message_id, "reason": each.reason, "detail": each.words}
            for each in receipt.refused[:MOST_NAMED]
        ],
    }
    return Response(orjson.dumps(answer), mimetype="application/json")
