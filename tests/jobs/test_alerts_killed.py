"""Web and worker are killed with -9 while opportunities are raised, delivered and answered: none is lost or doubled."""

import json
import socket
import time
from collections import Counter
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
from tests.receiver import Receiver, Reply, Request, add_endpoint, receiving

CLAIM_ENDS = timedelta(seconds=61)
FLAGGED, UPDATED = "expansion_opportunity.flagged", "expansion_opportunity.updated"


@dataclass
class Fleet:
    """One worker and one web server, killed in the middle of a delivery again and again, and started again."""

    url: str
    folder: Path
    token: str
    port: int
    receiver: Receiver
    dies_at: list[int]  # when so many requests have come
    kills: int = 0
    worker: BaseProcess | None = None
    web: BaseProcess | None = None
    answered: set[int] = field(default_factory=set)

    def keep_up(self) -> None:
        if self.worker is None or not self.worker.is_alive():
            self.worker = start(be_the_worker, self.url, self.folder, self.kills * CLAIM_ENDS)
        if self.web is None or not self.web.is_alive():
            self.web = start(be_the_web, self.url, self.folder, self.port)

    def answer_or_kill(self, _request: Request) -> Reply:
        if self.dies_at and len(self.receiver.requests) >= self.dies_at[0]:
            self.dies_at.pop(0)
            self.kills += 1
            self.kill(with_web=self.kills % 2 == 0)
        return 204, {}

    def kill(self, *, with_web: bool) -> None:
        for process in (self.worker, self.web if with_web else None):
            if process is not None:
                process.kill()

    def accept(self, opportunity_id: int) -> None:
        """As a program of sales does: again until there is an answer, and "that was done already" is one."""
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", "Host": "localhost"}
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            try:
                connection.request("POST", f"/api/v1/expansion-opportunities/{opportunity_id}/accept", "{}", headers)
                status = connection.getresponse().status
            except (OSError, HTTPException):
                return
        assert status in {200, 409, 503}, status
        if status != 503:  # SQLite's one writer took too long
            self.answered.add(opportunity_id)


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("accounts", "kills"), [(60, 4), pytest.param(1_000, 10, marks=pytest.mark.slow)])
def test_no_opportunity_without_its_message_and_no_message_without_its_opportunity(
    engine: Engine, database_url: str, tmp_path: Path, accounts: int, kills: int
) -> None:
    write_company(engine, accounts=accounts)
    with transaction(engine) as session:
        wanted = WantedToken("sales", ["opportunities:write"])
        token = create_token(session, wanted, actor="command", now=datetime.now(UTC)).token
    with receiving() as receiver:
        settings = sending_work(engine, tmp_path).settings
        add_endpoint(engine, settings, receiver.url, at=datetime.now(UTC), types=(FLAGGED, UPDATED))
        dies_at = [nth * accounts // (kills + 1) for nth in range(1, kills + 1)]
        fleet = Fleet(database_url, tmp_path, token, free_port(), receiver, dies_at)
        receiver.reply = fleet.answer_or_kill
        try:
            while not is_all_told(engine, fleet, accounts=accounts):
                fleet.keep_up()
                answer_one(fleet)
                time.sleep(0.01)
        finally:
            fleet.kill(with_web=True)
    assert fleet.kills == kills
    check(engine, receiver, accounts=accounts, answered=fleet.answered)


def answer_one(fleet: Fleet) -> None:
    """Accept one of every five opportunities that were told of."""
    for request in list(fleet.receiver.requests):
        told = json.loads(request.body)
        if told["type"] == FLAGGED and (number := told["data"]["id"]) % 5 == 0 and number not in fleet.answered:
            fleet.accept(number)
            return


def is_all_told(engine: Engine, fleet: Fleet, *, accounts: int) -> bool:
    with reading(engine) as session:
        messages = set(session.scalars(select(WebhookMessage.message_id)))
        opportunities = set(session.scalars(select(ExpansionOpportunity.id)))
    every_fifth = {number for number in opportunities if number % 5 == 0}
    return len(opportunities) == accounts and every_fifth == fleet.answered and messages == set(fleet.receiver.ids)


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
