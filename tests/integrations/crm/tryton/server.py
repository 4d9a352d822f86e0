"""A Tryton of the tests' own: a process on a loopback port that serves a copy of the prepared database.

`make .venv/tryton/crm/crm.sqlite` installs it into an environment of its own, since nothing of it is imported here.
"""

import contextlib
import json
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from integrations.crm.client import CrmClient
from integrations.crm.mapping import read_crm_mapping
from integrations.crm.registry import connect
from integrations.targets import Policy

ROOT = Path(__file__).parents[4]
ENVIRONMENT = ROOT / ".venv" / "tryton"
PREPARED = ENVIRONMENT / "crm"
SECONDS_TO_START = 60
HOST = "127.0.0.1"


class PlayError(AssertionError):
    """Tryton would not do what it was told."""


class TrytonServer:
    """The server, and a driver of it as its users are one. `reset` takes the database back to the prepared one."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.port = folder, _free_port()
        self._database = folder / "crm.sqlite"
        _copy(PREPARED / "crm.sqlite", self._database)
        settings = folder / "trytond.conf"
        settings.write_text(
            f"[database]\nuri = sqlite://\npath = {folder}\n[web]\nlisten = {HOST}:{self.port}\n"
            "[queue]\nworker = True\n"  # whose work is never done: a confirmed sale stays one that can be changed
        )
        with (folder / "log").open("w") as log:
            command = [str(ENVIRONMENT / "bin" / "trytond"), "-c", str(settings), "-d", "crm"]
            self._server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
        self._driver: subprocess.Popen[str] | None = None
        try:
            self._await_port()
            self._driver = self._start_driver()
            self._answer()
            _copy(self._database, self._folder / "begun")  # with the driver logged in
        except BaseException:
            self.stop()
            raise

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def key(self) -> str:
        return (PREPARED / "key").read_text()

    def tell(self, do: str, *values: Any) -> Any:
        """Have the driver do something; PlayError with Tryton's own words if it cannot."""
        assert self._driver is not None
        assert self._driver.stdin is not None
        self._driver.stdin.write(json.dumps({"do": do, "with": values}) + "\n")
        self._driver.stdin.flush()
        return self._answer()

    def reset(self) -> None:
        """The database as it was when the server had begun; the server need not know."""
        _copy(self._folder / "begun", self._database)
        self.tell("begin_again")

    def stop(self) -> None:
        for process in (self._driver, self._server):
            if process is not None:
                process.kill()
                process.communicate()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start_driver(self) -> subprocess.Popen[str]:
        script = Path(__file__).parent / "driver.py"
        command = [ENVIRONMENT / "bin" / "python", script, f"{self.url}/crm/rpc/", PREPARED / "password"]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def _answer(self) -> Any:
        assert self._driver is not None
        assert self._driver.stdout is not None
        line = self._driver.stdout.readline()
        if not line:
            raise PlayError(f"the driver ended; Tryton's log: {(self._folder / 'log').read_text()[-2000:]}")
        answer = json.loads(line)
        if "error" in answer:
            raise PlayError(answer["error"])
        return answer["result"]

    def _await_port(self) -> None:
        until = time.monotonic() + SECONDS_TO_START
        while time.monotonic() < until and self._server.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection((HOST, self.port), timeout=1):
                return
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._server.wait(0.05)
        raise PlayError(f"Tryton did not start: {(self._folder / 'log').read_text()[-2000:]}")


def _copy(source: Path, target: Path) -> None:
    with contextlib.closing(sqlite3.connect(source)) as given, contextlib.closing(sqlite3.connect(target)) as taken:
        given.backup(taken)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


_running: list[TrytonServer] = []  # none, or the one of this process


def fresh_tryton() -> TrytonServer:
    """The one server of this process, as if nothing had been done to it; conftest.py ends it."""
    if not (PREPARED / "crm.sqlite").is_file():
        pytest.skip("Tryton is not installed: make .venv/tryton/crm/crm.sqlite")
    if not _running:
        _running.append(TrytonServer(Path(tempfile.mkdtemp(prefix="tenure-tryton-"))))
    _running[0].reset()
    return _running[0]


def stop_tryton() -> None:
    while _running:
        _running.pop().stop()


def mapping_text(server: TrytonServer, *, extra: str = "") -> str:
    """As an operator writes it who sells by units that are terms."""
    return (
        f'kind = "tryton"\nurl = "{server.url}"\n{extra}\n[options]\ndatabase = "crm"\npage_size = 4\n'
        '[options.term_months]\nQuarter = 3\n"6 months" = 6\nYear = 12\n"2 years" = 24\n"3 years" = 36\n'
    )


def client_of(server: TrytonServer, *, extra: str = "") -> CrmClient:
    policy = Policy(private_targets=(HOST,))
    return connect(read_crm_mapping(mapping_text(server, extra=extra)), secret={"token": server.key}, policy=policy)
