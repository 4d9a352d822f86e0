"""Settings: the only reader of the environment.

What belongs to an installation (where the database is, the secret) is here. What belongs to the
company (reporting currency, margins, grace) is stored in the database with versions, because
figures depend on it.
"""

import contextlib
import os
import secrets
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from app.errors import Misconfigured
from integrations.targets import listed_network

MINIMUM_SECRET_LENGTH = 32
DEMO_RECEIVER_HOST = "127.0.0.1"  # of `tenure demo-receiver`

NO_PUBLIC_URL = (
    "TENURE_PUBLIC_URL is not set, so messages carry no links. Set it, for web and workers, to the address under "
    "which people reach the service, as https://tenure.example.com."
)


@dataclass(frozen=True, slots=True)
class Settings:
    database_url: str = field(repr=False)  # with its password
    secret_key: str = field(repr=False)
    data_folder: Path
    is_production: bool
    trusted_hosts: tuple[str, ...]
    port: int
    public_url: str | None = None  # under which people reach the service; without it messages carry no links
    private_targets: tuple[str, ...] = ()  # networks and hosts that webhooks may reach though they are not public
    proxies: int = 0  # reverse proxies in front, each of which says whom it speaks for in X-Forwarded-For
    old_secret_keys: tuple[str, ...] = field(default=(), repr=False)  # what was encrypted under these can still be read

    @classmethod
    def from_env(cls, environ: Mapping[str, str] = os.environ) -> Self:
        """Read TENURE_* and the customary DATABASE_URL and PORT; refuse what would be unsafe."""
        folder = Path(environ.get("TENURE_DATA", "var"))
        is_production = _is_production(environ.get("TENURE_ENV", "development"))
        return cls(
            database_url=_database_url(environ.get("DATABASE_URL") or f"sqlite:///{folder / 'tenure.db'}"),
            secret_key=_secret_key(environ.get("TENURE_SECRET_KEY"), folder, is_production=is_production),
            data_folder=folder,
            is_production=is_production,
            trusted_hosts=tuple(environ.get("TENURE_TRUSTED_HOSTS", "127.0.0.1,localhost").split(",")),
            port=(port := _port(environ.get("PORT", "8000"))),
            public_url=_public_url(
                environ.get("TENURE_PUBLIC_URL") or (None if is_production else f"http://127.0.0.1:{port}")
            ),
            private_targets=_private_targets(
                environ.get("TENURE_PRIVATE_TARGETS", "" if is_production else DEMO_RECEIVER_HOST)
            ),
            proxies=_proxies(environ.get("TENURE_PROXIES") or "0"),
            old_secret_keys=_listed(environ.get("TENURE_OLD_SECRET_KEYS", "")),
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the service runs without, and what to set; said wherever it is started."""
        return () if self.public_url else (NO_PUBLIC_URL,)


def _is_production(environment: str) -> bool:
    """A slip of the pen must not serve production without its protections."""
    if environment not in {"development", "production"}:
        raise Misconfigured(f"TENURE_ENV must be development or production, not {environment!r}.")
    return environment == "production"


def _database_url(url: str) -> str:
    if url.startswith("postgres://"):
        url = "postgresql://" + url.removeprefix("postgres://")
    if not url.startswith(("sqlite:///", "postgresql://", "postgresql+psycopg://")):
        raise Misconfigured("DATABASE_URL must begin with sqlite:/// or postgresql://.")
    return url


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise Misconfigured(f"PORT must be a number from 1 to 65535, not {text!r}.")
    return int(text)


def _proxies(text: str) -> int:
    if not text.isdecimal() or int(text) > 9:
        raise Misconfigured(f"TENURE_PROXIES must be how many reverse proxies are in front, 0 to 9, not {text!r}.")
    return int(text)


def _public_url(url: str | None) -> str | None:
    """In production nobody can guess it, and a link to a wrong host is worse than none."""
    if url is None:
        return None
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise Misconfigured(f"TENURE_PUBLIC_URL must look like https://tenure.example.com, not {url!r}.")
    return url.rstrip("/")


def _listed(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _private_targets(text: str) -> tuple[str, ...]:
    """A mistyped network must not be taken for a host name, nor be found out at the first delivery."""
    entries = _listed(text)
    for entry in entries:
        try:
            listed_network(entry)
        except ValueError:
            raise Misconfigured(
                f"TENURE_PRIVATE_TARGETS holds networks like 10.1.0.0/16 and host names, not {entry!r}."
            ) from None
    return entries


def _secret_key(given: str | None, folder: Path, *, is_production: bool) -> str:
    """The given secret; outside production one is made once and kept beside the database."""
    if given is not None and len(given) >= MINIMUM_SECRET_LENGTH:
        return given
    if is_production or given is not None:
        raise Misconfigured(
            f"TENURE_SECRET_KEY must be set to at least {MINIMUM_SECRET_LENGTH} random characters, for example the "
            "output of: python -c 'import secrets; print(secrets.token_urlsafe(48))'"
        )
    path = folder / "secret_key"
    if not path.exists():
        _write_once(path, secrets.token_urlsafe(48))
    return path.read_text()


def _write_once(path: Path, text: str) -> None:
    """Create the file whole and readable by its owner only, or leave the one that another process made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "w") as file:
        file.write(text)
    with contextlib.suppress(FileExistsError):
        os.link(name, path)
    Path(name).unlink()
