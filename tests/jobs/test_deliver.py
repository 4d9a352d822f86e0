"""The sweep: what is due is sent, what fails is tried again as the schedule says, and nobody holds up anybody else."""

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import Engine, select, update

from app.config import Settings
from app.db import reading, transaction
from app.errors import Conflict
from app.models.audit import AuditEntry
from app.models.webhooks import DeliveryAttempt, WebhookDelivery, WebhookEndpoint, WebhookMessage, WebhookSecret
from app.queries.webhooks import find_delivery
from app.services.deliveries import send
from app.services.webhooks import delete_endpoint
from jobs.deliver import Delivered
from tests.delivering import NOON, World, answering
from tests.receiver import Reply, Request, receiving

MINUTE, HOUR = 60, 3600
NO_ANSWER = "the connection was refused"


@pytest.fixture
def world(engine: Engine, settings: Settings) -> World:
    return World(engine, settings)


def test_what_is_due_arrives_once_at_each_endpoint_that_chose_it(world: World) -> None:
    with receiving() as one, receiving() as other:
        world.endpoint(one.url)
        world.endpoint(other.url, types=["expansion_opportunity.flagged"])
        stale, [flagged] = world.post(3), world.post(1, "expansion_opportunity.flagged")
        assert world.sweep() == Delivered(delivered=5)
        assert world.sweep() == Delivered()
    assert sorted(one.ids) == sorted([*stale, flagged])
    assert other.ids == [flagged]
    assert world.deliveries() == [("delivered", 1, 204, None)] * 5


def test_a_message_that_never_arrives_is_tried_ten_times_by_the_schedule_and_then_given_up(world: World) -> None:
    steps = [0, 5, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 10 * HOUR, 10 * HOUR, 20 * HOUR, 24 * HOUR]
    with receiving(answering(500)) as receiver:
        world.endpoint(receiver.url)
        [message_id] = world.post()
        for nth, step in enumerate(steps, start=1):
            if step:
                assert world.sweep(after=step - 1) == Delivered()
                assert len(receiver.requests) == nth - 1
            expected = Delivered(dead=1) if nth == 10 else Delivered(pending=1)
            assert world.sweep(after=1 if step else 0) == expected
        assert world.sweep(after=200 * HOUR) == Delivered()
    assert receiver.ids == [message_id] * 10
    assert len({request.body for request in receiver.requests}) == 1
    instants = [int(request.headers["webhook-timestamp"]) - int(NOON.timestamp()) for request in receiver.requests]
    assert instants == [sum(steps[:nth]) for nth in range(1, 11)]
    assert world.deliveries() == [("dead", 10, 500, None)]


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_any_2xx_is_success(world: World, status: int) -> None:
    with receiving(answering(status)) as receiver:
        world.endpoint(receiver.url)
        world.post()
        assert world.sweep() == Delivered(delivered=1)


@pytest.mark.parametrize("status", [301, 302, 307, 308, 304, 400, 401, 404, 429, 500, 503])
def test_anything_else_is_a_failure_and_a_redirect_is_not_followed(world: World, status: int) -> None:
    with receiving() as elsewhere, receiving(answering(status, Location=elsewhere.url)) as receiver:
        world.endpoint(receiver.url)
        world.post()
        assert world.sweep() == Delivered(pending=1)
    assert (len(receiver.requests), len(elsewhere.requests)) == (1, 0)
    assert world.deliveries() == [("pending", 1, status, None)]


def test_a_receiver_that_is_not_there_fails_with_a_reason_that_does_not_tell_the_address(world: World) -> None:
    with receiving() as gone:
        url = gone.url
    world.endpoint(url)
    world.post()
    assert world.sweep() == Delivered(pending=1)
    assert world.deliveries() == [("pending", 1, None, NO_ANSWER)]


@pytest.mark.parametrize(("status", "waits"), [(429, 600), (503, 600), (500, 5)])
def test_retry_after_is_honoured_where_it_means_something(world: World, status: int, waits: int) -> None:
    with receiving(answering(status, 204, **{"Retry-After": "545"})) as receiver:
        world.endpoint(receiver.url)
        world.post()
        assert world.sweep() == Delivered(pending=1)
        with reading(world.engine) as session:
            due_at = session.scalars(select(WebhookDelivery.due_at)).one()
        assert due_at - NOON == timedelta(seconds=waits if status == 500 else 545 * 1.1)
        assert world.sweep(after=waits) == Delivered(delivered=1)
    assert len(set(receiver.ids)) == 1


def test_410_switches_the_endpoint_off_with_its_reason_and_drops_what_is_pending(world: World) -> None:
    with receiving(answering(410)) as gone, receiving() as other:
        endpoint, kept = world.endpoint(gone.url), world.endpoint(other.url)
        world.post(20)
        swept = world.sweep()
        assert world.post() != []
        assert world.sweep() == Delivered(delivered=1)
    assert swept.delivered == 20
    assert swept.dropped <= 4  # those that were under way at once
    assert len(gone.requests) <= 4
    assert (world.off_because(endpoint.id), world.off_because(kept.id)) == ("gone", None)
    with reading(world.engine) as session:
        states = session.scalars(select(WebhookDelivery.state).where(WebhookDelivery.endpoint_id == endpoint.id)).all()
        acts = session.execute(select(AuditEntry.action, AuditEntry.actor, AuditEntry.details)).all()
    assert states == ["dropped"] * 20
    assert ("webhook_endpoint.disabled", "deliver", {"reason": "gone"}) in [tuple(act) for act in acts]


def test_five_messages_given_up_in_a_row_switch_the_endpoint_off(world: World) -> None:
    with receiving(answering(500)) as receiver:
        endpoint = world.endpoint(receiver.url)
        world.post(4)
        with transaction(world.engine) as session:
            session.execute(update(WebhookDelivery).values(attempts=9))
        assert world.sweep() == Delivered(dead=4)
        assert world.off_because(endpoint.id) is None
        world.post(3)
        with transaction(world.engine) as session:
            later = WebhookDelivery.id > 5
            session.execute(update(WebhookDelivery).where(later).values(due_at=NOON + timedelta(hours=1)))
            session.execute(update(WebhookDelivery).where(WebhookDelivery.id == 5).values(attempts=9))
        assert world.sweep() == Delivered(dead=1)
    assert world.off_because(endpoint.id) == "given_up"
    assert [state for state, *_ in world.deliveries()] == ["dead"] * 5 + ["dropped"] * 2


def test_a_receiver_that_takes_others_stays_on_though_one_message_is_given_up_again_and_again(world: World) -> None:
    bad: set[str] = set()
    with receiving(lambda request: (400 if request.id in bad else 204, {})) as receiver:
        endpoint = world.endpoint(receiver.url)
        for _ in range(6):
            bad |= set(world.post())
            with transaction(world.engine) as session:
                session.execute(update(WebhookDelivery).where(WebhookDelivery.state == "pending").values(attempts=9))
            world.sweep(after=1)
            world.post()
            world.sweep(after=1)
    assert [state for state, *_ in world.deliveries()] == ["dead", "delivered"] * 6
    assert world.off_because(endpoint.id) is None


def test_a_given_up_message_can_be_replayed_for_fourteen_days_under_its_id(world: World) -> None:
    with receiving(answering(500, 500, 204)) as receiver:
        world.endpoint(receiver.url)
        [message_id] = world.post()
        with transaction(world.engine) as session:
            session.execute(update(WebhookDelivery).values(attempts=9))
        assert world.sweep() == Delivered(dead=1)
        world.now += timedelta(days=14)
        world.replay(1)
        assert world.deliveries() == [("pending", 0, 500, None)]
        with pytest.raises(Conflict, match="on its way"):
            world.replay(1)
        assert world.sweep() == Delivered(pending=1)
        assert world.sweep(after=5) == Delivered(delivered=1)
        assert receiver.ids == [message_id] * 3
        world.now += timedelta(days=14, seconds=1)
        with pytest.raises(Conflict, match="14 days"):
            world.replay(1)


def test_a_switched_off_endpoint_gets_nothing_new_and_what_was_dropped_can_be_replayed_once_it_is_on(
    world: World,
) -> None:
    with receiving() as receiver:
        endpoint = world.endpoint(receiver.url)
        [before] = world.post()
        world.change(endpoint.id, is_enabled=False)
        world.post()
        assert world.sweep() == Delivered()
        assert world.deliveries() == [("dropped", 0, None, None)]
        with pytest.raises(Conflict, match="enable it first"):
            world.replay(1)
        world.change(endpoint.id, is_enabled=True)
        world.replay(1)
        assert world.sweep() == Delivered(delivered=1)
    assert receiver.ids == [before]


def test_what_was_posted_while_the_endpoint_was_being_switched_off_is_dropped_by_the_next_sweep(world: World) -> None:
    endpoint = world.endpoint("http://127.0.0.1:9/")
    world.post(2)
    with transaction(world.engine) as session:
        session.execute(update(WebhookEndpoint).values(disabled_at=NOON, disabled_reason="switched_off"))
    assert world.sweep() == Delivered(dropped=2)
    assert world.off_because(endpoint.id) == "switched_off"


def test_a_deleted_endpoint_leaves_its_log_and_no_address_or_secret(world: World) -> None:
    with receiving() as receiver:
        endpoint = world.endpoint(receiver.url)
        world.post()
        world.sweep()
        world.post()
        with transaction(world.engine) as session:
            delete_endpoint(session, endpoint.id, actor="user:1", at=world.now)
        assert world.sweep() == Delivered()
    assert [state for state, *_ in world.deliveries()] == ["delivered", "dropped"]
    with reading(world.engine) as session:
        assert session.scalars(select(WebhookSecret)).all() == []
        assert session.scalars(select(WebhookEndpoint.url_ciphertext)).all() == [b""]
        assert find_delivery(session, 1).delivery.endpoint_name == "The CRM"


def test_a_receiver_that_hangs_holds_up_nobody_else(world: World) -> None:
    """It hangs until the other has everything; were the other held up by it, both would fail."""
    others_are_through = threading.Event()

    def count(_request: Request) -> Reply:
        if len(other.requests) == 50:
            others_are_through.set()
        return 204, {}

    def hang(_request: Request) -> Reply:
        return (500 if others_are_through.wait(10) else 599), {}

    with receiving(hang) as hanging, receiving(count) as other:
        world.endpoint(hanging.url, types=["feed.stale"])
        world.endpoint(other.url, types=["expansion_opportunity.flagged"])
        world.post(50)
        world.post(50, "expansion_opportunity.flagged")
        swept = world.sweep()
    assert swept.delivered == 50
    assert len(set(other.ids)) == 50
    assert {status for state, _, status, _ in world.deliveries() if state == "pending" and status} == {500}
    assert len(hanging.requests) <= 6  # four at once, and it rests after three failures in a row


def test_an_endpoint_that_cannot_be_read_any_more_fails_alone(world: World) -> None:
    with receiving() as receiver:
        broken, _ = world.endpoint("http://127.0.0.1:9/"), world.endpoint(receiver.url)
        with transaction(world.engine) as session:
            own = WebhookEndpoint.id == broken.id
            session.execute(update(WebhookEndpoint).where(own).values(url_ciphertext=b"\x01" + bytes(40)))
        world.post()
        assert world.sweep() == Delivered(delivered=1, pending=1)
    [error] = [error for *_, error in world.deliveries() if error]
    assert "TENURE_OLD_SECRET_KEYS" in error


def test_a_target_that_is_no_longer_allowed_is_refused_at_the_next_send(world: World) -> None:
    with receiving() as receiver:
        world.endpoint(receiver.url)
        world.post()
        world.work = replace(world.work, settings=replace(world.settings, private_targets=()))
        assert world.sweep() == Delivered(pending=1)
        assert receiver.requests == []
    [(_, _, status, error)] = world.deliveries()
    assert status is None
    assert "TENURE_PRIVATE_TARGETS" in str(error)


def test_an_error_of_ours_in_one_exchange_is_a_failed_attempt_and_stops_nobody(world: World, monkeypatch) -> None:
    import jobs.deliver

    def send_or_fail(claimed, sender):
        if claimed.delivery_id == 1:
            raise ZeroDivisionError
        return send(claimed, sender)

    monkeypatch.setattr(jobs.deliver, "send", send_or_fail)
    with receiving() as receiver:
        world.endpoint(receiver.url)
        world.post(3)
        assert world.sweep() == Delivered(delivered=2, pending=1)
    assert world.deliveries()[0] == ("pending", 1, None, "an error of ours: ZeroDivisionError")


def test_messages_go_after_thirty_days_and_not_while_they_are_needed(world: World) -> None:
    with receiving(lambda request: (500 if b'"n":1' in request.body else 204, {})) as receiver:
        world.endpoint(receiver.url)
        world.post(2)
        world.sweep()
        assert world.sweep(after=30 * 24 * HOUR).pruned == 0
        assert world.sweep(after=1) == Delivered(pruned=1)
    with reading(world.engine) as session:
        assert len(session.scalars(select(WebhookMessage)).all()) == 1
        assert len(session.scalars(select(DeliveryAttempt)).all()) == 2
    assert [state for state, *_ in world.deliveries()] == ["pending"]


def test_what_ended_lately_is_kept_as_long_as_it_can_be_replayed(world: World) -> None:
    with receiving(answering(500)) as receiver:
        world.endpoint(receiver.url)
        world.post()
        with transaction(world.engine) as session:
            session.execute(update(WebhookDelivery).values(attempts=9))
        assert world.sweep(after=29 * 24 * HOUR) == Delivered(dead=1)
        assert world.sweep(after=14 * 24 * HOUR - 1) == Delivered()
        assert world.sweep(after=1) == Delivered(pruned=1)
