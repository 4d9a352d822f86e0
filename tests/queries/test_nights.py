"""Which night is to be made, by the company's clock: each once, of several missed the newest, none on half the data."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from app.db import reading, transaction
from app.models.accounts import Account
from app.models.runs import ImportRun, JobRun
from app.queries.nights import NightPlan, find_due_night, find_next_night
from app.services.changes import recording
from app.services.leases import Ending, claim_lease, release_lease
from app.services.settings import record_settings

TOKYO = ZoneInfo("Asia/Tokyo")
TWO = datetime(2026, 3, 1, 17, tzinfo=UTC)
"""Two in the morning of March 2 in Tokyo."""

DAY = date(2026, 3, 2)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
def company(engine: Engine) -> Engine:
    """In Tokyo, with an account; files and events of the last hour are in."""
    with transaction(engine) as session, recording(session, "test") as change:
        record_settings(session, change, values={"reporting_timezone": "Asia/Tokyo"})
        session.add(Account(change_id=change.id))
    end_tasks(engine, at=TWO + 30 * timedelta(seconds=1))
    return engine


def end_tasks(engine: Engine, *, at: datetime, names: tuple[str, ...] = ("sync", "roll_up")) -> None:
    with transaction(engine) as session:
        for name in names:
            lease = claim_lease(session, name, holder="a test", now=at)
            assert lease is not None
            release_lease(session, lease, now=at, ending=Ending())


def due(engine: Engine, now: datetime) -> date | None:
    with reading(engine) as session:
        return find_due_night(session, now=now)


def make(engine: Engine, day: date, *, finished_at: datetime | None = TWO) -> None:
    with transaction(engine) as session:
        session.add(JobRun(task="nightly", scheduled_for=day, known_at=TWO, started_at=TWO, finished_at=finished_at))


def test_a_night_is_due_from_its_hour_on_until_it_is_made(company: Engine) -> None:
    make(company, DAY - timedelta(days=1))
    assert due(company, TWO - MINUTE) is None
    assert due(company, TWO + MINUTE) == DAY
    make(company, DAY)
    assert due(company, TWO + MINUTE) is None
    with reading(company) as session:
        assert find_next_night(session, now=TWO + MINUTE) == TWO + timedelta(days=1)


def test_of_the_nights_that_were_missed_the_newest_is_made_up(company: Engine) -> None:
    make(company, DAY)
    later = TWO + timedelta(days=5, hours=9)
    end_tasks(company, at=later)
    assert due(company, later + MINUTE) == DAY + timedelta(days=5)


def test_one_that_began_and_died_is_still_due(company: Engine) -> None:
    make(company, DAY, finished_at=None)
    assert due(company, TWO + MINUTE) == DAY


def test_a_clock_set_back_asks_for_no_night_that_was_made(company: Engine) -> None:
    for days in range(3):
        make(company, DAY - timedelta(days=days))
    assert due(company, TWO - timedelta(days=1, hours=-1)) is None


def test_before_the_first_account_there_is_nothing_to_make(engine: Engine) -> None:
    end_tasks(engine, at=TWO + HOUR)
    assert due(engine, TWO + 2 * HOUR) is None


def test_it_waits_for_what_brings_its_data_in_but_not_for_ever(company: Engine) -> None:
    make(company, DAY)
    tomorrow = TWO + timedelta(days=1)
    assert due(company, tomorrow + MINUTE) is None, "neither has run since two"
    end_tasks(company, at=tomorrow + MINUTE, names=("sync",))
    assert due(company, tomorrow + 2 * MINUTE) is None, "events are not rolled up yet"
    with transaction(company) as session:
        stuck = claim_lease(session, "roll_up", holder="a test", now=tomorrow + MINUTE, lasts=3 * HOUR)
        assert stuck is not None
    assert due(company, tomorrow + HOUR) is None
    assert due(company, tomorrow + 2 * HOUR) == DAY + timedelta(days=1)


def test_it_waits_for_an_import_that_a_person_started(company: Engine) -> None:
    run = ImportRun(system="crm", mapping="crm", files=[], started_at=TWO, finished_at=None, report={})
    with transaction(company) as session:
        session.add(run)
    assert due(company, TWO + MINUTE) is None
    assert due(company, TWO + 2 * HOUR) == DAY, "it died, it seems"
    with transaction(company) as session:
        session.add(ImportRun(system="crm", mapping="crm", files=[], started_at=TWO, finished_at=TWO, report={}))
    assert due(company, TWO + MINUTE) == DAY, "the next of its system has ended"


def test_the_hour_is_the_companys_and_can_be_none(company: Engine) -> None:
    make(company, DAY - timedelta(days=1))
    with transaction(company) as session, recording(session, "test") as change:
        record_settings(session, change, values={"night_at": "04:30"})
    assert due(company, TWO + 2 * HOUR) is None
    end_tasks(company, at=TWO + 3 * HOUR)
    assert due(company, TWO + 3 * HOUR) == DAY
    with transaction(company) as session, recording(session, "test") as change:
        record_settings(session, change, values={"night_at": "off"})
    assert due(company, TWO + 3 * HOUR) is None
    with reading(company) as session:
        assert find_next_night(session, now=TWO) is None


@pytest.mark.parametrize(
    ("day", "begins_at"),
    [
        (date(2026, 3, 28), datetime(2026, 3, 28, 1, 30, tzinfo=UTC)),
        (date(2026, 3, 29), datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),  # half past two does not come
        (date(2026, 10, 25), datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),  # it comes twice
        (date(2026, 10, 26), datetime(2026, 10, 26, 1, 30, tzinfo=UTC)),
    ],
)
def test_the_day_on_which_clocks_change_has_one_night(day: date, begins_at: datetime) -> None:
    plan = NightPlan(time(2, 30), ZoneInfo("Europe/Berlin"))
    assert plan.begins_at(day) == begins_at
    assert plan.newest(begins_at) == day
    assert plan.newest(begins_at - MINUTE) == day - timedelta(days=1)


@given(
    st.integers(0, 10 * 365 * 86_400).map(lambda second: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(seconds=second)),
    st.times(),
    st.sampled_from(["UTC", "Asia/Tokyo", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia"]),
)
def test_at_any_moment_the_newest_night_has_begun_and_the_next_has_not(now: datetime, at: time, zone: str) -> None:
    plan = NightPlan(at, ZoneInfo(zone))
    day = plan.newest(now)
    assert plan.begins_at(day) <= now < plan.begins_at(day + timedelta(days=1))
