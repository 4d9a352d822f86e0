"""kill -9 at every page of a sync and at four points of each: the next sweep goes on, and the ledger is the same."""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, func, select

from app.db import make_engine, reading
from app.models.deals import DealVersion
from app.models.versions import Change
from integrations.crm.client import Noun, Page, Window
from jobs import sync_crm
from tests.databases import copied, figures
from tests.installation import work_on
from tests.integrations.crm.stories import ToldDeal, ToldLine
from tests.integrations.crm.story_crm import StoryClient, StoryCrm, StoryStage, days
from tests.jobs.crm_world import connect_story
from tests.processes import start

PAGES, OF = 20, 12
POINTS = ("asking for it", "its rows are written", "its mark is written", "it is committed")
SOME = [page for page in range(1, PAGES + 1) if page in {1, 11, PAGES}]
CORE = (ToldLine("CORE", Decimal(1200)),)


def tell_story() -> StoryCrm:
    """240 deals of five companies on 20 pages: won, open and lost, renewals, a cancellation, one that is refused."""
    crm = StoryCrm(page_size=OF)
    stage = StoryStage(crm)
    stage.create_product("Core", sku="CORE")
    companies = [stage.create_company(f"Company {n}") for n in range(5)]
    for n in range(PAGES * OF):
        type_ = {0: "renewal", 7: "cancellation"}.get(n % 40, "new")
        told = ToldDeal(
            "nobody" if n == 33 else companies[n % 5],
            f"Deal {n}",
            CORE,
            stage=("won", "won", "open", "lost")[n % 4] if type_ == "new" else "won",
            type=type_,
            closed_on=days(n),
            cancels_on=days(n + 30) if type_ == "cancellation" else None,
            promises=(("goal", f"Goal {n}"),) if n % 10 == 0 else (),
        )
        stage.create_deal(told)
    crm.clock += timedelta(hours=1)
    return crm


@dataclass(frozen=True, slots=True)
class MortalClient(StoryClient):
    """Takes the process with it when the given page of deals is asked for (0: never)."""

    dies_at: int = 0

    def read(self, noun: Noun, window: Window, *, mark: str | None = None) -> Iterator[Page[Any]]:
        for number, page in enumerate(StoryClient.read(self, noun, window, mark=mark), start=1):
            if noun is Noun.DEAL and number == self.dies_at:
                die()
            yield page


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def sync(engine: Engine, client: StoryClient) -> None:
    asked = sync_crm.Asked(tell=lambda _said: None)
    work = work_on(engine, clock=lambda: client.crm.clock)
    assert sync_crm.sync_crms(work, asked, connect=lambda _work, _connection: client).failed == 0


def sync_and_die(url: str, page: int, point: str) -> None:
    """What a process of its own does: sync up to the page, and be killed there."""
    seen = 0

    def at_page(function: Any, *, is_noun: Any) -> Any:
        def wrapped(*arguments: Any, **named: Any) -> Any:
            nonlocal seen
            result = function(*arguments, **named)
            if is_noun(arguments):
                seen += 1
                if seen == page:
                    die()
            return result

        return wrapped

    client = MortalClient(tell_story(), dies_at=page if point == POINTS[0] else 0)
    if point == POINTS[1]:
        sync_crm.record_page = at_page(sync_crm.record_page, is_noun=lambda given: given[1] is Noun.DEAL)
    if point == POINTS[2]:
        sync_crm.advance_cursor = at_page(sync_crm.advance_cursor, is_noun=lambda given: given[1].noun is Noun.DEAL)
    if point == POINTS[3]:
        progress = at_page(sync_crm._tell_progress, is_noun=lambda given: given[1] is Noun.DEAL)
        sync_crm._tell_progress = progress
    engine = make_engine(url)
    try:
        sync(engine, client)
    finally:
        engine.dispose()


def outcome(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """All that was recorded, but for how often things were asked for."""
    found = figures(engine)
    del found["sync_cursors"]
    return found


@pytest.fixture
def ready(engine: Engine) -> Engine:
    connect_story(engine, tell_story().clock)
    return engine


@pytest.mark.one_database
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize(
    "page", [page if page in SOME else pytest.param(page, marks=pytest.mark.slow) for page in range(1, PAGES + 1)]
)
def test_a_sync_that_is_killed_is_gone_on_with_and_comes_to_the_same(ready: Engine, page: int, point: str) -> None:
    with copied(ready) as golden:
        sync(golden, StoryClient(tell_story()))
        expected = outcome(golden)
    url = ready.url.render_as_string(hide_password=False)
    ready.dispose()
    killed = start(sync_and_die, url, page, point)
    killed.join(120)
    assert killed.exitcode == -signal.SIGKILL
    done = page if point == POINTS[3] else page - 1
    with reading(ready) as session:
        recorded = session.scalar(select(func.count()).where(DealVersion.superseded_change_id.is_(None)))
        assert recorded == done * OF - (done * OF > 33), "what was committed is what was read"
    sync(ready, StoryClient(tell_story()))
    assert outcome(ready) == expected
    with reading(ready) as session:
        assert session.scalar(select(func.count()).where(Change.recorded_at.is_(None))) == 0


@pytest.mark.slow
def test_twelve_thousand_deals_of_one_millisecond_are_all_there_once(engine: Engine, tmp_path: Path) -> None:
    crm = StoryCrm(page_size=500)
    stage = StoryStage(crm)
    stage.create_product("Core", sku="CORE")
    company = stage.create_company("Borealis GmbH")
    told = [ToldDeal(company, f"Deal {n}", stage="open" if n % 10 else "won", lines=CORE) for n in range(25_000)]
    ids = [stage.create_deal(each) for each in told[:6_500]]
    ids += stage.create_at_once(told[6_500:18_500])
    ids += [stage.create_deal(each) for each in told[18_500:]]
    crm.clock += timedelta(hours=1)
    connect_story(engine, crm.clock)
    sync(engine, StoryClient(crm))
    with reading(engine) as session:
        count, distinct = session.execute(select(func.count(), func.count(DealVersion.deal_id.distinct()))).one()
    assert (count, distinct, len(set(ids))) == (25_000, 25_000, 25_000)
