"""The command as it is called: what it writes, and what it says of it."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.cli import main

MAPPING = """
system = "crm"
currency = "USD"
[[files]]
name = "*.csv"
[files.account]
id = "id"
name = "name"
"""


@pytest.fixture(autouse=True)
def _give_the_mask_back() -> Iterator[None]:
    mask = os.umask(0o022)
    yield
    os.umask(mask)


def call(folder: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, env={"TENURE_DATA": str(folder / "var"), "DATABASE_URL": ""})


def test_what_the_command_writes_is_for_its_owner_alone(tmp_path: Path) -> None:
    (tmp_path / "mapping.toml").write_text(MAPPING)
    (tmp_path / "accounts.csv").write_text("id,name\n,nobody\nA,Alpha\n")
    assert call(tmp_path, "db", "upgrade").exit_code == 0
    assert call(tmp_path, "import", f"{tmp_path}/mapping.toml", f"{tmp_path}/accounts.csv").exit_code == 0
    written = [path for path in (tmp_path / "var").rglob("*") if path.is_file()]
    assert {"tenure.db", "secret_key", "accounts-rejected-1.csv"} <= {path.name for path in written}
    assert [path.name for path in written if path.stat().st_mode & 0o077] == []


def test_a_database_out_of_reach_is_said_in_a_line(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        main, ["nightly"], env={"TENURE_DATA": str(tmp_path), "DATABASE_URL": f"sqlite:///{tmp_path}/none/tenure.db"}
    )
    assert result.exit_code == 1
    assert "Error: The database is busy or cannot be reached: unable to open database file" in result.output


def test_the_password_of_the_demo_is_told_in_development_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call(tmp_path, "db", "upgrade")
    (tmp_path / "var" / "demo_password").write_text("three unrelated words")
    monkeypatch.setattr(os, "execv", lambda *_: None)  # the server would take this process's place
    assert "three unrelated words" in call(tmp_path, "serve").output
    monkeypatch.setenv("TENURE_ENV", "production")
    monkeypatch.setenv("TENURE_SECRET_KEY", "x" * 32)
    served = call(tmp_path, "serve").output
    assert "Tenure is at" in served
    assert "three unrelated words" not in served


def test_a_check_that_finds_a_bad_row_ends_with_1(tmp_path: Path) -> None:
    (tmp_path / "mapping.toml").write_text(MAPPING)
    (tmp_path / "accounts.csv").write_text("id,name\n,nobody\n")
    call(tmp_path, "db", "upgrade")
    result = call(tmp_path, "import", "--check", f"{tmp_path}/mapping.toml", f"{tmp_path}/accounts.csv")
    assert result.exit_code == 1
    assert "1 rows would be set aside" in result.output
