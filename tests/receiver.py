"""A webhook receiver on loopback that answers as it is told, and keeps what came."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from sqlalchemy import Engine

from app.config import Settings
from app.db import transaction
from app.services.messages import CHOSEN_TYPES
from app.services.secrets import Keyring
from app.services.webhooks import MadeEndpoint, NewEndpoint, check_address, create_endpoint
from integrations.http_client import Policy

LOOPBACK = ("127.0.0.1",)
Reply = tuple[int, dict[str, str]]


@dataclass(frozen=True, slots=True)
class Request:
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


@dataclass
class Receiver:
    """`reply` says status and headers for a request; it may wait as long as it likes."""

    reply: Callable[[Request], Reply]
    requests: list[Request] = field(default_factory=list)
    url: str = ""

    @property
    def ids(self) -> list[str]:
        return [request.id for request in self.requests]


@contextmanager
def receiving(reply: Callable[[Request], Reply] = lambda _request: (204, {})) -> Iterator[Receiver]:
    receiver = Receiver(reply)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            request = Request({name.lower(): value for name, value in self.headers.items()}, body)
            receiver.requests.append(request)
            status, headers = receiver.reply(request)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_words: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 64
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        receiver.url = f"http://127.0.0.1:{server.server_port}/in?key=canary-of-an-address"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()


def add_endpoint(engine: Engine, settings: Settings, url: str, *, at: Any, types: Any = CHOSEN_TYPES) -> MadeEndpoint:
    """An endpoint as somebody would make it; loopback is on the operator's list."""
    address = check_address(url, policy=Policy(private_targets=LOOPBACK))
    with transaction(engine) as session:
        new = NewEndpoint("The CRM", address, types)
        return create_endpoint(session, new, keyring=Keyring.of(settings), actor="command", at=at)
