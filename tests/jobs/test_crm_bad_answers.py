"""A CRM that answers nonsense over HTTP: nothing is deleted, the feed says why and since when, figures say so too."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient
from sqlalchemy import Engine, select

from app.cli import main
from app.config import Settings
from app.db import reading, transaction
from app.factory import create_app
from app.http import Application
from app.models.contracts import ContractLineVersion
from app.models.crm import SyncCursor
from app.queries.feeds import find_feed
from app.services.changes import recording
from app.services.crm import NewConnection, create_connection
from app.services.feeds import expect_feed, note_feed, watch_feeds
from app.services.secrets import Keyring
from app.services.tokens import WantedToken, create_token
from app.services.users import NewUser, add_user
from integrations.crm import registry
from integrations.crm.transport import Limits
from jobs.sync_crm import Asked, CrmSynced, sync_crms
from tests.installation import work_on
from tests.integrations.crm.hubspot.fake import TOKEN, Fault, serving
from tests.integrations.crm.hubspot_stage import HubspotStage, PromptHubspot, connect_to
from tests.integrations.crm.stories import ToldDeal, ToldLine
from tests.small_company import go_on_counting, publish_small_run, write_small_company
from tests.web.conftest import log_in

PASSWORD = "four quite unrelated words"
CORE = "Core"
HTML = b"<html><body>Please log in</body></html>"


@dataclass
class Installation:
    """A service with a published run, and a HubSpot of 24 won deals that it has read."""

    app: Application
    fake: PromptHubspot
    folder: Path

    @property
    def engine(self) -> Engine:
        return self.app.engine

    def sync(self, **asked: Any) -> CrmSynced:
        self.fake.wait(3600)
        work = work_on(self.engine, folder=self.folder, clock=lambda: self.fake.records.clock)
        work = replace(work, settings=self.app.settings)
        return sync_crms(work, Asked(names=("our_crm",), tell=lambda _said: None, **asked))

    def lines(self) -> list[tuple[Any, ...]]:
        line = ContractLineVersion
        statement = select(line.contract_line_id, line.amount_minor).where(line.superseded_change_id.is_(None))
        with reading(self.engine) as session:
            return sorted(map(tuple, session.execute(statement)))

    def feed(self) -> Any:
        with reading(self.engine) as session:
            return find_feed(session, kind="sync", name="our_crm")

    def ask(self, path: str) -> Any:
        with transaction(self.engine) as session:
            scopes = ["accounts:read", "finance:read"]
            at = self.app.clock()
            token = create_token(session, WantedToken("a test", scopes), actor="command", now=at).token
        answer = self.app.test_client().get(f"/api/v1{path}", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 200, answer.json
        return answer.json["meta"]["freshness"]["stale_feeds"]


@pytest.fixture
def installed(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Installation]:
    limits = Limits(deadline_seconds=20.0, tries=2)
    prompt = {kind: replace(adapter, limits=limits) for kind, adapter in registry.ADAPTERS.items()}
    monkeypatch.setattr(registry, "ADAPTERS", prompt)
    fake = PromptHubspot()
    app = create_app(replace(settings, private_targets=("127.0.0.1",)))
    app.clock = lambda: fake.records.clock
    write_small_company(app.engine)
    publish_small_run(app.engine)
    go_on_counting(app.engine)
    with serving(fake) as url:
        stage = HubspotStage(fake, connect_to(fake, url), {})
        product, company = stage.create_product(CORE, sku="CORE-1"), stage.create_company("Aoba")
        for number in range(24):
            line = ToldLine(product, Decimal(100 + number))
            stage.create_deal(ToldDeal(company, f"Deal {number}", (line,), stage="won"))
        with transaction(app.engine) as session:
            new = NewConnection(f'kind = "hubspot"\nsystem = "our_crm"\nurl = "{url}"', {"token": TOKEN})
            create_connection(session, new, keyring=Keyring.of(settings), actor="command", at=app.clock())
        yield Installation(app, fake, tmp_path)
    app.engine.dispose()


@pytest.fixture
def page(installed: Installation) -> Callable[[str], str]:
    with transaction(installed.engine) as session, recording(session, "test") as change:
        add_user(session, change, new=NewUser("Kim", "kim@example.com", PASSWORD, role="admin"))

    def show(path: str) -> str:
        browser: FlaskClient = installed.app.test_client()  # hours go by in between: nobody stays logged in
        assert log_in(browser, "kim@example.com", password=PASSWORD).status_code == 303
        answer = browser.get(path)
        assert answer.status_code == 200
        return answer.get_data(as_text=True)

    return show


def empty_list(fake: PromptHubspot) -> None:
    fake.faults += [Fault("/crm/v3/objects/deals", 200, b'{"results": []}') for _ in range(8)]


def empty_search_and_list(fake: PromptHubspot) -> None:
    fake.faults.append(Fault("/deals/search", 200, b'{"total": 0, "results": []}'))
    empty_list(fake)


def html(fake: PromptHubspot) -> None:
    fake.faults.append(Fault("/deals/search", 200, HTML, {"Content-Type": "text/html"}))


def truncated(fake: PromptHubspot) -> None:
    fake.faults.append(Fault("/deals/search", None))


def truncated_list(fake: PromptHubspot) -> None:
    fake.records.clock += timedelta(days=1)
    fake.faults.append(Fault("/deals/search", 200, b'{"total": 0, "results": []}'))
    fake.faults.append(Fault("/crm/v3/objects/deals", None))


def half_gone(fake: PromptHubspot) -> None:
    deals = fake.records.kinds["deals"]
    for id_ in sorted(deals)[:12]:
        del deals[id_]


BAD: dict[str, tuple[Callable[[PromptHubspot], None], str]] = {
    "an empty list": (empty_search_and_list, "lists no deal at all, where 24 are known"),
    "HTML": (html, "something that is not JSON"),
    "truncated JSON": (truncated, "something that is not JSON"),
    "a list cut in half": (truncated_list, "something that is not JSON"),
    "half of the deals gone": (half_gone, "12 of 24 deals are gone from our_crm; nothing was deleted"),
}


@pytest.mark.one_database
@pytest.mark.parametrize(("spoil", "reason"), BAD.values(), ids=BAD.keys())
def test_nothing_is_deleted_and_everybody_is_told(
    installed: Installation, page: Callable[[str], str], spoil: Callable[[PromptHubspot], None], reason: str
) -> None:
    assert installed.sync().failed == 0
    before, seen_at = installed.lines(), installed.feed().last_seen_at
    assert installed.ask("/accounts") == installed.ask("/revenue/arr?currency=USD") == []
    assert "stale" not in page("/accounts")
    installed.fake.wait(26 * 3600)
    spoil(installed.fake)

    assert installed.sync().failed == 1
    assert installed.lines() == before
    feed = installed.feed()
    assert reason in feed.last_error
    assert (feed.last_seen_at, feed.last_error_at > seen_at) == (seen_at, True)
    assert installed.ask("/accounts") == installed.ask("/accounts/1") == ["our_crm"]
    assert installed.ask("/revenue/arr?currency=USD") == ["our_crm"]
    known_at = (installed.app.clock() - timedelta(minutes=5)).isoformat().replace("+00:00", "Z")
    assert installed.ask(f"/revenue/arr?currency=USD&known_at={known_at}") == [], (
        "the answer of a moment stays as it is"
    )
    for path in ("/accounts", "/accounts/1", "/today"):
        assert "stale: nothing new from our_crm" in page(path)
    feeds = page("/feeds")
    assert reason.split(",", maxsplit=1)[0] in feeds
    assert "last data 27 hours ago" in feeds or "last data 2 days ago" in feeds or "last data 51 hours ago" in feeds


@pytest.mark.one_database
def test_once_it_answers_again_nothing_is_stale(installed: Installation, page: Callable[[str], str]) -> None:
    assert installed.sync().failed == 0
    html(installed.fake)
    assert installed.sync().failed == 1
    assert installed.ask("/accounts") == ["our_crm"]
    assert installed.sync().failed == 0
    assert installed.ask("/accounts") == []
    assert "stale" not in page("/accounts")


@pytest.mark.one_database
def test_a_cursor_in_the_future_is_an_alarm_that_the_operator_sees(
    installed: Installation, page: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert installed.sync().failed == 0
    with transaction(installed.engine) as session:
        for cursor in session.scalars(select(SyncCursor)):
            cursor.synced_until = installed.app.clock() + timedelta(days=400)
    assert installed.sync().failed == 1
    assert "which has not come yet" in page("/feeds")
    assert "stale: nothing new from our_crm" in page("/accounts")
    settings = installed.app.settings
    monkeypatch.setenv("DATABASE_URL", settings.database_url)
    monkeypatch.setenv("TENURE_SECRET_KEY", settings.secret_key)
    monkeypatch.setenv("TENURE_DATA", str(settings.data_folder))
    listed = CliRunner().invoke(main, ["crm", "list"]).output
    assert "which has not come yet" in listed
    assert "tenure sync --full our_crm" in listed


@pytest.mark.one_database
def test_a_feed_that_fell_silent_is_stale_and_a_file_that_failed_is_not(installed: Installation) -> None:
    at = installed.app.clock()
    with transaction(installed.engine) as session:
        note_feed(session, kind="import", name="billing", at=at, error="A file has no column.")
        note_feed(session, kind="events", name="web-app", at=at - timedelta(hours=30))
        session.flush()
    assert installed.ask("/accounts") == []
    with reading(installed.engine) as session:
        feed = find_feed(session, kind="events", name="web-app")
    assert feed is not None
    with transaction(installed.engine) as session:
        expect_feed(session, feed.id, hours=24, actor="command", at=at)
        watch_feeds(session, at=at)
    assert installed.ask("/accounts") == ["web-app"]
