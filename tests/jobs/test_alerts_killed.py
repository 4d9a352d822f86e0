"""Web and worker are killed with -9 while opportunities are raised, delivered and answered: none is lost or doubled."""

import json
import random
import socket
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPException
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from app.db import reading, transaction
from app.models.expansion import ExpansionMove, ExpansionOpportunity
from app.models.webhooks import WebhookMessage
from app.services.tokens import WantedToken, create_token
from tests.alerting import be_the_web, be_the_worker, write_company
from tests.delivering import sending_work
from tests.processes import start
from tests.receiver import Receiver, add_endpoint, receiving

CLAIM_ENDS = timedelta(seconds=61)
FLAGGED, UPDATED = "expansion_opportunity.flagged", "expansion_opportunity.updated"


@dataclass
class Fleet:
    """One worker and one web server, which are killed and started again."""

    url: str
    folder: Path
    token: str
    port: int
    kills: int = 0
    refused: int = 0
    worker: BaseProcess | None = None
    web: BaseProcess | None = None
    answered: set[int] = field(default_factory=set)

    def start(self) -> None:
        if self.worker is None:
            self.worker = start(be_the_worker, self.url, self.folder, self.kills * CLAIM_ENDS)
        if self.web is None:
            self.web = start(be_the_web, self.url, self.folder, self.port)

    def kill(self, *, web: bool) -> None:
        self.kills += 1
        assert self.worker is not None
        assert self.web is not None
        for process in (self.worker, self.web) if web else (self.worker,):
            process.kill()
            process.join()
        self.worker, self.web = None, None if web else self.web
        self.start()

    def accept(self, opportunity_id: int) -> None:
        """As a program of sales does: again until there is an answer, and "that was done already" is one."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", "Host": "localhost"}
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            try:
                connection.request("POST", f"/api/v1/expansion-opportunities/{opportunity_id}/accept", "{}", headers)
                status = connection.getresponse().status
            except (OSError, HTTPException):
                self.refused += 1
                return
        assert status in {200, 409, 503}, status
        if status != 503:
            self.answered.add(opportunity_id)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("accounts", [60, pytest.param(1_000, marks=pytest.mark.slow)])
def test_no_opportunity_without_its_message_and_no_message_without_its_opportunity(
    engine: Engine, database_url: str, tmp_path: Path, accounts: int
) -> None:
    write_company(engine, accounts=accounts)
    chance = random.Random(3)  # noqa: S311  when they die, not a secret
    with transaction(engine) as session:
        wanted = WantedToken("sales", ["opportunities:write"])
        token = create_token(session, wanted, actor="command", now=datetime.now(UTC)).token
    with receiving() as receiver:
        settings = sending_work(engine, tmp_path).settings
        add_endpoint(engine, settings, receiver.url, at=datetime.now(UTC), types=(FLAGGED, UPDATED))
        fleet = Fleet(database_url, tmp_path, token, free_port())
        fleet.start()
        try:
            while len(set(receiver.ids)) < accounts:
                dies_at = len(receiver.requests) + chance.randint(accounts // 20, accounts // 6)
                follow(engine, fleet, receiver, until=lambda dies_at=dies_at: len(receiver.requests) >= dies_at)
                fleet.kill(web=fleet.kills % 3 == 0)
            follow(engine, fleet, receiver, until=lambda: is_all_told(engine, fleet, receiver, accounts=accounts))
        finally:
            for process in (fleet.worker, fleet.web):
                if process is not None:
                    process.kill()
                    process.join()
    assert fleet.kills >= 5
    check(engine, receiver, accounts=accounts, answered=fleet.answered)


def follow(engine: Engine, fleet: Fleet, receiver: Receiver, *, until: Callable[[], bool]) -> None:
    """Answer every fifth opportunity that was received, while the others come in."""
    while not until():
        for request in list(receiver.requests):
            told = json.loads(request.body)
            if told["type"] == FLAGGED and (number := told["data"]["id"]) % 5 == 0 and number not in fleet.answered:
                fleet.accept(number)
                break


def is_all_told(engine: Engine, fleet: Fleet, receiver: Receiver, *, accounts: int) -> bool:
    with reading(engine) as session:
        messages = set(session.scalars(select(WebhookMessage.message_id)))
    return messages == set(receiver.ids) and len(messages) == accounts + len(fleet.answered)


def check(engine: Engine, receiver: Receiver, *, accounts: int, answered: set[int]) -> None:
    with reading(engine) as session:
        opportunities = set(session.scalars(select(ExpansionOpportunity.id)))
        messages = session.execute(select(WebhookMessage.type, WebhookMessage.opportunity_id)).all()
        accepted = list(
            session.scalars(select(ExpansionMove.opportunity_id).where(ExpansionMove.to_state == "accepted"))
        )
    told = Counter((kind, number) for kind, number in messages)
    assert len(opportunities) == accounts
    assert told == Counter({(FLAGGED, number): 1 for number in opportunities} | {(UPDATED, n): 1 for n in answered})
    assert sorted(accepted) == sorted(answered), "each once, however often it was asked"
    assert len(answered) >= accounts // 10
    received = {request.id: json.loads(request.body) for request in receiver.requests}
    assert len(received) == accounts + len(answered)
    flagged = [body["data"]["id"] for body in received.values() if body["type"] == FLAGGED]
    assert sorted(flagged) == sorted(opportunities), "distinct ids, one for each opportunity"
    bodies = {(request.id, request.body) for request in receiver.requests}
    assert len(bodies) == len(received), "what came twice was the same to the byte"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
