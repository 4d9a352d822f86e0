"""kill -9 at every write of the roll-up, before it and right before its commit: the next sweep counts what is left."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from sqlalchemy import Engine, func, select

from app.db import reading
from app.models.events import UsageEvent
from tests.usage_events import NOON, Happening, add_accounts, store, usage_days

ROOT = Path(__file__).parent.parent.parent
EVENTS, CHUNK, TAKEN_AT_ONCE = 100, 20, 40

# Sweeps, each in a process of its own that dies at the n-th write: as it begins, or as it is committed. With the
# number 0 it runs to its end. Prints how each ended.
SWEEPS = """
import json, os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from sqlalchemy import event
from app.db import make_engine
from jobs import roll_up
from jobs.work import Work
from tests.installation import settings_of

def sweep(url, place, number):
    writes = 0

    def count_down(*_):
        nonlocal writes
        writes += 1
        if writes == number:
            os.kill(os.getpid(), signal.SIGKILL)

    engine = make_engine(url)
    if place == "commit":
        event.listen(engine, "commit", count_down)
    fence = count_down if place == "begin" else lambda _session: None
    noon = datetime(2026, 3, 10, 12, tzinfo=UTC)
    roll_up.roll_up_events(Work(engine, settings_of(url, Path("var")), lambda: noon, fence))
    engine.dispose()

url, roll_up.CHUNK, roll_up.TAKEN_AT_ONCE, ends = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), []
for place, number in json.loads(sys.argv[4]):
    child = os.fork()
    if child == 0:
        sweep(url, place, number)
        os._exit(0)
    ends.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(json.dumps(ends))
"""


def sweep(url: str, *deaths: tuple[str, int]) -> list[int]:
    command = [sys.executable, "-c", SWEEPS, url, str(CHUNK), str(TAKEN_AT_ONCE), json.dumps(deaths)]
    run = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True
    )
    ends: list[int] = json.loads(run.stdout)
    return ends


def test_killed_at_each_write_in_turn_it_counts_every_event_once(engine: Engine, database_url: str) -> None:
    account = add_accounts(engine, ["A"])["A"]
    happenings = [
        Happening("A" if n % 5 else "unknown", "opened", f"p{n}", NOON, NOON, id=str(n)) for n in range(EVENTS)
    ]
    store(engine, [*happenings, *happenings[::5]])
    # The first commit is that of asking how far there are events. Then come three of telling which were sent before,
    # which each sweep goes through again for what is left, and then those of the chunks.
    ends = sweep(database_url, ("begin", 1), ("commit", 2), ("begin", 2), ("commit", 4), ("begin", 4), ("commit", 6))
    ends += sweep(database_url, ("begin", 4), ("commit", 5), ("commit", 4))
    later = add_accounts(engine, ["unknown"])["unknown"]
    # In the middle of taking up what waited.
    ends += sweep(database_url, ("commit", 2), ("begin", 2), ("commit", 3), ("begin", 0))
    assert ends == [-signal.SIGKILL] * 12 + [0]
    with reading(engine) as session:
        assert session.scalar(select(func.count()).select_from(UsageEvent)) == EVENTS
    day = NOON.date()
    assert usage_days(engine) == {
        (owner, metric, feature, day, day): number
        for owner, number in ((account, 80.0), (later, 20.0))
        for metric, feature in (("activity", "opened"), ("active_people", None))
    }
