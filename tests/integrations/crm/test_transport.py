"""Requests to a CRM: to its own origin, nowhere else, and with an end, whatever it does. Servers are real sockets."""

import gzip
import logging
import socket
import threading
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from integrations.crm.client import CrmBusy, CrmError, CrmNonsense
from integrations.crm.transport import Limits, Transport
from integrations.targets import Policy
from tests import hostile_receivers as hostile
from tests.authority import make_authority
from tests.hostile_receivers import Receiver, receiving

POLICY = Policy(private_targets=("127.0.0.1", "crm.internal"))
TOKEN = {"Authorization": "Bearer s3cret-canary"}
Behaviour = Callable[[Receiver, socket.socket], None]


def reach(receiver: Receiver, *, waits: list[float] | None = None, **limits: float) -> Transport:
    wait = time.sleep if waits is None else waits.append
    return Transport(f"http://127.0.0.1:{receiver.port}", policy=POLICY, limits=Limits(**limits), wait=wait)  # type: ignore[arg-type]


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """Each connection gets the next behaviour; the last one stays."""
    left, lock = list(behaviours), threading.Lock()

    def behave(receiver: Receiver, connection: socket.socket) -> None:
        with lock:
            own = left.pop(0) if len(left) > 1 else left[0]
        own(receiver, connection)

    return behave


def ok(body: bytes, *headers: str) -> Behaviour:
    head = "\r\n".join(["HTTP/1.1 200 OK", *headers, f"Content-Length: {len(body)}", "Connection: close", "", ""])
    return hostile.answer(head.encode() + body)


def test_a_request_arrives_with_its_query_headers_and_json_and_its_answer_is_exact() -> None:
    with receiving(ok(b'{"amount": 0.1, "name": "\xe6\xa0\xaa"}')) as receiver:
        reply = reach(receiver).request(
            "POST", "/deals/search?a=1", query={"f": ["x", "y"]}, body={"name": "株"}, headers=TOKEN
        )
    assert reply.json() == {"amount": Decimal("0.1"), "name": "株"}
    head, _, body = receiver.requests[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /deals/search?a=1&f=x&f=y HTTP/1.1\r\n")
    assert f"Host: 127.0.0.1:{receiver.port}".encode() in head
    assert b"Authorization: Bearer s3cret-canary" in head
    assert body == '{"name": "株"}'.encode()


@pytest.mark.parametrize(
    "elsewhere",
    ["https://evil.example/next", "http://127.0.0.1:1/next", "//evil.example/next", "http://127.0.0.1@evil.example/"],
)
def test_a_link_to_another_host_is_refused_and_nothing_is_sent_there(elsewhere: str) -> None:
    with receiving(hostile.answer(hostile.OK)) as receiver:
        transport = reach(receiver)
        with pytest.raises(CrmError, match="another host"):
            transport.request("GET", elsewhere, headers=TOKEN)
        assert receiver.connections == 0


def test_a_link_to_the_same_origin_is_followed() -> None:
    with receiving(ok(b"[]")) as receiver:
        assert reach(receiver).request("GET", f"http://127.0.0.1:{receiver.port}/next?page=2").json() == []
    assert receiver.requests[0].startswith(b"GET /next?page=2 ")


def test_a_redirect_is_not_followed() -> None:
    with receiving(hostile.status("302 Found", "Location: http://127.0.0.1:1/")) as receiver:
        with pytest.raises(CrmNonsense, match="redirect"):
            reach(receiver).request("GET", "/", headers=TOKEN)
        assert receiver.connections == 1


@pytest.mark.parametrize("url", ["http://10.0.0.1/", "https://169.254.169.254/", "http://[::1]/", "ftp://crm.example/"])
def test_an_address_that_is_not_public_and_not_listed_is_refused(url: str) -> None:
    with pytest.raises(CrmError, match="cannot be reached"):
        Transport(url, policy=Policy())


BUSY = hostile.status("429 Too Many Requests", "Retry-After: 7")
DOWN = hostile.status("503 Service Unavailable")


def test_a_busy_crm_is_asked_again_when_it_says() -> None:
    waits: list[float] = []
    with receiving(in_turn(BUSY, DOWN, ok(b"[]"))) as receiver:
        assert reach(receiver, waits=waits).request("GET", "/").json() == []
    assert waits[0] == 7.0
    assert 0.0 < waits[1] <= 60.0
    assert len(waits) == 2


def test_one_that_stays_busy_is_left_alone_and_says_for_how_long() -> None:
    waits: list[float] = []
    with receiving(BUSY) as receiver, pytest.raises(CrmBusy) as busy:
        reach(receiver, waits=waits, tries=3).request("GET", "/")
    assert busy.value.retry_after_seconds == 7
    assert waits == [7.0, 7.0]
    with (
        receiving(hostile.status("429 Too Many Requests", "Retry-After: 3600")) as receiver,
        pytest.raises(CrmBusy) as busy,
    ):
        reach(receiver, waits=waits).request("GET", "/")
    assert busy.value.retry_after_seconds == 3600
    assert receiver.connections == 1


def test_what_is_not_safe_to_repeat_is_sent_once_unless_it_was_refused_unread() -> None:
    for behave in (DOWN, hostile.close_after_the_request):
        with receiving(in_turn(behave, ok(b"{}"))) as receiver:
            transport = reach(receiver, waits=[])
            if behave is DOWN:
                assert transport.request("POST", "/", body={}, is_safe_to_repeat=False).status == 503
            else:
                with pytest.raises(CrmError, match="no answer"):
                    transport.request("POST", "/", body={}, is_safe_to_repeat=False)
            assert receiver.connections == 1
    with receiving(in_turn(BUSY, ok(b"{}"))) as receiver:
        assert reach(receiver, waits=[]).request("POST", "/", body={}, is_safe_to_repeat=False).json() == {}


def test_an_answer_that_is_lost_is_asked_for_again() -> None:
    with receiving(in_turn(hostile.close_after_the_request, hostile.reset, ok(b"[1]"))) as receiver:
        assert reach(receiver, waits=[]).request("GET", "/").json() == [1]


WITHOUT_END: dict[str, Behaviour] = {
    "hangs": hostile.hang,
    "drips its headers": hostile.drip(b"HTTP/1.1 200 OK\r\nX-Slow: " + b"y" * 999),
    "drips its body": hostile.drip(b"x", first=b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n"),
    "never reads": hostile.never_read,
}


@pytest.mark.parametrize("name", WITHOUT_END)
def test_an_exchange_ends_with_its_deadline(name: str) -> None:
    body = {"text": "x" * 20_000_000} if name == "never reads" else None
    with receiving(WITHOUT_END[name]) as receiver:
        started_at = time.monotonic()
        with pytest.raises(CrmError, match="in time"):
            reach(receiver, deadline_seconds=0.5, tries=1).request("POST", "/", body=body)
        assert time.monotonic() - started_at < 5.0


@pytest.mark.parametrize(
    ("head", "part"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65_536),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n", gzip.compress(bytes(1_000_000), 9)),
    ],
)
def test_an_answer_without_end_is_cut_off_also_when_it_is_packed(head: bytes, part: bytes) -> None:
    with (
        receiving(hostile.for_ever(part, first=head)) as receiver,
        pytest.raises(CrmNonsense, match="longer than 2,000,000 bytes"),
    ):
        reach(receiver, most_bytes=2_000_000, tries=1).request("GET", "/")


@pytest.mark.parametrize(
    "body",
    [b"<html>Please log in</html>", b'{"results": [', b"", b"[" * 100_000, b"9" * 5_000, b'{"a": NaN}', b"\xff\xfe"],
)
def test_what_is_not_json_is_nonsense(body: bytes) -> None:
    with receiving(ok(body)) as receiver, pytest.raises(CrmNonsense, match="not JSON"):
        reach(receiver).request("GET", "/").json()


def test_a_proxy_and_a_password_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with receiving(ok(b"[]")) as receiver:
        assert reach(receiver).request("GET", "/").json() == []
    assert b"proxy" not in receiver.requests[0].lower()


def test_requests_are_spaced_as_the_crm_allows() -> None:
    waits: list[float] = []
    with receiving(ok(b"[]")) as receiver:
        transport = reach(receiver, waits=waits, per_second=4)
        for _ in range(5):
            transport.request("GET", "/")
    assert len(waits) == 4
    assert all(wait <= 0.25 * number for number, wait in enumerate(waits, start=1))


def test_threads_share_the_way_and_each_has_its_own_deadline() -> None:
    slow = hostile.drip(b"x", first=b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n")

    def behave(receiver: Receiver, connection: socket.socket) -> None:
        request = receiver.read(connection)
        if request.startswith(b"GET /slow"):
            slow(receiver, connection)
        else:
            receiver.send(connection, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]")

    found: list[str] = []

    def ask(path: str) -> None:
        try:
            found.append(str(transport.request("GET", path).json()))
        except CrmError as error:
            found.append(str(error))

    with receiving(behave) as receiver:
        transport = reach(receiver, deadline_seconds=0.6, tries=1)
        threads = [threading.Thread(target=ask, args=(path,)) for path in ("/slow", *["/fast"] * 8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    assert sorted(found) == ["The CRM gave no answer: it did not come in time.", *["[]"] * 8]


def test_over_tls_it_speaks_to_who_holds_a_certificate_for_the_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = make_authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda _host, port, *_, **_more: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))],
    )
    answer = hostile.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]")
    for names, is_right in ((("crm.internal",), True), (("other.internal", "127.0.0.1"), False)):
        context = authority.server(*names)

        def behave(receiver: Receiver, connection: socket.socket, context=context) -> None:  # type: ignore[no-untyped-def]
            with context.wrap_socket(connection, server_side=True) as secure:
                answer(receiver, secure)

        with receiving(behave) as receiver:
            transport = Transport(f"https://crm.internal:{receiver.port}", policy=POLICY, limits=Limits(tries=1))
            if is_right:
                assert transport.request("GET", "/", headers=TOKEN).json() == []
                assert f"Host: crm.internal:{receiver.port}".encode() in receiver.requests[0]
            else:
                with pytest.raises(CrmError, match="certificate is not trusted"):
                    transport.request("GET", "/", headers=TOKEN)
                assert not receiver.requests


def test_nothing_that_is_secret_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with receiving(in_turn(DOWN, ok(b'["answer-canary"]'))) as receiver:
        reply = reach(receiver, waits=[]).request("POST", "/x", body={"k": "body-canary"}, headers=TOKEN)
    assert "canary" not in caplog.text
    assert "canary" not in repr(reply)
