"""Import of 1,000,000 usage rows through a mapping, beside a bare script that stores the same rows.

    python -m benchmarks.import_usage [ROWS]

Both read the same CSV file into the same table, on SQLite and on PostgreSQL where it is installed,
taken in turn and each in a process of its own, so that peak memory is its own. Only the ratio counts:
the machine is shared. The bare script checks nothing and knows nothing: csv.reader, a dictionary of
account ids, a digest a row, one executemany or COPY.
"""

import csv
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import date, timedelta
from hashlib import blake2b
from pathlib import Path
from statistics import median

from sqlalchemy import Engine, func, select, text

from app.db import make_engine, reading
from app.migrate import migrate
from app.models.usage import UsageDay
from integrations.files.mapping import load_mapping
from jobs.import_files import import_files
from jobs.import_run import Options
from tests.postgres import NotInstalled, postgres_server

ROWS, ACCOUNTS, FEATURES, TURNS = 1_000_000, 5_000, 40, 3
COLUMNS = "change_id, source_key, account_id, metric_id, feature_id, day, available_on, amount"
MAPPING = """
system = "product"
[backfill]
[[files]]
name = "accounts.csv"
[files.account]
id = "account"
[[files]]
name = "usage.csv"
[files.usage]
id = "id"
account = "account"
day = "day"
feature = "feature"
amount = "count"
"""


def write_files(folder: Path, rows: int) -> None:
    """Rows in the order of days, as an export has them."""
    (folder / "product.toml").write_text(MAPPING)
    (folder / "accounts.csv").write_text("account\n" + "".join(f"A{n}\n" for n in range(ACCOUNTS)))
    with (folder / "usage.csv").open("w") as file:
        file.write("id,account,day,feature,count\n")
        for n in range(rows):
            day = date(2024, 1, 1) + timedelta(days=n * 365 // rows)
            file.write(f"U{n:08d},A{n * 7919 % ACCOUNTS},{day},feature_{n % FEATURES},{n % 17 + 1}\n")


def run_import(engine: Engine, folder: Path) -> None:
    report = import_files(
        engine, load_mapping(folder / "product.toml"), paths=[folder / "usage.csv"], options=Options()
    )
    assert report.rejected == 0


def run_bare(engine: Engine, folder: Path) -> None:
    with engine.begin() as connection:
        accounts = dict(connection.execute(text("SELECT external_id, account_id FROM external_ids")).all())
        change = connection.scalar(text("SELECT max(id) FROM changes"))
        connection.execute(text("INSERT INTO usage_metrics (id, name, unit) VALUES (1, 'activity', 'count')"))
        features = {f"feature_{n}": n + 1 for n in range(FEATURES)}
        numbered = [{"id": number, "name": name} for name, number in features.items()]
        connection.execute(text("INSERT INTO usage_features (id, name) VALUES (:id, :name)"), numbered)
        with (folder / "usage.csv").open(newline="") as file:
            reader = csv.reader(file)
            next(reader)
            rows = (
                (
                    change,
                    blake2b(name.encode(), digest_size=16).digest(),
                    accounts[account],
                    1,
                    features[feature],
                    day,
                    day,
                    count,
                )
                for name, account, day, feature, count in reader
            )
            if engine.dialect.name == "sqlite":
                marks = ", ".join("?" * 8)
                statement = f"INSERT INTO usage_days ({COLUMNS}) VALUES ({marks})"  # noqa: S608  our own names
                connection.connection.cursor().executemany(statement, rows)
                return
            with connection.connection.cursor().copy(f"COPY usage_days ({COLUMNS}) FROM STDIN") as copy:
                for row in rows:
                    copy.write("{}\t\\\\x{}\t{}\t{}\t{}\t{}\t{}\t{}\n".format(row[0], row[1].hex(), *row[2:]))


def measure(way: str, url: str, *, folder: Path) -> None:
    """In the child: one run into a database that holds the accounts, its figures as JSON."""
    engine = make_engine(url)
    migrate(engine)
    mapping = load_mapping(folder / "product.toml")
    import_files(engine, mapping, paths=[folder / "accounts.csv"], options=Options())
    wall, cpu = time.perf_counter(), time.process_time()
    {"import": run_import, "bare": run_bare}[way](engine, folder)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    with reading(engine) as session:
        stored = session.scalar(select(func.count()).select_from(UsageDay))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"wall": wall, "cpu": cpu, "peak_mb": peak_mb, "rows": stored}))


def compare(name: str, urls: list[tuple[str, str]], *, folder: Path, rows: int) -> None:
    found: dict[str, list[dict[str, float]]] = {"bare": [], "import": []}
    for way, url in urls:
        command = [sys.executable, "-m", "benchmarks.import_usage", way, url, str(folder)]
        run = subprocess.run(command, capture_output=True, text=True, check=True)
        found[way].append(json.loads(run.stdout))
        assert found[way][-1]["rows"] == rows
    middle = {way: {key: median(run[key] for run in runs) for key in runs[0]} for way, runs in found.items()}
    for way, figures in middle.items():
        told = f"{figures['wall']:8.1f} s {figures['cpu']:8.1f} CPU s {figures['peak_mb']:8.0f} MB"
        print(f"{name:12} {way:8} {told}")
    ratio = middle["import"]["wall"] / middle["bare"]["wall"]
    print(f"{name:12} ratio    {ratio:8.2f}   {middle['import']['cpu'] / middle['bare']['cpu']:8.2f}", flush=True)


def main(rows: int = ROWS) -> None:
    with tempfile.TemporaryDirectory(prefix="tenure-bench-") as scratch:
        folder = Path(scratch)
        write_files(folder, rows)
        print(f"Import of {rows:,} usage rows, median of {TURNS} runs taken in turn")
        turns = [(way, turn) for turn in range(TURNS) for way in ("bare", "import")]
        compare(
            "SQLite", [(way, f"sqlite:///{folder}/{way}{turn}.db") for way, turn in turns], folder=folder, rows=rows
        )
        try:
            with postgres_server() as prefix:
                server = make_engine(prefix.format("postgres")).execution_options(isolation_level="AUTOCOMMIT")
                with server.connect() as connection:
                    for way, turn in turns:
                        connection.execute(text(f"CREATE DATABASE {way}{turn}"))
                server.dispose()
                compare(
                    "PostgreSQL",
                    [(way, prefix.format(f"{way}{turn}")) for way, turn in turns],
                    folder=folder,
                    rows=rows,
                )
        except NotInstalled as reason:
            print(f"PostgreSQL: {reason}")


if __name__ == "__main__":
    if len(sys.argv) == 4:
        measure(sys.argv[1], sys.argv[2], folder=Path(sys.argv[3]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS)
