"""A proxy that passes requests on and then lies about it: the answer becomes a 500, or is lost."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread

REFUSED = "refused"  # not passed on, answered 500
BROKEN = "broken"  # passed on, answered 500
LOST = "lost"  # passed on, the connection closed without an answer


class FaultyProxy(ThreadingHTTPServer):
    """Does each of `faults` (None: nothing) to one request after another, and nothing to those after them."""

    daemon_threads = True

    def __init__(self, upstream: int, faults: list[str | None]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream, self.faults, self.lock = upstream, list(faults), Lock()
        self.passed_on: list[int] = []  # the answers' statuses

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Handler(BaseHTTPRequestHandler):
    server: FaultyProxy

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with self.server.lock:
            fault = self.server.faults.pop(0) if self.server.faults else None
        if fault == REFUSED:
            self._answer(500, b"{}")
            return
        connection = HTTPConnection("127.0.0.1", self.server.upstream, timeout=30)
        connection.request("POST", self.path, body, dict(self.headers.items()))
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        with self.server.lock:
            self.server.passed_on.append(answer.status)
        if fault == LOST:
            self.close_connection = True
        else:
            self._answer(500 if fault == BROKEN else answer.status, content)

    def _answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Not on the tests' output."""


@contextmanager
def faulty_proxy(upstream: int, *faults: str | None) -> Iterator[FaultyProxy]:
    proxy = FaultyProxy(upstream, list(faults))
    thread = Thread(target=proxy.serve_forever)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.shutdown()
        thread.join()
        proxy.server_close()
