"""Guessing passwords is slow: each failed log-in makes the next wait longer, and none waits for ever.

Failures are counted in the database, so that every process counts the same ones, by the address that
was tried and by the place it was tried from; both are kept as keyed digests. An attempt counts as
failed before its password is looked at: a hundred guesses at once are counted like a hundred in a row.
"""

import hashlib
import hmac
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address

from sqlalchemy import delete
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from app.errors import TooMany
from app.models.users import LoginThrottle

FORGOTTEN_AFTER = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Limit:
    """So many failures cost nothing; then the delay doubles from a second up to the longest."""

    free: int
    longest: timedelta


# An address may be attacked from many places at once, and its owner has to get in between the guesses:
# at one a minute a password of 12 characters is out of reach. A place is shared by colleagues.
LIMITS = {"address": Limit(5, timedelta(minutes=1)), "place": Limit(20, timedelta(minutes=15))}


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt to log in, as the digests that it counts for."""

    keys: Mapping[bytes, Limit]
    address: bytes


def describe_attempt(secret: str, *, email: str, place: str) -> Attempt:
    """What an attempt counts for. Without the secret nobody can tell from a digest whose it is."""
    said = {"address": email.strip().lower(), "place": _network(place)}
    digests = {kind: _digest(secret, f"login {kind} {text}") for kind, text in said.items()}
    return Attempt({digests[kind]: limit for kind, limit in LIMITS.items()}, digests["address"])


def _digest(secret: str, text: str) -> bytes:
    return hmac.new(secret.encode(), text.encode("utf-8", "replace"), hashlib.sha256).digest()


def _network(place: str) -> str:
    """Whoever has one IPv6 address has the 64 bits behind its prefix too; a port is another with each connection."""
    host = _without_port(place)
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, IPv6Address) and address.ipv4_mapped is None:
        return str(IPv6Address(int(address) >> 64 << 64))
    return str(getattr(address, "ipv4_mapped", None) or address)


def _without_port(place: str) -> str:
    """The address of `1.2.3.4:567` and of `[::1]:567`, which some proxies send; what has no port stays as it is."""
    if place.startswith("["):
        return place[1:].partition("]")[0]
    host, _, port = place.partition(":")
    return host if port.isdecimal() else place  # an IPv6 address has more colons


def delay(failures: int, limit: Limit) -> timedelta:
    """How long after the last of so many failures the next attempt has to wait: 0, ..., 0, 1 s, 2 s, 4 s, ..."""
    beyond = failures - limit.free
    if beyond < 0:
        return timedelta()
    return min(timedelta(seconds=2.0 ** min(beyond, 30)), limit.longest)


def claim_attempt(session: Session, attempt: Attempt, *, now: datetime) -> None:
    """Count the attempt as failed, to be taken back by `forgive_attempt`. Raises TooMany while it has to wait.

    An attempt that is refused does not count: who waits as told gets in.
    """
    rows = _locked(session, attempt, now=now)
    wait = max(_wait(row, attempt.keys[row.key], now=now) for row in rows)
    if wait > timedelta():
        seconds = math.ceil(wait.total_seconds())
        raise TooMany(f"Too many attempts to log in; try again in {seconds} seconds.", retry_after_seconds=seconds)
    for row in rows:
        is_forgotten = now - row.last_failed_at >= FORGOTTEN_AFTER
        row.failures = 1 if is_forgotten else row.failures + 1
        row.last_failed_at = now
        row.blocked_until = now + delay(row.failures, attempt.keys[row.key])
    session.flush()


def _wait(row: LoginThrottle, limit: Limit, *, now: datetime) -> timedelta:
    """None is longer than the longest: then the clock was set back since."""
    left = timedelta() if row.blocked_until is None else row.blocked_until - now
    return left if left <= limit.longest else timedelta()


def _locked(session: Session, attempt: Attempt, *, now: datetime) -> list[LoginThrottle]:
    """The rows of the attempt, in one order for everybody, so that nobody waits in a circle."""
    keys = sorted(attempt.keys)
    first = [{"key": key, "failures": 0, "last_failed_at": now, "blocked_until": None} for key in keys]
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    session.execute(insert(LoginThrottle).on_conflict_do_nothing(), first)
    rows = [session.get(LoginThrottle, key, with_for_update=True, populate_existing=True) for key in keys]
    return [row for row in rows if row is not None]


def forgive_attempt(session: Session, attempt: Attempt, *, now: datetime) -> None:
    """The password was right: its address has no failures any more, and its place one less."""
    for row in _locked(session, attempt, now=now):
        row.failures = 0 if row.key == attempt.address else max(row.failures - 1, 0)
        row.blocked_until = None
    session.execute(delete(LoginThrottle).where(LoginThrottle.last_failed_at < now - FORGOTTEN_AFTER))
