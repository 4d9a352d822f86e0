"""A million charges are held against the ledger in the memory that some thousands take."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.billed_company import ACCOUNTS, BILLING, CHARGES, Books, charge

MONTHS = [(f"2025-{month:02d}-01", f"2025-{month:02d}-28") for month in range(6, 12)] + [("2026-05-01", "2026-05-31")]
STRANGERS = 142_857 - len(ACCOUNTS)  # with seven rows each, a million in all
MOST_MB = 200
# Of this program alone: what getrusage says counts what the test took before it became another program.
CODE = """
from pathlib import Path
from app.cli import main
main(["reconcile", "billing.toml", "charges.csv", "--as-of", "2026-05-31"], standalone_mode=False)
print(next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmHWM" in line))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system does not say what a program took")
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_million_rows_take_little_memory(engine: Engine, database_url: str, tmp_path: Path) -> None:
    Books().record(engine, tmp_path)
    (tmp_path / "billing.toml").write_text(BILLING)
    with (tmp_path / "charges.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(CHARGES))
        writer.writeheader()
        for number in range(1, len(ACCOUNTS) + STRANGERS + 1):
            for first, last in MONTHS:
                writer.writerow(charge(number, id=f"I-{number}-{first}", **{"from": first, "to": last}))
    root = Path(__file__).parents[2]
    environment = {**os.environ, "DATABASE_URL": database_url, "PYTHONPATH": str(root), "TENURE_DATA": str(tmp_path)}
    run = subprocess.run(
        [sys.executable, "-c", CODE], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    *_, counts, peak = run.stdout.splitlines()
    assert counts == f"{len(ACCOUNTS) + STRANGERS:,} compared, 200 agree, {STRANGERS:,} differ, 0 open."
    assert int(peak) / 1024 < MOST_MB
