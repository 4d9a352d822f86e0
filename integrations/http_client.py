"""The only way out of the service: a request to an address that was checked, and an end to it.

The connection goes to an address that was checked (targets.py), never to a name, so that a second
look-up has nothing to say. There are no redirects, no proxy and no passwords from the environment.
One deadline covers look-up, connection, TLS, request and answer, however slowly the other side
sends; of the answer at most 64 kB are read, packed as they came, and nobody is shown them.
"""

import contextlib
import functools
import http.client
import io
import re
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from integrations.targets import Policy, Target, TargetRefused, admit, check_target

__all__ = ["Answer", "ExchangeFailed", "Policy", "Target", "TargetRefused", "check_target", "post"]

ANSWER_BYTES = 65_536
ADDRESSES_TRIED = 4
LONGEST_RETRY_AFTER_SECONDS = 86_400

_HEADER_NAME = re.compile(r"[A-Za-z0-9-]+")
_HEADER_VALUE = re.compile(r"[\x20-\x7e]*")
_OWN_HEADERS = {"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "user-agent"}


class ExchangeFailed(Exception):
    """There was no answer; the message says why, in words fit to be stored and shown."""


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    retry_after_seconds: int | None
    duration_ms: int


def post(target: Target, *, body: bytes, headers: Mapping[str, str], policy: Policy) -> Answer:
    """Send a body to a target that was checked; TargetRefused or ExchangeFailed where there is no answer.

    The answer is told as soon as its head is there: what follows is read, up to the limit, only so that
    the other side can end in peace.
    """
    admit(target, policy=policy)
    started_at = time.monotonic()
    deadline = _Deadline(policy.exchange_seconds - target.look_up_seconds)
    with _exchange(target, _request("POST", target, headers=headers, body=body), deadline=deadline) as response:
        status, retry_after = response.status, _retry_after_seconds(response.headers["Retry-After"])
        with contextlib.suppress(OSError, http.client.HTTPException):
            response.read(ANSWER_BYTES)
    return Answer(status, retry_after, round(1000 * (time.monotonic() - started_at)))


def _retry_after_seconds(value: str | None) -> int | None:
    """Seconds to wait, from a number or a date, and a day at most; None where nothing sensible is said."""
    text = (value or "").strip()
    if re.fullmatch(r"[0-9]{1,12}", text):
        return min(int(text), LONGEST_RETRY_AFTER_SECONDS)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    wait = (at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime.now(UTC)
    return min(max(0, round(wait.total_seconds())), LONGEST_RETRY_AFTER_SECONDS)


def _request(method: str, target: Target, *, headers: Mapping[str, str], body: bytes) -> bytes:
    for name, value in headers.items():
        if not (_HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(value)) or name.lower() in _OWN_HEADERS:
            raise ExchangeFailed("a header cannot be sent")
    lines = {
        "Host": target.origin.partition("://")[2],
        "User-Agent": "Tenure",
        "Accept-Encoding": "identity",
        "Connection": "close",
        "Content-Length": str(len(body)),
        **headers,
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"{method} {target.path} HTTP/1.1\r\n{head}\r\n".encode("ascii") + body


class _Deadline:
    """The end of an exchange: every wait is for what is left until then."""

    def __init__(self, seconds: float) -> None:
        self._ends_at = time.monotonic() + seconds

    def left_seconds(self) -> float:
        left = self._ends_at - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


class _TooLong(http.client.HTTPException):
    """More came than is read."""


class _Wire(io.RawIOBase):
    """What the other side sends: so many bytes, and until the deadline."""

    def __init__(self, connection: socket.socket, deadline: _Deadline) -> None:
        super().__init__()
        self._connection, self._deadline, self._left_bytes = connection, deadline, ANSWER_BYTES

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if self._left_bytes == 0:
            raise _TooLong
        self._connection.settimeout(self._deadline.left_seconds())
        count = self._connection.recv_into(buffer[: self._left_bytes])
        self._left_bytes -= count
        return count


class _Stream(io.BufferedReader):
    """The answers on one connection, of which there are several where interim ones (1xx) come first.

    The reader of an answer asks a socket for a file and closes it; this is both, and stays open.
    """

    def makefile(self, _mode: str) -> "_Stream":
        return self

    def close(self) -> None:
        pass


# The first that fits; no address, no name of a machine inside, nothing of what was received.
_WORDS: tuple[tuple[type[Exception], str], ...] = (
    (ssl.SSLCertVerificationError, "the certificate is not trusted, or not for this host"),
    (TimeoutError, "no answer in time"),
    (ssl.SSLError, "TLS failed"),
    (http.client.RemoteDisconnected, "closed without an answer"),
    (ConnectionRefusedError, "the connection was refused"),
    (ConnectionError, "the connection was broken off"),
    (OSError, "no connection"),
    (_TooLong, "the answer is too long"),
    (http.client.LineTooLong, "the answer is too long"),
    (http.client.HTTPException, "the answer is not HTTP"),
)


@contextlib.contextmanager
def _exchange(target: Target, request: bytes, *, deadline: _Deadline) -> Iterator[http.client.HTTPResponse]:
    """Send a request and give the head of the answer; the body can be read until the block ends."""
    try:
        with _connect(target, deadline) as connection:
            _send(connection, request, deadline=deadline)
            yield _read_head(_Stream(_Wire(connection, deadline)))
    except (OSError, http.client.HTTPException) as error:
        raise ExchangeFailed(next(words for kind, words in _WORDS if isinstance(error, kind))) from error


def _connect(target: Target, deadline: _Deadline) -> socket.socket:
    """Connect to one of the addresses that were checked; each gets its share of the time."""
    addresses = target.addresses[:ADDRESSES_TRIED]
    for left, address in zip(range(len(addresses), 0, -1), addresses, strict=True):
        connection = socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6)
        try:
            connection.settimeout(deadline.left_seconds() / left)
            connection.connect((str(address), target.port))
        except OSError:
            connection.close()
            if left == 1:
                raise
        else:
            return _secure(connection, target, deadline=deadline)
    raise ConnectionError("a target has an address")


def _secure(connection: socket.socket, target: Target, *, deadline: _Deadline) -> socket.socket:
    if target.scheme == "http":
        return connection
    with contextlib.ExitStack() as undo:
        undo.callback(connection.close)
        secure = _trust().wrap_socket(connection, server_hostname=target.host, do_handshake_on_connect=False)
        undo.callback(secure.close)
        secure.settimeout(deadline.left_seconds())
        secure.do_handshake()
        undo.pop_all()
    return secure


@functools.cache
def _trust() -> ssl.SSLContext:
    """The machine's own certificates; an operator adds to them as for any other program."""
    return ssl.create_default_context()


def _send(connection: socket.socket, data: bytes, *, deadline: _Deadline) -> None:
    view = memoryview(data)
    while view:
        connection.settimeout(deadline.left_seconds())  # not `sendall`: over TLS, its time begins anew with each part
        view = view[connection.send(view) :]


def _read_head(stream: _Stream) -> http.client.HTTPResponse:
    """The first answer that is not an interim one."""
    while True:
        response = http.client.HTTPResponse(stream, method="POST")  # type: ignore[arg-type]
        response.begin()
        if response.status >= 200 or response.status == HTTPStatus.SWITCHING_PROTOCOLS:
            return response
