"""No webhook leads inside: on create, update, test and send, whatever URL is given or a name leads to."""

import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient
from sqlalchemy import Engine, select

from app.cli import main
from app.config import Settings
from app.db import reading, transaction
from app.http import Application
from app.models.webhooks import DeliveryAttempt, WebhookDelivery, WebhookEndpoint
from app.services.changes import recording
from app.services.deliveries import Sender, send_test
from app.services.messages import NewMessage, post_message
from app.services.secrets import Keyring
from app.services.tokens import WantedToken, create_token
from app.services.users import NewUser, add_user
from app.services.webhooks import Address, NewEndpoint, create_endpoint
from jobs.deliver import deliver_due
from jobs.work import Work
from tests.forbidden_urls import FORBIDDEN_URLS

pytestmark = pytest.mark.one_database

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PUBLIC = "https://public.example.com/in"
# What names lead to; those with several answers give one after the other.
NAMES: dict[str, list[tuple[str, ...]]] = {
    "public.example.com": [("93.184.215.14",)],
    "hooks.example.com": [("93.184.215.14",)],
    "inside.example.com": [("10.0.0.1",)],
    "loopback.example.com": [("127.0.0.1", "::1")],
    "metadata.example.com": [("169.254.169.254",)],
    "mixed.example.com": [("93.184.215.14", "10.0.0.1")],
    "mixed6.example.com": [("2606:4700::1", "fe80::1%2")],
    "mapped.example.com": [("::ffff:10.0.0.1",)],
    "nat64.example.com": [("64:ff9b::a00:1",)],
}
LEADING_INSIDE = tuple(
    f"https://{name}/in" for name, answers in NAMES.items() if answers != NAMES["public.example.com"]
)
REFUSED = (*FORBIDDEN_URLS, *LEADING_INSIDE, "http://public.example.com/in", "https://unknown.example.com/in")


class Net:
    """A table in the place of the resolver, and a note of every attempt to connect or send."""

    def __init__(self) -> None:
        self.names = {name: list(answers) for name, answers in NAMES.items()}
        self.attempts: list[object] = []

    def look_up(self, host: str, port: int, **_options: int) -> list[tuple[int, int, int, str, tuple[str | int, ...]]]:
        if host not in self.names:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        answers = self.names[host]
        return [
            (socket.AF_INET6, 1, 6, "", (text, port, 0, 0)) if ":" in text else (socket.AF_INET, 1, 6, "", (text, port))
            for text in (answers.pop(0) if len(answers) > 1 else answers[0])
        ]


@pytest.fixture(autouse=True)
def net(monkeypatch: pytest.MonkeyPatch) -> Iterator[Net]:
    """Nothing gets out of here, all attempts are noted, and a proxy is offered."""
    net = Net()

    def attempt(_socket: socket.socket, *what: object) -> None:
        net.attempts.append(what)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", net.look_up)
    for way_out in ("connect", "connect_ex", "sendto", "sendmsg"):
        monkeypatch.setattr(socket.socket, way_out, attempt)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:3128")
        monkeypatch.setenv(name.upper(), "http://127.0.0.1:3128")
    return net


@pytest.fixture
def public_work(engine: Engine, settings: Settings) -> Work:
    return Work(engine, replace(settings, private_targets=()), clock=lambda: NOON)


def stored(work: Work, *urls: str) -> list[int]:
    """Endpoints as they are in the database, by whatever way their addresses got there."""
    keyring = Keyring.of(work.settings)
    with transaction(work.engine) as session:
        return [
            create_endpoint(
                session,
                NewEndpoint("theirs", Address(url, "https://theirs.example.com"), ["feed.stale"]),
                keyring=keyring,
                actor="user:1",
                at=NOON,
            ).id
            for url in urls
        ]


def test_what_is_public_is_connected_to_and_to_nothing_else(public_work: Work, net: Net) -> None:
    """The net is no wall: what is allowed gets as far as it."""
    stored(public_work, PUBLIC)
    with transaction(public_work.engine) as session:
        post_message(session, NewMessage("feed.stale", {}), at=NOON)
    assert deliver_due(public_work).pending == 1
    assert net.attempts == [(("93.184.215.14", 443),)]


def test_nothing_is_sent_to_a_url_that_leads_inside(public_work: Work, net: Net) -> None:
    stored(public_work, *REFUSED)
    with transaction(public_work.engine) as session:
        post_message(session, NewMessage("feed.stale", {}), at=NOON)
    assert deliver_due(public_work).pending == len(REFUSED)
    assert net.attempts == []
    with reading(public_work.engine) as session:
        attempts = session.scalars(select(DeliveryAttempt)).all()
        states = set(session.scalars(select(WebhookDelivery.state)))
    assert len(attempts) == len(REFUSED)
    assert states == {"pending"}
    assert all(attempt.status is None and attempt.error.endswith(".") for attempt in attempts)


def test_the_test_button_sends_nothing_to_a_url_that_leads_inside(public_work: Work, net: Net) -> None:
    sender = Sender.of(public_work.settings, public_work.clock)
    for endpoint_id in stored(public_work, *REFUSED):
        tested = send_test(public_work.writing, endpoint_id, sender=sender, actor="user:1")
        assert (tested.state, tested.status) == ("dead", None)
        assert tested.error.endswith(".")
    assert net.attempts == []


def test_a_name_that_leads_inside_by_the_time_it_is_sent_to_gets_nothing(public_work: Work, net: Net) -> None:
    net.names["public.example.com"] = [("93.184.215.14",), ("10.0.0.1",)]
    net.look_up("public.example.com", 443)
    [endpoint_id] = stored(public_work, PUBLIC)
    tested = send_test(
        public_work.writing,
        endpoint_id,
        sender=Sender.of(public_work.settings, public_work.clock),
        actor="user:1",
    )
    assert "not public" in tested.error
    assert net.attempts == []


@pytest.fixture
def public_app(app: Application, settings: Settings) -> Application:
    app.clock = lambda: NOON
    app.settings = replace(settings, private_targets=())
    return app


def addresses_kept(app: Application) -> list[bytes]:
    with reading(app.engine) as session:
        return list(session.scalars(select(WebhookEndpoint.url_ciphertext).order_by(WebhookEndpoint.id)))


def refuses_to_create_and_update(app: Application, net: Net, send: Callable[[str, str], int]) -> None:
    """`send(path, url)` answers with a status; the path is the list's or the first endpoint's."""
    assert send("", PUBLIC) in {200, 201}
    [kept] = addresses_kept(app)
    for url in REFUSED:
        for path in ("", "/1"):
            net.names = {name: list(answers) for name, answers in NAMES.items()}
            assert send(path, url) == 400, (path, url)
    assert addresses_kept(app) == [kept]
    assert net.attempts == []
    assert send("/1", PUBLIC + "?new") in {200, 303}
    assert addresses_kept(app) != [kept]
    assert net.attempts == []


def test_the_api_takes_no_url_that_leads_inside(public_app: Application, client: FlaskClient, net: Net) -> None:
    with transaction(public_app.engine) as session:
        wanted = WantedToken("a test", ["webhooks:admin"])
        token = create_token(session, wanted, actor="command", now=NOON).token
    headers = {"Authorization": f"Bearer {token}"}

    def send(path: str, url: str) -> int:
        body = {"url": url} if path else {"name": "theirs", "url": url, "types": ["feed.stale"]}
        ask = client.patch if path else client.post
        return ask(f"/api/v1/webhook-endpoints{path}", json=body, headers=headers).status_code

    refuses_to_create_and_update(public_app, net, send)
    net.names["public.example.com"] = [("10.0.0.1",)]
    tested = client.post("/api/v1/webhook-endpoints/1/test", headers=headers)
    assert (tested.json["state"], tested.json["status"]) == ("dead", None)
    assert "not public" in tested.json["error"]
    assert net.attempts == []


def test_the_page_takes_no_url_that_leads_inside(public_app: Application, client: FlaskClient, net: Net) -> None:
    with transaction(public_app.engine) as session, recording(session, "test") as change:
        add_user(session, change, new=NewUser("Mika", "mika@example.com", "three unrelated words"))

    def token(path: str) -> str:
        return re.search(r'name="csrf_token" value="([^"]+)"', client.get(path).text)[1]

    login = {"email": "mika@example.com", "password": "three unrelated words", "csrf_token": token("/login")}
    assert client.post("/login", data=login).status_code == 303
    kept = {"csrf_token": token("/settings/webhooks")}

    def submit(path: str, **form: str) -> int:
        return client.post(f"/settings/webhooks{path}", data={**kept, **form}).status_code

    def send(path: str, url: str) -> int:
        if url != url.strip() or not url:
            return 400  # a form's blanks around it are dropped, and a field left empty changes nothing
        return submit(path, name="theirs", url=url, types="feed.stale", action="save")

    refuses_to_create_and_update(public_app, net, send)
    net.names["public.example.com"] = [("10.0.0.1",)]
    assert submit("/1", action="test") == 303
    with reading(public_app.engine) as session:
        assert "not public" in session.scalars(select(DeliveryAttempt.error)).one()
    assert net.attempts == []


def test_the_command_takes_no_url_that_leads_inside(
    public_work: Work, net: Net, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATABASE_URL", public_work.settings.database_url)
    monkeypatch.setenv("TENURE_DATA", str(tmp_path))
    monkeypatch.setenv("TENURE_PRIVATE_TARGETS", "")
    for url in (*REFUSED[::10], *LEADING_INSIDE):  # each starts a command; the check behind it is the same
        refused = CliRunner().invoke(main, ["webhook", "add", "--name", "theirs", url])
        assert refused.exit_code == 1, url
        assert refused.output.startswith("Error: ")
    with reading(public_work.engine) as session:
        assert session.scalars(select(WebhookEndpoint)).all() == []
    assert net.attempts == []
