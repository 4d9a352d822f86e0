"""What may be reached: a URL read strictly, its host looked up once, every address of it admitted or none."""

import contextlib
import queue
import re
import socket
import threading
import time
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from integrations.addresses import Address, Network, special_purpose

URL_CHARACTERS = 2_000
USUAL_PORTS = {"https": 443, "http": 80}
# A look-up cannot be broken off; those that hang are few, and each of them ends by the resolver's own patience.
_LOOK_UPS = threading.BoundedSemaphore(32)

_VISIBLE = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
_URL = re.compile(
    r"(?P<scheme>https?)://(?P<user>[^/?#]*@)?(?P<host>\[[0-9a-f:.]+\]|[0-9a-z._-]+)(?::(?P<port>[1-9][0-9]{0,4}))?"
    r"(?P<path>/[^?#]*)?(?P<query>\?[^#]*)?(?P<fragment>#.*)?",
    re.IGNORECASE,
)
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")  # what some readers of addresses take for a part of one


class TargetRefused(Exception):
    """Nothing is sent there; the message says why, in a sentence fit for whoever entered the URL."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What the operator allows: networks and host names that may be reached though they are not public."""

    private_targets: tuple[str, ...] = ()
    exchange_seconds: float = 15.0

    def is_listed(self, host: str, address: Address) -> bool:
        return any(
            host == entry.lower() if (network := listed_network(entry)) is None else address in network
            for entry in self.private_targets
        )


def listed_network(entry: str) -> Network | None:
    """The network of an entry of the operator's list; None for a host name. ValueError if it is neither."""
    if _is_host_name(entry.lower()):
        return None
    return ip_network(entry)


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that was checked, with the addresses that its host had then."""

    scheme: str
    host: str
    port: int
    path: str
    addresses: tuple[Address, ...]
    look_up_seconds: float = 0.0

    @property
    def origin(self) -> str:
        """Scheme, host and port: what may be shown of a URL that can be a secret."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        is_usual = self.port == USUAL_PORTS[self.scheme]
        return f"{self.scheme}://{host}" + ("" if is_usual else f":{self.port}")


def check_target(url: str, *, policy: Policy) -> Target:
    """Read a URL, look its host up and admit it, or raise TargetRefused."""
    scheme, host, port, path = _read_url(url)
    started_at = time.monotonic()
    literal = _read_address(host)
    addresses = (literal,) if literal else _look_up(host, port, seconds=policy.exchange_seconds)
    target = Target(scheme, str(literal or host), port, path, addresses, time.monotonic() - started_at)
    admit(target, policy=policy)
    return target


def _read_url(url: str) -> tuple[str, str, int, str]:
    """Scheme, host, port and path with query of a URL in its one plain spelling."""
    if len(url) > URL_CHARACTERS:
        raise TargetRefused(f"A URL has at most {URL_CHARACTERS} characters.")
    if not _VISIBLE.fullmatch(url):
        raise TargetRefused(
            "A URL holds no spaces, control characters, backslashes or letters beyond ASCII; "
            "a host name in another script is written as xn--..."
        )
    parts = _URL.fullmatch(url)
    if parts is None:
        raise TargetRefused("That is not a URL like https://hooks.example.com/path.")
    if parts["user"] is not None:
        raise TargetRefused("A URL with a user name or password before the host is not accepted.")
    if parts["fragment"] is not None:
        raise TargetRefused("A URL with a part after # is not accepted: that part is never sent.")
    scheme = parts["scheme"].lower()
    port = int(parts["port"] or USUAL_PORTS[scheme])
    if port > 65_535:
        raise TargetRefused("A port is a number from 1 to 65535.")
    return scheme, parts["host"].lower(), port, (parts["path"] or "/") + (parts["query"] or "")


def _read_address(host: str) -> Address | None:
    """The address that a host is written as; None for a name. An odd spelling of an address is refused."""
    if _is_host_name(host):
        return None
    try:
        return IPv6Address(host[1:-1]) if host.startswith("[") else IPv4Address(host)
    except ValueError:
        raise TargetRefused(
            "The host is neither a name nor an address in its usual form, like 192.0.2.1 or [2001:db8::1]."
        ) from None


def _is_host_name(host: str) -> bool:
    labels = host.split(".")
    return len(host) <= 253 and all(_LABEL.fullmatch(label) for label in labels) and not _NUMBER.fullmatch(labels[-1])


def _look_up(host: str, port: int, *, seconds: float) -> tuple[Address, ...]:
    """Every address of a name, asked for once."""
    texts = _ask_resolver(host, port, seconds=seconds)
    if texts is None:
        raise TargetRefused(f"The host name {host} could not be looked up in time.")
    if not texts:
        raise TargetRefused(f"The host name {host} could not be found.")
    return tuple(dict.fromkeys(ip_address(text) for text in texts))


def _ask_resolver(host: str, port: int, *, seconds: float) -> list[str] | None:
    """The resolver's addresses, none if it knows none; None when the time is over."""
    ends_at = time.monotonic() + seconds
    found: queue.SimpleQueue[list[str]] = queue.SimpleQueue()

    def ask() -> None:
        try:
            answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
            found.put([str(place[0]) for family, *_, place in answers if family in {socket.AF_INET, socket.AF_INET6}])
        except (OSError, UnicodeError):
            found.put([])
        finally:
            _LOOK_UPS.release()

    if _LOOK_UPS.acquire(timeout=seconds):
        threading.Thread(target=ask, name="look-up", daemon=True).start()
        with contextlib.suppress(queue.Empty):
            return found.get(timeout=max(0.0, ends_at - time.monotonic()))
    return None


def admit(target: Target, *, policy: Policy) -> None:
    """Refuse a target of which any address is neither public nor on the operator's list."""
    listed = [policy.is_listed(target.host, address) for address in target.addresses]
    for address, is_listed in zip(target.addresses, listed, strict=True):
        if not is_listed and special_purpose(address) is not None:
            raise TargetRefused(
                f"{target.host} leads to an address that is not public; "
                "only the operator can allow that, with TENURE_PRIVATE_TARGETS."
            )
    if target.scheme == "http" and not all(listed):
        raise TargetRefused("Use https: http is for targets on the operator's list only.")
