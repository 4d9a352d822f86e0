"""Receivers that misbehave, as real sockets on loopback: what a message may meet outside."""

import contextlib
import gzip
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

DRIP_SECONDS = 0.05
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Receiver:
    """Listens until it is closed; each connection is handled by a thread of its own."""

    behave: Callable[["Receiver", socket.socket], None]
    listener: socket.socket
    requests: list[bytes] = field(default_factory=list)
    sent_bytes: int = 0
    closing: threading.Event = field(default_factory=threading.Event)
    connections: int = 0

    def __post_init__(self) -> None:
        self.port: int = self.listener.getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/in"

    def listen(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._handle, args=(connection,), daemon=True).start()

    def _handle(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            self.behave(self, connection)

    def read(self, connection: socket.socket) -> bytes:
        """A request with its body."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += (more := connection.recv(65_536))
            if not more:
                return data
        head, _, body = data.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        while len(body) < length:
            body += connection.recv(65_536)
        self.requests.append(head + b"\r\n\r\n" + body)
        return self.requests[-1]

    def send(self, connection: socket.socket, data: bytes) -> None:
        connection.sendall(data)
        self.sent_bytes += len(data)


@contextlib.contextmanager
def receiving(
    behave: Callable[[Receiver, socket.socket], None], listener: socket.socket | None = None
) -> Iterator[Receiver]:
    receiver = Receiver(behave, listener or socket.create_server(("127.0.0.1", 0)))
    thread = threading.Thread(target=receiver.listen, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.closing.set()
        with contextlib.suppress(OSError):
            receiver.listener.shutdown(socket.SHUT_RDWR)
        receiver.listener.close()
        thread.join(5)


def answer(text: bytes) -> Callable[[Receiver, socket.socket], None]:
    def behave(receiver: Receiver, connection: socket.socket) -> None:
        receiver.read(connection)
        receiver.send(connection, text)

    return behave


def status(line: str, *headers: str) -> Callable[[Receiver, socket.socket], None]:
    return answer("\r\n".join([f"HTTP/1.1 {line}", *headers, "Content-Length: 0", "", ""]).encode())


def hang(receiver: Receiver, connection: socket.socket) -> None:
    receiver.read(connection)
    receiver.closing.wait(60)


def never_read(receiver: Receiver, connection: socket.socket) -> None:
    receiver.closing.wait(60)


def close_at_once(receiver: Receiver, connection: socket.socket) -> None:
    pass


def close_after_the_request(receiver: Receiver, connection: socket.socket) -> None:
    receiver.read(connection)


def reset(receiver: Receiver, connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def drip(text: bytes, *, first: bytes = b"", every_seconds: float = DRIP_SECONDS) -> Callable[..., None]:
    def behave(receiver: Receiver, connection: socket.socket) -> None:
        receiver.read(connection)
        receiver.send(connection, first)
        position = 0
        while not receiver.closing.wait(every_seconds):
            receiver.send(connection, text[position % len(text)].to_bytes())
            position += 1

    return behave


def for_ever(text: bytes, *, first: bytes = b"", times: int = 1_000_000) -> Callable[..., None]:
    def behave(receiver: Receiver, connection: socket.socket) -> None:
        receiver.read(connection)
        receiver.send(connection, first)
        for _ in range(times):
            if receiver.closing.is_set():
                return
            receiver.send(connection, text)

    return behave


# A mebibyte of it unpacks to a gibibyte.
GZIP_MEMBERS = gzip.compress(bytes(1_000_000), 9) * 1024
FIFTY_MEGABYTES_OF_GZIP = for_ever(
    GZIP_MEMBERS[:1_000_000],
    first=b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 50000000\r\n\r\n",
    times=50,
)
ENDLESS_BODY = for_ever(b"x" * 65_536, first=b"HTTP/1.1 200 OK\r\n\r\n")
ENDLESS_CHUNKS = for_ever(b"1\r\nx\r\n", first=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
ENDLESS_HEADERS = for_ever(b"X-More: " + b"y" * 1000 + b"\r\n", first=b"HTTP/1.1 200 OK\r\n")
MANY_SMALL_HEADERS = for_ever(b"a: b\r\n", first=b"HTTP/1.1 200 OK\r\n")
ENDLESS_HEADER = for_ever(b"y" * 4096, first=b"HTTP/1.1 200 OK\r\nX-More: ")
ENDLESS_STATUS = for_ever(b"y" * 4096, first=b"HTTP/1.1 200 ")
INTERIM_FOR_EVER = for_ever(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n")
