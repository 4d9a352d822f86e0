"""Signatures: by the specification's own example, and both ways with the independent libraries in Python and Node."""

import base64
import json
import shutil
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from integrations.webhooks.signature import new_secret, secret_bytes, sign, verify

NODE = Path(__file__).parents[2] / "node"
BODY = '{"type":"webhook.test","data":{"name":"Łódź 🙂 東京"}}'.encode()
# Verifies a body with the library, and signs one: a JSON array of what is asked, one answer for each.
NODE_PROGRAM = """
const { Webhook } = require("standardwebhooks");
const asked = JSON.parse(require("fs").readFileSync(0, "utf8"));
const answers = asked.map(({ secret, headers, body, id, at }) => {
  const webhook = new Webhook(secret);
  if (id) return webhook.sign(id, new Date(at * 1000), body);
  try { webhook.verify(body, headers); return true; } catch (error) { return error.message; }
});
process.stdout.write(JSON.stringify(answers));
"""


def now() -> int:
    return int(time.time())


def headers_for(*secrets: str, body: bytes = BODY, at: int | None = None) -> dict[str, str]:
    timestamp = now() if at is None else at
    signatures = [sign(secret_bytes(s), message_id="msg_1", timestamp=timestamp, body=body) for s in secrets]
    return {"webhook-id": "msg_1", "webhook-timestamp": str(timestamp), "webhook-signature": " ".join(signatures)}


def is_ours(secret: str, headers: dict[str, str], body: bytes = BODY) -> bool:
    return verify(secret_bytes(secret), headers, body=body, now=time.time())


def is_theirs(secret: str, headers: dict[str, str], body: bytes = BODY) -> bool:
    try:
        Webhook(secret).verify(body, headers)
    except WebhookVerificationError:
        return False
    return True


def node(*asked: dict[str, object]) -> list[object]:
    if not (NODE / "node_modules").exists() or shutil.which("node") is None:
        pytest.skip("the Node clients are absent: run npm ci in tests/node")
    run = subprocess.run(
        ["node", "-e", NODE_PROGRAM], input=json.dumps(asked), capture_output=True, text=True, cwd=NODE, check=True
    )
    answers: list[object] = json.loads(run.stdout)
    return answers


def test_the_example_of_the_specification() -> None:
    """From the reference implementation's own tests: secret, id, time, body and signature are given there."""
    secret = secret_bytes("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signature = sign(
        secret, message_id="msg_p5jXN8AQM9LWM0D4loKWxJek", timestamp=1614265330, body=b'{"test": 2432232314}'
    )
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_secret_is_new_each_time_and_as_long_as_it_says() -> None:
    secrets = {new_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert all(len(secret_bytes(secret)) == 32 for secret in secrets)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsec_",
        "whsec_short",
        "whsec_" + base64.b64encode(b"x" * 23).decode(),
        "whsec_" + base64.b64encode(b"x" * 65).decode(),
        "whsec_" + "é" * 40,
        "whsec_" + base64.b64encode(b"x" * 32).decode() + "\n",
        base64.b64encode(b"x" * 32).decode(),
        "whpk_" + base64.b64encode(b"x" * 32).decode(),
    ],
)
def test_what_is_no_secret_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="A secret is whsec_"):
        secret_bytes(text)


def test_the_python_library_takes_ours_and_we_take_its() -> None:
    secret, other = new_secret(), new_secret()
    assert is_theirs(secret, headers_for(secret))
    assert not is_theirs(other, headers_for(secret))
    at = now()
    theirs = Webhook(secret).sign("msg_1", datetime.fromtimestamp(at, UTC), BODY.decode())
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(at), "webhook-signature": theirs}
    assert is_ours(secret, headers)
    assert not is_ours(other, headers)


def test_the_node_library_takes_ours_and_we_take_its() -> None:
    secret, other, at = new_secret(), new_secret(), now()
    body = BODY.decode()
    taken, refused, signature = node(
        {"secret": secret, "headers": headers_for(secret), "body": body},
        {"secret": other, "headers": headers_for(secret), "body": body},
        {"secret": secret, "id": "msg_1", "at": at, "body": body},
    )
    assert taken is True
    assert refused == "No matching signature found"
    headers = {"webhook-id": "msg_1", "webhook-timestamp": str(at), "webhook-signature": str(signature)}
    assert is_ours(secret, headers)
    assert not is_ours(other, headers)


def test_while_a_secret_is_replaced_both_verify_everywhere() -> None:
    old, new, other = new_secret(), new_secret(), new_secret()
    headers = headers_for(new, old)
    for secret, is_right in ((old, True), (new, True), (other, False)):
        assert is_ours(secret, headers) == is_right
        assert is_theirs(secret, headers) == is_right
    asked = [{"secret": secret, "headers": headers, "body": BODY.decode()} for secret in (old, new, other)]
    assert node(*asked) == [True, True, "No matching signature found"]


def test_a_message_that_was_changed_is_not_verified() -> None:
    secret = new_secret()
    headers = headers_for(secret)
    assert is_ours(secret, headers)
    assert not is_ours(secret, headers, BODY + b" ")
    assert not is_ours(secret, headers | {"webhook-id": "msg_2"})
    assert not is_ours(secret, headers | {"webhook-timestamp": str(now() - 5)})
    for name in headers:
        assert not is_ours(secret, {key: value for key, value in headers.items() if key != name})
        assert not is_ours(secret, headers | {name: ""})
    signature = headers["webhook-signature"]
    for wrong in (signature.replace("v1", "v1a"), signature[3:], f"v1,é{signature[3:]}", "v1,", signature + "="):
        assert not is_ours(secret, headers | {"webhook-signature": wrong})
    assert is_ours(secret, headers | {"webhook-signature": f"v2,abc v1a,abc {signature}"})


@pytest.mark.parametrize("at", ["", "soon", "1e9", "-5", "１２", "9" * 400, "1614265330.5"])
def test_a_time_that_is_none_is_not_verified(at: str) -> None:
    secret = new_secret()
    assert not is_ours(secret, headers_for(secret) | {"webhook-timestamp": at})


def test_a_message_counts_for_five_minutes_before_and_after() -> None:
    secret = secret_bytes(new_secret())
    headers = {
        "webhook-id": "msg_1",
        "webhook-timestamp": "1000000",
        "webhook-signature": sign(secret, message_id="msg_1", timestamp=1_000_000, body=BODY),
    }
    for seconds, is_right in ((-301, False), (-300, True), (0, True), (300, True), (301, False)):
        assert verify(secret, headers, body=BODY, now=1_000_000 + seconds) == is_right
