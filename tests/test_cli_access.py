"""Users, event keys and the audit by command."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from app.cli import main
from app.db import make_engine, reading
from app.queries.audit import Asked, list_entries

PASSWORD = "three unrelated words"


@pytest.fixture
def tenure(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("TENURE_DATA", str(tmp_path / "data"))

    def run(words: str, *more: str) -> Result:
        return CliRunner().invoke(main, [*words.split(), *more])

    return run


def said(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.output


def refused(result: Result) -> str:
    assert result.exit_code == 1, result.output
    return result.output


def add(tenure: Any, name: str, role: str) -> None:
    said(tenure(f"user add {name}@example.com --name {name} --role {role} --password", PASSWORD))


def test_users_are_added_with_a_role_listed_changed_and_shut_out(tenure: Any, database_url: str) -> None:
    add(tenure, "ana", "admin")
    add(tenure, "bo", "csm")
    said(tenure("user role bo@example.com finance"))
    said(tenure("user deactivate bo@example.com"))
    lines = [line.split() for line in said(tenure("user list")).splitlines()]
    assert lines == [["ana@example.com", "admin", "ana"], ["bo@example.com", "finance", "deactivated", "bo"]]
    said(tenure("user reactivate bo@example.com"))
    assert "deactivated" not in said(tenure("user list"))
    assert "only active administrator" in refused(tenure("user deactivate ana@example.com"))
    assert "only active administrator" in refused(tenure("user role ana@example.com sales"))
    assert "admin, csm, sales, finance" in refused(tenure("user role bo@example.com root"))
    engine = make_engine(database_url)
    with reading(engine) as session:
        acts = [(entry.actor, entry.action) for entry in list_entries(session, Asked()).entries]
    engine.dispose()
    assert acts == [
        ("command", "user.reactivated"),
        ("command", "user.deactivated"),
        ("command", "user.role_changed"),
        ("command", "user.added"),
        ("command", "user.added"),
    ]


def test_only_a_key_for_events_has_a_source(tenure: Any) -> None:
    assert said(tenure("token create --name Shop --scope ingest:write --source web")).startswith("tnr_")
    assert "Only a token with the scope ingest:write" in refused(
        tenure("token create --name BI --scope finance:read --source web")
    )


def test_a_changed_setting_is_on_record(tenure: Any, database_url: str) -> None:
    said(tenure("settings set csm_sees book"))
    assert "give all, or book" in refused(tenure("settings set csm_sees mine"))
    engine = make_engine(database_url)
    with reading(engine) as session:
        [entry] = list_entries(session, Asked()).entries
    engine.dispose()
    assert (entry.actor, entry.action, entry.details["csm_sees"]) == ("command", "setting.changed", "book")


def test_the_audit_is_verified_and_its_head_kept_elsewhere(tenure: Any, database_url: str) -> None:
    for name in ("ana", "bo", "chi"):
        add(tenure, name, "admin")
    count, head = said(tenure("audit head")).split()
    assert count == "3"
    add(tenure, "dan", "admin")
    assert "All 4 entries fit" in said(tenure(f"audit verify --head {head}"))
    assert "64 hexadecimal digits" in refused(tenure("audit verify --head abc"))
    remove_triggers_and(database_url, "DELETE FROM audit_entries WHERE id >= 3")
    assert "All 2 entries fit" in said(tenure("audit verify"))
    assert "was cut off" in refused(tenure(f"audit verify --head {head}"))
    remove_triggers_and(database_url, "UPDATE audit_entries SET actor = 'nobody' WHERE id = 2")
    assert "The entry 2 was changed" in refused(tenure("audit verify"))


def remove_triggers_and(database_url: str, statement: str) -> None:
    """As somebody would who owns the database."""
    engine = make_engine(database_url)
    is_sqlite = engine.dialect.name == "sqlite"
    with engine.begin() as connection:
        for name in ("no_update", "no_delete") if is_sqlite else ("added_only",):
            on = "" if is_sqlite else " ON audit_entries"
            connection.execute(text(f"DROP TRIGGER IF EXISTS audit_entries_{name}{on}"))
        connection.execute(text(statement))
    engine.dispose()
