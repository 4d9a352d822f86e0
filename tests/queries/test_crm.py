"""What is told of the CRMs: how far each was read, for how long yet, and what waits."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.db import reading
from app.models.crm import CrmConnection
from app.queries.crm import CrmState, Progress, list_crm_states, list_waiting_renewals
from integrations.crm.client import Noun
from tests.jobs.crm_world import HOUR, World, open_world

pytestmark = pytest.mark.one_database
BEGUN = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def world(engine: Engine, tmp_path: Path) -> World:
    return open_world(engine, tmp_path)


def state_of(world: World) -> CrmState:
    with reading(world.engine) as session:
        (state,) = list_crm_states(session)
    return state


@pytest.mark.parametrize(
    ("read", "total", "minutes", "expected"),
    [
        (1_000, 4_000, 10, 30),
        (3_000, 4_000, 30, 10),
        (4_000, 4_000, 40, None),
        (0, 4_000, 10, None),
        (500, None, 10, None),
        (500, 400, 10, None),  # more came in the meantime
    ],
)
def test_the_time_left_goes_by_the_pace_since_it_began(
    read: int, total: int | None, minutes: int, expected: int | None
) -> None:
    until = BEGUN
    at = Progress("deal", None, until, is_first=True, read=read, total=total, started_at=BEGUN)
    left = at.left(BEGUN + timedelta(minutes=minutes))
    assert left == (None if expected is None else timedelta(minutes=expected))


def test_what_is_not_being_read_has_no_time_left() -> None:
    assert Progress("deal", BEGUN, None, is_first=False, read=5, total=10, started_at=BEGUN).left(BEGUN + HOUR) is None


def test_a_first_load_is_told_noun_by_noun_until_it_is_over(world: World) -> None:
    company = world.stage.create_company("Borealis GmbH")
    for n in range(30):
        world.sold(company, name=f"Deal {n}")
    world.crm.page_size = 10
    assert state_of(world).reading is None
    while not world.lines():
        world.sync(slice_seconds=0.0)
    state = state_of(world)
    assert state.is_loading
    assert state.reading is not None
    assert (state.reading.noun, state.reading.read, state.reading.total) == ("deal", 10, 30)
    assert state.reading.left(world.crm.clock + HOUR) == 2 * HOUR
    assert [each.noun for each in state.progress] == [noun.value for noun in Noun]
    while world.sync().read:
        pass
    state = state_of(world)
    assert (state.is_loading, state.reading, state.refused) == (False, None, 0)


def test_a_total_that_is_told_once_serves_for_the_pages_that_follow(world: World) -> None:
    company = world.stage.create_company("Borealis GmbH")
    for n in range(20):
        world.sold(company, name=f"Deal {n}")
    world.crm.page_size, world.crm.tells_total_once = 5, True
    told: list[str] = []
    while len(world.lines()) < 20:
        world.sync(slice_seconds=0.0, tell=told.append)
    assert told[-2:] == ["story: 15 of 20 deal records, about 0:40:00 left", "story: 20 of 20 deal records"]


def test_what_is_refused_is_counted_and_what_waits_is_found_by_what_it_needs(world: World) -> None:
    company = world.stage.create_company("Borealis GmbH")
    world.sold("nobody")
    waiting = world.sold(company, type="renewal", renewal_of="deal-000099")
    world.sync()
    state = state_of(world)
    assert (state.refused, state.reviews) == (2, ())
    with reading(world.engine) as session:
        connection_id = state.connection.id
        assert list_waiting_renewals(session, connection_id, needs=["deal-000099", "x"]) == {waiting: "deal-000099"}
        assert list_waiting_renewals(session, connection_id, needs=["x"]) == {}
        assert list_waiting_renewals(session, connection_id, needs=[]) == {}


def test_several_crms_are_told_by_name_each_with_its_own(world: World) -> None:
    with world.work.writing() as session:
        told = {"kind": "tryton", "mapping": 'kind = "tryton"', "secret_ciphertext": b"", "failures": 0}
        session.add(CrmConnection(name="another", created_at=BEGUN, **told))
    world.sold("nobody")
    world.sync(names=("story",))
    with reading(world.engine) as session:
        states = list_crm_states(session)
    assert [(each.connection.name, each.refused, len(each.progress)) for each in states] == [
        ("another", 0, 0),
        ("story", 1, len(Noun)),
    ]
