"""What tests of several and dying deliverers run in processes of their own."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path

from sqlalchemy import Engine

from app.db import make_engine, transaction
from app.services.messages import NewMessage, post_message
from jobs.deliver import deliver_due
from jobs.work import Work
from tests.installation import work_on
from tests.receiver import LOOPBACK


def sending_work(engine: Engine, folder: Path, *, ahead: timedelta = timedelta(0)) -> Work:
    """Loopback is on the operator's list, and the clock is so much ahead."""
    work = work_on(engine, folder=folder, clock=lambda: datetime.now(UTC) + ahead)
    return replace(work, settings=replace(work.settings, private_targets=LOOPBACK))


def deliver_and_tell(url: str, folder: Path, ahead: timedelta, told: Connection) -> None:
    """One sweep at a word, and how many it delivered and lost."""
    engine = make_engine(url)
    told.send("ready")
    told.recv()
    done = deliver_due(sending_work(engine, folder, ahead=ahead))
    told.send((done.delivered, done.lost))


def post_messages(engine: Engine, count: int) -> set[str]:
    with transaction(engine) as session:
        at = datetime.now(UTC)
        return {post_message(session, NewMessage("feed.stale", {"n": n}), at=at) for n in range(count)}
