"""Several deliverers at once, and deliverers that die: real processes, a real receiver."""

import os
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select

from app.db import reading
from app.models.webhooks import DeliveryAttempt, WebhookDelivery
from jobs.deliver import Delivered, deliver_due
from tests.delivering import deliver_and_tell, post_messages, sending_work
from tests.processes import CONTEXT, start
from tests.receiver import Reply, Request, add_endpoint, receiving

CLAIM_ENDS = timedelta(seconds=61)


@contextmanager
def deliverer(url: str, folder: Path, ahead: timedelta = timedelta(0)) -> Iterator[tuple[BaseProcess, Connection]]:
    ours, theirs = CONTEXT.Pipe()
    process = start(deliver_and_tell, url, folder, ahead, theirs)
    theirs.close()
    assert ours.recv() == "ready"
    yield process, ours
    process.kill()
    process.join()


def count_by_state(engine: Engine) -> dict[str, int]:
    with reading(engine) as session:
        statement = select(WebhookDelivery.state, func.count()).group_by(WebhookDelivery.state)
        return {row[0]: row[1] for row in session.execute(statement)}


def settings_of(engine: Engine, folder: Path):
    return sending_work(engine, folder).settings


@pytest.mark.slow
def test_two_processes_deliver_a_thousand_messages_once_each(database_url: str, engine: Engine, tmp_path: Path) -> None:
    with receiving() as receiver:
        add_endpoint(engine, settings_of(engine, tmp_path), receiver.url, at=datetime.now(UTC))
        posted = post_messages(engine, 1000)
        with deliverer(database_url, tmp_path) as (_, one), deliverer(database_url, tmp_path) as (_, other):
            one.send("go")
            other.send("go")
            done = [one.recv(), other.recv()]
    assert len(receiver.ids) == 1000
    assert set(receiver.ids) == posted
    assert sum(delivered for delivered, _ in done) == 1000
    assert min(delivered for delivered, _ in done) > 100
    assert [lost for _, lost in done] == [0, 0]
    assert count_by_state(engine) == {"delivered": 1000}


def test_a_deliverer_killed_between_sending_and_writing_down_leaves_a_message_that_is_sent_again_with_its_id(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    with receiving() as receiver, deliverer(database_url, tmp_path) as (process, told):

        def kill_the_sender(_request: Request) -> Reply:
            assert process.pid is not None
            os.kill(process.pid, signal.SIGKILL)
            wait([process.sentinel])  # not joined: of two threads that join, one is told nothing of how it ended
            return 204, {}

        receiver.reply = kill_the_sender
        add_endpoint(engine, settings_of(engine, tmp_path), receiver.url, at=datetime.now(UTC))
        [message_id] = post_messages(engine, 1)
        told.send("go")
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
        assert receiver.ids == [message_id]
        assert count_by_state(engine) == {"pending": 1}
        receiver.reply = lambda _request: (204, {})
        assert deliver_due(sending_work(engine, tmp_path)) == Delivered()
        assert deliver_due(sending_work(engine, tmp_path, ahead=CLAIM_ENDS)) == Delivered(delivered=1)
        assert receiver.ids == [message_id] * 2
        assert len({request.body for request in receiver.requests}) == 1
    with reading(engine) as session:
        assert session.scalar(select(func.count()).select_from(DeliveryAttempt)) == 1


def test_none_is_lost_and_each_has_one_id_though_deliverers_are_killed_again_and_again(
    database_url: str, engine: Engine, tmp_path: Path
) -> None:
    kills, chance = 6, random.Random(5)  # noqa: S311  when they die, not a secret
    with receiving() as receiver:
        add_endpoint(engine, settings_of(engine, tmp_path), receiver.url, at=datetime.now(UTC))
        posted = post_messages(engine, 200)
        for nth in range(kills):
            with deliverer(database_url, tmp_path, nth * CLAIM_ENDS) as (process, told):
                dies_at = len(receiver.ids) + chance.randint(5, 25)

                def answer_or_kill(_request: Request, process: BaseProcess = process, dies_at: int = dies_at) -> Reply:
                    if len(receiver.ids) >= dies_at:
                        process.kill()
                    return 204, {}

                receiver.reply = answer_or_kill
                told.send("go")
                process.join(60)
                assert process.exitcode == -signal.SIGKILL
        receiver.reply = lambda _request: (204, {})
        deliver_due(sending_work(engine, tmp_path, ahead=kills * CLAIM_ENDS))
    assert set(receiver.ids) == posted
    assert len(receiver.ids) <= 200 + 4 * kills  # what was under way when one died came twice
    assert count_by_state(engine) == {"delivered": 200}
