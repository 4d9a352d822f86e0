"""`tenure period` as whoever closes the month uses it."""

import hashlib
from datetime import UTC, date, datetime

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine

from app.cli import main
from tests.ledger_books import Books, Moved


@pytest.mark.one_database
def test_a_month_is_closed_listed_and_shown(engine: Engine, database_url: str, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("TENURE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TENURE_SECRET_KEY", "a secret of an installation of 32 and more")
    books = Books(engine, at=datetime(2025, 1, 2, 9, tzinfo=UTC))
    books.record(Moved(1, date(2025, 1, 1), "new", 100_000))

    def tenure(*words: str) -> Result:
        return CliRunner().invoke(main, ["period", *words])

    closed = tenure("close", "2025-01")
    assert closed.exit_code == 0, closed.output
    assert "2025-01 is closed, as known at 2025-01-02 09:01:00 UTC." in closed.output
    digest = closed.output.split()[-1]
    assert digest in tenure("list").output
    assert hashlib.sha256(tenure("show", "2025-01").stdout_bytes).hexdigest() == digest
    again = tenure("close", "2025-01")
    assert again.exit_code == 1
    assert "2025-01 was closed on" in again.output
    assert "no month" in tenure("close", "2025").output
