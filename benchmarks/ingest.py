"""Usage events in: batches of 100 events a second at the real server, beside parsing them only and beside bare storing.

    python -m benchmarks.ingest [BATCHES] [IDS]

Ten batches in flight over kept connections, from one process; gunicorn with two processes of eight threads, as `tenure
serve` has it, before each way; the ways taken in turn. Only ratios count: the machine is shared by client and server.
On SQLite also with IDS events there already, and with each batch sent a second time.
"""

import base64
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from threading import Thread

from sqlalchemy import text

from app.db import make_engine, transaction
from app.migrate import migrate
from app.services.events import ensure_sources
from app.services.tokens import WantedToken, create_token
from tests.postgres import NotInstalled, postgres_server

BATCHES, IDS, EVENTS, IN_FLIGHT, TURNS = 1_500, 5_000_000, 100, 10, 3
ADDED_AT_ONCE = 200_000
WAYS = {
    "raw": "benchmarks.ingest_servers:raw",
    "flask": "benchmarks.ingest_servers:flask_app",
    "parse": "benchmarks.ingest_servers:parse",
    "copy": "benchmarks.ingest_servers:copy",
    "orm": "benchmarks.ingest_servers:orm",
    "tenure": "wsgi:app",
}


@dataclass(frozen=True)
class Run:
    """Batches a second, how long one in a hundred took at least, and what one cost."""

    rate: float
    p99_ms: float
    cpu_ms: float  # of the server, a batch


@dataclass(frozen=True)
class Place:
    """A database with a key for it, and how many batches are sent to it in a run."""

    name: str
    url: str
    folder: Path
    key: str
    batches: int


def write_bodies(count: int, *, run: str) -> list[bytes]:
    """Batches as the clients write them, each event with an id of its own."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    event = (
        '{"integrations": {}, "properties": {"page": "/projects/%d", "plan": "team", "duration_ms": %d}, "timestamp": '
        '"%s", "context": {"library": {"name": "analytics-python", "version": "2.3.4"}}, "userId": "user-%d", '
        '"groupId": "account-%d", "type": "track", "event": "feature_%d", "messageId": "@@@@@@@@@@@@-%03d"}'
    )
    events = ", ".join(
        event % (n * 37, n * 91 % 3000, now, n * 7919 % 5000, n * 31 % 500, n % 20, n) for n in range(EVENTS)
    )
    body = f'{{"batch": [{events}], "sentAt": "{now}", "writeKey": "x"}}'.encode()
    return [body.replace(b"@@@@@@@@@@@@", f"{run:>4}{number:08d}".encode()) for number in range(count)]


@contextmanager
def serving(way: str, place: Place) -> Iterator[tuple[int, int]]:
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "gunicorn", WAYS[way], "--bind", f"127.0.0.1:{port}", "--log-level", "error"]
    options = ["--workers", "2", "--worker-class", "gthread", "--threads", "8", "--no-control-socket"]
    environment = os.environ | {"DATABASE_URL": place.url, "TENURE_DATA": str(place.folder)}
    server = subprocess.Popen([*command, *options], env=environment)
    try:
        _wait_for(port)
        yield port, server.pid
    finally:
        server.terminate()
        server.wait()


def cpu_seconds(server: int) -> float:
    """Of the server's processes so far."""
    total = 0
    for process in Path(f"/proc/{server}/task/{server}/children").read_text().split():
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def _wait_for(port: int) -> None:
    for _ in range(300):
        with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
            return
        time.sleep(0.1)
    raise TimeoutError("the server did not start")


def send_all(server: tuple[int, int], bodies: Sequence[bytes], *, key: str) -> Run:
    """Send the bodies over ten connections, each with its next as soon as the last was answered."""
    port, process = server
    basic = base64.b64encode(f"{key}:".encode()).decode()
    head = f"POST /v1/batch HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {basic}\r\n"
    requests = [
        f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        for body in bodies
    ]
    left, took = iter(requests), []

    def send() -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            for request in left:
                start = time.perf_counter()
                connection.sendall(request)
                answer = _receive(connection)
                took.append(time.perf_counter() - start)
                assert answer.startswith(b"HTTP/1.1 200"), answer

    threads = [Thread(target=send) for _ in range(IN_FLIGHT)]
    start, cpu = time.perf_counter(), cpu_seconds(process)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = len(requests) / (time.perf_counter() - start)
    assert len(took) == len(requests)
    cpu = cpu_seconds(process) - cpu
    return Run(rate, 1e3 * sorted(took)[int(0.99 * len(took))], 1e3 * cpu / len(requests))


def _receive(connection: socket.socket) -> bytes:
    answer = connection.recv(65_536)
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(65_536)
    head, _, body = answer.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65_536)
    return head


def prepare(url: str) -> str:
    """A database with a key and a source; the key."""
    engine = make_engine(url)
    migrate(engine)
    with transaction(engine) as session:
        ensure_sources(session, {"web"})
        wanted = WantedToken("benchmark", ["ingest:write"], source="web")
        key = create_token(session, wanted, actor="command", now=datetime.now(UTC)).token
    engine.dispose()
    return key


def fill(url: str, ids: int) -> None:
    """So many events, with ids that are as random as digests are."""
    engine = make_engine(url)
    statement = text(
        "INSERT INTO usage_events (event_key, source_id, account_ref, person_key, name, occurred_us, received_us, "
        "properties) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :rows) SELECT "
        "randomblob(16), 1, 'account-1', x'00', 'feature_1', 1795000000000000, 1795000000000000, :properties FROM n"
    )
    for start in range(0, ids, ADDED_AT_ONCE):
        with transaction(engine) as session:
            rows = min(ADDED_AT_ONCE, ids - start)
            session.execute(statement, {"rows": rows, "properties": '{"page": "/projects/42", "plan": "team"}'})
    engine.dispose()


def measure(place: Place, way: str, *, turn: str, is_again: bool = False) -> Run:
    bodies = write_bodies(place.batches // 8 if way == "orm" else place.batches, run=turn)
    with serving(way, place) as server:
        send_all(server, write_bodies(50, run=f"w{turn}"), key=place.key)
        if is_again:
            send_all(server, bodies, key=place.key)
        run = send_all(server, bodies, key=place.key)
    figures = f"{run.rate:8.0f} batches/s   p99 {run.p99_ms:6.0f} ms   {run.cpu_ms:6.2f} CPU ms"
    print(f"{place.name:24} {way:8} {figures}", flush=True)
    return run


def compare(place: Place, ways: Sequence[str], *, turns: int = 0, indexed: Place | None = None) -> dict[str, float]:
    found: dict[str, list[float]] = {way: [] for way in ways}
    for turn in range(turns or TURNS):
        for way in ways:
            at = indexed if indexed and way == "orm" else place
            found[way].append(measure(at, way, turn=f"{way[:2]}{turn}").rate)
    return {way: median(rates) for way, rates in found.items()}


def main(batches: int = BATCHES, ids: int = IDS) -> None:
    with tempfile.TemporaryDirectory(prefix="tenure-bench-") as scratch:
        folder = Path(scratch)
        print(f"Batches of {EVENTS} events, {IN_FLIGHT} in flight, median of {TURNS} runs taken in turn")
        on_sqlite(folder, batches=batches, ids=ids)
        try:
            with postgres_server() as prefix:
                on_postgresql(prefix, folder=folder, batches=batches)
        except NotInstalled as reason:
            print(f"PostgreSQL: {reason}")


def on_sqlite(folder: Path, *, batches: int, ids: int) -> None:
    url = f"sqlite:///{folder}/ingest.db"
    place = Place("SQLite", url, folder, prepare(url), batches)
    found = compare(place, ("raw", "parse", "flask", "tenure", "orm"), indexed=with_index(place, folder))
    again = measure(replace(place, name="SQLite, sent again"), "tenure", turn="ag", is_again=True)
    fill(url, ids)
    full = compare(replace(place, name=f"SQLite, {ids:,} there"), ("flask", "tenure"))
    show("tenure / parsing only in Flask, at least 0.50", found["tenure"] / found["flask"])
    show("tenure / parsing only without any framework", found["tenure"] / found["parse"])
    show("tenure / marshmallow and ORM, at least 8", found["tenure"] / found["orm"])
    show("duplicates / new ones, at least 1", again.rate / found["tenure"])
    show(f"{ids:,} there, tenure / parsing only in Flask, at least 0.25", full["tenure"] / full["flask"])


def with_index(place: Place, folder: Path) -> Place:
    """A database of its own for the way that looks events up by their keys."""
    url = f"sqlite:///{folder}/indexed.db"
    indexed = replace(place, url=url, key=prepare(url))
    engine = make_engine(url)
    with transaction(engine) as session:
        session.execute(text("CREATE UNIQUE INDEX uq_usage_events_event_key ON usage_events (event_key)"))
    engine.dispose()
    return indexed


def on_postgresql(prefix: str, *, folder: Path, batches: int) -> None:
    engine = make_engine(prefix.format("postgres"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("CREATE DATABASE ingest"))
    engine.dispose()
    url = prefix.format("ingest")
    found = compare(Place("PostgreSQL", url, folder, prepare(url), batches), ("flask", "copy", "tenure"))
    show("tenure / parsing and COPY without any framework, at least 0.90", found["tenure"] / found["copy"])


def show(what: str, ratio: float) -> None:
    print(f"{what:66} {ratio:6.2f}", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
