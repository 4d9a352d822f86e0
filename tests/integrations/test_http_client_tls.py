"""What is sent over TLS goes to who holds a certificate for the host, and to nobody else."""

import datetime as dt
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from integrations import http_client
from integrations.http_client import ExchangeFailed, Policy, check_target, post
from tests import hostile_receivers as hostile
from tests.authority import FAR_AHEAD, LONG_AGO, Authority, make_authority
from tests.hostile_receivers import Receiver, receiving

DEADLINE_SECONDS = 0.8
POLICY = Policy(private_targets=("hooks.internal", "127.0.0.1"), exchange_seconds=DEADLINE_SECONDS)


@pytest.fixture
def authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Authority]:
    made = make_authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(made.path))
    http_client._trust.cache_clear()
    yield made
    http_client._trust.cache_clear()


@pytest.fixture(autouse=True)
def _names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every name leads to this machine."""

    def look_up(_host: str, port: int, **_options: int) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        return [(socket.AF_INET, 1, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


def over_tls(context: ssl.SSLContext, behave: Callable[[Receiver, socket.socket], None]) -> Callable[..., None]:
    def behave_within(receiver: Receiver, connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            behave(receiver, secure)

    return behave_within


def send(receiver: Receiver, host: str = "hooks.internal", *, body: bytes = b"{}") -> int:
    target = check_target(f"https://{host}:{receiver.port}/in", policy=POLICY)
    return post(target, body=body, headers={}, policy=POLICY).status


def test_the_host_is_named_and_its_certificate_checked(authority: Authority) -> None:
    named: list[str | None] = []
    context = authority.server("hooks.internal")
    context.sni_callback = lambda _socket, name, _context: named.append(name)
    with receiving(over_tls(context, hostile.answer(hostile.OK))) as receiver:
        assert send(receiver, body=bytes(100_000)) == 200
    assert named == ["hooks.internal"]
    assert receiver.requests[0].endswith(bytes(100_000))


def test_an_address_needs_a_certificate_for_the_address(authority: Authority) -> None:
    with receiving(over_tls(authority.server("127.0.0.1"), hostile.answer(hostile.OK))) as receiver:
        assert send(receiver, "127.0.0.1") == 200
    with receiving(over_tls(authority.server("hooks.internal"), hostile.answer(hostile.OK))) as receiver:
        with pytest.raises(ExchangeFailed, match="the certificate is not trusted, or not for this host"):
            send(receiver, "127.0.0.1")
        assert receiver.requests == []


@pytest.mark.parametrize(
    ("names", "until"),
    [(("other.internal",), FAR_AHEAD), (("hooks.internal",), LONG_AGO + dt.timedelta(days=1))],
    ids=["of another host", "run out"],
)
def test_a_wrong_certificate_gets_nothing(authority: Authority, names: tuple[str, ...], until: dt.datetime) -> None:
    with receiving(over_tls(authority.server(*names, until=until), hostile.answer(hostile.OK))) as receiver:
        with pytest.raises(ExchangeFailed, match="the certificate is not trusted, or not for this host"):
            send(receiver)
        assert receiver.requests == []


def test_a_certificate_of_an_unknown_authority_gets_nothing(
    authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    http_client._trust.cache_clear()
    with receiving(over_tls(authority.server("hooks.internal"), hostile.answer(hostile.OK))) as receiver:
        with pytest.raises(ExchangeFailed, match="the certificate is not trusted, or not for this host"):
            send(receiver)
        assert receiver.requests == []


def drip_a_handshake(receiver: Receiver, connection: socket.socket) -> None:
    connection.recv(65_536)
    connection.sendall(b"\x16\x03\x03\x40\x00")  # the head of a record of 16 kB, then a byte of it now and then
    while not receiver.closing.wait(hostile.DRIP_SECONDS):
        connection.sendall(b"\x02")


@pytest.mark.parametrize("behave", [hostile.never_read, drip_a_handshake])
def test_a_handshake_that_does_not_end_is_left_in_time(
    authority: Authority, behave: Callable[[Receiver, socket.socket], None]
) -> None:
    with receiving(behave) as receiver:
        started_at = time.monotonic()
        with pytest.raises(ExchangeFailed, match="no answer in time"):
            send(receiver)
        assert time.monotonic() - started_at < DEADLINE_SECONDS + 0.5


def speak_plainly(receiver: Receiver, connection: socket.socket) -> None:
    connection.recv(65_536)
    receiver.send(connection, b"HTTP/1.1 400 Bad Request\r\n\r\n")


def test_a_receiver_without_tls_is_a_failure(authority: Authority) -> None:
    with receiving(speak_plainly) as receiver, pytest.raises(ExchangeFailed, match="TLS failed"):
        send(receiver)


@pytest.mark.parametrize(
    "behave", [hostile.hang, hostile.drip(b"HTTP/1.1 200 OK\r\nX-Slow: " + b"y" * 999), hostile.never_read]
)
def test_a_receiver_that_drips_or_does_not_read_is_left_in_time_over_tls_too(
    authority: Authority, behave: Callable[[Receiver, socket.socket], None]
) -> None:
    with receiving(over_tls(authority.server("hooks.internal"), behave)) as receiver:
        started_at = time.monotonic()
        with pytest.raises(ExchangeFailed, match="no answer in time"):
            send(receiver, body=bytes(20_000_000 if behave is hostile.never_read else 2))
        assert time.monotonic() - started_at < DEADLINE_SECONDS + 0.5


def test_fifty_megabytes_over_tls_are_not_read(authority: Authority) -> None:
    context = authority.server("hooks.internal")
    with receiving(over_tls(context, hostile.FIFTY_MEGABYTES_OF_GZIP)) as receiver:
        assert send(receiver) == 200
    assert receiver.sent_bytes < 20_000_000
