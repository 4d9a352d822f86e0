"""Requests to a CRM: to its own origin, at an address that was checked, and with an end to each.

`requests` does the exchange; what it does not do is here. The connection goes to an address that was admitted
(integrations/targets.py), under the host's name in TLS, without redirects, proxies or passwords from the environment. A
path that names another origin is refused before anything is sent, so that a token never leaves for where a `next` link
points. One deadline covers connecting, request and answer, however slowly it drips. Nothing of an answer is logged.
"""

import contextlib
import json
import random
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from http import HTTPStatus
from typing import Any, NoReturn, Self
from urllib.parse import urljoin

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from integrations.crm.client import CrmBusy, CrmError, CrmNonsense
from integrations.targets import Policy, Target, TargetRefused, check_target

BUSY = frozenset({429, 502, 503, 504})
LONGEST_WAIT_SECONDS = 60.0
FIRST_BACKOFF_SECONDS = 0.5
_PART = 65_536
_BOTH_WAYS = 2  # socket.SHUT_RDWR

Query = Mapping[str, str | Sequence[str]]


@dataclass(frozen=True, slots=True)
class Limits:
    """At most `per_second` requests (None: as many as come), each within its deadline."""

    per_second: float | None = None
    deadline_seconds: float = 60.0
    most_bytes: int = 64_000_000
    tries: int = 5


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: Mapping[str, str] = field(repr=False)  # asked for in any case of letters
    content: bytes = field(repr=False)

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    def json(self) -> Any:
        """The body, its fractions as Decimals. CrmNonsense where it is not JSON."""
        try:
            return json.loads(self.content, parse_float=Decimal, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            raise CrmNonsense(f"The CRM answered {self.status} with something that is not JSON.") from None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


class Transport:
    """The way to one CRM; threads may share it. `wait` is what waits between tries and to keep the rate."""

    def __init__(
        self,
        origin: str,
        *,
        policy: Policy,
        limits: Limits = Limits(),
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        try:
            self._target = check_target(origin, policy=policy)
        except TargetRefused as error:
            raise CrmError(f"The CRM cannot be reached at this URL. {error}") from None
        self._limits, self._wait, self._jitter = limits, wait, random.Random()  # noqa: S311  no secret
        self._rate = _Rate(limits.per_second, wait)
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.adapters.clear()  # there is no other way out
        self._session.mount(self.origin, _PinnedAdapter(self._target))

    @property
    def origin(self) -> str:
        return self._target.origin

    def request(  # noqa: PLR0913  what a request of HTTP consists of
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Any = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        is_safe_to_repeat: bool = True,
    ) -> Reply:
        """Ask, and ask again where the CRM is busy or gave no answer; what is not safe to repeat, only after a 429.

        `path` is a path, or a URL of the same origin; `body` is sent as JSON. CrmBusy where it stays busy or asks for
        more than a minute; CrmError where there is no answer, CrmNonsense where it is a redirect or too long.
        """
        asked = requests.Request(
            method, self._url(path), params=dict(query or {}), data=form, headers=dict(headers or {})
        )
        if body is not None:
            asked.data = json.dumps(body, ensure_ascii=False).encode()
            asked.headers["Content-Type"] = "application/json"
        asked.headers["Host"] = self.origin.partition("://")[2]
        return self._ask(asked, is_safe_to_repeat=is_safe_to_repeat)

    def _url(self, path: str) -> str:
        url = urljoin(self._base, path)
        if not url.startswith(self._base):
            raise CrmError("The CRM's answer leads to another host; nothing was sent there.")
        return url

    @property
    def _base(self) -> str:
        return f"{self.origin}/"

    def _ask(self, asked: requests.Request, *, is_safe_to_repeat: bool) -> Reply:
        for turn in range(1, self._limits.tries + 1):
            self._rate.take()
            is_last = turn == self._limits.tries
            try:
                reply = self._exchange(asked)
            except _NoAnswerError as error:
                if is_last or not is_safe_to_repeat:
                    raise CrmError(f"The CRM gave no answer: {error}.") from None
                self._wait(self._backoff(turn))
                continue
            may_repeat = is_safe_to_repeat or reply.status == HTTPStatus.TOO_MANY_REQUESTS
            if reply.status not in BUSY or not may_repeat:
                return reply
            seconds = _retry_after_seconds(reply)
            if is_last or (seconds or 0) > LONGEST_WAIT_SECONDS:
                raise CrmBusy(f"The CRM answered {reply.status}: it is busy.", retry_after_seconds=seconds)
            self._wait(self._backoff(turn) if seconds is None else float(seconds))
        raise AssertionError("a request is tried at least once")

    def _backoff(self, turn: int) -> float:
        most: float = min(FIRST_BACKOFF_SECONDS * 2.0**turn, LONGEST_WAIT_SECONDS)
        return most * self._jitter.uniform(0.5, 1.0)

    def _exchange(self, asked: requests.Request) -> Reply:
        seconds = self._limits.deadline_seconds
        with _Watchdog(seconds) as watchdog:
            try:
                prepared = self._session.prepare_request(asked)
                # The watchdog is to be the first to end it: a socket's own end while it sends reads as a refusal.
                patience = (seconds, 2 * seconds)
                with self._session.send(prepared, stream=True, timeout=patience, allow_redirects=False) as answer:
                    content = self._read(answer)
            except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
                raise _NoAnswerError("it did not come in time" if watchdog.has_bitten else _words(error)) from None
        if answer.is_redirect:
            raise CrmNonsense("The CRM answers with a redirect; set `url` to where its API is.")
        return Reply(answer.status_code, answer.headers, content)

    def _read(self, answer: requests.Response) -> bytes:
        parts, size = [], 0
        for part in answer.iter_content(_PART):
            parts.append(part)
            size += len(part)
            if size > self._limits.most_bytes:
                raise CrmNonsense(f"The CRM's answer is longer than {self._limits.most_bytes:,} bytes.")
        return b"".join(parts)


class _NoAnswerError(Exception):
    """The exchange failed; the message says how."""


def _words(error: Exception) -> str:
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not trusted, or TLS failed"
    if isinstance(error, requests.Timeout):
        return "it did not come in time"
    if isinstance(error, requests.exceptions.ContentDecodingError):
        return "it is not packed as it says"
    return "the connection was refused or broken off"


def _retry_after_seconds(reply: Reply) -> int | None:
    value = reply.headers.get("Retry-After")
    try:
        return None if value is None else max(0, round(Retry().parse_retry_after(value)))
    except (urllib3.exceptions.InvalidHeader, ValueError, OverflowError):
        return None


class _Rate:
    """Requests are spaced evenly, whoever asks."""

    def __init__(self, per_second: float | None, wait: Callable[[float], None]) -> None:
        self._gap = 0.0 if per_second is None else 1.0 / per_second
        self._wait, self._next_at, self._lock = wait, 0.0, threading.Lock()

    def take(self) -> None:
        with self._lock:
            now = time.monotonic()
            at = max(now, self._next_at)
            self._next_at = at + self._gap
        if at > now:
            self._wait(at - now)


_exchange = threading.local()  # the watchdog of this thread's exchange


class _Watchdog:
    """Breaks the connection of the exchange when its time is over: a timeout of `requests` is for a single wait."""

    def __init__(self, seconds: float) -> None:
        self.has_bitten = False
        self._connection: Any = None
        self._timer = threading.Timer(seconds, self._bite)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        _exchange.watchdog = self
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        _exchange.watchdog = None

    def watch(self, connection: Any) -> None:
        self._connection = connection
        if self.has_bitten:
            self._bite()

    def _bite(self) -> None:
        self.has_bitten = True
        sock = getattr(self._connection, "sock", None)
        if sock is not None:
            with contextlib.suppress(OSError):  # it was closed in the meantime
                sock.shutdown(_BOTH_WAYS)  # whoever waits on it wakes up


class _WatchedHTTPConnection(urllib3.connection.HTTPConnection):
    def request(self, *args: Any, **kwargs: Any) -> None:
        _watch(self)
        super().request(*args, **kwargs)


class _WatchedHTTPSConnection(urllib3.connection.HTTPSConnection):
    def connect(self) -> None:
        _watch(self)  # the handshake, too, may drip
        super().connect()

    def request(self, *args: Any, **kwargs: Any) -> None:
        _watch(self)
        super().request(*args, **kwargs)


def _watch(connection: Any) -> None:
    watchdog = getattr(_exchange, "watchdog", None)
    if watchdog is not None:
        watchdog.watch(connection)


class _HTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _WatchedHTTPConnection


class _HTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _WatchedHTTPSConnection


class _PinnedAdapter(HTTPAdapter):
    """Connects to the address that was checked, and asks the certificate for the host's name."""

    def __init__(self, target: Target) -> None:
        self._target, self._trust = target, ssl.create_default_context()
        super().__init__(max_retries=0, pool_maxsize=10)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}

    def build_connection_pool_key_attributes(self, *args: Any, **kwargs: Any) -> Any:
        host, pool = super().build_connection_pool_key_attributes(*args, **kwargs)
        name = self._target.host
        of_tls = {"ssl_context": self._trust, "server_hostname": name, "assert_hostname": name}
        return {**host, "host": str(self._target.addresses[0])}, of_tls if self._target.scheme == "https" else pool

    def cert_verify(self, *args: Any, **kwargs: Any) -> None:
        """The machine's own certificates are trusted, to which an operator adds as for any other program."""
