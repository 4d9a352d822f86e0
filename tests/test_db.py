"""Turns among processes that write to SQLite."""

import subprocess
import sys
from pathlib import Path
from threading import Event, Thread

from app.db import Turns, make_engine

ROOT = Path(__file__).parent.parent
HOLD = """
import sys
from app.db import Turns, make_engine
with Turns(make_engine(sys.argv[1])):
    print("mine", flush=True)
    sys.stdin.readline()
"""


def test_one_process_has_its_turn_and_another_waits_until_it_is_over_or_the_process_is(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/turns.db"
    command = [sys.executable, "-c", HOLD, url]
    for end in ("its turn is over", "it is killed"):
        had = Event()

        def take(had: Event = had) -> None:
            with Turns(make_engine(url)):
                had.set()

        with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stdout.readline() == "mine\n"
            waiting = Thread(target=take)
            waiting.start()
            assert not had.wait(0.1)
            if end == "it is killed":
                process.kill()
            else:
                process.stdin.close()
            assert had.wait(10)
            waiting.join(10)


def test_elsewhere_nobody_waits() -> None:
    turns = Turns(make_engine("postgresql://nobody@/none"))
    with turns, turns:
        pass
