"""The command as an operator uses it: what it does, and what it says when something is off."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.cli import main, serving
from app.db import make_engine, reading
from app.services.users import verify_password

PASSWORD = "three unrelated words"


@pytest.fixture
def tenure(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("TENURE_DATA", str(tmp_path / "data"))

    def run(*words: str) -> Result:
        return CliRunner().invoke(main, list(words))

    return run


def said(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.output


def test_every_command_has_help_with_an_example(tenure) -> None:
    def walk(group, words: tuple[str, ...]):
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                yield from walk(command, (*words, name))
            else:
                yield (*words, name)

    for words in walk(main, ()):
        assert "Example:" in said(tenure(*words, "--help")), words


def test_a_database_that_is_behind_is_not_touched_but_named(tenure, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path / 'new.db'}")
    behind = tenure("nightly")
    assert behind.exit_code == 1
    assert "Run: tenure db upgrade" in behind.output
    said(tenure("db", "upgrade"))
    assert "publish" in said(tenure("nightly", "--as-of", "2026-01-01"))


def test_a_user_can_be_added_and_given_a_new_password(tenure, database_url: str) -> None:
    said(tenure("user", "add", "ana@example.com", "--name", "Ana", "--password", PASSWORD))
    said(tenure("user", "password", "Ana@example.com", "--password", PASSWORD + " more"))
    engine = make_engine(database_url)
    with reading(engine) as session:
        assert verify_password(session, email="ana@example.com", password=PASSWORD + " more").user_id
    engine.dispose()
    nobody = tenure("user", "password", "bo@example.com", "--password", PASSWORD)
    assert (nobody.exit_code, "no user with the address bo@example.com" in nobody.output) == (1, True)


def test_a_token_is_shown_once_and_a_wrong_scope_names_the_right_ones(tenure) -> None:
    assert said(tenure("token", "create", "--name", "BI", "--scope", "finance:read")).startswith("tnr_")
    wrong = tenure("token", "create", "--name", "BI", "--scope", "finance")
    assert wrong.exit_code == 1
    assert "accounts:read" in wrong.output


def test_settings_are_shown_and_set(tenure) -> None:
    assert "gross_margin              0.80" in said(tenure("settings", "show"))
    said(tenure("settings", "set", "gross_margin", "0.75"))
    assert "gross_margin              0.75" in said(tenure("settings", "show"))
    wrong = tenure("settings", "set", "gross_margin", "75")
    assert (wrong.exit_code, "from 0 to 1" in wrong.output) == (1, True)


def test_the_demo_keeps_out_of_a_database_that_is_in_use(tenure, tmp_path: Path) -> None:
    (tmp_path / "accounts.csv").write_text("id\nA1\n")
    (tmp_path / "own.toml").write_text('system = "crm"\n[[files]]\nname = "accounts.csv"\n[files.account]\nid = "id"\n')
    said(tenure("import", str(tmp_path / "own.toml"), str(tmp_path / "accounts.csv")))
    refused = tenure("demo")
    assert (refused.exit_code, "needs an empty one" in refused.output) == (1, True)
    assert said(tenure("demo", "--if-empty")) == ""


def test_a_port_that_is_taken_is_said_before_an_address_is_printed(tenure, monkeypatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        monkeypatch.setenv("PORT", str(port))
        result = tenure("serve")
    assert result.exit_code == 1
    assert f"Cannot listen on 127.0.0.1, port {port}: Address already in use." in result.output
    assert "Tenure is at" not in result.output


def test_production_that_does_not_know_its_address_says_so_at_each_start(tenure, monkeypatch) -> None:
    monkeypatch.setenv("TENURE_ENV", "production")
    monkeypatch.setenv("TENURE_SECRET_KEY", "x" * 32)
    monkeypatch.setattr(serving, "_check_address", lambda _host, _port: None)
    monkeypatch.setattr(os, "execv", lambda *_command: None)  # the server itself would take this process's place
    commands = (("serve",), ("worker", "--once"), ("worker", "status"))
    for command in commands:
        assert "Warning: TENURE_PUBLIC_URL is not set" in said(tenure(*command)), command
    monkeypatch.setenv("TENURE_PUBLIC_URL", "https://tenure.example.com")
    for command in commands:
        assert "Warning" not in said(tenure(*command)), command


def test_a_command_computes_with_one_thread_unless_told_otherwise(tenure, monkeypatch) -> None:
    for given, used in ((None, "1"), ("4", "4")):
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", given or "")
        if given is None:
            monkeypatch.delenv("OPENBLAS_NUM_THREADS")
        said(tenure("settings", "--help"))
        assert os.environ["OPENBLAS_NUM_THREADS"] == used
    code = "import sys, app.cli; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0  # else it comes too late
