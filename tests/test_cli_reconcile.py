"""`tenure reconcile` as whoever closes the month uses it."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.cli import main
from app.db import make_engine
from tests.billed_company import Books, charge


@pytest.fixture
def tenure(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("TENURE_DATA", str(tmp_path / "data"))

    def run(*words: str) -> Result:
        return CliRunner().invoke(main, ["reconcile", *words, "--as-of", "2026-05-31"])

    return run


@pytest.fixture
def files(database_url: str, tmp_path: Path) -> tuple[str, str]:
    """Account 7 is charged 100 instead of 107 a month, and a stranger with a name that steers terminals 50."""
    books = Books()
    books.charges[7] = [charge(7, amount="100")]
    books.charges[201] = [charge(201, customer="\x1b[2Jnobody", amount="50")]
    engine = make_engine(database_url)
    files = books.record(engine, tmp_path)
    engine.dispose()
    return str(files.mapping), str(files.export)


def test_it_says_what_each_side_comes_to_and_what_is_open(tenure, files: tuple[str, str]) -> None:
    result = tenure(*files)
    assert result.exit_code == 0, result.output
    said = " ".join(result.output.split())
    total = sum(12 * (100 + n) for n in range(1, 201))
    assert f"USD: ledger {total}.00, other {total - 84 + 600}.00, difference 516.00" in said
    assert "missing_in_ledger 600.00 unexplained -84.00" in said
    assert "201 compared, 199 agree, 2 differ, 1 open." in said
    assert ": 84.00 USD unexplained" in said
    assert "\x1b" not in result.output


def test_without_a_file_or_a_crm_it_says_what_to_name(tenure, files: tuple[str, str]) -> None:
    for words in ((), files[:1], (*files, "--crm")):
        result = tenure(*words)
        assert result.exit_code == 2
        assert "Name a mapping and a file, or --crm." in result.output
    refused = tenure(files[0], "gone.csv")
    assert (refused.exit_code, "gone.csv: no such file" in refused.output) == (1, True)


def test_the_crm_is_held_against_the_ledger(tenure, files: tuple[str, str]) -> None:
    for words in (("--crm",), ("--crm", "our_crm")):
        assert "200 compared, 200 agree, 0 differ, 0 open." in tenure(*words).output
    assert "0 compared" in tenure("--crm", "another").output
