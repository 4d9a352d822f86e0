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

from app.api.event_door import RECEIPT, EventDoor
from app.api.group_commit import GroupCommit
from app.auth import current_caller, requires
from app.db import Turns, transaction
from app.errors import Invalid, NotAllowed, TooLarge
from app.http import Application, own_transaction
from app.queries.callers import Program
from app.schemas.events import BATCH_LIMIT_BYTES, TOO_LARGE, Batch, read_batch, read_single, unpack
from app.services.event_reading import Delivery, Digests, Origin, read_delivery
from app.services.events import Receipt, ensure_sources, find_person_key, record_deliveries
from app.services.secrets import Keyring
from app.services.tokens import INGEST

PREFIXES = ("/v1", "/ingest/v1")
SINGLES = ("track", "page", "screen", "identify", "group", "alias")
MOST_NAMED = 1_000  # refused messages in an answer

Read = Callable[[bytes], Batch]


def register(app: Application) -> None:
    """The addresses, each also below a prefix: some clients want a host with a path."""
    blueprint = Blueprint("ingest", __name__)
    intake, door = _Intake(app), EventDoor(app, answer=_answer_if_kept)
    reads: dict[str, Read] = {name: partial(read_single, name) for name in SINGLES}
    reads["batch"] = read_batch
    for name, read in reads.items():
        view = own_transaction(requires(INGEST)(_view(intake, door, read=read)))
        for prefix in PREFIXES:
            blueprint.add_url_rule(
                f"{prefix}/{name}", f"{name}{'_below' if prefix != PREFIXES[0] else ''}", view, methods=["POST"],
                strict_slashes=False,
            )  # fmt: skip
    app.register_blueprint(blueprint)
    app.wsgi_app = door  # type: ignore[method-assign]


def _view(intake: "_Intake", door: EventDoor, *, read: Read) -> Callable[[], ResponseReturnValue]:
    def view() -> ResponseReturnValue:
        receipt = request.environ.get(RECEIPT)
        if receipt is None:
            encoding = request.headers.get("Content-Encoding", "")
            take = partial(intake.take, source=_source(), encoding=encoding, read=read)
            receipt = take(_body())
            door.open_for(request.environ, take)
        return Response(_answer(receipt), mimetype="application/json")

    return view


class _Intake:
    """Stores bodies, those that come together in one transaction."""

    def __init__(self, app: Application) -> None:
        self._app = app
        self._origins: dict[str, Origin] = {}  # of the sources that events came from so far: they stay
        self._together: GroupCommit[Delivery, Receipt] = GroupCommit(self._record, Turns(app.engine))

    def take(self, body: bytes, *, source: str, encoding: str, read: Read) -> Receipt:
        origin = self._origin_of(source)
        return self._together.submit(
            lambda: read_delivery(read(unpack(body, encoding)), origin=origin, received_at=self._app.clock())
        )

    def _origin_of(self, source: str) -> Origin:
        if source not in self._origins:
            with transaction(self._app.engine) as session:
                source_id = ensure_sources(session, {source})[source]
                person_key = find_person_key(session, source_id, keyring=Keyring.of(self._app.settings))
            self._origins[source] = Origin(source_id, source, Digests(person_key, source))
        return self._origins[source]

    def _record(self, deliveries: Sequence[Delivery]) -> list[Receipt]:
        with self._app.engine.begin() as connection:
            return record_deliveries(connection, deliveries)


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
        return request.get_data(cache=False)
    except RequestEntityTooLarge:
        raise TooLarge(TOO_LARGE) from None


def _answer(receipt: Receipt) -> bytes:
    """Raises Invalid where nothing was kept."""
    answer = _answer_if_kept(receipt)
    if answer is None:
        fields = {f"batch[{each.position}]": [each.words] for each in receipt.refused[:MOST_NAMED]}
        first = receipt.refused[0]
        raise Invalid(f"None of these messages can be taken; message {first.position} {first.words}.", fields)
    return answer


def _answer_if_kept(receipt: Receipt) -> bytes | None:
    if receipt.refused and not receipt.accepted + receipt.ignored:
        return None
    answer: dict[str, Any] = {
        "success": True,
        "accepted": receipt.accepted,
        "ignored": receipt.ignored,
        "refused": [
            {"index": each.position, "messageId": each.message_id, "reason": each.reason, "detail": each.words}
            for each in receipt.refused[:MOST_NAMED]
        ],
    }
    return orjson.dumps(answer)
