"""Deliver what is due: claim a little, send it outside of any transaction, write down what came of it.

All work with the database is done by the one thread that calls; the others only wait for
receivers. An endpoint has at most four of them, so that one that hangs holds up nobody else's
messages. Any number of sweeps may run at once, on one machine or on several.
"""

import logging
import os
import platform
import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TypeVar
from uuid import uuid4

from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from app.db import reading
from app.queries.webhooks import find_due_endpoints
from app.services.deliveries import (
    SENT_BEFORE_END,
    Claim,
    Claimed,
    Sender,
    Sent,
    claim_due,
    record_sent,
    send,
)
from app.services.delivery_upkeep import drop_stranded, needs_upkeep, prune
from jobs.work import Work

THREADS = 16
PER_ENDPOINT = 4
FAILURES_IN_A_ROW = 3
NOTHING_CLAIMED_AFTER = timedelta(seconds=60)  # a sweep ends then, so that other work gets its turn
LOOKS_EVERY_SECONDS = 1  # for what has become due meanwhile
TRIES_TO_WRITE = 3  # each waits five seconds for the database: all within the claim

DRAW = random.SystemRandom().random

Written = TypeVar("Written")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Delivered:
    """What a sweep did: arrived, to be tried again, given up, dropped as the endpoint is off, or somebody else's."""

    delivered: int = 0
    pending: int = 0
    dead: int = 0
    dropped: int = 0
    lost: int = 0
    pruned: int = 0


def deliver_due(work: Work, *, draw: Callable[[], float] = DRAW) -> Delivered:
    """One sweep: everything that is due, for a minute at most. `draw` spreads the retries.

    Killed between sending and writing down, it leaves a claim that ends after a minute; then the
    message is sent again under the same id.
    """
    with reading(work.engine) as session:
        has_upkeep = needs_upkeep(session, at=work.clock())
    dropped = pruned = 0
    if has_upkeep:
        with work.writing() as session:
            dropped, pruned = drop_stranded(session, at=work.clock()), prune(session, at=work.clock())
    with ThreadPoolExecutor(THREADS, thread_name_prefix="deliver") as pool:
        counts = _Sweep(work, pool, draw=draw).run()
    counts["dropped"] += dropped
    return Delivered(**counts, pruned=pruned)


class _Sweep:
    """What is being sent, and which endpoints are left alone until the next sweep."""

    def __init__(self, work: Work, pool: ThreadPoolExecutor, *, draw: Callable[[], float]) -> None:
        self.work, self.pool, self.draw = work, pool, draw
        self.sender = Sender.of(work.settings, work.clock)
        self.name = f"{platform.node()}:{os.getpid()}:{uuid4().hex[:8]}"[-100:]
        self.claims_until = work.clock() + NOTHING_CLAIMED_AFTER
        self.in_flight: dict[Future[Sent | None], Claimed] = {}
        self.taken: Counter[int] = Counter()
        self.failures: Counter[int] = Counter()

    def run(self) -> Counter[str]:
        """Claim, send and record until nothing is due any more, or the sweep's time is up; counts by outcome."""
        counts: Counter[str] = Counter()
        done: set[Future[Sent | None]] = set()
        while True:
            sent = [self.outcome(future, self.in_flight.pop(future)) for future in done]
            for claimed in self.take_turn([each for each in sent if each is not None], counts):
                self.in_flight[self.pool.submit(self.send, claimed)] = claimed
            counts["lost"] += sent.count(None)
            if not self.in_flight:
                return counts
            done, _ = wait(self.in_flight, timeout=LOOKS_EVERY_SECONDS, return_when=FIRST_COMPLETED)

    def take_turn(self, sent: list[Sent], counts: Counter[str]) -> list[Claimed]:
        """Write down what came of those and claim what is next.

        All that arrived and the claims are one transaction: it waits for nobody. A failure may have to
        wait for its endpoint's row, and has a transaction to itself.
        """
        for failed in (each for each in sent if not each.is_delivered):
            self.note_failure(failed)
            counts[self.write(partial(self.record, sent=failed))] += 1
        arrived = [each for each in sent if each.is_delivered]
        for each in arrived:
            self.failures[each.claimed.endpoint_id] = 0
        wanted = self.choose()
        if not arrived and not wanted:
            return []
        outcomes, found = self.write(partial(self.record_and_claim, arrived=arrived, wanted=wanted))
        counts.update(outcomes)
        self.taken.update(each.endpoint_id for each in found)
        return found

    def record(self, session: Session, *, sent: Sent) -> str:
        return record_sent(session, sent, at=self.work.clock(), draw=self.draw())

    def record_and_claim(
        self, session: Session, *, arrived: list[Sent], wanted: Counter[int]
    ) -> tuple[list[str], list[Claimed]]:
        outcomes = [self.record(session, sent=each) for each in arrived]
        claims = [Claim(self.name, endpoint_id, most) for endpoint_id, most in wanted.items()]
        return outcomes, [each for claim in claims for each in claim_due(session, claim, at=self.work.clock())]

    def choose(self) -> Counter[int]:
        """How many to claim for each endpoint: a first for all before a second for any, the least served first."""
        free = THREADS - len(self.in_flight)
        if free == 0 or self.work.clock() >= self.claims_until:
            return Counter()
        with reading(self.work.engine) as session:
            due = find_due_endpoints(session, at=self.work.clock())
        busy = Counter(each.endpoint_id for each in self.in_flight.values())
        fit = [each for each in due if self.failures[each] < FAILURES_IN_A_ROW]
        places = [(nth, self.taken[each], each) for each in fit for nth in range(busy[each], PER_ENDPOINT)]
        return Counter(endpoint_id for _, _, endpoint_id in sorted(places)[:free])

    def send(self, claimed: Claimed) -> Sent | None:
        """None for what is not begun any more: a worker that slept this long may no longer be the only one."""
        if self.work.clock() > claimed.until - SENT_BEFORE_END:
            return None
        return send(claimed, self.sender)

    def outcome(self, future: Future[Sent | None], claimed: Claimed) -> Sent | None:
        """What came of an exchange; an error of ours counts as a failed attempt."""
        error = future.exception()
        if error is None:
            return future.result()
        log.error("a delivery failed by an error of ours", exc_info=error)
        return Sent(claimed, self.work.clock(), 0, error=f"an error of ours: {type(error).__name__}")

    def note_failure(self, sent: Sent) -> None:
        """After three failures in a row an endpoint rests until the next sweep, at once where it does not answer."""
        self.failures[sent.claimed.endpoint_id] += FAILURES_IN_A_ROW if sent.asks_for_rest else 1

    def write(self, act: Callable[[Session], Written], *, tries_left: int = TRIES_TO_WRITE) -> Written:
        """In one transaction; while the database is busy, again: an outcome that is forgotten is sent twice."""
        try:
            with self.work.writing() as session:
                return act(session)
        except OperationalError:
            if tries_left == 1:
                raise
            log.warning("the database is busy; what was sent is written down later")
            return self.write(act, tries_left=tries_left - 1)
