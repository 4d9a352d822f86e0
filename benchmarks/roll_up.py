"""Rolling up usage events from the database, beside polars reading and writing the same database file.

    python -m benchmarks.roll_up [EVENTS]

On SQLite. Polars reads the same columns of the same file, leaves out what was sent before, counts by account, event,
day and day of being known, finds the people of each day, and writes what comes to the same: all at once, without a
place to go on from, and nothing is known of accounts that are not there. Then one more day, a thirtieth of the events.
Each run is a process of its own, so that its peak memory is its own, and works on a fresh copy of the file. Below, the
counting alone, from columns in memory.
"""

import json
import resource
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import polars as pl

from app.db import make_engine, transaction
from app.domain.roll_up import EventColumns, count_events, find_person_days
from app.migrate import migrate
from app.models.accounts import Account, ExternalId
from app.models.events import EventSource
from app.services.changes import recording
from jobs.roll_up import roll_up_events
from tests.installation import work_on

EVENTS, ACCOUNTS, PEOPLE, NAMES, DAYS, TURNS, AT_ONCE = 10_000_000, 1_000, 20, 20, 30, 3, 200_000
RESENT = 0.01  # of the events, each under the id of one shortly before
DAY_US = 86_400_000_000
START = datetime(2026, 3, 1, tzinfo=UTC)
START_US = int(START.timestamp()) * 1_000_000
NOW = datetime(2026, 4, 2, tzinfo=UTC)
COLUMNS = "event_key, source_id, account_ref, person_key, name, occurred_us, received_us, properties"


def write_events(path: Path, events: int) -> None:
    """A month of them in the order they came, one in fifty some days late; and the first of one more day after it."""
    engine = make_engine(f"sqlite:///{path}")
    migrate(engine)
    with transaction(engine) as session, recording(session, "benchmark") as change:
        session.add(EventSource(id=1, name="web", created_at=START, rolled_up_to=0))
        for number in range(1, ACCOUNTS + 1):
            session.add(Account(id=number, change_id=change.id))
        session.flush()
        session.add_all(
            ExternalId(
                system="web", kind="product", external_id=f"account-{number}", account_id=number,
                change_id=change.id, available_at=START,
            )
            for number in range(1, ACCOUNTS + 1)
        )  # fmt: skip
    engine.dispose()
    with closing(sqlite3.connect(path)) as connection:  # closed, so that the file is whole without its log
        connection.execute("PRAGMA synchronous=OFF")
        add_events(connection, first=0, count=events, day=0, days=DAYS)


def add_events(connection: sqlite3.Connection, *, first: int, count: int, day: int, days: int) -> None:
    rng = np.random.default_rng([1, first])
    statement = f"INSERT INTO usage_events ({COLUMNS}) VALUES (?, 1, ?, ?, ?, ?, ?, ?)"  # noqa: S608
    accounts = [f"account-{number}" for number in range(1, ACCOUNTS + 1)]
    names = [f"feature {number}" for number in range(NAMES)]
    properties = '{"page": "/projects/42", "plan": "team", "duration_ms": 1834}'
    for start in range(0, count, AT_ONCE):
        size = min(AT_ONCE, count - start)
        account = rng.integers(0, ACCOUNTS, size)
        person = account * PEOPLE + rng.integers(0, PEOPLE, size)
        name = rng.zipf(1.5, size) % NAMES
        received = START_US + day * DAY_US + (np.arange(start, start + size) * (days * DAY_US // count))
        late = np.where(rng.random(size) < 0.02, rng.integers(0, 5 * DAY_US, size), 5_000_000)
        packed = rng.bytes(16 * size)
        sent = np.arange(size)
        again = np.flatnonzero(rng.random(size) < RESENT)
        sent[again] = np.maximum(again - 50, 0)
        rows = [
            (packed[16 * n : 16 * n + 16], accounts[a], p.to_bytes(16, "big"), names[f], o, r, properties)
            for n, a, p, f, o, r in zip(
                *(c.tolist() for c in (sent, account, person, name, received - late, received)), strict=True
            )
        ]
        connection.executemany(statement, rows)
        connection.commit()


def roll_up(path: Path) -> None:
    engine = make_engine(f"sqlite:///{path}")
    done = roll_up_events(work_on(engine, clock=lambda: NOW))
    assert not done.waiting
    engine.dispose()


def roll_up_with_polars(path: Path) -> None:
    """The same rows: what is new since the place reached and was not sent before, and people who are not there yet."""
    with closing(sqlite3.connect(path)) as connection:
        _roll_up_with_polars(connection)


def _roll_up_with_polars(connection: sqlite3.Connection) -> None:
    [(after,)] = connection.execute("SELECT rolled_up_to FROM event_sources")
    columns = "id, event_key, account_ref, person_key, name, occurred_us, received_us"
    query = f"SELECT {columns} FROM usage_events WHERE id > {after}"  # noqa: S608  our own number
    frame = _take_keys_with_polars(connection, pl.read_database(query, connection))
    ids = connection.execute("SELECT external_id, account_id FROM external_ids").fetchall()
    accounts = pl.DataFrame(ids, schema=["account_ref", "account"], orient="row")
    frame = frame.join(accounts, on="account_ref").with_columns(
        day=pl.from_epoch(pl.col("occurred_us"), "us").dt.date(),
        available=pl.from_epoch(pl.col("received_us"), "us").dt.date(),
    )
    counts = frame.group_by("account", "name", "day", "available").len()
    people = frame.group_by("account", "day", "person_key").agg(pl.col("available").first())
    known = "SELECT account_id AS account, day, person_key FROM person_days"
    there = pl.read_database(
        known, connection, schema_overrides={"account": pl.Int64, "day": pl.String, "person_key": pl.Binary}
    )
    people = people.join(
        there.with_columns(pl.col("day").str.to_date()), on=["account", "day", "person_key"], how="anti"
    )
    active = people.group_by("account", "day", "available").len()
    _write(connection, counts=counts, people=people, active=active)


def _take_keys_with_polars(connection: sqlite3.Connection, frame: pl.DataFrame) -> pl.DataFrame:
    """The first event of each key, and of those the ones whose key nobody had; in the order of the keys' index."""
    connection.execute("PRAGMA synchronous=FULL")
    fresh = frame.unique("event_key", keep="first").sort("event_key")
    taken = connection.executemany(
        "INSERT INTO event_keys (event_key, event_id) VALUES (?, ?) ON CONFLICT DO NOTHING",
        fresh.select("event_key", "id").iter_rows(),
    ).rowcount
    if taken < len(fresh):
        owners = "SELECT event_key, event_id AS id FROM event_keys"
        fresh = fresh.join(pl.read_database(owners, connection), on=["event_key", "id"], how="semi")
    connection.commit()
    return fresh.sort("id")


def _write(connection: sqlite3.Connection, *, counts: pl.DataFrame, people: pl.DataFrame, active: pl.DataFrame) -> None:
    names = counts["name"].unique().to_list()
    connection.executemany("INSERT OR IGNORE INTO usage_features (name) VALUES (?)", [(name,) for name in names])
    connection.executemany(
        "INSERT OR IGNORE INTO usage_metrics (name, unit) VALUES (?, 'count')", [("activity",), ("active_people",)]
    )
    features = dict(connection.execute("SELECT name, id FROM usage_features").fetchall())
    metrics = dict(connection.execute("SELECT name, id FROM usage_metrics").fetchall())
    change = connection.execute("INSERT INTO changes (source, is_backfill) VALUES ('polars', 0)").lastrowid or 0
    texts = [pl.col("day").cast(pl.String), pl.col("available").cast(pl.String)]
    rows = [
        (a, metrics["activity"], features[n], d, v, float(c))
        for a, n, d, v, c in counts.with_columns(texts).iter_rows()
    ]
    rows += [
        (a, metrics["active_people"], None, d, v, float(c)) for a, d, v, c in active.with_columns(texts).iter_rows()
    ]
    connection.executemany(
        "INSERT INTO usage_days (change_id, source_key, account_id, metric_id, feature_id, day, available_on, amount) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [(change, change.to_bytes(8, "big") + n.to_bytes(8, "big"), *row) for n, row in enumerate(rows)],
    )
    seen = people.with_columns(texts).select("account", "day", "person_key", "available").iter_rows()
    connection.executemany(
        "INSERT INTO person_days (account_id, day, person_key, available_on) VALUES (?, ?, ?, ?)", seen
    )
    connection.execute("UPDATE event_sources SET rolled_up_to = (SELECT max(id) FROM usage_events)")
    connection.commit()


WAYS = {"tenure": roll_up, "polars": roll_up_with_polars}


def measure(way: str, path: Path) -> None:
    """In the child: one run, its figures as JSON."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    wall, cpu = time.perf_counter(), time.process_time()
    WAYS[way](path)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"wall": wall, "cpu": cpu, "peak_mb": peak, "imported_mb": before, "kept": summary(path)}))


def summary(path: Path) -> list[Any]:
    """Whether two ways kept the same: rows of one account and day are added up, however many there are."""
    with closing(sqlite3.connect(path)) as connection:
        days = (
            "SELECT name, sum(amount), sum(amount * account_id), sum(amount * (julianday(day) - 0.5)), "
            "sum(amount * (julianday(available_on) - 0.5)) FROM usage_days "
            "JOIN usage_metrics ON usage_metrics.id = metric_id GROUP BY name ORDER BY name"
        )
        people = "SELECT 0, count(*), count(DISTINCT person_key) FROM person_days"
        keys = "SELECT 0, count(*), sum(event_id) FROM event_keys"
        return [row for query in (days, people, keys) for row in connection.execute(query).fetchall()]


def run(way: str, path: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.roll_up", way, str(path)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def compare(folder: Path, events: int) -> None:
    month: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    day: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    for _ in range(TURNS):
        for way in WAYS:
            path = folder / "copy.db"
            shutil.copy(folder / "events.db", path)
            month[way].append(run(way, path))
            with closing(sqlite3.connect(path)) as connection:
                add_events(connection, first=events, count=events // DAYS, day=DAYS, days=1)
            day[way].append(run(way, path))
            for file in folder.glob("copy.db*"):
                file.unlink()
    for name, found in (("a month", month), ("one more day", day)):
        kept = [json.dumps(run["kept"]) for runs in found.values() for run in runs]
        assert len(set(kept)) == 1, set(kept)
        for way, runs in found.items():
            wall, cpu, peak = (median(run[what] for run in runs) for what in ("wall", "cpu", "peak_mb"))
            print(f"{name:14} {way:8} {wall:8.1f} s {cpu:8.1f} CPU s {peak:8.0f} MB", flush=True)
    ours, theirs, more = (median(r["wall"] for r in runs) for runs in (month["tenure"], month["polars"], day["tenure"]))
    print(f"{'tenure / polars, at most 3':50} {ours / theirs:6.2f}")
    print(f"{'one more day / the month, at most 0.25':50} {more / ours:6.2f}")


def compare_counting(events: int) -> None:
    """From columns of whole numbers in memory to counts and people."""
    rng = np.random.default_rng(1)
    account = rng.integers(0, ACCOUNTS, events)
    day = np.arange(events) * DAYS // events
    columns = EventColumns(
        account, rng.zipf(1.5, events) % NAMES, account * PEOPLE + rng.integers(0, PEOPLE, events), day, day
    )
    frame = pl.DataFrame({name: getattr(columns, name) for name in EventColumns.__dataclass_fields__})

    def with_polars() -> None:
        frame.group_by("account", "feature", "day", "available").len()
        frame.group_by("account", "day", "person").agg(pl.col("available").first())

    def ours() -> None:
        for start in range(0, events, AT_ONCE):
            part = EventColumns(
                *(getattr(columns, name)[start : start + AT_ONCE] for name in EventColumns.__dataclass_fields__)
            )
            count_events(part)
            find_person_days(part)

    took: dict[str, list[float]] = {"tenure": [], "polars": []}
    for _ in range(TURNS):
        for name, work in (("tenure", ours), ("polars", with_polars)):
            start_at = time.perf_counter()
            work()
            took[name].append(time.perf_counter() - start_at)
    for name, times in took.items():
        print(f"{'counting alone':14} {name:8} {median(times):8.1f} s")
    print(f"{'tenure / polars':50} {median(took['tenure']) / median(took['polars']):6.2f}", flush=True)


def main(events: int = EVENTS) -> None:
    with tempfile.TemporaryDirectory(prefix="tenure-bench-") as scratch:
        folder = Path(scratch)
        print(
            f"{events:,} events of {ACCOUNTS:,} accounts in {DAYS} days, median of {TURNS} runs taken in turn",
            flush=True,
        )
        write_events(folder / "events.db", events)
        compare(folder, events)
    compare_counting(events)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        measure(sys.argv[1], Path(sys.argv[2]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else EVENTS)
