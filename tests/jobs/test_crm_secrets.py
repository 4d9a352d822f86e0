"""What lets us into a CRM: encrypted at rest, in no log, and kept when the CRM exchanges a part of it."""

import logging
import os
import signal
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

from app.db import make_engine, reading, transaction
from app.models.crm import CrmConnection
from app.queries.crm import find_connection
from app.services.crm import NewConnection, NewSecret, create_connection, open_secret, replace_secret
from app.services.secrets import Keyring
from integrations.crm import registry
from integrations.crm.transport import Limits, Transport
from jobs.sync_crm import Asked, CrmSynced, connect_over_network, sync_crms
from jobs.work import Work
from tests.databases import everything
from tests.installation import work_on
from tests.integrations.crm.hubspot import fake as hubspot
from tests.integrations.crm.hubspot_stage import PromptHubspot
from tests.integrations.crm.salesforce import server as salesforce
from tests.integrations.crm.salesforce.org import Org
from tests.integrations.crm.salesforce.stage import SECRET as SALESFORCE_SECRET
from tests.processes import start

KINDS = ("hubspot", "salesforce")
TOKEN_PATHS = ("/oauth/v1/token", "/services/oauth2/token")
PROMPT = {
    kind: replace(adapter, limits=Limits(deadline_seconds=20.0, tries=2)) for kind, adapter in registry.ADAPTERS.items()
}


@dataclass
class Crm:
    """One that gives every refresh token for a single use."""

    kind: str
    url: str
    secret: Mapping[str, str]
    fake: Any

    @property
    def clock(self) -> datetime:
        at: datetime = self.fake.records.clock if self.kind == "hubspot" else self.fake.org.clock
        return at

    @property
    def renewals(self) -> int:
        return int(self.fake.renewals if self.kind == "hubspot" else self.fake.sign_ins)

    @property
    def newest(self) -> str:
        """The refresh token that would be taken now."""
        if self.kind == "hubspot":
            return str(self.fake.refresh_token)
        ((_, token),) = self.fake.refresh_tokens
        return str(token)

    @property
    def connection(self) -> NewConnection:
        return NewConnection(f'kind = "{self.kind}"\nsystem = "crm"\nurl = "{self.url}"', self.secret)


@contextmanager
def opened(kind: str) -> Iterator[Crm]:
    if kind == "hubspot":
        fake = PromptHubspot()
        fake.is_rotating = True
        with hubspot.serving(fake) as url:
            yield Crm(kind, url, hubspot.SECRET, fake)
    else:
        server = salesforce.Server(Org())
        server.is_rotating = True
        server.refresh_tokens.add((SALESFORCE_SECRET["client_id"], SALESFORCE_SECRET["refresh_token"]))
        with salesforce.serving(server) as url:
            yield Crm(kind, url, SALESFORCE_SECRET, server)


@pytest.fixture(params=KINDS)
def crm(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Crm]:
    monkeypatch.setattr(registry, "ADAPTERS", PROMPT)
    with opened(request.param) as crm:
        yield crm


@pytest.fixture
def work(engine: Engine, tmp_path: Path, crm: Crm) -> Work:
    work = _work(engine, tmp_path, crm.clock)
    with transaction(engine) as session:
        keyring = Keyring.of(work.settings)
        create_connection(session, crm.connection, keyring=keyring, actor="command", at=crm.clock)
    return work


def _work(engine: Engine, folder: Path, now: datetime) -> Work:
    work = work_on(engine, folder=folder, clock=lambda: now)
    return replace(work, settings=replace(work.settings, private_targets=("127.0.0.1",)))


def sync(work: Work) -> CrmSynced:
    return sync_crms(work, Asked(names=("crm",), tell=lambda _said: None))


def stored(work: Work) -> dict[str, str]:
    with reading(work.engine) as session:
        connection = find_connection(session, "crm")
        assert connection is not None
        return open_secret(connection, Keyring.of(work.settings))


@pytest.mark.one_database
def test_a_refresh_token_that_the_crm_exchanges_is_kept_encrypted(crm: Crm, work: Work) -> None:
    for renewals in (1, 2, 3):
        assert sync(work).failed == 0
        assert crm.renewals == renewals, "each sweep signs in anew, with the token that the one before was given"
        assert stored(work) == {**crm.secret, "refresh_token": crm.newest}
        assert crm.newest != crm.secret["refresh_token"]
    values = [value for rows in everything(work.engine).values() for row in rows for value in row]
    assert all(
        secret not in value for secret in (crm.newest, *crm.secret.values()) if len(secret) > 8 for value in values
    )


def sync_and_die(url: str, folder: Path, now: datetime) -> None:
    """What a process of its own does: sign in, keep what it was given, and die before it asks for anything."""
    request = Transport.request
    has_signed_in = False

    def mortal(self: Transport, method: str, path: str, **what: Any) -> Any:
        nonlocal has_signed_in
        if has_signed_in:
            os.kill(os.getpid(), signal.SIGKILL)
        reply = request(self, method, path, **what)
        has_signed_in = path in TOKEN_PATHS
        return reply

    Transport.request = mortal  # type: ignore[method-assign]
    registry.ADAPTERS = PROMPT
    sync(_work(make_engine(url), folder, now))


@pytest.mark.one_database
def test_it_is_kept_also_when_the_process_dies_right_after(crm: Crm, work: Work, tmp_path: Path) -> None:
    url = work.engine.url.render_as_string(hide_password=False)
    work.engine.dispose()
    killed = start(sync_and_die, url, tmp_path, crm.clock)
    killed.join(120)
    assert killed.exitcode == -signal.SIGKILL
    assert crm.renewals == 1
    assert stored(work)["refresh_token"] == crm.newest != crm.secret["refresh_token"]
    assert sync(work).failed == 0


@pytest.mark.one_database
def test_who_lost_the_lease_still_keeps_what_it_was_given(crm: Crm, work: Work) -> None:
    def refuse(_session: Any) -> None:
        raise LookupError("the lease has gone to somebody else")

    with pytest.raises(LookupError):
        sync(replace(work, fence=refuse))
    client = connect_over_network(replace(work, fence=refuse), _connection(work))
    assert client.ask_about().name
    assert stored(work)["refresh_token"] == crm.newest


def _connection(work: Work) -> Any:
    with reading(work.engine) as session:
        return find_connection(session, "crm")


@pytest.mark.one_database
def test_another_secret_takes_the_place_of_one_that_is_refused(crm: Crm, work: Work) -> None:
    keyring = Keyring.of(work.settings)

    def replace_by(secret: Mapping[str, str]) -> None:
        with transaction(work.engine) as session:
            replace_secret(session, NewSecret("crm", secret), keyring=keyring, actor="command", at=crm.clock)

    replace_by({**crm.secret, "refresh_token": "withdrawn"})
    assert sync(work).failed == 1
    replace_by(crm.secret)
    assert sync(work).failed == 0


def test_no_secret_of_a_crm_is_in_the_database_or_the_log(
    crm: Crm, work: Work, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        assert sync(work).failed == 0
        with transaction(work.engine) as session:  # and of what is refused, whatever the CRM repeats of it
            new = NewSecret("crm", {**crm.secret, "refresh_token": "canary-of-a-refresh-token"}, "canary-of-a-push")
            replace_secret(session, new, keyring=Keyring.of(work.settings), actor="command", at=crm.clock)
        assert sync(work).failed == 1
    canaries = [*crm.secret.values(), crm.newest, "canary-of-a-refresh-token", "canary-of-a-push"]
    canaries = [canary for canary in canaries if len(canary) > 8]
    assert len(canaries) >= 5
    held = _bytes_of(work.engine, tmp_path) + caplog.text.encode()
    assert b"crm could not be read" in held
    for canary in canaries:
        assert not [form for form in (canary.encode(), canary.encode().hex().encode()) if form in held], canary


def _bytes_of(engine: Engine, folder: Path) -> bytes:
    """Every byte of SQLite's files; of a server's every row as text, and the ciphertexts as they are."""
    if engine.dialect.name == "sqlite":
        return b"".join(path.read_bytes() for path in folder.iterdir() if path.name.startswith("tenure.db"))
    with reading(engine) as session:
        sealed = session.execute(select(CrmConnection.secret_ciphertext, CrmConnection.push_ciphertext)).one()
    return repr(everything(engine)).encode() + b"".join(sealed)
