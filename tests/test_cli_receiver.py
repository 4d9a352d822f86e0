"""`tenure demo-receiver` as a process of its own, sent to by our client and by what an independent library signed."""

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from integrations.http_client import Policy, check_target, post
from integrations.webhooks.signature import new_secret

ROOT = Path(__file__).parent.parent
POLICY = Policy(private_targets=("127.0.0.1",))
BODY = json.dumps({"type": "webhook.test", "timestamp": "2026-01-01T00:00:00Z", "data": {"endpoint_id": 1}})


@contextmanager
def demo_receiver(*words: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process, and the address that it says it listens at."""
    command = [sys.executable, "-m", "app.cli", "demo-receiver", "--port", "0", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())
            assert found
            yield process, found[0]
        finally:
            process.kill()


def end(process: subprocess.Popen[str]) -> str:
    """End it as Ctrl-C does; what it said since its first line, some of which was read together with that."""
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=10) == 0
    assert process.stdout is not None
    return process.stdout.read()


def send(url: str, secret: str, message_id: str) -> int:
    at = datetime.now(UTC)
    headers = {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": Webhook(secret).sign(message_id, at, BODY),
    }
    return post(check_target(url, policy=POLICY), body=BODY.encode(), headers=headers, policy=POLICY).status


def test_it_says_what_to_do_and_shows_what_arrives_and_comes_again() -> None:
    secret = new_secret()
    with demo_receiver("--secret", secret, "--fail", "503", "--times", "1") as (process, url):
        assert [send(url, secret, "msg_1"), send(url, secret, "msg_1")] == [503, 204]
        assert send(url, new_secret(), "msg_2") == 503
        said = end(process)
    assert "tenure webhook test" in said
    assert [line for line in said.splitlines() if line.startswith("msg_")] == [
        "msg_1: signature verified, first time, answered 503",
        "msg_1: signature verified, seen before: once, answered 204",
        "msg_2: signature NOT verified, first time, answered 503",
    ]
    assert "    webhook.test\n    endpoint_id: 1\n" in said


def test_without_a_secret_it_says_how_to_get_one() -> None:
    with demo_receiver() as (process, url):
        send(url, new_secret(), "msg_1")
        said = end(process)
    assert f"tenure webhook add {url}" in said
    assert "signature NOT verified (start with --secret)" in said


@pytest.mark.parametrize(("words", "reason"), [(["--secret", "word"], "A secret is whsec_"), (["--fail", "99"], "99")])
def test_what_it_cannot_do_is_said_in_a_line(words: list[str], reason: str) -> None:
    command = [sys.executable, "-m", "app.cli", "demo-receiver", *words]
    run = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert run.returncode != 0
    assert reason in run.stderr
    assert "Traceback" not in run.stderr


def test_a_port_that_is_taken_is_said_in_a_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        command = [sys.executable, "-m", "app.cli", "demo-receiver", "--port", str(taken.getsockname()[1])]
        run = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT, timeout=60)
    assert "Set another with --port." in run.stderr
    assert "Traceback" not in run.stderr
