"""A pause from a file reaches the movements; what it cannot mean is refused by name."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.db import reading
from app.queries.known import last_recorded_at
from app.queries.movements import MovementsAsked, load_movements
from integrations.files.mapping import load_mapping
from jobs.import_files import import_files
from jobs.import_report import ImportReport
from jobs.import_run import Options

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MAPPING = """
system = "crm"
currency = "EUR"
[[files]]
name = "accounts.csv"
[files.account]
id = "id"
[[files]]
name = "deals.csv"
[files.deal]
id = "deal"
account = "account"
closed_on = "closed"
[files.line]
deal = "deal"
key = "line"
product = "product"
amount = "amount"
kind = "kind"
term_months = { value = "12" }
[[files]]
name = "pauses.csv"
[files.pause]
id = "id"
deal = "deal"
line = "line"
pauses_on = "from"
resumes_on = "until"
"""
COMPANY = {
    "accounts.csv": "id\nA\n",
    "deals.csv": "deal,account,closed,line,product,amount,kind\nD1,A,2025-01-01,a,CORE,1200,recurring\n"
    "D1,A,2025-01-01,b,PLUS,600,recurring\nD2,A,2025-01-01,a,SETUP,50,one_time\n",
}
HEADER = "id,deal,line,from,until\n"

Run = Callable[..., ImportReport]
Moved = list[tuple[date, str, str | None, int, str]]


@pytest.fixture
def run(engine: Engine, tmp_path: Path) -> Run:
    (tmp_path / "crm.toml").write_text(MAPPING)

    def run(files: dict[str, str]) -> ImportReport:
        for name, content in files.items():
            (tmp_path / name).write_text(content)
        options = Options(False, tmp_path / "rejected", clock=lambda: NOON)
        return import_files(
            engine, load_mapping(tmp_path / "crm.toml"), paths=[tmp_path / name for name in files], options=options
        )

    return run


def moved(engine: Engine) -> Moved:
    with reading(engine) as session:
        asked = MovementsAsked(last_recorded_at(session) or NOON, date(2025, 12, 31))
        found = load_movements(session, asked)
    return [(each.moved_on, each.category, each.reason, each.amount_minor, each.source_kind) for each in found]


def test_a_line_and_then_a_whole_deal_is_paused_and_comes_back(engine: Engine, run: Run) -> None:
    run(COMPANY | {"pauses.csv": f"{HEADER}P1,D1,b,2025-03-01,2025-04-01\nP2,D1,,2025-06-01,2025-07-01\n"})
    assert moved(engine)[2:] == [
        (date(2025, 3, 1), "contraction", "pause", -60000, "pause"),
        (date(2025, 4, 1), "expansion", "resume", 60000, "pause"),
        (date(2025, 6, 1), "churn", "pause", -120000, "pause"),
        (date(2025, 6, 1), "churn", "pause", -60000, "pause"),
        (date(2025, 7, 1), "reactivation", "resume", 120000, "pause"),
        (date(2025, 7, 1), "reactivation", "resume", 60000, "pause"),
    ]


def test_an_open_pause_is_corrected_by_the_same_id(engine: Engine, run: Run) -> None:
    run(COMPANY | {"pauses.csv": f"{HEADER}P1,D1,b,2025-03-01,\n"})
    assert [each[0] for each in moved(engine)[2:]] == [date(2025, 3, 1)]
    run({"pauses.csv": f"{HEADER}P1,D1,b,2025-03-01,2025-05-01\n"})
    assert [each[0] for each in moved(engine)[2:]] == [date(2025, 3, 1), date(2025, 5, 1)]


def test_what_cannot_be_paused_is_refused_by_name(engine: Engine, run: Run) -> None:
    rows = "P1,D9,,2025-03-01,\nP2,D2,,2025-03-01,\nP3,D1,z,2025-03-01,\nP4,D1,a,2025-03-01,2025-03-01\n"
    report = run(COMPANY | {"pauses.csv": HEADER + rows})
    assert report.nouns["pause"].rejected == 3
    said = "\n".join(report.problems)
    for words in ("no won deal 'D9'", "'D2' has no recurring line", "no recurring line 'z'", "not after it paused"):
        assert words in said, said
    assert len(moved(engine)) == 2
