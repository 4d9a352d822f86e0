"""`tenure worker` and `tenure feed` as an operator uses them."""

import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine, select

from app.cli import main
from app.db import reading, transaction
from app.models.audit import AuditEntry
from app.services.leases import Ending, claim_lease, release_lease

MAPPING = """
system = "crm"
currency = "USD"
[[files]]
name = "deals.csv"
[files.account]
id = "account"
[files.deal]
id = "id"
account = "account"
closed_on = "closed"
[files.line]
product = { value = "Gold" }
amount = "amount"
price_months = { value = 1 }
"""


@pytest.fixture
def tenure(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("TENURE_DATA", str(tmp_path))
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def run(*words: str) -> Result:
        return CliRunner().invoke(main, list(words))

    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


def said(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.output


def drop(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    minute_ago = (datetime.now(UTC) - timedelta(minutes=1)).timestamp()
    for name, text in files.items():
        path = folder / f"{name}.{'toml' if name == 'mapping' else 'csv'}"
        path.write_text(text)
        os.utime(path, (minute_ago, minute_ago))


def test_once_brings_the_files_in_and_makes_the_night_and_tells_what_was_set_aside(tenure, tmp_path: Path) -> None:
    folder = tmp_path / "inbox" / "our_crm"
    drop(folder, mapping=MAPPING, deals="id,account,closed,amount\nD1,A1,2026-01-05,10.00\n", other="x\n1\n")
    said(tenure("settings", "set", "night_at", "00:00"))
    said(tenure("worker", "--once"))
    status = said(tenure("worker", "status"))
    tasks = {"sync", "roll_up", "nightly", "deliver", "replay", "watch"}
    assert {line.split()[0] for line in status.splitlines()[1:7]} == tasks
    assert "sync 'our_crm/other.csv " in status
    assert "knows no such file" in status
    today = datetime.now(UTC).date()
    assert "fit: " in said(tenure("nightly", "--as-of", f"{today}")), "what the worker made is told"
    assert f"nightly   {today}" in status
    item = status.partition("sync '")[2].partition("'")[0]
    assert "will try" in said(tenure("worker", "retry", "sync", item))
    assert "set aside" not in said(tenure("worker", "status"))
    again = tenure("worker", "retry", "sync", item)
    assert again.exit_code == 1
    assert "worker status" in again.output


def test_before_it_ever_ran_the_state_says_so(tenure) -> None:
    assert said(tenure("worker", "status")).count("never") == 6


def test_a_failure_ends_once_with_one_and_is_told(tenure, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_work: object) -> None:
        raise RuntimeError("out of luck")

    monkeypatch.setattr("jobs.watch.watch_all_feeds", fail)
    assert tenure("worker", "--once").exit_code == 1
    assert "failed 1 in a row: RuntimeError: out of luck" in said(tenure("worker", "status"))


def test_a_night_that_somebody_else_is_at_is_waited_for_and_named(
    tenure, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.cli.data.PATIENCE_SECONDS", 1)
    with transaction(engine) as session:
        lease = claim_lease(session, "nightly", holder="the other machine", now=datetime.now(UTC))
    busy = tenure("nightly", "--as-of", "2026-01-01")
    assert busy.exit_code == 1
    assert "the other machine is at work on it; waiting" in busy.output
    with transaction(engine) as session:
        assert lease is not None
        release_lease(session, lease, now=datetime.now(UTC), ending=Ending())
    assert "publish" in said(tenure("nightly", "--as-of", "2026-01-01"))


def test_feeds_are_listed_and_expected(tenure, tmp_path: Path, engine: Engine) -> None:
    drop(tmp_path / "inbox" / "our_crm", mapping=MAPPING, deals="id,account,closed,amount\nD1,A1,2026-01-05,10.00\n")
    said(tenure("settings", "set", "night_at", "off"))
    said(tenure("worker", "--once"))
    assert "sync    crm" in said(tenure("feed", "list"))
    assert "every 26 hours" in said(tenure("feed", "expect", "sync", "crm", "26"))
    assert "every 26 h" in said(tenure("feed", "list"))
    assert "is not watched" in said(tenure("feed", "expect", "sync", "crm"))
    assert tenure("feed", "expect", "sync", "nobody", "26").exit_code == 1
    with reading(engine) as session:
        acts = select(AuditEntry.details).where(AuditEntry.action == "feed.expected", AuditEntry.actor == "command")
        assert session.scalars(acts.order_by(AuditEntry.id)).all() == [{"hours": 26}, {"hours": None}]
