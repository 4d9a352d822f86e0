"""A service that delivers, for tests: with a clock moved by hand, or in processes of its own."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path

from sqlalchemy import Engine

from app.config import Settings
from app.db import make_engine, reading, transaction
from app.queries.webhooks import DeliveriesAsked, find_endpoint, list_deliveries
from app.services.deliveries import replay_delivery
from app.services.messages import NewMessage, post_message
from app.services.secrets import Keyring
from app.services.webhooks import EndpointChange, MadeEndpoint, update_endpoint
from jobs.deliver import Delivered, deliver_due
from jobs.work import Work
from tests.installation import work_on
from tests.receiver import LOOPBACK, Reply, Request, add_endpoint

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def sending_work(engine: Engine, folder: Path, *, ahead: timedelta = timedelta(0)) -> Work:
    """Loopback is on the operator's list, and the clock is so much ahead."""
    work = work_on(engine, folder=folder, clock=lambda: datetime.now(UTC) + ahead)
    return replace(work, settings=replace(work.settings, private_targets=LOOPBACK))


def deliver_and_tell(url: str, folder: Path, ahead: timedelta, told: Connection) -> None:
    """At a word, sweeps until nothing is due; how many were delivered and lost."""
    engine = make_engine(url)
    told.send("ready")
    told.recv()
    work, delivered, lost = sending_work(engine, folder, ahead=ahead), 0, 0
    while (done := deliver_due(work)) != Delivered():
        delivered, lost = delivered + done.delivered, lost + done.lost
    told.send((delivered, lost))


def post_messages(engine: Engine, count: int) -> set[str]:
    with transaction(engine) as session:
        at = datetime.now(UTC)
        return {post_message(session, NewMessage("feed.stale", {"n": n}), at=at) for n in range(count)}


class World:
    """A service with a clock that is moved by hand, and retries without spread."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self.engine, self.settings = engine, replace(settings, private_targets=LOOPBACK)
        self.now = NOON
        self.work = Work(engine, self.settings, clock=lambda: self.now)

    def endpoint(self, url: str, **said: object) -> MadeEndpoint:
        return add_endpoint(self.engine, self.settings, url, at=self.now, **said)

    def post(self, count: int = 1, type_: str = "feed.stale") -> list[str]:
        with transaction(self.engine) as session:
            return [post_message(session, NewMessage(type_, {"n": n}), at=self.now) for n in range(count)]

    def sweep(self, *, after: float = 0) -> Delivered:
        self.now += timedelta(seconds=after)
        return deliver_due(self.work, draw=lambda: 0.5)

    def change(self, endpoint_id: int, **said: object) -> None:
        with transaction(self.engine) as session:
            change = EndpointChange(endpoint_id, **said)
            update_endpoint(session, change, keyring=Keyring.of(self.settings), actor="user:1", at=self.now)

    def replay(self, delivery_id: int) -> None:
        with transaction(self.engine) as session:
            replay_delivery(session, delivery_id, actor="user:1", at=self.now)

    def deliveries(self) -> list[tuple[str, int, int | None, str | None]]:
        """State, attempts, and status and error of the newest attempt, in the order they were posted."""
        with reading(self.engine) as session:
            rows = list_deliveries(session, DeliveriesAsked(limit=1000)).rows
        return [(row.state, row.attempts, row.last_status, row.last_error) for row in reversed(rows)]

    def off_because(self, endpoint_id: int) -> str | None:
        with reading(self.engine) as session:
            return find_endpoint(session, endpoint_id, at=self.now).disabled_reason


def answering(*statuses: int, **headers: str) -> Callable[[Request], Reply]:
    """One status after the other, the last one for ever."""
    left = list(statuses)
    return lambda _request: (left.pop(0) if len(left) > 1 else left[0], headers)
