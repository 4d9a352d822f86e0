"""Trainings and invoices from files: good rows come in, bad ones are named, twice is once, paid is a correction."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from app.db import reading
from app.models.billing import Invoice
from app.models.success import Training
from integrations.files.mapping import load_mapping
from jobs.import_files import import_files
from jobs.import_report import ImportReport
from jobs.import_run import Options

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MAPPING = """
system = "billing"
currency = "EUR"
[[files]]
name = "accounts.csv"
[files.account]
id = "id"
[[files]]
name = "courses.csv"
[files.training]
id = "id"
account = "account"
occurred_on = "on"
topic = "topic"
attendees = "came"
[[files]]
name = "bills.csv"
[files.invoice]
id = "id"
account = "account"
issued_on = "issued"
due_on = { column = "issued", plus_days = 30 }
paid_on = "paid"
amount = "amount"
"""
ACCOUNTS = {"accounts.csv": "id\nA\n"}
COURSES = "id,account,on,topic,came\nL1,A,2025-12-01,Basics,4\nL2,A,2025-12-02,Basics,\n"
BILLS = "id,account,issued,paid,amount\nB1,A,2025-11-01,,1200.50\nB2,A,2025-12-01,2025-12-30,-20\n"

Run = Callable[..., ImportReport]


@pytest.fixture
def run(engine: Engine, tmp_path: Path) -> Run:
    (tmp_path / "billing.toml").write_text(MAPPING)

    def run(files: dict[str, str], *, is_check: bool = False, at: datetime = NOON) -> ImportReport:
        for name, content in files.items():
            (tmp_path / name).write_text(content)
        options = Options(is_check, tmp_path / "rejected", clock=lambda: at)
        paths = [tmp_path / name for name in files]
        return import_files(engine, load_mapping(tmp_path / "billing.toml"), paths=paths, options=options)

    return run


def test_what_was_taught_and_billed_comes_in_once(engine: Engine, run: Run) -> None:
    files = {**ACCOUNTS, "courses.csv": COURSES, "bills.csv": BILLS}
    report = run(files)
    assert (report.rejected, report.nouns["training"].added, report.nouns["invoice"].added) == (0, 2, 2)
    again = run(files)
    assert (again.nouns["training"].unchanged, again.nouns["invoice"].unchanged) == (2, 2)
    assert not again.has_changed_something
    with reading(engine) as session:
        courses = session.execute(select(Training.external_id, Training.attendees).order_by(Training.id)).all()
        bills = session.execute(
            select(Invoice.due_on, Invoice.paid_on, Invoice.amount_minor, Invoice.currency).order_by(Invoice.id)
        ).all()
    assert [tuple(row) for row in courses] == [("L1", 4), ("L2", 1)]
    assert [tuple(row) for row in bills] == [
        (date(2025, 12, 1), None, 120_050, "EUR"),
        (date(2025, 12, 31), date(2025, 12, 30), -2_000, "EUR"),
    ]


def test_a_bill_that_was_paid_is_the_same_bill_and_the_payment_known_since_then(engine: Engine, run: Run) -> None:
    run({**ACCOUNTS, "bills.csv": BILLS})
    later = NOON.replace(day=5)
    assert (
        run({"bills.csv": BILLS.replace("2025-11-01,,", "2025-11-01,2026-01-03,")}, at=later).nouns["invoice"].changed
        == 1
    )
    with reading(engine) as session:
        own = select(Invoice.paid_on, Invoice.paid_available_at, Invoice.available_at)
        versions = session.execute(own.where(Invoice.external_id == "B1").order_by(Invoice.id)).all()
    assert [tuple(row) for row in versions] == [(None, None, NOON), (date(2026, 1, 3), later, later)]


BAD = {
    "nobody came": ("courses.csv", COURSES.replace("Basics,4", "Basics,0"), "0 people cannot have attended"),
    "no topic": ("courses.csv", COURSES.replace("Basics,4", ",4"), "is blank, and is needed"),
    "an unknown account": ("courses.csv", COURSES.replace("L1,A", "L1,Z"), "there is no account 'Z'"),
    "an account that is nowhere": ("bills.csv", BILLS.replace("B1,A", "B1,Z"), "there is no account 'Z'"),
    "more than can be booked": ("bills.csv", BILLS.replace("1200.50", "9" * 30), "more than can be booked"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_row_is_named_and_the_others_come_in(run: Run, tmp_path: Path, name: str) -> None:
    file, content, reason = BAD[name]
    report = run({**ACCOUNTS, file: content})
    noun = "training" if file == "courses.csv" else "invoice"
    assert (report.nouns[noun].added, report.rejected) == (1, 1)
    (kept,) = (tmp_path / "rejected").glob(f"{Path(file).stem}*")
    assert content.splitlines()[1] in kept.read_text()
    assert reason in kept.read_text()


def test_a_dry_run_says_the_same_and_records_nothing(engine: Engine, run: Run) -> None:
    report = run({**ACCOUNTS, "bills.csv": BILLS.replace("B1,A", "B1,Z")}, is_check=True)
    assert (report.rejected, report.nouns["invoice"].added) == (1, 0)
    with reading(engine) as session:
        assert session.scalars(select(Invoice.id)).all() == []
