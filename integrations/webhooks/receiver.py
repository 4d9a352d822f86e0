"""A receiver to try webhooks with: it says in words what arrives, and whether the signature is right.

It is also what a receiver of one's own has to do, in short: check the signature over the bytes as
they came, remember the ids that were seen, answer 2xx soon.
"""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from integrations.webhooks.signature import verify

BODY_BYTES = 1_000_000
MOTIONS = {"upsell": "Upsell", "cross_sell": "Cross-sell"}
MEASURES = {"arr": "a year", "bookings": "once"}


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request: what came, whether it was signed with the secret, and how often its id has come by now."""

    headers: Mapping[str, str]
    body: bytes
    is_verified: bool
    times_seen: int
    status: int


@dataclass(slots=True)
class Behaviour:
    """What the receiver knows and does: the first `failures` attempts of each message are answered `fail_status`."""

    secret: bytes | None
    report: Callable[[str], None]
    fail_status: int = 500
    failures: int = 0
    seen: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, headers: Mapping[str, str], body: bytes) -> int:
        """Report a request and give the status that it is answered with."""
        is_verified = self.secret is not None and verify(self.secret, headers, body=body, now=time.time())
        with self.lock:  # so that what two requests say does not get mixed up
            message_id = headers.get("webhook-id", "")
            self.seen[message_id] += 1
            is_failing = self.seen[message_id] <= self.failures
            status = self.fail_status if is_failing else 204
            arrival = Arrival(headers, body, is_verified, self.seen[message_id], status)
            for line in describe_arrival(arrival, has_secret=self.secret is not None):
                self.report(line)
        return status


def make_receiver(port: int, behaviour: Behaviour) -> ThreadingHTTPServer:
    """A server on loopback, reached from this machine alone; `serve_forever` runs it."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 15

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if not (length.isascii() and length.isdecimal() and len(length) < 10 and int(length) <= BODY_BYTES):
                self.send_error(413 if length else 411)
                return
            body = self.rfile.read(int(length))
            headers = {name.lower(): value for name, value in self.headers.items()}
            self.send_response(behaviour.take(headers, body))
            self.end_headers()

        def log_message(self, *_words: object) -> None:
            """Requests are reported in words already."""

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


def describe_arrival(arrival: Arrival, *, has_secret: bool) -> list[str]:
    message_id = arrival.headers.get("webhook-id", "without an id")
    if arrival.is_verified:
        signature = "signature verified"
    else:
        signature = "signature NOT verified" if has_secret else "signature NOT verified (start with --secret)"
    seen = "first time" if arrival.times_seen == 1 else f"seen before: {_counted(arrival.times_seen - 1)}"
    head = f"{message_id}: {signature}, {seen}, answered {arrival.status}"
    return [_plain(head), *(f"    {_plain(line)}" for line in describe_body(arrival.body)), ""]


def _counted(times: int) -> str:
    return "once" if times == 1 else f"{times} times"


def describe_body(body: bytes) -> list[str]:
    """A message in words; every field may be absent, for anyone can send anything."""
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        return [f"{len(body)} bytes that are not JSON"]
    data = message.get("data") if isinstance(message, dict) else None
    if not isinstance(data, dict):
        return ["JSON that is not a message"]
    kind = str(message.get("type"))
    if kind.startswith("expansion_opportunity."):
        return [kind, *_describe_opportunity(data)]
    return [kind, *(f"{name}: {value}" for name, value in data.items() if isinstance(value, str | int | float))]


def _describe_opportunity(data: Mapping[str, Any]) -> list[str]:
    account, product, worth = (_mapping(data, name) for name in ("account", "product", "worth"))
    motion, measure = str(data.get("motion")), str(data.get("measure"))
    lines = [
        f"Account: {account.get('name')}",
        f"{MOTIONS.get(motion, motion)}: {_quantity(data)}{product.get('name') or product.get('sku')}",
        f"Worth: {worth.get('amount')} {worth.get('currency')} {MEASURES.get(measure, measure)}",
        f"Likelihood: {data.get('likelihood')}",
    ]
    if data.get("from_state") is not None:
        lines.append(f"State: {data['from_state']} -> {data.get('state')}")
    lines.append(f"Why now: {data.get('why_now')}")
    lines += [f"  and: {sentence}" for sentence in _texts(data, "evidence")[1:]]
    return lines + [f"{name}: {address}" for name, address in _mapping(data, "links").items()]


def _quantity(data: Mapping[str, Any]) -> str:
    return f"{data['quantity']} x " if data.get("quantity") is not None else ""


def _mapping(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = data.get(name)
    return value if isinstance(value, dict) else {}


def _texts(data: Mapping[str, Any], name: str) -> list[str]:
    value = data.get(name)
    return [str(each) for each in value] if isinstance(value, list) else []


def _plain(text: str) -> str:
    """Without control characters: a terminal would obey them."""
    return "".join(character if character.isprintable() else "?" for character in text)[:1000]
