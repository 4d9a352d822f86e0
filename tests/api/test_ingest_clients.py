"""Segment's own clients send to a real server through a proxy that breaks and loses answers: each event comes once."""

import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread

import pytest
from segment.analytics.client import Client
from sqlalchemy import func, select
from werkzeug.serving import make_server

from app.db import reading, transaction
from app.http import Application
from app.models.events import UsageEvent
from app.models.persons import Person
from app.services.tokens import WantedToken, create_token
from jobs.roll_up import roll_up_events
from jobs.work import Work
from tests.faulty_proxy import BROKEN, LOST, REFUSED, faulty_proxy
from tests.usage_events import add_accounts, usage_days

NODE = Path(__file__).parent.parent / "node"


@pytest.fixture
def port(app: Application) -> Iterator[int]:
    """The service, listening."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()


@pytest.fixture
def write_key(app: Application) -> str:
    with transaction(app.engine) as session:
        wanted = WantedToken("product", ["ingest:write"], source="web")
        return create_token(session, wanted, actor="command", now=datetime.now(UTC)).token


def count_sent(app: Application) -> int:
    """How often events were stored: one whose answer was lost more than once."""
    with reading(app.engine) as session:
        return session.scalar(select(func.count()).select_from(UsageEvent)) or 0


def kept_events(app: Application) -> Counter[tuple[str, str]]:
    """After the roll-up, which counts each once."""
    with reading(app.engine) as session:
        return Counter(tuple(row) for row in session.execute(select(UsageEvent.account_ref, UsageEvent.name)))


@pytest.mark.parametrize("is_gzip", [False, True])
def test_the_python_client_delivers_each_event_once(
    app: Application, port: int, write_key: str, *, is_gzip: bool
) -> None:
    errors: list[object] = []
    with faulty_proxy(port, BROKEN, LOST) as proxy:
        client = Client(
            write_key, host=f"http://localhost:{proxy.port}", gzip=is_gzip, upload_size=20, upload_interval=0.1,
            on_error=lambda error, _batch: errors.append(error),
        )  # fmt: skip
        client.group("ana", 7, {"name": "Seven Ltd"})
        for n in range(30):
            client.track("ana", "opened" if n % 2 else "shared", {"n": n})
            client.track(None, "opened", anonymous_id=f"guest {n}", context={"groupId": "B"})
        client.identify("ana", {"firstName": "Ana", "lastName": "Sato", "email": "ana@example.com"})
        client.page("ana", name="Home")
        client.shutdown()
        assert errors == []
        assert len(proxy.passed_on) >= 5  # four batches, and the first two of them again
        assert set(proxy.passed_on) == {200}
    assert count_sent(app) > 61
    assert roll_up_events(Work(app.engine, app.settings)).waiting == 61
    assert kept_events(app) == {("7", "opened"): 15, ("7", "shared"): 15, ("7", "page"): 1, ("B", "opened"): 30}
    with reading(app.engine) as session:
        [person] = session.scalars(select(Person))
        assert (person.system, person.external_id, person.name, person.email) == (
            "web", "ana", "Ana Sato", "ana@example.com",
        )  # fmt: skip


def test_the_node_client_delivers_each_event_once(app: Application, port: int, write_key: str) -> None:
    if shutil.which("node") is None or not (NODE / "node_modules/@segment/analytics-node").exists():
        pytest.skip("Segment's Node client is absent: npm ci --prefix tests/node")
    accounts = add_accounts(app.engine, "AB")
    with faulty_proxy(port, BROKEN, None, LOST, REFUSED, BROKEN) as proxy:
        command = ["node", "send_events.js", f"http://localhost:{proxy.port}/ingest", write_key]
        run = subprocess.run(command, cwd=NODE, capture_output=True, text=True, check=False, timeout=120)
        assert (run.returncode, run.stderr) == (0, "")
        assert set(proxy.passed_on) == {200}
    sent = count_sent(app)
    done = roll_up_events(Work(app.engine, app.settings))
    assert (done.events, done.waiting, done.duplicates) == (51, 0, sent - 51)
    assert sent > 51
    assert kept_events(app) == {("A", "opened"): 12, ("A", "shared"): 13, ("A", "page"): 1, ("B", "opened"): 25}
    totals: Counter[tuple[int, str, str | None]] = Counter()
    for (account, metric, feature, _, _), amount in usage_days(app.engine).items():
        totals[account, metric, feature] += int(amount)
    assert totals == {
        (accounts["A"], "activity", "opened"): 12,
        (accounts["A"], "activity", "shared"): 13,
        (accounts["A"], "activity", "page"): 1,
        (accounts["A"], "active_people", None): 1,
        (accounts["B"], "activity", "opened"): 25,
        (accounts["B"], "active_people", None): 25,
    }
