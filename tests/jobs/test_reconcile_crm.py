"""What goes from a CRM goes from the ledger, and nothing else does, whatever the CRM answers."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

from app.db import reading, transaction
from app.models.accounts import AccountVersion
from app.models.contracts import Contract, ContractLine, ContractLineVersion
from app.models.crm import SyncCursor
from app.models.deals import Deal, DealVersion
from app.queries.crm import list_progress, list_reviews
from integrations.crm.client import CrmBusy, Noun
from jobs.reconcile_crm import confirm_gone, is_too_much
from jobs.sync_crm import CrmSynced, sync_crms
from tests.jobs.crm_world import HOUR, World, open_world

pytestmark = pytest.mark.one_database


@pytest.fixture
def world(engine: Engine, tmp_path: Path) -> World:
    return open_world(engine, tmp_path)


@pytest.fixture
def company(world: World) -> str:
    return world.stage.create_company("Borealis GmbH", segment="smb")


class TestWhatGoes:
    def test_a_deleted_deal_is_withdrawn_and_a_restored_one_is_back(self, world: World, company: str) -> None:
        deal = world.sold(company)
        world.sync()
        before = world.lines()
        world.stage.delete_deal(deal)
        world.sync()
        assert (world.lines(), world.stages()) == ({}, {})
        world.stage.restore_deal(deal)
        world.sync()
        assert world.lines() == before

    def test_what_vanishes_without_a_trace_is_found_by_the_list_and_so_is_what_comes_back(
        self, world: World, company: str
    ) -> None:
        deals = [world.sold(company, name=f"Deal {n}") for n in range(20)]
        world.sync()
        gone = world.crm.things[Noun.DEAL].pop(deals[3])
        world.crm.clock += timedelta(days=1)
        world.sync()
        assert set(world.lines()) == set(deals) - {deals[3]}
        world.crm.things[Noun.DEAL][deals[3]] = gone
        world.crm.clock += timedelta(days=1)
        world.sync()
        world.sync()
        assert set(world.lines()) == set(deals)

    def test_what_is_shown_to_us_long_after_it_was_made_is_read_once_its_id_is_listed(
        self, world: World, company: str
    ) -> None:
        deals = [world.sold(company, name=f"Deal {n}") for n in range(3)]
        hidden = world.crm.things[Noun.DEAL].pop(deals[1])
        world.sync()
        world.crm.things[Noun.DEAL][deals[1]] = hidden
        world.crm.clock += timedelta(days=1)
        fresh = world.sold(company, name="Fresh")
        world.sync()
        world.sync()
        assert set(world.lines()) == {*deals, fresh}

    def test_what_was_merged_into_one_that_is_gone_is_gone(self, world: World, company: str) -> None:
        old, other = (world.sold(company, name=name) for name in ("Old", "Other"))
        world.sync()
        heir = world.sold(company, name="Heir")
        world.stage.merge_deals(heir, old)
        world.crm.things[Noun.DEAL].pop(heir)
        world.crm.clock += timedelta(days=1)
        world.sync()
        assert set(world.lines()) == {other}

    def test_what_is_listed_and_was_refused_is_not_read_over_and_over(self, world: World) -> None:
        deal = world.sold(world.stage.create_company("Acme"))
        world.sold("company-that-is-nowhere")
        for _ in range(2):
            world.crm.clock += timedelta(days=1)
            world.sync()
        with reading(world.engine) as session:
            progress = list_progress(session, world.connection().id)[Noun.DEAL]
        assert progress.synced_until is not None
        assert set(world.lines()) == {deal}

    def test_of_merged_deals_one_lives_on_and_the_other_knows_where(self, world: World, company: str) -> None:
        kept, other = world.sold(company, name="Twin 1"), world.sold(company, name="Twin 2")
        world.sync()
        world.stage.merge_deals(kept, other)
        world.sync()
        assert set(world.lines()) == {kept}
        with reading(world.engine) as session:
            ids = {deal.external_id: deal for deal in session.scalars(select(Deal))}
        assert ids[other].merged_into_id == ids[kept].id

    def test_merged_companies_are_one_account_with_the_deals_of_both(self, world: World, company: str) -> None:
        other = world.stage.create_company("Borealis")
        deals = {world.sold(company), world.sold(other)}
        world.sync()
        world.stage.merge_companies(company, other)
        world.sync()
        later = world.sold(other, name="Under its old id")
        world.sync()
        with reading(world.engine) as session:
            owners = session.execute(
                select(DealVersion.account_id, ContractLineVersion.account_id)
                .join(Contract, Contract.deal_id == DealVersion.deal_id)
                .join(ContractLine, ContractLine.contract_id == Contract.id)
                .join(ContractLineVersion, ContractLineVersion.contract_line_id == ContractLine.id)
                .where(DealVersion.superseded_change_id.is_(None), ContractLineVersion.superseded_change_id.is_(None))
            ).all()
            merged = session.scalars(
                select(AccountVersion.merged_into_id).where(AccountVersion.superseded_change_id.is_(None))
            ).all()
        assert set(world.lines()) == {*deals, later}
        assert len({account for row in owners for account in row}) == 1
        assert sum(into is not None for into in merged) == 1

    @pytest.mark.parametrize(
        ("gone", "known", "is_asked"),
        [(10, 20, False), (11, 220, False), (11, 219, True), (50, 1000, False), (51, 1_000_000, True), (1, 1, False)],
    )
    def test_the_brake_holds_at_more_than_fifty_or_five_percent_and_ten(
        self, gone: int, known: int, *, is_asked: bool
    ) -> None:
        assert is_too_much(gone, known=known) is is_asked

    def test_too_many_gone_are_asked_for_and_withdrawn_once_confirmed(self, world: World, company: str) -> None:
        deals = [world.sold(company, name=f"Deal {n}") for n in range(40)]
        world.sync()
        for deal in deals[:12]:
            del world.crm.things[Noun.DEAL][deal]
        world.crm.clock += timedelta(days=1)
        assert world.sync().failed == 1
        assert len(world.lines()) == 40
        assert world.feed().last_error.startswith("12 of 40 deals are gone from story; nothing was deleted.")
        with reading(world.engine) as session:
            assert [len(review.gone) for review in list_reviews(session)] == [12]
        assert confirm_gone(world.work, world.connection(), client=world.stage.client, actor="user:1") == 12
        assert set(world.lines()) == set(deals[12:])
        with reading(world.engine) as session:
            assert list_reviews(session) == ()


class TestBadAnswers:
    BAD: Mapping[str, dict[str, str]] = {
        "the list is empty": {"list_ids": "empty"},
        "the list is HTML": {"list_ids": "nonsense"},
        "half of the list is missing and called gone": {"list_ids": "half", "find": "gone"},
        "what is read is HTML": {"read": "nonsense"},
    }

    @pytest.mark.parametrize("faults", BAD.values(), ids=BAD.keys())
    def test_nothing_is_deleted_and_the_feed_says_why_and_since_when(
        self, world: World, company: str, faults: dict[str, str]
    ) -> None:
        for n in range(40):
            world.sold(company, name=f"Deal {n}")
        world.sync()
        before, seen = world.lines(), world.feed().last_seen_at
        world.crm.faults.update(faults)
        world.crm.clock += timedelta(days=1)
        assert world.sync().failed == 1
        assert (world.lines(), world.feed().last_seen_at) == (before, seen)
        assert (world.feed().last_error != "", world.feed().last_error_at) == (True, world.crm.clock)
        world.crm.faults.clear()
        assert world.sync(names=("story",)).failed == 0
        assert (world.lines(), world.feed().last_error) == (before, None)

    def test_half_of_a_list_where_all_are_there_changes_nothing(self, world: World, company: str) -> None:
        for n in range(40):
            world.sold(company, name=f"Deal {n}")
        world.sync()
        before = world.lines()
        world.crm.faults["list_ids"] = "half"
        world.crm.clock += timedelta(days=1)
        assert world.sync().failed == 0
        assert world.lines() == before

    def test_a_first_load_of_nothing_counts_as_none(self, world: World, company: str) -> None:
        deal = world.sold(company)
        world.crm.faults["read"] = "empty"
        world.sync()
        assert world.lines() == {}
        world.crm.faults.clear()
        world.sync()
        assert set(world.lines()) == {deal}

    def test_a_cursor_in_the_future_raises_an_alarm_and_is_not_used(self, world: World, company: str) -> None:
        world.sync()
        deal = world.sold(company)
        with transaction(world.engine) as session:
            cursor = session.scalar(select(SyncCursor).where(SyncCursor.noun == "deal"))
            cursor.synced_until = world.crm.clock + timedelta(days=400)
        assert world.sync().failed == 1
        assert "which has not come yet" in world.feed().last_error
        assert world.lines() == {}
        assert world.sync(names=("story",), is_full=True).failed == 0
        assert set(world.lines()) == {deal}

    def test_a_cursor_that_was_ahead_is_not_gone_on_from_once_its_time_has_come(
        self, world: World, company: str
    ) -> None:
        first = world.sold(company)
        world.sync()
        missed = world.sold(company, name="Sold while the clock was wrong")
        with transaction(world.engine) as session:
            for cursor in session.scalars(select(SyncCursor)):
                cursor.synced_until = world.crm.clock + 3 * HOUR
        assert world.sync(names=("story",)).failed == 1
        world.crm.clock += 5 * HOUR
        assert world.sync(names=("story",)).failed == 0
        assert set(world.lines()) == {first, missed}
        with reading(world.engine) as session:
            assert {each.mark for each in list_progress(session, world.connection().id).values()} == {None}

    def test_a_window_under_way_that_ends_ahead_of_the_clock_is_read_anew(self, world: World, company: str) -> None:
        deals = [world.sold(company, name=f"Deal {n}") for n in range(3)]
        world.crm.page_size = 1
        while not world.lines():
            world.sync(slice_seconds=0.0)
        missed = world.sold(company, name="Sold while the clock was wrong")
        with transaction(world.engine) as session:
            cursor = session.scalar(select(SyncCursor).where(SyncCursor.noun == "deal"))
            cursor.until = world.crm.clock + 3 * HOUR
        assert world.sync(names=("story",)).failed == 1
        world.crm.clock += 5 * HOUR
        assert world.sync(names=("story",)).failed == 0
        assert set(world.lines()) == {*deals, missed}

    def test_a_clock_that_is_put_back_by_seconds_is_no_alarm(self, world: World, company: str) -> None:
        world.sync()
        deal = world.sold(company)
        with transaction(world.engine) as session:
            for cursor in session.scalars(select(SyncCursor)):
                cursor.synced_until = world.crm.clock + HOUR + timedelta(seconds=30)
        assert world.sync(names=("story",)).failed == 0
        world.sync(names=("story",))
        assert set(world.lines()) == {deal}

    def test_a_busy_crm_is_left_alone_for_as_long_as_it_asks(self, world: World, company: str) -> None:
        world.sold(company)

        def busy(_work: Any, _connection: Any) -> Any:
            raise CrmBusy("The CRM answered 429: it is busy.", retry_after_seconds=3 * 3600)

        assert sync_crms(world.work, connect=busy).failed == 1
        assert world.sync() == CrmSynced()
        world.crm.clock += 2 * HOUR
        assert world.sync().read > 0


class TestProgress:
    def test_a_long_load_is_cut_into_slices_and_says_how_long_it_will_take(self, world: World, company: str) -> None:
        world.crm.page_size = 10
        for n in range(30):
            world.sold(company, name=f"Deal {n}")
        told: list[str] = []
        sweeps = 0
        while len(world.lines()) < 30:
            world.sync(slice_seconds=0.0, tell=told.append)
            sweeps += 1
        assert sweeps == 5  # a product, a company, three pages of deals
        assert told[2:] == [
            "story: 10 of 30 deal records",
            "story: 20 of 30 deal records, about 0:30:00 left",
            "story: 30 of 30 deal records",
        ]
        with reading(world.engine) as session:
            assert list_progress(session, world.connection().id)["deal"].read == 30
