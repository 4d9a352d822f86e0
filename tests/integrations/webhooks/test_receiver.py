"""The receiver to try webhooks with: what it says of a message, over a real connection."""

import contextlib
import json
import re
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from integrations.http_client import Policy, check_target, post
from integrations.webhooks.receiver import Behaviour, describe_body, make_receiver
from integrations.webhooks.signature import new_secret, secret_bytes, sign

POLICY = Policy(private_targets=("127.0.0.1",), exchange_seconds=5)
SECRET = secret_bytes(new_secret())
FLAGGED = {
    "type": "expansion_opportunity.flagged",
    "timestamp": "2026-01-01T03:00:00Z",
    "data": {
        "id": 7,
        "state": "open",
        "motion": "upsell",
        "account": {"id": 3, "name": "Arbor Ltd"},
        "product": {"sku": "SEAT", "name": "Seats"},
        "quantity": 12,
        "likelihood": "likely",
        "worth": {"amount": "14400.00", "currency": "EUR"},
        "measure": "arr",
        "why_now": "47 of 50 seats were in use in the last 28 days.",
        "evidence": ["47 of 50 seats were in use in the last 28 days.", "A month before it were 41."],
        "links": {"account": "http://127.0.0.1:8000/accounts/3"},
    },
}


class Shown:
    """What a receiver said, and a way to send to it."""

    def __init__(self, port: int) -> None:
        self.lines: list[str] = []
        self.port = port

    def send(self, body: bytes, *, message_id: str = "msg_1", secret: bytes = SECRET) -> int:
        at = int(time.time())
        headers = {
            "webhook-id": message_id,
            "webhook-timestamp": str(at),
            "webhook-signature": sign(secret, message_id=message_id, timestamp=at, body=body),
        }
        target = check_target(f"http://127.0.0.1:{self.port}/", policy=POLICY)
        return post(target, body=body, headers=headers, policy=POLICY).status


@contextlib.contextmanager
def shown_by(secret: bytes | None = SECRET, **options: int) -> Iterator[Shown]:
    shown = Shown(0)
    with make_receiver(0, Behaviour(secret, shown.lines.append, **options)) as server:
        shown.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield shown
        finally:
            server.shutdown()
            thread.join()


def test_an_alert_is_told_in_words_with_its_signature_verified() -> None:
    with shown_by() as shown:
        assert shown.send(json.dumps(FLAGGED).encode()) == 204
    assert shown.lines == [
        "msg_1: signature verified, first time, answered 204",
        "    expansion_opportunity.flagged",
        "    Account: Arbor Ltd",
        "    Upsell: 12 x Seats",
        "    Worth: 14400.00 EUR a year",
        "    Likelihood: likely",
        "    Why now: 47 of 50 seats were in use in the last 28 days.",
        "      and: A month before it were 41.",
        "    account: http://127.0.0.1:8000/accounts/3",
        "",
    ]


def test_another_secret_is_not_verified_and_said_to_be_so() -> None:
    with shown_by() as shown:
        shown.send(b"{}", secret=secret_bytes(new_secret()))
    assert shown.lines[0] == "msg_1: signature NOT verified, first time, answered 204"
    with shown_by(None) as shown:
        shown.send(b"{}")
    assert shown.lines[0].startswith("msg_1: signature NOT verified (start with --secret)")


def test_an_id_that_comes_again_is_told() -> None:
    with shown_by() as shown:
        for message_id in ("msg_1", "msg_2", "msg_1", "msg_1"):
            shown.send(b"{}", message_id=message_id)
    heads = [line.split(", ")[1] for line in shown.lines if line.startswith("msg_")]
    assert heads == ["first time", "first time", "seen before: once", "seen before: 2 times"]


def test_the_first_attempts_of_each_message_can_be_made_to_fail() -> None:
    with shown_by(fail_status=503, failures=2) as shown:
        statuses = [shown.send(b"{}", message_id=message_id) for message_id in ("a", "a", "b", "a", "b", "b")]
    assert statuses == [503, 503, 503, 204, 503, 204]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "0 bytes that are not JSON"),
        (b"\xff\xfe", "2 bytes that are not JSON"),
        (b"[" * 100_000, "100000 bytes that are not JSON"),
        (b"[1]", "JSON that is not a message"),
        (b'{"data": 1}', "JSON that is not a message"),
    ],
)
def test_what_is_no_message_is_said_to_be_none(body: bytes, said: str) -> None:
    assert describe_body(body) == [said]


def test_every_field_may_be_absent_or_of_another_kind() -> None:
    for data in ({}, dict.fromkeys(FLAGGED["data"], 1), {key: [[]] for key in FLAGGED["data"]}):
        lines = describe_body(json.dumps(FLAGGED | {"data": data}).encode())
        assert lines[0] == "expansion_opportunity.flagged"


def test_a_terminal_gets_no_control_characters() -> None:
    data = {"name": "\x1b[2J\x07\r\n\u202eevil", "note": "東京"}
    with shown_by() as shown:
        shown.send(json.dumps({"type": "webhook.test\x1b]0;x", "data": data}).encode())
    assert all(line.isprintable() for line in shown.lines)
    assert any("東京" in line for line in shown.lines)


def raw(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(request)
        return connection.makefile("rb").readline()


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"POST / HTTP/1.1\r\n\r\n", 411),
        (b"POST / HTTP/1.1\r\nContent-Length: 2000000\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\n\r\n", 501),
    ],
)
def test_what_it_cannot_take_is_refused(request_: bytes, status: int) -> None:
    with shown_by() as shown:
        assert re.match(rb"HTTP/1.\d (\d+)", raw(shown.port, request_))[1] == str(status).encode()
        assert shown.lines == []
