"""Of several that deliver, each message is one's: claims, and what becomes of those who slept through theirs."""

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine, select

from app.config import Settings
from app.db import reading, transaction
from app.models.webhooks import DeliveryAttempt
from app.services.deliveries import Claim, Sender, claim_due, record_sent, send
from jobs.deliver import Delivered
from tests.delivering import NOON, World, answering
from tests.receiver import receiving


@pytest.fixture
def world(engine: Engine, settings: Settings) -> World:
    return World(engine, settings)


def claim_one(world: World, by: str):
    with transaction(world.engine) as session:
        return claim_due(session, Claim(by, 1, 10), at=world.now)


def test_a_claim_is_one_workers_until_it_ends_and_then_anothers(world: World) -> None:
    world.endpoint("http://127.0.0.1:9/")
    world.post()
    assert len(claim_one(world, "a")) == 1
    assert claim_one(world, "b") == []
    world.now += timedelta(seconds=60)
    assert len(claim_one(world, "b")) == 1


def test_a_worker_that_slept_through_its_claim_writes_nothing(world: World) -> None:
    with receiving() as receiver:
        world.endpoint(receiver.url)
        world.post()
        [slow] = claim_one(world, "a")
        world.now += timedelta(seconds=60)
        assert world.sweep() == Delivered(delivered=1)
        sent = send(slow, Sender.of(world.settings, lambda: world.now))
        with transaction(world.engine) as session:
            assert record_sent(session, sent, at=world.now, draw=0.5) == "lost"
        assert len(set(receiver.ids)) == 1
    assert world.deliveries() == [("delivered", 1, 204, None)]
    with reading(world.engine) as session:
        assert len(session.scalars(select(DeliveryAttempt)).all()) == 1


def test_a_worker_that_slept_does_not_write_over_the_one_who_is_sending_now(world: World) -> None:
    with receiving(answering(500, 204)) as receiver:
        world.endpoint(receiver.url)
        world.post()
        sender = Sender.of(world.settings, lambda: world.now)
        [slow] = claim_one(world, "a")
        failed = send(slow, sender)
        world.now += timedelta(seconds=60)
        [again] = claim_one(world, "a")
        with transaction(world.engine) as session:
            assert record_sent(session, failed, at=world.now, draw=0.5) == "lost"
            assert record_sent(session, send(again, sender), at=world.now, draw=0.5) == "delivered"
    assert world.deliveries() == [("delivered", 1, 204, None)]


def test_a_sweep_that_slept_before_sending_does_not_send(world: World, monkeypatch) -> None:
    with receiving() as receiver:
        world.endpoint(receiver.url)
        world.post()
        instants = iter([NOON] * 5)
        world.work = replace(world.work, clock=lambda: next(instants, NOON + timedelta(seconds=61)))
        assert world.sweep() == Delivered(lost=1)
        assert receiver.requests == []


class LeaseIsGone(Exception):
    """Somebody else is at work."""


def test_a_sweep_whose_lease_is_gone_writes_nothing(world: World) -> None:
    def refuse(_session: object) -> None:
        raise LeaseIsGone

    with receiving() as receiver:
        world.endpoint(receiver.url)
        world.post()
        world.work = replace(world.work, fence=refuse)
        with suppress(LeaseIsGone):
            world.sweep()
        assert receiver.requests == []
    assert world.deliveries() == [("pending", 0, None, None)]
