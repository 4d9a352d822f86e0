"""What is sent, and how an exchange ends, whatever the other side does. Receivers are real sockets on loopback."""

import contextlib
import json
import random
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from integrations.http_client import Answer, ExchangeFailed, Policy, TargetRefused, check_target, post
from tests import hostile_receivers as hostile
from tests.hostile_receivers import Receiver, receiving

ROOT = Path(__file__).parents[2]
DEADLINE_SECONDS = 0.8
POLICY = Policy(private_targets=("127.0.0.1",), exchange_seconds=DEADLINE_SECONDS)
HEADERS = {"Content-Type": "application/json", "webhook-id": "msg_1"}
Behaviour = Callable[[Receiver, socket.socket], None]


def send(url: str, *, body: bytes = b"{}", headers: dict[str, str] = HEADERS, policy: Policy = POLICY) -> Answer:
    return post(check_target(url, policy=policy), body=body, headers=headers, policy=policy)


def test_a_message_arrives_as_it_was_and_the_status_is_told() -> None:
    body = bytes(range(256)) * 100
    with receiving(hostile.answer(hostile.OK)) as receiver:
        answer = send(receiver.url + "?key=1", body=body)
    assert (answer.status, answer.retry_after_seconds) == (200, None)
    assert 0 <= answer.duration_ms < 1000 * DEADLINE_SECONDS
    head, _, arrived = receiver.requests[0].partition(b"\r\n\r\n")
    assert arrived == body
    line, *headers = head.decode().split("\r\n")
    assert line == "POST /in?key=1 HTTP/1.1"
    assert dict(header.split(": ") for header in headers) == {
        "Host": f"127.0.0.1:{receiver.port}",
        "User-Agent": "Tenure",
        "Accept-Encoding": "identity",
        "Connection": "close",
        "Content-Length": str(len(body)),
        **HEADERS,
    }


def test_an_address_of_ipv6_is_reached_and_named_in_brackets() -> None:
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this machine has no IPv6")
    with receiving(hostile.answer(hostile.OK), listener) as receiver:
        url, policy = f"http://[::1]:{receiver.port}/", Policy(private_targets=("::1",))
        assert send(url, policy=policy).status == 200
    assert f"Host: [::1]:{receiver.port}\r\n".encode() in receiver.requests[0]


ANSWERED: dict[str, tuple[Behaviour, int]] = {
    "410": (hostile.status("410 Gone"), 410),
    "429": (hostile.status("429 Too Many Requests"), 429),
    "500": (hostile.status("500 Internal Server Error"), 500),
    "599 without words": (hostile.status("599"), 599),
    "50 MB of gzip": (hostile.FIFTY_MEGABYTES_OF_GZIP, 200),
    "a body without end": (hostile.ENDLESS_BODY, 200),
    "chunks without end": (hostile.ENDLESS_CHUNKS, 200),
    "a body that drips": (hostile.drip(b"x", first=b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n"), 200),
    "a body cut short": (hostile.answer(b"HTTP/1.1 202 OK\r\nContent-Length: 999\r\n\r\nx"), 202),
    "a chunk of nonsense": (hostile.answer(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"), 200),
    "interim answers first": (
        hostile.answer(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + hostile.OK),
        200,
    ),
    "another protocol": (hostile.status("101 Switching Protocols", "Upgrade: h2c"), 101),
}
FAILED: dict[str, tuple[Behaviour, str]] = {
    "hangs": (hostile.hang, "no answer in time"),
    "drips its headers": (hostile.drip(b"HTTP/1.1 200 OK\r\nX-Slow: " + b"y" * 999), "no answer in time"),
    "drips interim answers": (hostile.drip(b"HTTP/1.1 100 Continue\r\n\r\n"), "no answer in time"),
    "headers without end": (hostile.ENDLESS_HEADERS, "the answer is too long"),
    "small headers without end": (hostile.MANY_SMALL_HEADERS, "the answer is not HTTP"),
    "a header without end": (hostile.ENDLESS_HEADER, "the answer is too long"),
    "a status line without end": (hostile.ENDLESS_STATUS, "the answer is too long"),
    "interim answers for ever": (hostile.INTERIM_FOR_EVER, "the answer is too long"),
    "no HTTP": (hostile.answer(b"220 mail.example.com ESMTP\r\n"), "the answer is not HTTP"),
    "HTTP without a number": (hostile.answer(b"HTTP/1.1 yes\r\n\r\n"), "the answer is not HTTP"),
    "noise": (hostile.answer(bytes(range(256)) * 100), "the answer is not HTTP"),
    "closes after the request": (hostile.close_after_the_request, "closed without an answer"),
    "a head cut short": (hostile.answer(b"HTTP/1.1 2"), "the answer is not HTTP"),
}


@pytest.mark.parametrize("name", ANSWERED)
def test_the_status_is_told_in_time_whatever_follows_it(name: str) -> None:
    behave, status = ANSWERED[name]
    with receiving(behave) as receiver:
        started_at = time.monotonic()
        assert send(receiver.url).status == status
        assert time.monotonic() - started_at < DEADLINE_SECONDS + 0.5
        assert receiver.connections == 1


@pytest.mark.parametrize("name", FAILED)
def test_an_exchange_without_an_answer_ends_in_time_and_says_why(name: str) -> None:
    behave, reason = FAILED[name]
    with receiving(behave) as receiver:
        started_at = time.monotonic()
        with pytest.raises(ExchangeFailed) as failed:
            send(receiver.url)
        assert time.monotonic() - started_at < DEADLINE_SECONDS + 0.5
        assert str(failed.value) == reason
        assert receiver.connections == 1


@pytest.mark.parametrize("behave", [hostile.close_at_once, hostile.reset])
def test_a_connection_that_is_closed_at_once_is_a_failure(behave: Behaviour) -> None:
    with receiving(behave) as receiver, pytest.raises(ExchangeFailed, match=r"closed|broken off"):
        send(receiver.url, body=bytes(1_000_000))


def test_a_receiver_that_reads_nothing_is_left_in_time() -> None:
    with receiving(hostile.never_read) as receiver, pytest.raises(ExchangeFailed, match="no answer in time"):
        send(receiver.url, body=bytes(20_000_000))


def test_a_port_where_nobody_listens_is_a_refusal() -> None:
    with receiving(hostile.hang) as receiver:
        port = receiver.port
    with pytest.raises(ExchangeFailed, match="the connection was refused"):
        send(f"http://127.0.0.1:{port}/")


@pytest.mark.slow
@pytest.mark.parametrize("behave", [hostile.hang, hostile.drip(b"HTTP/1.1 200 OK\r\nX-Slow: ", every_seconds=1)])
def test_fifteen_seconds_are_what_a_receiver_gets(behave: Behaviour) -> None:
    policy = Policy(private_targets=("127.0.0.1",))
    with receiving(behave) as receiver:
        started_at = time.monotonic()
        with pytest.raises(ExchangeFailed, match="no answer in time"):
            send(receiver.url, policy=policy)
        assert 14.9 < time.monotonic() - started_at < 15.5


def test_the_time_of_the_look_up_is_part_of_it() -> None:
    with receiving(hostile.hang) as receiver:
        target = check_target(receiver.url, policy=POLICY)
        slow = type(target)("http", target.host, target.port, "/", target.addresses, look_up_seconds=DEADLINE_SECONDS)
        with pytest.raises(ExchangeFailed, match="no answer in time"):
            post(slow, body=b"", headers={}, policy=POLICY)
        assert receiver.connections == 0


MEASURED = ("50 MB of gzip", "a body without end", "chunks without end")
MEASURED_FAILING = (
    "headers without end",
    "a header without end",
    "a status line without end",
    "interim answers for ever",
)
MEASURING = """
import json, resource, sys, tracemalloc
from integrations.http_client import ExchangeFailed, Policy, check_target, post
policy = Policy(private_targets=("127.0.0.1",), exchange_seconds=5)
def peak(url):
    tracemalloc.start()
    try:
        post(check_target(url, policy=policy), body=b"{}", headers={}, policy=policy)
    except ExchangeFailed:
        pass
    traced = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return traced
peak(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps([peak(url) for url in sys.argv[2:]] + [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before]))
"""


def test_memory_stays_bounded_whatever_comes() -> None:
    behaviours = [ANSWERED[name][0] for name in MEASURED] + [FAILED[name][0] for name in MEASURED_FAILING]
    with contextlib.ExitStack() as open_ones:
        first, *receivers = (
            open_ones.enter_context(receiving(behave)) for behave in (hostile.answer(hostile.OK), *behaviours)
        )
        run = subprocess.run(
            [sys.executable, "-c", MEASURING, first.url, *(receiver.url for receiver in receivers)],
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
            timeout=60,
        )
    *traced, resident_kb = json.loads(run.stdout)
    assert len(traced) == 7
    assert max(traced) < 1_000_000
    assert resident_kb < 4_096
    assert all(receiver.connections == 1 for receiver in receivers)
    assert max(receiver.sent_bytes for receiver in receivers) < 20_000_000  # what the buffers between took


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"])
def test_a_redirect_is_told_and_not_followed(status: str) -> None:
    with receiving(hostile.answer(hostile.OK)) as inside:

        def redirect_to_itself(receiver: Receiver, connection: socket.socket) -> None:
            hostile.status(status, f"Location: {receiver.url}")(receiver, connection)

        for behave in (redirect_to_itself, hostile.status(status, f"Location: {inside.url}", "Refresh: 0")):
            with receiving(behave) as receiver:
                assert send(receiver.url).status == int(status[:3])
                assert receiver.connections == 1
        assert inside.connections == 0


def test_no_proxy_and_no_password_is_taken_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password word\ndefault login me password word\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    with receiving(hostile.answer(hostile.OK)) as proxy, receiving(hostile.answer(hostile.OK)) as receiver:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            monkeypatch.setenv(name.upper(), f"http://127.0.0.1:{proxy.port}")
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        assert send(receiver.url).status == 200
    assert (proxy.connections, receiver.connections) == (0, 1)
    assert b"uthorization" not in receiver.requests[0]


@pytest.mark.parametrize(
    "headers",
    [
        {"webhook-id": "msg_1\r\nX-More: 1"},
        {"webhook-id": "msg_1\n"},
        {"webhook-id": "msg\x00"},
        {"webhook-id": "é"},
        {"web hook": "1"},
        {"webhook-id:": "1"},
        {"X\r\nY": "1"},
        {"": "1"},
        {"Host": "inside"},
        {"content-length": "0"},
        {"Transfer-Encoding": "chunked"},
    ],
)
def test_a_header_that_would_say_more_than_one_thing_is_not_sent(headers: dict[str, str]) -> None:
    with receiving(hostile.answer(hostile.OK)) as receiver:
        with pytest.raises(ExchangeFailed, match="a header cannot be sent"):
            send(receiver.url, headers=headers)
        assert receiver.connections == 0


PIECES = [
    *(
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.0 204\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/9.9 999 x\r\n",
        b"HTTP/1.1 -2 x\r\n",
    ),
    *(b"Content-Length: 5\r\n", b"Content-Length: -5\r\n", b"Content-Length: " + b"9" * 5000 + b"\r\n"),
    *(b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n", b"0\r\n\r\n", b"f" * 16 + b"\r\n", b"-1\r\n"),
    *(
        b"Retry-After: 1 Jan 0001 00:00:00 +2359\r\n",
        b"Retry-After: 31 Dec 9999 23:59:59 -2359\r\n",
        b"Retry-After: \xff\r\n",
    ),
    *(b"\r\n", b" folded\r\n", b":\r\n", b"a b: c\r\n", b"\n", b"\r", b"\x00", b"\xff\xfe"),
]


def test_whatever_bytes_come_there_is_an_answer_or_a_failure() -> None:
    draw, sent = random.Random(7), [b""]  # noqa: S311  a fixed draw

    def behave(receiver: Receiver, connection: socket.socket) -> None:
        receiver.read(connection)
        receiver.send(connection, sent[0])

    answers: list[int] = []
    with receiving(behave) as receiver:
        for number in range(500):
            sent[0] = b"HTTP/1.1 200 OK\r\n" * (number % 2) + b"".join(draw.choices(PIECES, k=draw.randint(1, 8)))
            with contextlib.suppress(ExchangeFailed):
                answers.append(send(receiver.url).status)
    assert 100 < len(answers) < 400
    assert set(answers) <= {200, 204, 999}


def seconds_told(value: str) -> int | None:
    with receiving(hostile.status("503 Busy", f"Retry-After: {value}")) as receiver:
        return send(receiver.url).retry_after_seconds


def test_when_to_come_again_is_read_from_seconds_or_a_date() -> None:
    assert seconds_told("120") == 120
    assert seconds_told("0") == 0
    assert seconds_told("999999999") == 86_400
    in_ten_minutes = seconds_told(format_datetime(datetime.now(UTC) + timedelta(minutes=10), usegmt=True))
    assert in_ten_minutes is not None
    assert 590 <= in_ten_minutes <= 600
    assert seconds_told("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert seconds_told("Fri, 31 Dec 9999 23:59:59 GMT") == 86_400
    for nonsense in ("-1", "1.5", "soon", "", "1e3", "9" * 5000, "Wed, 99 Oct 2015 07:28:00 GMT", "１２０"):
        assert seconds_told(nonsense) is None


@pytest.fixture
def connects(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Every attempt to connect, none of which gets anywhere."""
    tried: list[tuple[str, int]] = []

    def connect(_self: socket.socket, address: tuple[str, int]) -> None:
        tried.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket.socket, "connect", connect)
    return tried


def answering(monkeypatch: pytest.MonkeyPatch, *answers: tuple[str, ...]) -> list[str]:
    """The resolver gives these answers, one look-up after the other; which names were asked for."""
    asked: list[str] = []

    def look_up(host: str, port: int, **_options: int) -> list[tuple[int, int, int, str, tuple[str, int]]]:
        asked.append(host)
        return [(socket.AF_INET, 1, 6, "", (text, port)) for text in answers[min(len(asked), len(answers)) - 1]]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return asked


def test_the_address_that_was_checked_is_the_one_connected_to(
    monkeypatch: pytest.MonkeyPatch, connects: list[tuple[str, int]]
) -> None:
    asked = answering(monkeypatch, ("93.184.215.14", "93.184.215.15"), ("10.0.0.1",))
    target = check_target("https://hooks.example.com/", policy=POLICY)
    with pytest.raises(ExchangeFailed, match="the connection was refused"):
        post(target, body=b"{}", headers=HEADERS, policy=POLICY)
    assert connects == [("93.184.215.14", 443), ("93.184.215.15", 443)]
    assert asked == ["hooks.example.com"]


def test_a_second_look_up_that_differs_makes_no_connection(
    monkeypatch: pytest.MonkeyPatch, connects: list[tuple[str, int]]
) -> None:
    answering(monkeypatch, ("93.184.215.14",), ("10.0.0.1",))
    check_target("https://hooks.example.com/", policy=POLICY)
    with pytest.raises(TargetRefused, match="not public"):
        send("https://hooks.example.com/")
    assert connects == []


def test_a_target_is_admitted_by_the_policy_of_the_day_it_is_sent_to(connects: list[tuple[str, int]]) -> None:
    target = check_target("http://127.0.0.1/", policy=POLICY)
    with pytest.raises(TargetRefused, match="not public"):
        post(target, body=b"{}", headers=HEADERS, policy=Policy())
    assert connects == []


def test_the_next_address_is_tried_where_nobody_answers_at_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving(hostile.answer(hostile.OK)) as receiver:
        answering(monkeypatch, ("127.0.0.9", "127.0.0.1"))
        policy = Policy(private_targets=("hooks.internal",), exchange_seconds=DEADLINE_SECONDS)
        monkeypatch.setattr(socket.socket, "connect", _only_the_first_host(socket.socket.connect))
        assert send(f"http://hooks.internal:{receiver.port}/", policy=policy).status == 200
        assert receiver.requests[0].partition(b"\r\n")[2].startswith(b"Host: hooks.internal:")


def _only_the_first_host(connect: Callable[[socket.socket, tuple[str, int]], None]) -> Callable[..., None]:
    def guarded(self: socket.socket, address: tuple[str, int]) -> None:
        if address[0] != "127.0.0.1":
            raise ConnectionRefusedError
        connect(self, address)

    return guarded
