"""Signing in, one token for all, and what Salesforce's refusals mean."""

import json
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from integrations.crm.client import CrmBusy, CrmClient, CrmError, CrmNonsense, CrmRefused, Noun, Push
from integrations.crm.salesforce import connect
from integrations.crm.transport import Transport
from integrations.targets import Policy
from tests.integrations.crm.salesforce.org import Org
from tests.integrations.crm.salesforce.server import Answer, Asked, Server, serving
from tests.integrations.crm.salesforce.stage import SECRET, mapping_for, transport_for

CANARY = "canary-4711"


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server(Org())
    server.refresh_tokens.add((SECRET["client_id"], SECRET["refresh_token"]))
    with serving(server):
        yield server


def client_of(server: Server, *, options: str = "", secret: Mapping[str, str] = SECRET) -> CrmClient:
    return connect(
        transport_for(server.url), mapping_for(server.url, options), secret=secret, now=server.org.clock.timestamp
    )


def pem(key: Any) -> str:
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return str(key.private_bytes(*form).decode())


def ids(client: CrmClient) -> list[str]:
    return [id_ for part in client.list_ids(Noun.OWNER) for id_ in part]


def answering(status: int, body: Any, **headers: str) -> Any:
    """A fault: queries are answered so."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda asked: Answer(status, body, named) if "/query" in asked.path else None


class TestTokens:
    def test_ten_threads_whose_token_expired_get_one_more(self, server: Server) -> None:
        client = client_of(server)
        assert ids(client) == [server.org.user]
        server.expire_tokens()
        together = threading.Barrier(10)
        lock, refused = threading.Lock(), []

        def hold(asked: Asked) -> Answer | None:
            with lock:
                if asked.headers.get("authorization") == "Bearer 00D!token1":
                    refused.append(asked)
            return None

        server.fault = hold

        def ask(_number: int) -> list[str]:
            together.wait()
            return ids(client)

        with ThreadPoolExecutor(10) as pool:
            assert list(pool.map(ask, range(10))) == [[server.org.user]] * 10
        assert refused, "else nobody met the token that had expired"
        assert server.sign_ins == 2

    def test_ten_threads_sign_in_once_at_first(self, server: Server) -> None:
        client = client_of(server)
        with ThreadPoolExecutor(10) as pool:
            list(pool.map(lambda _: ids(client), range(10)))
        assert server.sign_ins == 1

    def test_a_refresh_token_that_was_withdrawn_is_tried_once(self, server: Server) -> None:
        server.refresh_tokens.clear()
        client = client_of(server)
        for _ in range(3):
            with pytest.raises(CrmRefused, match="does not let us in: invalid_grant"):
                ids(client)
        assert [asked.path for asked in server.asked] == ["/services/oauth2/token"]

    def test_a_token_that_is_refused_even_when_new_is_not_asked_for_again_and_again(self, server: Server) -> None:
        server.fault = answering(401, [{"errorCode": "INVALID_SESSION_ID", "message": CANARY}])
        with pytest.raises(CrmRefused, match="INVALID_SESSION_ID"):
            ids(client_of(server))
        assert server.sign_ins == 2

    def test_a_token_alone_serves_until_it_expires(self, server: Server) -> None:
        client = client_of(server, secret={"token": server.let_in()["access_token"]})
        assert ids(client) == [server.org.user]
        assert client.ask_about().user == ""
        server.expire_tokens()
        with pytest.raises(CrmRefused, match="neither a key nor a refresh token"):
            ids(client)

    def test_a_key_signs_in(self, server: Server) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        server.clients["tenure"] = key.public_key()
        secret = {"client_id": "tenure", "username": "tenure@example.com", "private_key": pem(key)}
        client = client_of(server, secret=secret)
        assert ids(client) == [server.org.user]
        about = client.ask_about()
        assert (about.user, about.version, about.currency) == ("tenure@example.com", "62.0", "USD")
        assert about.name.startswith("例 Example KK (00D")
        other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        with pytest.raises(CrmRefused, match="invalid_grant"):
            ids(client_of(server, secret={**secret, "private_key": pem(other)}))

    @pytest.mark.parametrize("key", ["no key", pem(ec.generate_private_key(ec.SECP256R1()))])
    def test_a_key_that_cannot_sign_is_said_to_be(self, server: Server, key: str) -> None:
        with pytest.raises(CrmRefused, match="private key"):
            ids(client_of(server, secret={"client_id": "tenure", "username": "t", "private_key": key}))

    def test_a_company_that_lives_at_another_url_is_refused(self, server: Server) -> None:
        elsewhere = {**server.let_in(), "instance_url": "https://other.my.salesforce.com"}
        server.fault = lambda asked: Answer(200, elsewhere) if asked.path.endswith("token") else None
        with pytest.raises(CrmRefused, match="My Domain"):
            ids(client_of(server))
        assert not any("authorization" in asked.headers for asked in server.asked)

    @pytest.mark.parametrize("body", [[], {}, {"access_token": 7}, b"<html>"])
    def test_an_answer_without_a_token_is_refused(self, server: Server, body: Any) -> None:
        server.fault = lambda asked: Answer(200, body) if asked.path.endswith("token") else None
        with pytest.raises(CrmNonsense):
            ids(client_of(server))


class TestRefusals:
    def test_a_days_calls_used_up_say_until_midnight(self, server: Server) -> None:
        server.org.clock = datetime(2026, 3, 10, 18, 30, tzinfo=UTC)
        client = client_of(server, options="api_share = 1.0")
        ids(client)
        server.daily_limit = server.used
        with pytest.raises(CrmBusy, match="used up for today") as busy:
            ids(client)
        assert busy.value.retry_after_seconds == 5.5 * 3600

    def test_what_it_says_to_wait_is_believed(self, server: Server) -> None:
        server.fault = answering(403, [{"errorCode": "REQUEST_LIMIT_EXCEEDED"}], Retry_After="90")
        with pytest.raises(CrmBusy) as busy:
            ids(client_of(server))
        assert busy.value.retry_after_seconds == 90

    def test_the_last_fifth_of_the_days_calls_is_left_to_others(self, server: Server) -> None:
        server.daily_limit, server.used = 100, 79
        client = client_of(server)
        assert ids(client) == [server.org.user]  # the 80th
        assert ids(client) == [server.org.user]  # the 81st, after which we know
        with pytest.raises(CrmBusy, match="81 of the 100 calls"):
            ids(client)
        assert server.used == 81

    @pytest.mark.parametrize(
        ("status", "body", "kind", "said"),
        [
            (403, [{"errorCode": "API_DISABLED_FOR_ORG", "message": CANARY}], CrmRefused, "API_DISABLED_FOR_ORG"),
            (400, [{"errorCode": "MALFORMED_QUERY", "message": CANARY}], CrmError, "MALFORMED_QUERY"),
            (400, [{"errorCode": "X", "fields": ["Name", f"<{CANARY}>"]}], CrmError, r"400 X \(Name\)"),
            (400, [{"errorCode": f"<b>{CANARY}"}], CrmError, "400 without a reason"),
            (500, [{"errorCode": "UNKNOWN_EXCEPTION", "message": CANARY}], CrmBusy, "UNKNOWN_EXCEPTION"),
            (400, [{"errorCode": "UNABLE_TO_LOCK_ROW", "message": CANARY}], CrmBusy, "UNABLE_TO_LOCK_ROW"),
            (418, {"message": CANARY}, CrmError, "418"),
            (400, [], CrmError, "400"),
            (500, b"<html>", CrmNonsense, "not JSON"),
        ],
    )
    def test_each_is_told_by_its_code_and_never_in_its_words(
        self, server: Server, status: int, body: Any, kind: type[CrmError], said: str
    ) -> None:
        server.fault = answering(status, body)
        with pytest.raises(kind, match=said) as raised:
            ids(client_of(server))
        assert CANARY not in str(raised.value)

    def test_no_secret_stands_in_what_is_raised_or_shown(self, server: Server) -> None:
        client = client_of(server)
        ids(client)
        server.fault = answering(400, [{"errorCode": "MALFORMED_QUERY"}])
        with pytest.raises(CrmError) as raised:
            ids(client)
        shown = repr((client, raised.value, vars(client)))
        assert not any(secret in shown for secret in (*SECRET.values(), "00D!token1"))


def test_the_version_of_the_api_and_the_window_are_options(server: Server) -> None:
    client = client_of(server, options='version = "59.0"\nlag_seconds = 60\noverlap_seconds = 120')
    ids(client)
    assert server.asked[-1].path == "/services/data/v59.0/query"
    assert (client.lag_seconds, client.overlap_seconds) == (60, 120)


@pytest.mark.parametrize(
    ("headers", "secret", "is_genuine"),
    [
        ({"X-Tenure-Doorbell": "ring"}, "ring", True),
        ({"x-tenure-doorbell": "ring"}, "ring", True),
        ({"X-Tenure-Doorbell": "rin"}, "ring", False),
        ({"X-Tenure-Doorbell": "rïng"}, "ring", False),
        ({"X-Tenure-Doorbell": ""}, "", False),
        ({}, "", False),
        ({}, "ring", False),
    ],
)
def test_a_push_is_known_by_the_secret_that_was_shared(
    server: Server, headers: dict[str, str], secret: str, is_genuine: bool
) -> None:
    push = Push("POST", "https://tenure.example.com/api/crm", headers, json.dumps({}).encode())
    assert client_of(server).is_genuine(push, secret=secret, now=server.org.clock) is is_genuine


def test_a_transport_may_not_reach_what_the_operator_did_not_allow() -> None:
    with pytest.raises(CrmError, match="cannot be reached"):
        Transport("http://127.0.0.1:1", policy=Policy())
