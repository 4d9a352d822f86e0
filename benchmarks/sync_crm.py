"""The sync of a CRM: a first load of 100,000 deals with lines, then 100 that changed among 1,000,000.

    python -m benchmarks.sync_crm [DEALS] [AMONG]

A HubSpot on loopback, in a process of its own, answers through the real adapter; each run is a process of its own, too,
so that CPU time and peak memory are ours alone. Beside the first load: a quarter of it, for the memory, and the reading
alone, of which nothing is recorded. The database of AMONG deals is that of DEALS copied again and again, row by row
with other ids.
"""

import json
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, func, select

from app.db import Base, make_engine, reading, transaction
from app.migrate import migrate
from app.models.crm import CrmConnection
from app.models.deals import DealVersion
from app.models.versions import Change
from benchmarks.crm_server import FIRST
from integrations.crm.client import CrmClient, Window
from integrations.crm.hubspot import connect
from integrations.crm.mapping import read_crm_mapping
from integrations.crm.transport import Transport
from integrations.targets import Policy
from jobs.sync_crm import Asked, sync_crms
from tests.installation import work_on

DEALS, AMONG, CHANGED, TURNS = 100_000, 1_000_000, 100, 3
LOADED_AT = datetime(2026, 2, 1, tzinfo=UTC)
TOUCHED_AT, SYNCED_AT = LOADED_AT + timedelta(minutes=30), LOADED_AT + timedelta(hours=1)
COPIED = (
    *("accounts", "account_versions", "external_ids", "deals", "deal_versions", "deal_owners"),
    *("contracts", "contract_versions", "contract_lines", "contract_line_versions"),
)


@contextmanager
def crm_of(deals: int) -> Iterator[str]:
    """The CRM, listening; its URL."""
    command = [sys.executable, "-m", "benchmarks.crm_server", str(deals)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.terminate()


def client_of(url: str) -> CrmClient:
    return connect(_transport(url), read_crm_mapping(f'kind = "hubspot"\nurl = "{url}"'), secret={"token": "t"})


def _transport(url: str) -> Transport:
    return Transport(url, policy=Policy(private_targets=("127.0.0.1",)))


def open_database(path: Path, url: str) -> None:
    engine = make_engine(f"sqlite:///{path}")
    migrate(engine)
    with transaction(engine) as session:
        told = {"name": "hubspot", "kind": "hubspot", "mapping": f'kind = "hubspot"\nurl = "{url}"'}
        session.add(CrmConnection(**told, secret_ciphertext=b"", created_at=LOADED_AT, failures=0))
    engine.dispose()


def sync(engine: Engine, url: str, *, now: datetime) -> int:
    """All that the CRM has to say now; how many things it gave."""
    client = client_of(url)
    asked = Asked(slice_seconds=float("inf"), tell=lambda _said: None)
    done = sync_crms(work_on(engine, clock=lambda: now), asked, connect=lambda _work, _connection: client)
    assert done.failed == 0
    return done.read


def read_only(url: str) -> int:
    client = client_of(url)
    window = Window(None, LOADED_AT)
    return sum(len(page.items) for noun in client.nouns() for page in client.read(noun, window))


def measure(way: str, url: str, *, path: str) -> None:
    """In the child: one run, its figures as JSON."""
    engine = make_engine(f"sqlite:///{path}")
    before = _counts(engine)
    wall, cpu = time.perf_counter(), time.process_time()
    now = LOADED_AT if way == "load" else SYNCED_AT
    found = read_only(url) if way == "read" else sync(engine, url, now=now)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    written = {name: count - before[name] for name, count in _counts(engine).items()}
    engine.dispose()
    print(json.dumps({"wall": wall, "cpu": cpu, "peak_mb": peak_mb, "found": found, "written": written}))


def _counts(engine: Engine) -> dict[str, int]:
    with reading(engine) as session:
        versions = session.scalar(select(func.max(DealVersion.id))) or 0
        return {"versions": versions, "changes": session.scalar(select(func.count()).select_from(Change)) or 0}


def run(way: str, url: str, *, path: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.sync_crm", way, url, str(path)]
    found: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return found


def multiply(path: Path, *, times: int, deals: int) -> None:
    """The companies and deals again and again, under ids beyond those that are there."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA synchronous = OFF")
        database.execute("PRAGMA foreign_keys = OFF")
        steps = {name: _step(database, name) for name in COPIED}
        for number in range(1, times):
            database.execute("BEGIN")
            for name in COPIED:
                database.execute(_copy(name, steps, number=number, deals=deals))
            database.execute("COMMIT")
        database.execute("ANALYZE")  # as the night does


def _step(database: sqlite3.Connection, name: str) -> int:
    key = "deal_version_id" if name == "deal_owners" else "id"
    return int(database.execute(f"SELECT max({key}) FROM {name}").fetchone()[0])  # noqa: S608  our own names


def _copy(name: str, steps: dict[str, int], *, number: int, deals: int) -> str:
    """Ids of rows move on by as many as there are rows, those of the CRM by as many as it has."""
    wanted = []
    for column in Base.metadata.tables[name].columns:
        other = next((key.column.table.name for key in column.foreign_keys), name if column.name == "id" else None)
        value = column.name
        if other in steps:
            value = f"{column.name} + {number * steps[other]}"
        elif column.name == "external_id":
            more = number * (deals if name == "deals" else deals // 4)
            value = f"CAST(CAST({column.name} AS INTEGER) + {more} AS TEXT)"
        elif column.name == "line_key":
            value = f"CAST(CAST({column.name} AS INTEGER) + {number * deals * 3} AS TEXT)"
        wanted.append((column.name, value))
    names, values = zip(*wanted, strict=True)
    key = "deal_version_id" if name == "deal_owners" else "id"
    return (
        f"INSERT INTO {name} ({', '.join(names)}) SELECT {', '.join(values)} FROM {name} "  # noqa: S608  our own names
        f"WHERE {key} <= {steps[name]}"
    )


def show(what: str, found: dict[str, Any], *, deals: int) -> None:
    told = f"{found['wall']:8.1f} s {found['cpu']:8.2f} CPU s {found['cpu'] / deals * 1e3:8.3f} CPU ms a deal"
    print(f"{what:34} {told} {found['peak_mb']:6.0f} MB", flush=True)


def main(deals: int = DEALS, among: int = AMONG) -> None:
    with tempfile.TemporaryDirectory(prefix="tenure-bench-") as scratch:
        path = Path(scratch) / "tenure.db"
        few = deals // 4
        with crm_of(few) as url:
            open_database(path.with_name("few.db"), url)
            show(f"first load of {few:,}", run("load", url, path=path.with_name("few.db")), deals=few)
        with crm_of(deals) as url:
            open_database(path, url)
            show(f"first load of {deals:,}", run("load", url, path=path), deals=deals)
            show("  of which reading", run("read", url, path=path), deals=deals)
        larger = path.with_name("larger.db")
        shutil.copy(path, larger)
        multiply(larger, times=among // deals, deals=deals)
        fewest = [_sync_changed(each, count) for each, count in ((path, deals), (larger, among))]
        print(f"{'ratio of the two':34} {fewest[1] / fewest[0]:8.2f}", flush=True)


def _sync_changed(path: Path, deals: int) -> float:
    """100 that changed among so many; the CPU seconds of the median run, each on a copy of its own."""
    found = []
    with crm_of(deals) as url:
        changed = [FIRST["deals"] + number * (deals // CHANGED) + 1 for number in range(CHANGED)]
        _transport(url).request("POST", "/touch", body={"deals": changed, "at": TOUCHED_AT.isoformat()})
        for _ in range(TURNS):
            copy = path.with_name("copy.db")
            shutil.copy(path, copy)
            found.append(run("again", url, path=copy))
    middle = sorted(found, key=lambda each: each["cpu"])[len(found) // 2]
    show(f"{CHANGED} changed among {deals:,}", middle, deals=CHANGED)
    assert middle["found"] == middle["written"]["versions"] == CHANGED, middle
    return float(middle["cpu"])


if __name__ == "__main__":
    if len(sys.argv) == 4 and not sys.argv[1].isdecimal():
        measure(sys.argv[1], sys.argv[2], path=sys.argv[3])
    else:
        main(*(int(word) for word in sys.argv[1:]))
