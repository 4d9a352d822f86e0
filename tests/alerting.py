"""A worker that raises and delivers, and a web server where people answer: what the test of the alerts kills."""

import os
import signal
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from sqlalchemy import Engine, func, select
from werkzeug.serving import make_server

from app.db import make_engine, reading, transaction
from app.factory import create_app
from app.models.accounts import Account, AccountVersion
from app.models.expansion import ExpansionOpportunity
from app.services.changes import recording
from app.services.expansion_messages import Links
from app.services.expansion_raising import Budget, Finding, Findings, raise_opportunities
from jobs.work import Work
from jobs.worker import Task, Worker
from tests.delivering import sending_work
from tests.installation import settings_of
from tests.processes import LASTS
from tests.small_company import publish_small_run, write_small_company

DAY = date(2026, 3, 1)
FIRST_ACCOUNT = 101
AT_ONCE = 25
ADOPTION = {"kind": "adoption", "product": "Plus", "adopters": 7, "non_owners": 90, "months": 6}


def write_company(engine: Engine, *, accounts: int) -> None:
    """The small company, with so many accounts more that are ready for a product."""
    write_small_company(engine)
    publish_small_run(engine)
    with transaction(engine) as session, recording(session, "test") as change:
        numbers = range(FIRST_ACCOUNT, FIRST_ACCOUNT + accounts)
        session.add_all(Account(id=number, change_id=change.id) for number in numbers)
        session.flush()
        for number in numbers:
            version = AccountVersion(account_id=number, valid_from=DAY, name=f"Account {number}", custom={})
            version.change_id, version.available_at = change.id, datetime.now(UTC)
            session.add(version)


def raise_some(work: Work) -> None:
    """As the night does, a few at a time, so that there is much to kill."""
    with reading(work.engine) as session:
        raised = session.scalar(select(func.count()).select_from(ExpansionOpportunity)) or 0
        accounts = session.scalars(select(Account.id).where(Account.id >= FIRST_ACCOUNT).order_by(Account.id)).all()
    found = [_finding(account) for account in accounts[: raised + AT_ONCE]]
    if raised < len(accounts):
        findings = Findings(DAY, 1, "USD", found, {}, None)
        links = Links(work.settings.public_url, work.settings.secret_key)
        with work.writing() as session:
            raise_opportunities(session, findings, budget=Budget(10_000, 5), links=links, at=work.clock())


def _finding(account_id: int) -> Finding:
    return Finding(account_id, "cross_sell", 2, "medium", -1.5, None, "arr", 100_000, lambda: [ADOPTION])


def be_the_worker(url: str, folder: Path, ahead: timedelta) -> None:
    """A worker whose clock is ahead, so that it waits for no claim of one that died."""
    sweeps = {"nightly": "tests.alerting:raise_some", "deliver": "jobs.deliver:deliver_due"}
    tasks = tuple(Task(name, timedelta(milliseconds=50), sweep) for name, sweep in sweeps.items())
    worker = Worker(sending_work(make_engine(url), folder, ahead=ahead), tasks, LASTS)
    signal.signal(signal.SIGTERM, lambda _number, _frame: worker.stopping.set())
    os._exit(0 if worker.run() else 1)


def be_the_web(url: str, folder: Path, port: int) -> None:
    app = create_app(settings_of(url, folder))
    make_server("127.0.0.1", port, app, threaded=True).serve_forever()
