"""What a URL must be like, and where it may lead, before anything is sent."""

import socket
import threading
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from integrations.addresses import IANA_IPV4, IANA_IPV6
from integrations.http_client import Policy, TargetRefused, check_target
from integrations.targets import listed_network
from tests.forbidden_urls import NO_URLS, ODD_SPELLINGS

NOBODY = Policy()
LOOPBACK = Policy(private_targets=("127.0.0.1", "::1"))


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[tuple[str, ...]]]:
    """A table in the place of the resolver: for each name its answers, one after the other."""
    table: dict[str, list[tuple[str, ...]]] = {}

    def look_up(host: str, port: int, **_options: int) -> list[tuple[int, int, int, str, tuple[str | int, ...]]]:
        if host not in table:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        texts = table[host].pop(0) if len(table[host]) > 1 else table[host][0]
        return [
            (socket.AF_INET6, 1, 6, "", (text, port, 0, 0)) if ":" in text else (socket.AF_INET, 1, 6, "", (text, port))
            for text in texts
        ]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return table


def refusal(url: str, policy: Policy = NOBODY) -> str:
    with pytest.raises(TargetRefused) as refused:
        check_target(url, policy=policy)
    text = str(refused.value)
    assert text.endswith(".")
    assert text.isascii()
    assert text.isprintable()
    return text


@pytest.mark.parametrize("host", ODD_SPELLINGS)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_an_address_or_name_in_an_odd_spelling_is_refused_though_it_were_allowed(scheme: str, host: str) -> None:
    refusal(f"{scheme}://{host}/", Policy(private_targets=("0.0.0.0/0", "::/0", "localhost", "example.com")))


@pytest.mark.parametrize("url", NO_URLS)
def test_what_is_not_one_plain_url_is_refused(url: str, resolver: dict[str, list[tuple[str, ...]]]) -> None:
    resolver["hooks.example.com"] = [("93.184.215.14",)]
    refusal(url, LOOPBACK)


@pytest.mark.parametrize("block", [block for block, _ in (*IANA_IPV4, *IANA_IPV6)])
def test_a_special_range_is_refused_written_out_and_looked_up(
    block: str, resolver: dict[str, list[tuple[str, ...]]]
) -> None:
    address = block.partition("/")[0]
    resolver["hooks.example.com"] = [(address,)]
    assert "not public" in refusal("https://hooks.example.com/")
    assert "not public" in refusal(f"https://[{address}]/" if ":" in address else f"https://{address}/")


@pytest.mark.parametrize(
    "answers",
    [("93.184.215.14", "10.0.0.1"), ("10.0.0.1", "93.184.215.14"), ("2606:4700::1", "::1"), ("8.8.8.8", "fe80::1%2")],
)
def test_one_address_that_is_not_public_is_enough(
    answers: tuple[str, ...], resolver: dict[str, list[tuple[str, ...]]]
) -> None:
    resolver["hooks.example.com"] = [answers]
    text = refusal("https://hooks.example.com/")
    assert not any(answer in text for answer in answers)


def test_a_public_host_is_taken_with_every_address_it_has(resolver: dict[str, list[tuple[str, ...]]]) -> None:
    resolver["hooks.example.com"] = [("2606:4700::1", "93.184.215.14", "93.184.215.14")]
    target = check_target("HTTPS://Hooks.Example.com:8443/in?key=1", policy=NOBODY)
    assert (target.scheme, target.host, target.port) == ("https", "hooks.example.com", 8443)
    assert target.path == "/in?key=1"
    assert target.addresses == (ip_address("2606:4700::1"), ip_address("93.184.215.14"))
    assert target.origin == "https://hooks.example.com:8443"


@pytest.mark.parametrize(
    ("url", "origin", "path"),
    [
        ("https://8.8.8.8", "https://8.8.8.8", "/"),
        ("https://8.8.8.8?a", "https://8.8.8.8", "/?a"),
        ("https://8.8.8.8:443/%0d%0a", "https://8.8.8.8", "/%0d%0a"),
        ("https://[2606:4700:0:0::1]:8443/a/../b", "https://[2606:4700::1]:8443", "/a/../b"),
    ],
)
def test_an_address_in_its_usual_form_is_taken(url: str, origin: str, path: str) -> None:
    target = check_target(url, policy=NOBODY)
    assert (target.origin, target.path) == (origin, path)


def test_http_is_for_the_operators_list_only(resolver: dict[str, list[tuple[str, ...]]]) -> None:
    resolver["hooks.example.com"] = [("93.184.215.14",)]
    assert "Use https" in refusal("http://hooks.example.com/", LOOPBACK)
    assert "Use https" in refusal("http://8.8.8.8/", LOOPBACK)
    assert check_target("http://127.0.0.1/", policy=LOOPBACK).port == 80
    resolver["both.example.com"] = [("93.184.215.14", "127.0.0.1")]
    assert "Use https" in refusal("http://both.example.com/", LOOPBACK)


def test_a_network_or_a_name_on_the_list_may_be_reached_and_nothing_beside_it(
    resolver: dict[str, list[tuple[str, ...]]],
) -> None:
    resolver |= {name: [("10.1.2.3",)] for name in ("receiver", "hooks.internal", "other.internal")}
    named = Policy(private_targets=("Hooks.Internal", "receiver"))
    assert check_target("http://hooks.internal/", policy=named).addresses == (ip_address("10.1.2.3"),)
    assert check_target("http://RECEIVER/", policy=named).host == "receiver"
    refusal("https://other.internal/", named)
    refusal("https://a.hooks.internal/", named)
    refusal("https://10.1.2.3/", named)
    network = Policy(private_targets=("10.1.0.0/16",))
    assert check_target("https://other.internal/", policy=network).host == "other.internal"
    refusal("https://10.2.0.0/", network)
    refusal("https://[::ffff:10.1.2.3]/", network)


@pytest.mark.parametrize("entry", ["10.0.0.1/8", "10.0.0.0/33", "127.1", "a b", "*.internal", "2130706433", ""])
def test_an_entry_of_the_list_that_is_neither_network_nor_name_is_an_error(entry: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        listed_network(entry)


def test_a_name_that_is_unknown_is_said_to_be(resolver: dict[str, list[tuple[str, ...]]]) -> None:
    assert refusal("https://nowhere.example.com/") == "The host name nowhere.example.com could not be found."
    resolver["empty.example.com"] = [()]
    assert "could not be found" in refusal("https://empty.example.com/")


@pytest.fixture
def stuck_resolver(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    going_on = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_words, **_options: going_on.wait(30) and [])
    yield
    going_on.set()


@pytest.mark.usefixtures("stuck_resolver")
def test_a_resolver_that_hangs_is_given_up_and_so_are_many_of_them() -> None:
    for _ in range(40):  # more than there may be at once
        text = refusal("https://slow.example.com/", Policy(exchange_seconds=0.01))
        assert text == "The host name slow.example.com could not be looked up in time."
    assert sum(thread.name == "look-up" for thread in threading.enumerate()) <= 32
