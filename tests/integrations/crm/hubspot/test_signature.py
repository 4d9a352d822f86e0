"""Pushes are believed where the app's secret signed them in the last five minutes."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest

from integrations.crm.client import Push
from tests.integrations.crm.hubspot_stage import HubspotStage

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
SECRET = "client-secret"
URL = "https://tenure.example.com/api/v1/crm/hubspot/push?name=%E9%9D%92&a=1%3A2%2c3&b=%20"
DECODED = "https://tenure.example.com/api/v1/crm/hubspot/push?name=%E9%9D%92&a=1:2,3&b=%20"
BODY = '[{"objectId": 7, "name": "青葉"}]'.encode()


def push(*, at: datetime = NOW, signed: str = DECODED, timestamp: str | None = None, **changed: object) -> Push:
    """Signed here by hand, as HubSpot's documentation says."""
    timestamp = timestamp or str(round(at.timestamp() * 1000))
    digest = hmac.new(SECRET.encode(), f"POST{signed}".encode() + BODY + timestamp.encode(), hashlib.sha256).digest()
    headers = {"X-HubSpot-Signature-v3": base64.b64encode(digest).decode(), "X-HubSpot-Request-Timestamp": timestamp}
    values = {"method": "POST", "url": URL, "headers": headers, "body": BODY} | changed
    return Push(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("minutes", [-4, 0, 4])
def test_a_push_that_is_signed_and_fresh_is_genuine(stage: HubspotStage, minutes: int) -> None:
    assert stage.client.is_genuine(push(at=NOW + timedelta(minutes=minutes)), secret=SECRET, now=NOW)
    lower = {name.lower(): value for name, value in push().headers.items()}
    assert stage.client.is_genuine(push(headers=lower), secret=SECRET, now=NOW)


@pytest.mark.parametrize(
    "other",
    [
        push(at=NOW - timedelta(minutes=6)),
        push(at=NOW + timedelta(minutes=6)),
        push(body=BODY + b" "),
        push(method="PUT"),
        push(url=URL + "&c=3"),
        push(headers={}),
        push(headers={"X-HubSpot-Request-Timestamp": str(round(NOW.timestamp() * 1000))}),
        push(timestamp="soon"),
        push(timestamp="9" * 400),
        push(timestamp="１７７３１４４０００"),
    ],
)
def test_any_other_is_not(stage: HubspotStage, other: Push) -> None:
    assert not stage.client.is_genuine(other, secret=SECRET, now=NOW)


def test_another_secret_or_none_signs_nothing(stage: HubspotStage) -> None:
    assert not stage.client.is_genuine(push(), secret="another", now=NOW)
    assert not stage.client.is_genuine(push(), secret="", now=NOW)
