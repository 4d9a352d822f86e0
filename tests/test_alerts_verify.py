"""What arrives verifies with the independent libraries of Standard Webhooks, in Python and in Node."""

import json
import re
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select
from standardwebhooks import Webhook, WebhookVerificationError

from app.db import reading, transaction
from app.models.webhooks import WebhookMessage
from app.services.messages import NewMessage, post_message
from app.services.secrets import Keyring
from app.services.webhooks import Rotation, rotate_secret
from jobs.deliver import Delivered, deliver_due
from tests.delivering import sending_work
from tests.receiver import Receiver, Request, add_endpoint, receiving

NODE = Path(__file__).parent / "node"
SECONDS = timedelta(seconds=1)
DATA = {
    "opportunity_id": 7,
    "account_id": 3,
    "worth": {"amount": "1200.00", "currency": "USD"},
    "why": "席 90 % – “full” 🎉\n",
}

Case = tuple[str, Request, bytes]


@pytest.fixture
def alerts(engine: Engine, tmp_path: Path) -> tuple[str, str, Receiver]:
    """Both secrets of an endpoint, and three attempts: one, one again, one with both signatures."""
    replies = [(500, {}), (204, {})]
    work = sending_work(engine, tmp_path)
    with receiving(lambda _request: replies.pop(0) if replies else (204, {})) as receiver:
        old = add_endpoint(engine, work.settings, receiver.url, at=datetime.now(UTC)).secret
        with transaction(engine) as session:
            post_message(session, NewMessage("expansion_opportunity.flagged", DATA), at=datetime.now(UTC))
        assert deliver_due(work) == Delivered(pending=1)
        assert deliver_due(sending_work(engine, tmp_path, ahead=7 * SECONDS)) == Delivered(delivered=1)
        with transaction(engine) as session:
            asked = {"keyring": Keyring.of(work.settings), "actor": "command", "at": datetime.now(UTC)}
            new = rotate_secret(session, Rotation(1), **asked).secret
            post_message(session, NewMessage("expansion_opportunity.updated", DATA), at=datetime.now(UTC))
        assert deliver_due(work) == Delivered(delivered=1)
        with transaction(engine) as session:
            post_message(session, NewMessage("feed.stale", DATA), at=datetime.now(UTC))
        assert deliver_due(sending_work(engine, tmp_path, ahead=timedelta(hours=25))) == Delivered(delivered=1)
    return old, new, receiver


def cases_of(old: str, new: str, receiver: Receiver) -> tuple[list[Case], list[Case]]:
    """What has to verify, and what must not."""
    first, again, both, _ = receiver.requests
    good = [(old, first, first.body), (old, again, again.body), (old, both, both.body), (new, both, both.body)]
    other_id = Request(again.headers | {"webhook-id": both.id}, again.body)
    other_time = Request(again.headers | {"webhook-timestamp": str(int(again.headers["webhook-timestamp"]) - 1)}, b"")
    bad = [
        (new, first, first.body),
        (old, first, first.body.replace(b"1200.00", b"9200.00")),
        (old, first, both.body),
        (old, other_id, again.body),
        (old, other_time, again.body),
    ]
    return good, bad


def in_python(secret: str, request: Request, body: bytes) -> Any:
    try:
        return Webhook(secret).verify(body, request.headers)
    except WebhookVerificationError as error:
        return str(error)


def need_node() -> None:
    if shutil.which("node") is None or not (NODE / "node_modules/standardwebhooks").exists():
        pytest.skip("the Node library of Standard Webhooks is absent: npm ci --prefix tests/node")


def documented(language: str, secret: str) -> str:
    """The receiver as docs/api.md shows it, with a real secret."""
    text = (Path(__file__).parent.parent / "docs/api.md").read_text()
    blocks = re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    [block] = [block for block in blocks if "whsec_..." in block]
    return block.replace("whsec_...", secret)


def test_alerts_verify_in_python_and_what_was_changed_does_not(alerts) -> None:
    good, bad = cases_of(*alerts)
    assert [in_python(*case)["data"] for case in good] == [DATA] * 4
    assert {in_python(*case) for case in bad} == {"No matching signature found"}


def test_alerts_verify_in_node_and_what_was_changed_does_not(alerts) -> None:
    need_node()
    good, bad = cases_of(*alerts)
    cases = [{"secret": s, "headers": request.headers, "body": body.decode()} for s, request, body in [*good, *bad]]
    command = ["node", "verify_webhooks.js"]
    run = subprocess.run(command, cwd=NODE, input=json.dumps(cases).encode(), capture_output=True, check=True)
    verified = json.loads(run.stdout)
    assert [each["data"] for each in verified[:4]] == [DATA] * 4
    assert set(verified[4:]) == {"No matching signature found"}


def test_a_retry_keeps_id_and_body_and_has_its_own_time_and_signature(alerts, engine: Engine) -> None:
    _, _, receiver = alerts
    first, again, *_ = receiver.requests
    assert (first.id, first.body) == (again.id, again.body)
    assert int(again.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"]) in range(6, 120)
    assert first.headers["webhook-signature"] != again.headers["webhook-signature"]
    assert first.headers["content-type"] == "application/json"
    with reading(engine) as session:
        stored = session.scalars(select(WebhookMessage.body).order_by(WebhookMessage.id)).first()
    assert first.body == stored.encode()


def test_both_secrets_count_for_a_day_and_then_the_new_one_alone(alerts) -> None:
    _, _, receiver = alerts
    assert [request.headers["webhook-signature"].count("v1,") for request in receiver.requests] == [1, 1, 2, 1]


def test_the_documented_receiver_in_python_takes_an_alert_and_nothing_else(alerts) -> None:
    secret, _, receiver = alerts
    first = receiver.requests[0]
    names: dict[str, Any] = {}
    exec(documented("python", secret), names)  # noqa: S102  our own documentation
    assert names["receive"](first.headers, first.body) == (first.id, "expansion_opportunity.flagged", DATA)
    with pytest.raises(WebhookVerificationError):
        names["receive"](first.headers, first.body + b" ")


def test_the_documented_receiver_in_node_takes_an_alert(alerts) -> None:
    need_node()
    secret, _, receiver = alerts
    first = receiver.requests[0]
    call = f"receive({json.dumps(first.headers)}, {json.dumps(first.body.decode())})"
    code = f"{documented('js', secret)}\nprocess.stdout.write(JSON.stringify({call}))"
    run = subprocess.run(["node", "-e", code], cwd=NODE, capture_output=True, check=True)
    assert json.loads(run.stdout) == [first.id, "expansion_opportunity.flagged", DATA]
