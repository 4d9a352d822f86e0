"""Holding a lease while something long is computed: renewed in the background, and every write fenced."""

import logging
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from functools import partial

from sqlalchemy.exc import DBAPIError

from app.db import reading, transaction
from app.errors import Conflict
from app.queries.leases import find_lease
from app.services.leases import LASTS, Lease, claim_lease, make_fence, release_lease, renew_lease
from jobs.work import Work

log = logging.getLogger(__name__)

RENEWALS = 4  # in the time that a lease lasts: some may fail


def name_holder() -> str:
    """Who holds a lease: for people to read, safety does not rest on it."""
    return f"{platform.node()}:{os.getpid()}"


@contextmanager
def keep_lease(work: Work, lease: Lease, *, lasts: timedelta = LASTS) -> Iterator[Work]:
    """Renew the lease for as long as the block works with what it is given, whose writes pass the fence.

    A process that is stopped renews nothing; neither does one whose lease has gone to somebody else.
    """
    ended = threading.Event()
    renew = partial(_renew, work, lease, ended=ended, lasts=lasts)
    keeper = threading.Thread(target=renew, name=f"keep {lease.name}", daemon=True)
    keeper.start()
    try:
        yield replace(work, fence=make_fence(lease, lasts=lasts))
    finally:
        ended.set()
        keeper.join()


def _renew(work: Work, lease: Lease, *, ended: threading.Event, lasts: timedelta) -> None:
    is_ours = True
    while is_ours and not ended.wait(lasts.total_seconds() / RENEWALS):
        try:
            with transaction(work.engine) as session:
                is_ours = renew_lease(session, lease, now=work.clock(), lasts=lasts)
        except DBAPIError as error:  # busy, or out of reach: the next may do it, and the fence guards
            log.warning("the lease of %s could not be renewed: %s", lease.name, error.orig)


@contextmanager
def hold(
    work: Work, name: str, *, patience_seconds: int = 0, report: Callable[[str], None] = log.info
) -> Iterator[Work]:
    """Do a task that a person asked for under its lease. Raises Conflict where somebody else keeps it for longer."""
    lease = _wait_for(work, name, patience_seconds=patience_seconds, report=report)
    try:
        with keep_lease(work, lease) as fenced:
            yield fenced
    finally:
        with transaction(work.engine) as session:
            release_lease(session, lease, now=work.clock())


def _wait_for(work: Work, name: str, *, patience_seconds: int, report: Callable[[str], None]) -> Lease:
    for second in range(patience_seconds + 1):
        with transaction(work.engine) as session:
            lease = claim_lease(session, name, holder=name_holder(), now=work.clock())
        if lease is not None:
            return lease
        if second == 0:
            report(f"{_holder_of(work, name)} is at work on it; waiting ...")
        time.sleep(1.0)
    raise Conflict(f"{_holder_of(work, name)} is still at work on {name}; wait until it is done, or stop it.")


def _holder_of(work: Work, name: str) -> str:
    with reading(work.engine) as session:
        state = find_lease(session, name)
    return state.holder if state else "Another process"
