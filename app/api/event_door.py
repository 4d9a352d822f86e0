"""The quick way in for events, past all that a request is otherwise wrapped in and asked.

Routing a request, asking whose key it has and making an answer of objects takes longer than reading a hundred events.
Whoever was let in with a key at an address is let in there again for a second without being asked; all that is out of
the ordinary goes the long way, and is answered there.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from hashlib import sha256
from io import BytesIO
from typing import Any

from app.http import Application, fixed_headers
from app.schemas.events import BATCH_LIMIT_BYTES
from app.services.events import Receipt

OPEN_FOR = timedelta(seconds=1)
MOST_REMEMBERED = 1_000
# All that letting in depends on where somebody sends a key: what a view may not look at else.
LOOK = ("REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "HTTP_HOST", "HTTP_CONTENT_ENCODING")
RECEIPT = "tenure.receipt"  # of what was stored on the way, for the view to answer

Environ = dict[str, Any]
Take = Callable[[bytes], Receipt]
Look = tuple[str | bytes | None, ...]


class EventDoor:
    """A WSGI application before the application.

    `answer` makes JSON of what was stored; None says that it is for the view to say.
    """

    def __init__(self, app: Application, answer: Callable[[Receipt], bytes | None]) -> None:
        self._app, self._long_way, self._answer = app, app.wsgi_app, answer
        self._headers = [("Content-Type", "application/json"), *fixed_headers(app)]
        self._open: dict[Look, tuple[Take, datetime]] = {}

    def open_for(self, environ: Environ, take: Take) -> None:
        """Let in what looks like this request, for a while; `take` stores a body."""
        if len(self._open) >= MOST_REMEMBERED:
            self._open.clear()
        self._open[_look_of(environ)] = take, self._app.clock()

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        take, length = self._find(environ), environ.get("CONTENT_LENGTH", "")
        if take is None or not (length.isascii() and length.isdigit() and int(length) <= BATCH_LIMIT_BYTES):
            return self._long_way(environ, start_response)
        body = environ["wsgi.input"].read(int(length))
        environ["wsgi.input"] = BytesIO(body)  # for the long way
        if len(body) < int(length):
            return self._long_way(environ, start_response)
        try:
            receipt = take(body)
        except Exception:  # noqa: BLE001  whatever it is: the long way meets it too, and has an answer
            return self._long_way(environ, start_response)
        answer = self._answer(receipt)
        if answer is None:
            return self._long_way(environ | {RECEIPT: receipt}, start_response)
        start_response("200 OK", [*self._headers, ("Content-Length", str(len(answer)))])
        return [answer]

    def _find(self, environ: Environ) -> Take | None:
        take, since = self._open.get(_look_of(environ), (None, None))
        if since is None or not timedelta(0) <= self._app.clock() - since < OPEN_FOR:
            return None
        return take


def _look_of(environ: Environ) -> Look:
    key = sha256(environ.get("HTTP_AUTHORIZATION", "").encode()).digest()
    return (key, *[environ.get(name) for name in LOOK])
