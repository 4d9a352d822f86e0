"""kill -9 in the middle of an import: the next run completes it, and no row is there twice."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select

from app.db import reading
from app.models.deals import DealVersion
from app.models.runs import ImportRun
from app.models.usage import UsageDay
from app.models.versions import Change

ROOT = Path(__file__).parent.parent.parent
DEALS, USAGE = 1_500, 45_000

MAPPING = """
system = "crm"
currency = "USD"
[backfill]
[[files]]
name = "deals.csv"
[files.account]
id = "account"
[files.deal]
id = "deal"
account = "account"
closed_on = "closed"
[files.line]
product = { value = "Gold" }
amount = "amount"
price_months = { value = 1 }
[[files]]
name = "usage.csv"
[files.usage]
id = "id"
account = "account"
day = "day"
"""


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    (tmp_path / "crm.toml").write_text(MAPPING)
    with (tmp_path / "deals.csv").open("w") as file:
        file.write("deal,account,closed,amount\n")
        file.writelines(f"D{n},A{n},2024-01-{n % 28 + 1:02d},{n}.50\n" for n in range(DEALS))
    with (tmp_path / "usage.csv").open("w") as file:
        file.write("id,account,day\n")
        file.writelines(f"U{n},A{n % DEALS},2024-02-{n % 28 + 1:02d}\n" for n in range(USAGE))
    return [tmp_path / name for name in ("crm.toml", "deals.csv", "usage.csv")]


def start(url: str, files: list[Path]) -> subprocess.Popen[bytes]:
    folder = str(files[0].parent)
    own = {"DATABASE_URL": url, "TENURE_DATA": folder, "TMPDIR": folder, "PYTHONPATH": str(ROOT)}
    environment = {**os.environ, **own}  # what the killed one leaves behind goes with the folder of the test
    command = [sys.executable, "-c", "from app.cli import main; main()", "import", *map(str, files)]
    return subprocess.Popen(command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def count(engine: Engine, table: type) -> int:
    with reading(engine) as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


@pytest.mark.one_database
@pytest.mark.parametrize("table", [DealVersion, UsageDay], ids=["among the deals", "in the usage"])
def test_the_run_after_a_killed_one_completes_it(database_url: str, engine: Engine, files, table) -> None:
    with start(database_url, files) as killed:
        while count(engine, table) == 0:
            with suppress(subprocess.TimeoutExpired):
                killed.wait(0.005)
            assert killed.returncode is None, killed.stdout and killed.stdout.read().decode()
        killed.send_signal(signal.SIGKILL)
    assert 0 < count(engine, table) < (DEALS if table is DealVersion else USAGE)
    with reading(engine) as session:
        assert session.scalar(select(ImportRun.finished_at)) is None
    with start(database_url, files) as second:
        told = second.communicate(timeout=200)[0].decode()
    assert second.returncode == 0, told
    assert (count(engine, DealVersion), count(engine, UsageDay)) == (DEALS, USAGE)
    with reading(engine) as session:
        assert session.scalar(select(func.sum(DealVersion.amount_minor))) == sum(100 * n + 50 for n in range(DEALS))
        assert session.scalar(select(func.count(UsageDay.source_key.distinct()))) == USAGE
        assert session.scalar(select(func.count()).where(Change.recorded_at.is_(None))) == 0
        finished = session.scalars(select(ImportRun.finished_at).order_by(ImportRun.id)).all()
        assert [at is None for at in finished] == [True, False]
