"""Movements when two changes meet at one account, and when a process dies before it commits."""

import os
import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal
from threading import Barrier

import pytest
from sqlalchemy import Engine, func, select

from app.db import make_engine, reading, transaction
from app.models.contracts import ContractLineVersion
from app.models.ledger import Movement
from app.services.accounts import record_accounts
from app.services.changes import recording
from app.services.deals import record_deals
from app.services.sources import Source
from integrations.files.rows import AccountRow, ClosedDeal, DealRow, LineRow
from tests.ledger_story import computed, stored

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
SOURCE = Source("crm", NOON)


def deal(name: str, starts_on: date, amount: int, product: str = "CORE") -> ClosedDeal:
    line = LineRow(
        key="1",
        deal=name,
        product=product,
        kind="recurring",
        amount=Decimal(amount),
        currency="USD",
        starts_on=starts_on,
        ends_on=starts_on.replace(month=12, day=31),
    )
    row = DealRow(id=name, account="A", stage="won", type="new", closed_on=starts_on, currency="USD")
    return ClosedDeal(row, (line,))


@pytest.fixture
def company(engine: Engine) -> Engine:
    """An account with one line of 2023, so that its product is known."""
    with transaction(engine) as session, recording(session, "test") as change:
        record_accounts(session, change, source=SOURCE, rows=[AccountRow("A", "Alpha")])
        record_deals(session, change, source=SOURCE, deals=[deal("d0", date(2023, 1, 1), 100)])
    return engine


def test_of_two_changes_of_one_account_neither_misses_what_the_other_wrote(company: Engine) -> None:
    """The second line renews the first: each alone would have let its own lapse, or begin anew."""
    both_wrote = Barrier(2, timeout=20)

    def record(name: str, year: int, amount: int) -> None:
        with transaction(company) as session, recording(session, name) as change:
            record_deals(session, change, source=SOURCE, deals=[deal(name, date(year, 1, 1), amount)])
            if company.dialect.name == "postgresql":  # SQLite has one writer at a time anyway
                both_wrote.wait()

    with ThreadPoolExecutor(2) as threads:
        for done in [threads.submit(record, "d1", 2024, 200), threads.submit(record, "d2", 2025, 300)]:
            done.result()
    assert stored(company, None) == computed(company, None)
    with reading(company) as session:
        standing = Movement.superseded_change_id.is_(None)
        found = session.execute(
            select(Movement.category, Movement.amount_minor).where(standing).order_by(Movement.moved_on)
        )
        assert [tuple(row) for row in found] == [
            ("new", 10_000),
            ("expansion", 10_000),
            ("expansion", 10_000),
            ("churn", -30_000),
        ]


def test_a_process_killed_before_it_commits_leaves_neither_lines_nor_movements(company: Engine) -> None:
    before = counts(company)
    url = company.url.render_as_string(hide_password=False)
    company.dispose()
    child = os.fork()
    if child == 0:
        try:
            with transaction(make_engine(url)) as session:
                with recording(session, "doomed") as change:
                    record_deals(session, change, source=SOURCE, deals=[deal("d1", date(2024, 1, 1), 200)])
                written = session.scalar(select(func.count()).select_from(Movement))
                if written == before[1] + 2:  # the difference, and the later churn
                    os.kill(os.getpid(), signal.SIGKILL)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)
    assert counts(company) == before
    assert stored(company, None) == computed(company, None)


def counts(engine: Engine) -> tuple[int, int]:
    with reading(engine) as session:
        lines = session.scalar(select(func.count()).select_from(ContractLineVersion)) or 0
        return lines, session.scalar(select(func.count()).select_from(Movement)) or 0
