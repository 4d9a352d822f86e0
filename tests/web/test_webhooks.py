import re
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from app.db import reading, transaction
from app.http import Application
from app.models.audit import AuditEntry
from app.models.webhooks import WebhookDelivery, WebhookEndpoint
from app.services.messages import NewMessage, post_message
from integrations.webhooks.signature import secret_bytes, verify
from tests.web.company import NOW
from tests.web.own_company import client_of_role, copy_app, counting, post

pytestmark = pytest.mark.parametrize("company_url", ["sqlite"], indirect=True)
FLAGGED, STALE = "expansion_opportunity.flagged", "feed.stale"


class Receiver(HTTPServer):
    """Keeps what it gets and answers with `status`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = 204
        self.got: list[tuple[dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append(({name.lower(): value for name, value in self.headers.items()}, body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def app(company_url: str, tmp_path: Path) -> Iterator[Application]:
    app = copy_app(company_url, tmp_path)
    yield app
    app.engine.dispose()


@pytest.fixture
def client(app: Application) -> FlaskClient:
    return client_of_role(app, "admin")


def create(client: FlaskClient, url: str, types: tuple[str, ...] = (FLAGGED,)) -> str:
    """The answer's page."""
    answer = post(client, "/settings/webhooks", name="Sales' chat", url=url, types=list(types))
    assert answer.status_code == 200, answer.text
    text: str = answer.text
    return text


def secret_in(page: str) -> str:
    found = re.search(r"whsec_[A-Za-z0-9+/=]+", page)
    assert found
    return found[0]


def test_a_new_endpoint_s_secret_is_shown_once_and_signs_its_test(
    client: FlaskClient, app: Application, receiver: Receiver
) -> None:
    page = create(client, receiver.url)
    secret = secret_in(page)
    assert "it is not shown again" in page
    shown = client.get("/settings/webhooks/1").text
    assert "whsec_" not in shown
    assert "/hook" not in client.get("/settings/webhooks").text
    answer = post(client, "/settings/webhooks/1", action="test")
    assert answer.status_code == 303
    assert "Test: Delivered, answered 204." in client.get(answer.location).text
    [(headers, body)] = receiver.got
    assert verify(secret_bytes(secret), headers, body=body, now=NOW.timestamp())
    assert not verify(secret_bytes(secret), headers, body=body + b" ", now=NOW.timestamp())
    with reading(app.engine) as session:
        acts = session.scalars(select(AuditEntry.action)).all()
    assert {"webhook_endpoint.created", "webhook_endpoint.tested"} <= set(acts)


@pytest.mark.parametrize(
    ("url", "detail"),
    [
        ("https://169.254.169.254/latest/meta-data", ""),
        ("https://[::ffff:10.0.0.1]/", ""),
        ("ftp://example.com/", ""),
        ("https://user:password@example.com/", "user name or password"),
        ("not a url", "A URL "),
        ("", "A URL "),
    ],
)
def test_an_address_that_may_not_be_is_refused_in_words_and_what_was_typed_stays(
    client: FlaskClient, app: Application, url: str, detail: str
) -> None:
    answer = post(client, "/settings/webhooks", name="Kept name", url=url, types=[STALE])
    assert answer.status_code == 400
    assert "That address is not accepted." in answer.text
    assert detail in answer.text
    assert 'value="Kept name"' in answer.text
    assert re.search(rf'value="{STALE}" checked', answer.text)
    assert not re.search(rf'value="{FLAGGED}" checked', answer.text)
    with reading(app.engine) as session:
        assert session.scalars(select(WebhookEndpoint)).all() == []


def test_a_name_and_a_type_are_needed(client: FlaskClient, receiver: Receiver) -> None:
    answer = post(client, "/settings/webhooks", name=" ", url=receiver.url, types=[STALE])
    assert (answer.status_code, "Give it a name of 1 to 100 characters." in answer.text) == (400, True)
    answer = post(client, "/settings/webhooks", name="two\nlines", url=receiver.url, types=[STALE])
    assert answer.status_code == 400
    answer = post(client, "/settings/webhooks", name="Chat", url=receiver.url)
    assert (answer.status_code, "Choose at least one type of message." in answer.text) == (400, True)


def test_a_test_that_fails_says_what_came_back(client: FlaskClient, receiver: Receiver) -> None:
    create(client, receiver.url)
    receiver.status = 500
    answer = post(client, "/settings/webhooks/1", action="test")
    assert "Test: Given up, answered 500." in client.get(answer.location).text
    receiver.status = 410
    answer = post(client, "/settings/webhooks/1", action="test")
    page = client.get(answer.location).text
    assert "Test: Not sent, answered 410." in page
    assert "the receiver answered that it wants no more (410)" in page


def test_an_endpoint_is_changed_switched_off_on_given_a_new_secret_and_deleted(
    client: FlaskClient, receiver: Receiver
) -> None:
    first = secret_in(create(client, receiver.url))
    one = "/settings/webhooks/1"
    assert post(client, one, action="save", name="Chat 2", url="", types=[STALE]).status_code == 303
    page = client.get(one).text
    assert "<h1>Chat 2</h1>" in page
    assert re.search(rf'value="{STALE}" checked', page)
    assert not re.search(rf'value="{FLAGGED}" checked', page)
    answer = post(client, one, action="save", name="Chat 2", url="https://10.0.0.1/", types=[STALE])
    assert (answer.status_code, "That address is not accepted." in answer.text) == (400, True)
    assert post(client, one, action="disable").status_code == 303
    assert "switched off by a person" in client.get(one).text
    assert post(client, one, action="enable").status_code == 303
    assert "switched off" not in client.get(one).text
    rotated = post(client, one, action="rotate")
    assert rotated.status_code == 200
    assert secret_in(rotated.text) != first
    assert "The old one counts until Oct 1, 2026" in rotated.text
    assert "the old secret counts until" in client.get(one).text
    assert post(client, one, action="delete").location == "/settings/webhooks"
    assert client.get(one).status_code == 404
    assert post(client, one, action="test").status_code == 404
    assert "No endpoint yet." in client.get("/settings/webhooks").text


def test_an_action_that_is_none_is_refused(client: FlaskClient, receiver: Receiver) -> None:
    create(client, receiver.url)
    assert post(client, "/settings/webhooks/1", action="explode").status_code == 400


def test_the_log_is_filtered_by_state_and_an_ended_delivery_is_sent_again(
    client: FlaskClient, app: Application, receiver: Receiver
) -> None:
    create(client, receiver.url, types=(FLAGGED, STALE))
    with transaction(app.engine) as session:
        for number in range(30):
            post_message(session, NewMessage(STALE, {"number": number}), at=NOW - timedelta(hours=number))
        for delivery in session.scalars(select(WebhookDelivery).where(WebhookDelivery.id <= 2)):
            delivery.state, delivery.attempts, delivery.ended_at = "dead", 10, NOW - timedelta(hours=1)
    page = client.get("/settings/webhooks").text
    log = page.split('id="log"')[1]
    assert log.count('<li class="line">') == 25
    onward = re.search(r'href="([^"]+cursor=[^"]+)"', log)
    assert onward
    rest = client.get(onward[1].replace("&amp;", "&")).text.split('id="log"')[1]
    assert rest.count('<li class="line">') == 5
    dead = client.get("/settings/webhooks?state=dead").text.split('id="log"')[1]
    assert dead.count('<li class="line">') == 2
    assert client.get("/settings/webhooks/1?state=delivered").text.count("No such delivery.") == 1
    one = client.get("/settings/webhooks/deliveries/1").text
    assert "&#34;number&#34;: 0" in one
    assert post(client, "/settings/webhooks/deliveries/1").status_code == 303
    assert "On its way" in client.get("/settings/webhooks/deliveries/1").text
    again = post(client, "/settings/webhooks/deliveries/1")
    assert (again.status_code, "It cannot be sent again now." in again.text) == (409, True)
    assert client.get("/settings/webhooks/deliveries/999").status_code == 404


@pytest.mark.parametrize("role", ["csm", "sales", "finance"])
def test_only_an_administrator_gets_here(app: Application, role: str) -> None:
    client = client_of_role(app, role)
    for path in ("/settings/webhooks", "/settings/webhooks/1", "/settings/webhooks/deliveries/1"):
        assert client.get(path).status_code == 403
    assert post(client, "/settings/webhooks", name="x", url="https://example.com", types=[STALE]).status_code == 403
    assert post(client, "/settings/webhooks/1", action="delete").status_code == 403
    assert 'href="/settings/webhooks"' not in client.get("/accounts").text


def test_the_page_is_read_in_few_statements(client: FlaskClient, app: Application, receiver: Receiver) -> None:
    create(client, receiver.url)
    with counting(app) as seen:
        page = client.get("/settings/webhooks")
    assert len(page.data) < 60_000
    assert len(seen) <= 8, len(seen)
