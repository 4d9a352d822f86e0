"""The night on 100,000 generated accounts beside a bare script, and how it grows from 10,000 to 100,000.

    python -m benchmarks.night [ACCOUNTS]

Bars: at most 2 x the script's time, 2 GB at a million accounts, and 11 x the time for 10 x the accounts.

Both read the same facts and write the same bytes (`benchmarks/night_bare.py` says what the script leaves out), on
SQLite and on PostgreSQL where it is installed, each run in a process of its own, so that its peak memory is its own.
Of the night this is what makes the scores: fit, score and the statistics of the database. The other steps are named
with their time; the peak is that of all steps up to there, the look back among them. Only ratios count, those of CPU
time first: the machine is shared. What the database server works for PostgreSQL is in the wall time alone.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from sqlalchemy import delete, func, insert, select, text

from app.config import Settings
from app.db import make_engine, reading, transaction
from app.migrate import migrate
from app.models.expansion import ExpansionMove, ExpansionOpportunity
from app.models.runs import JobRun, JobStep
from app.models.scores import (
    Backtest,
    FeatureSnapshot,
    GroupDraws,
    ModelRun,
    NewCustomers,
    PublishedRun,
    RetentionCurve,
    Score,
    ScoreChange,
)
from app.models.webhooks import WebhookMessage
from benchmarks.company import AS_OF, write_company
from benchmarks.night_bare import run_bare
from jobs import steps
from jobs.night import Night
from jobs.nightly import STEPS
from jobs.work import Work
from tests.postgres import NotInstalled, postgres_server

ACCOUNTS = 100_000
SCORING = ("fit", "score", "statistics")
RUN_TABLES = (
    *(ExpansionMove, WebhookMessage, ExpansionOpportunity, ScoreChange),
    *(PublishedRun, Score, FeatureSnapshot, GroupDraws, RetentionCurve, NewCustomers, Backtest),
    *(ModelRun, JobStep, JobRun),
)
Figures = dict[str, Any]


def make_work(url: str) -> Work:
    engine = make_engine(url)
    return Work(engine, Settings.from_env({"TENURE_DATA": tempfile.gettempdir(), "DATABASE_URL": url}))


def _bare(work: Work) -> Figures:
    with transaction(work.engine) as session:
        known = {"as_of": AS_OF, "known_at": work.clock(), "created_at": work.clock(), "definition": "bare", "id": 1}
        words = {"kind": "churn", "basis": "account", "basis_reason": "", "currency": "USD", "document": "{}"}
        session.execute(insert(ModelRun), [known | words | {"sha256": "0" * 64, "report": {}}])
    wall, cpu = time.perf_counter(), time.process_time()
    run_bare(work)
    return {"bare": (time.perf_counter() - wall, time.process_time() - cpu)}


def _night(work: Work) -> Figures:
    """Wall and CPU seconds of each step. A step that is done is not done again, so each call makes the next."""
    took: Figures = {}
    night = Night(work, steps.open_run(work, "nightly", as_of=AS_OF, is_again=False))
    for number, step in enumerate(STEPS, start=1):
        wall, cpu = time.perf_counter(), time.process_time()
        steps.run_steps(night, STEPS[:number])
        took[step.name] = (time.perf_counter() - wall, time.process_time() - cpu)
        if step.name == SCORING[-1]:
            took["peak"] = _peak_mb()
    return took


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _written(work: Work) -> int:
    """Bytes of what was written of accounts: the figures that both ways have to write alike."""
    with reading(work.engine) as session:
        names = ("survival", "survival_lower", "survival_upper", "retention", "contributions", "cause_probabilities")
        lengths = [func.coalesce(func.sum(func.length(getattr(Score, name))), 0) for name in names]
        total = sum(session.execute(select(*lengths)).one())
        return int(total + (session.scalar(select(func.sum(func.length(FeatureSnapshot.values)))) or 0))


def measure(way: str, url: str) -> None:
    """In the child: one night on a database that holds the company, its figures as JSON."""
    work = make_work(url)
    took = {"bare": _bare, "night": _night}[way](work)
    print(json.dumps({"took": took, "peak_mb": took.pop("peak", _peak_mb()), "bytes": _written(work)}))


def _run(way: str, url: str) -> Figures:
    command = [sys.executable, "-m", "benchmarks.night", way, url]
    found: Figures = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    scoring = [took for name, took in found["took"].items() if way == "bare" or name in SCORING]
    return found | {"wall": sum(took[0] for took in scoring), "cpu": sum(took[1] for took in scoring)}


def compare(name: str, url: str) -> Figures:
    """The bare script first, then the night, each on the company as it was generated."""
    found = {}
    for way in ("bare", "night"):
        found[way] = run = _run(way, url)
        told = f"{run['wall']:8.1f} s {run['cpu']:8.1f} CPU s {run['peak_mb']:8.0f} MB peak"
        told += f" {run['bytes'] / 1e6:8.1f} MB of curves and features"
        print(f"{name:24} {way:6} {told}", flush=True)
        _forget(make_work(url))
    ratio = found["night"]["cpu"] / found["bare"]["cpu"]
    print(f"{name:24} ratio  {found['night']['wall'] / found['bare']['wall']:8.2f}   {ratio:8.2f} CPU", flush=True)
    steps_told = (f"{step} {took[1]:.1f}" for step, took in found["night"]["took"].items())
    print(f"{name:24} steps, CPU s: {', '.join(steps_told)}", flush=True)
    return found


def _forget(work: Work) -> None:
    """Undo a run, so that the next one finds the company as it was."""
    with transaction(work.engine) as session:
        for table in RUN_TABLES:
            session.execute(delete(table))


def generate(url: str, accounts: int) -> None:
    work = make_work(url)
    migrate(work.engine)
    write_company(work.engine, accounts)
    work.engine.dispose()


def main(accounts: int = ACCOUNTS) -> None:
    with tempfile.TemporaryDirectory(prefix="tenure-bench-") as scratch:
        night = {}
        for size in (accounts // 10, accounts):
            url = f"sqlite:///{Path(scratch)}/{size}.db"
            generate(url, size)
            night[size] = compare(f"SQLite, {size:,} accounts", url)["night"]
        few, many = night.values()
        growth, memory = many["cpu"] / few["cpu"], many["peak_mb"] / few["peak_mb"]
        print(f"ten times the accounts: {growth:.1f} x the CPU time, {memory:.1f} x the memory")
    try:
        with postgres_server() as prefix:
            server = make_engine(prefix.format("postgres")).execution_options(isolation_level="AUTOCOMMIT")
            with server.connect() as connection:
                connection.execute(text("CREATE DATABASE night"))
            server.dispose()
            generate(prefix.format("night"), accounts)
            compare(f"PostgreSQL, {accounts:,} accounts", prefix.format("night"))
    except NotInstalled as reason:
        print(f"PostgreSQL: {reason}")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        measure(sys.argv[1], sys.argv[2])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else ACCOUNTS)
