"""A product stops sending its usage: through the import, the nights, the watch over the feeds and the pages."""

import csv
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select

from app.db import reading, transaction
from app.models.feeds import Feed, Incident
from app.models.scores import ModelRun, Score
from app.models.webhooks import WebhookMessage
from app.queries.explanations import load_explanations
from app.services.feeds import expect_feed
from integrations.files.mapping import load_mapping
from jobs.example_company.files import write_files
from jobs.example_company.world import World, simulate
from jobs.import_files import import_files
from jobs.import_run import Options
from jobs.nightly import run_night
from jobs.watch import watch_all_feeds
from tests.installation import work_on
from tests.web.conftest import make_app
from tests.web.own_company import client_of_role

pytestmark = pytest.mark.one_database
MAPPING = load_mapping(Path("example_company"))
SILENT_DAYS = 12  # usage is taken to be dead after 7
USAGE = frozenset({"usage_level", "usage_mean_3m", "usage_trend", "seats_used", "breadth", "days_since_use"})


def noon(day: date) -> datetime:
    return datetime.combine(day, time(12), UTC)


@dataclass(frozen=True)
class Company:
    engine: Engine
    folder: Path
    world: World
    whole_usage: Path

    @property
    def last_on(self) -> date:
        """The last day of usage that came."""
        return self.world.as_of - timedelta(days=SILENT_DAYS)

    def take_in(self, *paths: Path, feed: str, on: date) -> None:
        import_files(self.engine, MAPPING, paths=paths, options=Options(clock=lambda: noon(on), feed=feed))

    def watch(self, day: date) -> None:
        watch_all_feeds(work_on(self.engine, folder=self.folder, clock=lambda: noon(day)))


@dataclass(frozen=True)
class Shown:
    """What a night said of an account: `usage` is what its inputs of usage added to the risk."""

    health: float
    coverage: float
    usage: float
    others: tuple[float | None, ...]
    is_adoption_known: bool


@pytest.fixture(scope="module")
def world() -> World:
    return simulate(11, accounts=90, months=30)


@pytest.fixture
def company(engine: Engine, world: World, tmp_path: Path) -> Company:
    """The example company whose usage comes by the inbox and stops some days before the last; the rest goes on."""
    paths = write_files(world, tmp_path / "exports")
    usage = tmp_path / "exports" / "usage.csv"
    whole = usage.rename(tmp_path / "usage.csv")
    company = Company(engine, tmp_path, world, whole)
    with whole.open(encoding="utf-8", newline="") as file, usage.open("w", encoding="utf-8", newline="") as kept:
        header, *rows = csv.reader(file)
        csv.writer(kept).writerows([header, *(row for row in rows if row[1] <= company.last_on.isoformat())])
    company.take_in(*(path for path in paths if path.name != usage.name), feed="import", on=world.as_of)
    company.take_in(usage, feed="sync", on=company.last_on + timedelta(days=1))
    with transaction(engine) as session:
        feed = session.scalars(select(Feed).where(Feed.kind == "sync")).one()
        expect_feed(session, feed.id, hours=48, actor="command", at=noon(world.as_of))
    return company


def make_night(company: Company, day: date, *, is_again: bool = False) -> dict[int, Shown]:
    work = work_on(company.engine, folder=company.folder, clock=lambda: noon(company.world.as_of))
    run_id = run_night(work, day, is_again=is_again)["fit"]["run_id"]
    with reading(company.engine) as session:
        rows = session.execute(
            select(Score.account_id, Score.health, Score.coverage).where(
                Score.run_id == run_id, Score.health.is_not(None)
            )
        ).all()
        told = load_explanations(session, run_id=run_id, account_ids=[row.account_id for row in rows])
    return {row.account_id: _show(row.health, row.coverage, told[row.account_id]) for row in rows}


def _show(health: float, coverage: float, told: dict) -> Shown:  # type: ignore[type-arg]
    drivers = told["drivers"]
    return Shown(
        health=health,
        coverage=coverage,
        usage=sum(each["contribution"] for each in drivers if each["name"] in USAGE),
        others=tuple(each["value"] for each in drivers if each["name"] not in USAGE),
        is_adoption_known=next(each["is_known"] for each in told["dimensions"] if each["name"] == "adoption"),
    )


def test_a_dead_usage_feed_lowers_coverage_and_raises_no_score(company: Company) -> None:
    fresh_on = company.last_on + timedelta(days=7)
    before, after = make_night(company, fresh_on), make_night(company, fresh_on + timedelta(days=1))
    both = sorted(set(before) & set(after))
    assert len(both) > 60
    for account in both:
        then, now = before[account], after[account]
        assert now.coverage < then.coverage - 0.1
        assert (then.is_adoption_known, now.is_adoption_known) == (True, False)
        # A day's refit and clock move a score by a point or two; of usage nobody is spoken better of than before.
        assert now.usage > then.usage - 0.15
    spoken_ill_of = [account for account in both if before[account].usage > 0.3]
    assert len(spoken_ill_of) > 5, "whose score would rise without what was last known of them"
    assert all(after[account].usage > 0.15 for account in spoken_ill_of)
    steady = [account for account in both if all_near(before[account].others, after[account].others)]
    assert len(steady) > 20
    assert max(after[account].health - before[account].health for account in steady) < 2.5
    assert min(after[account].health - before[account].health for account in steady) < -10


def all_near(before: tuple[float | None, ...], after: tuple[float | None, ...]) -> bool:
    """The other inputs said the same on both days, but for a day more since the last contact."""
    return all(
        (a is None) == (b is None) and (a is None or b is None or abs(a - b) <= 1.0)
        for a, b in zip(before, after, strict=True)
    )


def test_it_is_one_incident_and_one_message_until_data_comes_again(company: Company) -> None:
    for days in range(1, SILENT_DAYS + 1):
        company.watch(company.last_on + timedelta(days=days))
    with reading(company.engine) as session:
        incident = session.scalars(select(Incident)).one()
        assert (incident.opened_at, incident.closed_at) == (noon(company.last_on + timedelta(days=4)), None)
        kinds = select(WebhookMessage.type, func.count()).group_by(WebhookMessage.type)
        assert dict(session.execute(kinds).all()) == {"feed.stale": 1}
    company.take_in(company.whole_usage, feed="sync", on=company.world.as_of)
    company.watch(company.world.as_of)
    with reading(company.engine) as session:
        assert session.scalars(select(Incident.closed_at)).one() == noon(company.world.as_of)


def test_the_pages_say_so_and_the_night_after_the_data_came_is_whole_again(company: Company, tmp_path: Path) -> None:
    as_of = company.world.as_of
    company.watch(as_of)
    silent = make_night(company, as_of)
    with reading(company.engine) as session:
        inputs = {each["name"]: each for each in session.scalars(select(ModelRun.report)).one()["inputs"]}
    assert {name for name, each in inputs.items() if each["feed"] == "usage"} == USAGE
    assert all(inputs[name]["known_share"] == 0 and not inputs[name]["is_fresh"] for name in USAGE)
    app = make_app(company.engine.url.render_as_string(hide_password=False), tmp_path)
    browser = client_of_role(app, "csm")
    feeds = browser.get("/feeds").text
    assert feeds.count("still open") == 1
    assert "silent since" in feeds
    assert "Silent for longer than expected: Usage." in browser.get("/model/inputs").text
    page = browser.get(f"/accounts/{max(silent, key=lambda account: silent[account].usage)}").text
    assert "as last known" in page
    app.engine.dispose()
    company.take_in(company.whole_usage, feed="sync", on=as_of)
    again = make_night(company, as_of, is_again=True)
    assert all(shown.is_adoption_known for shown in again.values())
    assert all(again[account].coverage > silent[account].coverage for account in silent)
