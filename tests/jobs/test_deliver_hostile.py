"""A sweep among receivers that misbehave: it goes on, says of each what happened, and good ones get their messages."""

from contextlib import ExitStack

import pytest
from sqlalchemy import Engine

from app.config import Settings
from app.db import reading
from app.queries.webhooks import DeliveriesAsked, list_deliveries
from app.services.deliveries import Sender
from app.services.secrets import Keyring
from integrations.http_client import Policy
from tests import hostile_receivers as hostile
from tests.delivering import World
from tests.receiver import LOOPBACK
from tests.receiver import receiving as receiving_well

SECONDS = 2.0  # in place of fifteen
CASES = {
    "hangs": (hostile.hang, ("pending", None, "no answer in time")),
    "drips": (hostile.drip(b"x", first=b"HTTP/1.1 200 OK\r\nX: "), ("pending", None, "no answer in time")),
    "closes": (hostile.close_after_the_request, ("pending", None, "closed without an answer")),
    "resets": (hostile.reset, ("pending", None, "the connection was broken off")),
    "talks of something else": (hostile.answer(b"SSH-2.0-x\r\n"), ("pending", None, "the answer is not HTTP")),
    "sends headers for ever": (hostile.ENDLESS_HEADERS, ("pending", None, "the answer is too long")),
    "redirects": (hostile.status("302 Found", "Location: http://127.0.0.1:1/"), ("pending", 302, None)),
    "is gone": (hostile.status("410 Gone"), ("dropped", 410, None)),
    "has too much to do": (hostile.status("429 Too Many", "Retry-After: 99999999"), ("pending", 429, None)),
    "fails": (hostile.status("500 Oops"), ("pending", 500, None)),
    "takes it and sends 50 MB of gzip": (hostile.FIFTY_MEGABYTES_OF_GZIP, ("delivered", 200, None)),
}


def test_a_sweep_goes_on_among_receivers_that_misbehave(
    engine: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(engine, settings)
    policy = Policy(LOOPBACK, exchange_seconds=SECONDS)
    monkeypatch.setattr(Sender, "of", lambda settings, clock: Sender(Keyring.of(settings), policy, clock))
    with ExitStack() as stack:
        names = {}
        for name, (behave, _) in CASES.items():
            receiver = stack.enter_context(hostile.receiving(behave))
            names[world.endpoint(receiver.url).id] = name
        good = stack.enter_context(receiving_well())
        names[world.endpoint(good.url).id] = "behaves"
        world.post(2)
        done = world.sweep()
    assert done.delivered == 4
    assert len(good.requests) == 2
    found: dict[str, set[tuple[str, int | None, str | None]]] = {}
    with reading(engine) as session:
        for row in list_deliveries(session, DeliveriesAsked(limit=1000)).rows:
            found.setdefault(names[row.endpoint_id], set()).add((row.state, row.last_status, row.last_error))
    expected = {name: outcome for name, (_, outcome) in CASES.items()} | {"behaves": ("delivered", 204, None)}
    tried = {name: outcomes - {("pending", None, None), ("dropped", None, None)} for name, outcomes in found.items()}
    assert tried == {name: {outcome} for name, outcome in expected.items()}
