"""`tenure serve --with-worker`: both are there, and however the server ends, nothing is left running."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.db import reading
from app.queries.leases import list_tasks

ROOT = Path(__file__).parent.parent


@pytest.fixture
def server(database_url: str, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    if not database_url.startswith("sqlite"):
        pytest.skip("which database it is makes no difference here")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {**os.environ, "DATABASE_URL": database_url, "TENURE_DATA": str(tmp_path), "PORT": str(port)}
    command = [sys.executable, "-m", "app.cli", "serve", "--with-worker"]
    with subprocess.Popen(command, env=environment, cwd=ROOT, start_new_session=True) as process:
        yield process
        for pid in group_of(process):
            os.kill(pid, signal.SIGKILL)


def group_of(process: subprocess.Popen[bytes]) -> set[int]:
    """The processes of its group that live."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, group = path.read_text().rpartition(")")[2].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(group) == process.pid and state != "Z":
            found.add(int(path.parent.name))
    return found


def wait_until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 100
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def has_worked(engine: Engine) -> bool:
    with reading(engine) as session:
        return {"sync", "roll_up", "deliver", "watch"} <= {task.name for task in list_tasks(session) if task.ended_at}


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=SLOW), pytest.param(signal.SIGKILL, marks=SLOW)]
)
def test_however_the_server_ends_the_worker_ends_too(
    server: subprocess.Popen[bytes], engine: Engine, number: signal.Signals
) -> None:
    wait_until(lambda: has_worked(engine))
    assert len(group_of(server)) >= 4, "the server, its two processes, and the worker"
    if number == signal.SIGINT:
        os.killpg(server.pid, number)  # as a terminal does
    else:
        server.send_signal(number)
    server.wait(60)
    wait_until(lambda: not group_of(server))
