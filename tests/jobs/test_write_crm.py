"""What is written back to the CRM is there once, whoever dies in between, and nothing is unless it is switched on."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

from app.db import reading, transaction
from app.models.accounts import ExternalId
from app.models.crm import CrmConnection, CrmWrite
from app.models.expansion import ExpansionOpportunity
from app.models.products import ProductExternalId
from app.models.scores import PublishedRun, Score
from app.queries.crm import find_connection
from app.queries.crm_writes import find_failed_writes
from app.queries.feeds import find_feed
from app.services.changes import recording
from app.services.expansion import Move, move_opportunity
from integrations.crm.client import (
    AccountFields,
    CrmBusy,
    CrmError,
    CrmRefused,
    NewNote,
    NewOpportunity,
    NewTask,
    WriteBack,
)
from integrations.crm.mapping import WRITABLE, CrmMapping, read_crm_mapping
from integrations.crm.registry import ADAPTERS
from jobs.sync_crm import sync_crms
from jobs.write_crm import BackWriter, Written, write_back
from tests.installation import work_on
from tests.integrations.crm.story_crm import StoryClient, StoryCrm
from tests.jobs.crm_world import connect_story
from tests.small_company import AS_OF, NOW, publish_small_run, write_small_company

ALL = dict.fromkeys(("note", "task", "opportunity", "account_fields"), True)


@dataclass(frozen=True, slots=True)
class BadClient(StoryClient):
    """Fails as it is told to: before anything is written, or after."""

    before: Exception | None = None
    after: Exception | None = None

    def write(self, what: WriteBack) -> str:
        if self.before is not None:
            raise self.before
        id_ = StoryClient.write(self, what)
        if self.after is not None:
            raise self.after
        return id_


class Killed(BaseException):
    """The end of the process: nothing catches it."""


@dataclass(slots=True)
class World:
    engine: Engine
    folder: Path
    crm: StoryCrm

    def write(self, client: StoryClient | None = None, **switched: bool) -> Written:
        mapping = CrmMapping("hubspot", "story", "https://crm.example", write=switched)
        work = work_on(self.engine, folder=self.folder, clock=lambda: NOW)
        with reading(self.engine) as session:
            connection = find_connection(session, "story")
        assert connection is not None
        return write_back(BackWriter(work, connection, client or StoryClient(self.crm), mapping, float("inf")))

    def items(self, kind: type) -> list[Any]:
        return [item for _, item in self.crm.written.values() if isinstance(item, kind)]

    def states(self) -> set[str]:
        with reading(self.engine) as session:
            return set(session.scalars(select(CrmWrite.state)))


@pytest.fixture
def world(engine: Engine, tmp_path: Path) -> World:
    """The small company, of which the CRM knows three accounts and one product; one opportunity is accepted."""
    write_small_company(engine)
    publish_small_run(engine)
    connect_story(engine, NOW - timedelta(days=30))
    with transaction(engine) as session, recording(session, "ids") as change:
        said = {"change_id": change.id, "available_at": NOW, "system": "story"}
        session.add_all(
            ExternalId(kind="crm", external_id=f"company-{account}", account_id=account, **said)
            for account in (1, 2, 3)
        )
        session.add(ProductExternalId(external_id="PLUS-KEY", product_id=2, **said))
    with transaction(engine) as session:
        run_id = session.scalar(select(PublishedRun.run_id))
        session.add(
            ExpansionOpportunity(
                account_id=1, motion="upsell", product_id=2, episode=1, state="flagged", flagged_on=AS_OF,
                flagged_at=NOW, seen_on=AS_OF, moved_at=NOW, run_id=run_id, likelihood="high", score=1.0, quantity=5,
                measure="arr", amount_minor=600_000, currency="JPY", evidence=[],
            )
        )  # fmt: skip
    with transaction(engine) as session:
        move_opportunity(session, Move(1, "accept"), actor="user:1", at=NOW)
    return World(engine, tmp_path, StoryCrm())


def test_nothing_is_written_unless_it_is_switched_on(world: World) -> None:
    assert world.write() == Written()
    assert world.crm.written == {}


@pytest.mark.parametrize("kind", sorted(ADAPTERS))
def test_every_crm_that_ships_is_written_to_only_where_its_mapping_says_so(kind: str) -> None:
    shipped = read_crm_mapping(f'kind = "{kind}"')
    assert not [what for what in WRITABLE if shipped.is_written(what)]
    switched = read_crm_mapping(f'kind = "{kind}"\n[write]\ntask = true')
    assert [what for what in WRITABLE if switched.is_written(what)] == ["task"]


def test_a_sync_asks_the_mapping_of_its_connection_whether_to_write(world: World) -> None:
    def sync_with(mapping: str) -> int:
        with transaction(world.engine) as session:
            connection = session.scalar(select(CrmConnection))
            connection.mapping, connection.due_at = mapping, None
        work = work_on(world.engine, folder=world.folder, clock=lambda: NOW)
        assert sync_crms(work, connect=lambda _work, _connection: StoryClient(world.crm)).failed == 0
        return len(world.crm.written)

    assert sync_with('kind = "hubspot"') == 0
    assert sync_with('kind = "hubspot"\n[write]\nopportunity = false\nnote = false') == 0
    assert sync_with('kind = "hubspot"\n[write]\nopportunity = true') == 1
    assert [type(item) for _, item in world.crm.written.values()] == [NewOpportunity]


def test_an_accepted_opportunity_is_written_once_with_its_line(world: World) -> None:
    assert world.write(opportunity=True) == Written(written=1)
    assert world.write(opportunity=True) == Written()
    (new,) = world.items(NewOpportunity)
    assert (new.account, new.name, new.currency, new.amount) == ("company-1", "More of Plus (+5)", "JPY", 600_000)
    assert [(line.product, line.quantity) for line in new.lines] == [("PLUS-KEY", 5)]


def test_note_and_task_say_what_it_is_worth(world: World) -> None:
    assert world.write(note=True, task=True) == Written(written=2)
    (note,), (task,) = world.items(NewNote), world.items(NewTask)
    assert "Worth 600000 JPY a year; likelihood: high." in note.text
    assert task.subject == "More of Plus (+5)"


def test_fields_of_accounts_are_written_where_they_changed(world: World) -> None:
    first = world.write(account_fields=True)
    with reading(world.engine) as session:
        scores = {row.account_id: row for row in session.scalars(select(Score))}
    live = {n for n in (1, 2, 3) if scores[n].status in {"live", "in_grace"}}
    assert first == Written(written=len(live))
    fields = {each.account: each.values for each in world.items(AccountFields)}
    assert set(fields) == {f"company-{n}" for n in live}
    assert fields["company-1"]["health_band"] == scores[1].band
    assert fields["company-1"]["renewal_on"] == scores[1].renewal_on
    assert world.write(account_fields=True) == Written()
    with transaction(world.engine) as session:
        old = session.scalar(select(PublishedRun))
        score = session.get_one(Score, (old.run_id, 2))
        score.band = "at_risk" if score.band != "at_risk" else "watch"
    assert world.write(account_fields=True) == Written(), "the run was gone through"
    with transaction(world.engine) as session:
        session.execute(CrmWrite.__table__.delete().where(CrmWrite.key == "tenure-run"))
    assert world.write(account_fields=True) == Written(written=1)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_process_that_dies_around_a_write_leaves_one_thing_in_the_crm(world: World, moment: str) -> None:
    with pytest.raises(Killed):
        world.write(BadClient(world.crm, **{moment: Killed()}), opportunity=True, note=True)
    assert world.states() == {"begun"}
    assert world.write(opportunity=True, note=True) == Written(written=2)
    assert (len(world.items(NewOpportunity)), len(world.items(NewNote))) == (1, 1)
    assert world.states() == {"written"}


def test_one_that_fails_stops_no_other_and_is_tried_five_times(world: World) -> None:
    broken = BadClient(world.crm, before=CrmError("A field is missing."))
    assert world.write(broken, opportunity=True, note=True) == Written(failed=2)
    for _ in range(4):
        assert world.write(broken, opportunity=True, note=True).failed == 2
    assert world.write(opportunity=True, note=True) == Written()
    assert world.states() == {"failed"}
    with reading(world.engine) as session:
        assert set(session.scalars(select(CrmWrite.error))) == {"A field is missing."}


def test_a_busy_crm_is_left_alone(world: World) -> None:
    with pytest.raises(CrmBusy):
        world.write(BadClient(world.crm, before=CrmBusy("busy")), **ALL)
    assert world.write(**ALL).failed == 0


@pytest.mark.parametrize("error", [CrmRefused("The app lacks a scope."), CrmBusy("busy", retry_after_seconds=7200)])
def test_a_crm_that_was_read_and_cannot_be_written_to_was_read(world: World, error: CrmError) -> None:
    with transaction(world.engine) as session:
        session.scalar(select(CrmConnection)).mapping = 'kind = "hubspot"\n[write]\nnote = true'
    work = work_on(world.engine, folder=world.folder, clock=lambda: NOW)
    client = BadClient(world.crm, before=error)
    assert sync_crms(work, connect=lambda _work, _connection: client).failed == 0
    with reading(world.engine) as session:
        feed = find_feed(session, kind="sync", name="story")
        connection = find_connection(session, "story")
        assert feed is not None
        assert connection is not None
        assert (feed.last_seen_at, feed.last_error, connection.failures) == (NOW, None, 0)
        assert connection.due_at == NOW + timedelta(minutes=120 if isinstance(error, CrmBusy) else 5)
        assert find_failed_writes(session, connection.id) == (1, str(error))


def test_what_was_accepted_before_the_crm_was_connected_is_not_written(world: World) -> None:
    with transaction(world.engine) as session:
        session.scalar(select(CrmConnection)).created_at = NOW + timedelta(days=1)
    assert world.write(opportunity=True) == Written()
