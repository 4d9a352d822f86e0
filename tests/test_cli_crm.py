"""`tenure crm` and `tenure sync` as an operator uses them, with a HubSpot on this machine."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Engine, select

from app.cli import main
from app.db import reading
from app.models.audit import AuditEntry
from app.models.crm import CrmConnection
from tests.databases import everything
from tests.integrations.crm.hubspot.fake import TOKEN, FakeHubspot, serving
from tests.integrations.crm.hubspot_stage import PromptHubspot
from tests.jobs.crm_world import open_world


@pytest.fixture
def hubspot(tmp_path: Path) -> Iterator[tuple[FakeHubspot, Path]]:
    fake = PromptHubspot()
    with serving(fake) as url:
        path = tmp_path / "hubspot.toml"
        path.write_text(f'kind = "hubspot"\nsystem = "our_crm"\ncurrency = "USD"\nurl = "{url}"\n')
        yield fake, path


@pytest.fixture
def tenure(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("TENURE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("TENURE_SECRET_KEY", "a secret of an installation of 32 and more")
    monkeypatch.setenv("TENURE_PRIVATE_TARGETS", "127.0.0.1")

    def run(*words: str, given: str | None = None) -> Result:
        return CliRunner().invoke(main, list(words), input=given)

    return run


def said(result: Result) -> str:
    assert result.exit_code == 0, result.output
    assert TOKEN not in result.output
    return result.output


@pytest.mark.one_database
def test_a_crm_lives_from_add_to_remove(tenure, hubspot, engine: Engine) -> None:
    fake, path = hubspot
    fake.records.create("companies", {"name": "青葉商事"})
    made = said(tenure("crm", "add", str(path), given=f"{TOKEN}\n"))
    assert "tenure crm check our_crm" in made
    assert all(TOKEN not in str(value) for rows in everything(engine).values() for row in rows for value in row)
    checked = said(tenure("crm", "check", "our_crm"))
    assert "company: 1" in checked
    assert "deal: 0 read" in checked
    assert "our_crm  hubspot, on; last read whole: never" in said(tenure("crm", "list"))
    said(tenure("crm", "pause", "our_crm"))
    assert "paused since" in said(tenure("crm", "list"))
    assert said(tenure("sync")) == "Nothing was new.\n"
    said(tenure("crm", "resume", "our_crm"))
    said(tenure("sync", "our_crm"))
    with reading(engine) as session:
        names = session.scalars(select(AuditEntry.action)).all()
    assert names == [f"crm_connection.{what}" for what in ("created", "paused", "resumed")]
    said(tenure("crm", "remove", "our_crm"))
    assert said(tenure("crm", "list")) == ""
    with reading(engine) as session:
        assert session.scalars(select(CrmConnection.id)).all() == []


@pytest.mark.one_database
def test_a_first_load_under_way_says_how_far_it_is_and_what_is_next(tenure, engine: Engine, tmp_path: Path) -> None:
    world = open_world(engine, tmp_path)
    world.crm.page_size = 10
    for n in range(40):
        world.stage.create_company(f"Company {n}")
    world.sync(slice_seconds=0.0)  # the product
    world.sync(slice_seconds=0.0)
    listed = said(tenure("crm", "list"))
    assert "story  hubspot, on; last read whole: never" in listed
    assert re.search(r"first load: company, \d0 of 40, about .* left; then contact, product, deal", listed)
    while world.sync().read:
        pass
    assert "first load" not in said(tenure("crm", "list"))


@pytest.mark.one_database
def test_what_cannot_be_done_is_said(tenure, hubspot, tmp_path: Path) -> None:
    _, path = hubspot
    wrong = tmp_path / "wrong.toml"
    wrong.write_text('kind = "abacus"')
    for words, given, expected in (
        (("crm", "add", str(wrong)), TOKEN, "use one of hubspot"),
        (("crm", "add", str(path)), "", "standard input"),
        (("crm", "add", str(path)), "{", "no JSON object"),
        (("crm", "check", "nobody"), None, "There is no CRM 'nobody'"),
        (("crm", "pause", "nobody"), None, "There is no CRM 'nobody'"),
        (("sync", "nobody"), None, "There is no CRM 'nobody'"),
    ):
        result = tenure(*words, given=given)
        assert (result.exit_code, expected in result.output) == (1, True), result.output
    said(tenure("crm", "add", str(path), given="a wrong token"))
    refused = tenure("sync", "our_crm")
    assert (refused.exit_code, "tenure crm list" in refused.output) == (1, True)
    assert "failed" in said(tenure("crm", "list"))
    assert "has another secret" in said(tenure("crm", "secret", "our_crm", given=TOKEN))
    said(tenure("sync", "our_crm"))
    assert "failed" not in said(tenure("crm", "list"))
    again = tenure("crm", "add", str(path), given=TOKEN)
    assert (again.exit_code, "already" in again.output) == (1, True)
    assert "Nothing of our_crm waits" in tenure("crm", "confirm", "our_crm").output
