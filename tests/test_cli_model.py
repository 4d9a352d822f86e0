"""`tenure model report`: what the page shows, as text and as JSON."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import Engine

from app.cli import main
from jobs.nightly import run_night
from tests.installation import work_on
from tests.jobs.growing_company import AS_OF, import_company


@pytest.fixture
def asked(engine: Engine, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("TENURE_DATA", str(tmp_path / "data"))

    def ask(*words: str) -> str:
        found = CliRunner().invoke(main, ["model", "report", *words])
        assert found.exit_code == 0, found.output
        return found.output

    return ask


def test_before_the_first_night_it_says_what_to_do(engine: Engine, asked) -> None:
    found = CliRunner().invoke(main, ["model", "report"])
    assert found.exit_code == 1
    assert "run `tenure nightly`" in found.output


def test_the_report_says_what_is_shown_and_how_each_way_did(engine: Engine, asked, tmp_path: Path) -> None:
    import_company(engine, tmp_path)
    run_night(work_on(engine), AS_OF)
    text = asked()
    assert text.startswith("Run 1 as of 2026-01-01, basis account: Learned from 10 churns")
    assert "Gate: learned, because few, over 1 years with" in text
    found = json.loads(asked("--json"))
    years = [year for year in found["evaluation"]["years"] if year["ways"]]
    assert [year["origin_on"] for year in years] == ["2025-01-01", "2024-07-01"]
    for each in years[0]["ways"]:
        assert f"\n  {each['way']}" in text
        auc = each["rankings"][-1]["auc"]
        assert auc["value"] is None or f"AUC12 {auc['value']:.3f} ({auc['lower']:.3f} to {auc['upper']:.3f})" in text
    assert f"{years[0]['ways'][0]['accounts']} accounts" in text
