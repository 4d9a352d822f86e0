"""The sync of CRMs, on the CRM in memory: what a deal says is what the ledger holds, in whatever order it comes."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, func, select

from app.db import reading, transaction
from app.models.contracts import ChurnNotice, Contract, ContractLineVersion, ContractVersion
from app.models.crm import DealPromise
from app.models.deals import Deal, DealVersion
from app.models.persons import FreeText
from app.models.versions import Change
from integrations.crm.client import Noun
from tests.integrations.crm.stories import ToldDeal, ToldLine
from tests.jobs.crm_world import YEAR, World, open_world

pytestmark = pytest.mark.one_database


@pytest.fixture
def world(engine: Engine, tmp_path: Path) -> World:
    return open_world(engine, tmp_path)


@pytest.fixture
def company(world: World) -> str:
    return world.stage.create_company("Borealis GmbH", segment="smb")


class TestADeal:
    def test_a_won_deal_is_in_the_ledger_and_reading_it_again_changes_nothing(self, world: World, company: str) -> None:
        deal = world.sold(company, closed_on=date(2026, 2, 1))
        world.sync()
        assert world.lines() == {deal: [(120_000, date(2026, 2, 1), date(2027, 1, 31))]}
        changes = world.count(Change)
        assert world.sync(is_full=True, names=("story",)).read > 0
        assert world.count(Change) == changes

    def test_it_is_put_right_when_it_is_edited_opened_again_lost_and_won(self, world: World, company: str) -> None:
        deal = world.sold(company)
        for stage, lines in (("won", 1), ("open", 0), ("won", 1), ("lost", 0)):
            world.stage.edit_deal(deal, ToldDeal(company, "Core", YEAR, stage=stage))
            world.sync()
            assert world.stages() == {deal: stage}
            assert len(world.lines()) == lines

    def test_a_first_load_is_a_backfill_and_what_comes_later_is_known_when_it_came(
        self, world: World, company: str
    ) -> None:
        first = world.sold(company, closed_on=date(2025, 2, 1))
        world.sync()
        second = world.sold(company, closed_on=date(2025, 2, 1), name="Entered late")
        world.sync()
        with reading(world.engine) as session:
            known = dict(
                session.execute(
                    select(Deal.external_id, DealVersion.available_at).join(Deal, Deal.id == DealVersion.deal_id)
                ).all()
            )
        assert (known[first].date(), known[second].date()) == (date(2025, 2, 2), world.crm.clock.date())

    def test_a_won_deal_was_not_known_before_it_was_closed(self, world: World, company: str) -> None:
        deal = world.sold(company, closed_on=date(2025, 6, 1))
        thing = world.crm.things[Noun.DEAL][deal]
        row = replace(thing.row.closed.deal, available_on=date(2025, 1, 1))
        thing.row = replace(thing.row, closed=replace(thing.row.closed, deal=row))
        world.sync()
        with reading(world.engine) as session:
            assert session.scalar(select(ContractLineVersion.available_at)).date() == date(2025, 6, 1)

    def test_a_deal_whose_company_is_not_known_waits_and_comes_in_when_it_arrives(
        self, world: World, company: str
    ) -> None:
        good, waiting = world.sold(company), world.sold("company-000099")
        world.sync()
        assert set(world.lines()) == {good}
        assert world.refused() == {
            waiting: "there is no account 'company-000099'; import the accounts first, or mend the id"
        }
        world.crm.clock += timedelta(days=30)
        world.crm.put(
            Noun.COMPANY,
            replace(world.crm.things[Noun.COMPANY][company].row, id="company-000099"),
            id_="company-000099",
        )
        world.sync()
        assert set(world.lines()) == {good, waiting}
        assert world.refused() == {}

    def test_a_deal_of_two_currencies_is_set_aside_until_it_changes(self, world: World, company: str) -> None:
        deal = world.sold(company)
        thing = world.crm.things[Noun.DEAL][deal]
        lines = tuple(replace(line, currency="EUR") for line in thing.row.closed.lines)
        thing.row = replace(thing.row, closed=replace(thing.row.closed, lines=lines))
        world.sync()
        assert world.refused() == {deal: "the deal mixes EUR and USD; a deal has one currency"}
        world.stage.edit_deal(deal, ToldDeal(company, "Core", YEAR, stage="won"))
        world.sync()
        assert (set(world.lines()), world.refused()) == ({deal}, {})

    def test_promises_come_along_and_what_became_of_them_stays(self, world: World, company: str) -> None:
        told = ToldDeal(company, "Core", YEAR, "won", promises=(("goal", "Twice as fast"), ("note", "Wants SSO")))
        deal = world.stage.create_deal(told)
        world.sync()
        with transaction(world.engine) as session:
            kept = session.scalar(select(DealPromise).where(DealPromise.kind == "goal"))
            kept.state = "kept"
        world.stage.edit_deal(deal, replace(told, promises=(("goal", "Three times as fast"),)))
        world.sync()
        with reading(world.engine) as session:
            in_force = session.execute(
                select(DealPromise.kind, DealPromise.state, FreeText.body)
                .join(FreeText, FreeText.id == DealPromise.text_id)
                .where(DealPromise.superseded_change_id.is_(None))
            ).all()
        assert [tuple(row) for row in in_force] == [("goal", "kept", "Three times as fast")]

    def test_a_won_deal_of_no_account_waits_until_somebody_gives_it_one(self, world: World, company: str) -> None:
        deal, booked = world.sold(company), world.sold(company, lines=(), name="No lines")
        for id_ in (deal, booked):
            thing = world.crm.things[Noun.DEAL][id_]
            row = replace(thing.row.closed.deal, account=None)
            thing.row = replace(thing.row, closed=replace(thing.row.closed, deal=row))
        cancels = ToldDeal(company, "Leaves", stage="won", type="cancellation", cancels_on=date(2026, 6, 1))
        cancellation = world.stage.create_deal(cancels)
        thing = world.crm.things[Noun.DEAL][cancellation]
        row = replace(thing.row.closed.deal, account=None)
        thing.row = replace(thing.row, closed=replace(thing.row.closed, deal=row))
        assert world.sync().failed == 0
        assert world.refused() == {
            deal: "a won deal with lines needs an account",
            cancellation: "it cancels, but names neither an account nor a deal",
        }
        assert world.stages() == {booked: "won", cancellation: "won"}
        world.stage.edit_deal(deal, ToldDeal(company, "Core", YEAR, stage="won"))
        world.sync()
        assert (set(world.lines()), set(world.refused())) == ({deal}, {cancellation})


class TestRenewals:
    def link(self, world: World) -> dict[str, str]:
        renewed = select(Contract.id, Deal.external_id).join(Deal, Deal.id == Contract.deal_id)
        with reading(world.engine) as session:
            names = dict(session.execute(renewed).all())
            pairs = session.execute(
                select(ContractVersion.contract_id, ContractVersion.renewal_of_id).where(
                    ContractVersion.superseded_change_id.is_(None), ContractVersion.renewal_of_id.is_not(None)
                )
            )
            return {names[own]: names[other] for own, other in pairs}

    def test_a_renewal_that_names_none_renews_what_ends_near_its_start(self, world: World, company: str) -> None:
        first = world.sold(company, closed_on=date(2025, 1, 1))
        far = world.sold(company, closed_on=date(2024, 6, 1))
        other = world.sold(company, closed_on=date(2025, 1, 1), lines=(ToldLine("PLUS", Decimal(5)),))
        second = world.sold(company, closed_on=date(2026, 1, 15), type="renewal")
        third = world.sold(company, closed_on=date(2027, 1, 10), type="renewal")
        assert {first, far, other}
        world.sync()
        assert self.link(world) == {second: first, third: second}
        changes = world.count(Change)
        world.sync(is_full=True, names=("story",))
        assert (self.link(world), world.count(Change)) == ({second: first, third: second}, changes)

    @pytest.mark.parametrize("page_size", [1, 100])
    def test_the_order_in_which_they_come_makes_no_difference(self, world: World, company: str, page_size: int) -> None:
        world.crm.page_size = page_size
        renewal = world.sold(company, closed_on=date(2026, 1, 1), type="renewal")
        named = world.sold(company, closed_on=date(2026, 1, 1), type="renewal", renewal_of="deal-000005")
        first = world.sold(company, closed_on=date(2025, 1, 1), name="First")
        second = world.sold(company, closed_on=date(2025, 1, 5), name="Second")
        assert second == "deal-000005"
        world.sync()
        assert self.link(world) == {renewal: first, named: second}
        assert world.refused() == {}

    def test_what_is_until_notice_is_renewed_where_no_term_ends(self, world: World, company: str) -> None:
        endless = (ToldLine("CORE", Decimal(90), period_months=1, term_months=None),)
        first = world.sold(company, closed_on=date(2024, 1, 1), lines=endless)
        second = world.sold(company, closed_on=date(2026, 1, 1), type="renewal")
        world.sync()
        assert self.link(world) == {second: first}


class TestCancellations:
    def cancel(self, company: str, **values: Any) -> ToldDeal:
        told = {"name": "Leaves", "stage": "won", "type": "cancellation", "closed_on": date(2026, 3, 1)}
        return ToldDeal(company, **(told | values))

    def test_what_a_cancellation_ends_is_agreed_again_when_it_vanishes(self, world: World, company: str) -> None:
        deal = world.sold(company, closed_on=date(2026, 2, 1))
        later = world.sold(company, closed_on=date(2026, 4, 1), name="Came back")
        told = self.cancel(company, cancels_on=date(2026, 6, 1))
        cancellation = world.stage.create_deal(told)
        world.sync()
        assert world.lines()[deal] == [(120_000, date(2026, 2, 1), date(2026, 5, 31))]
        assert world.lines()[later] == [(120_000, date(2026, 4, 1), date(2027, 3, 31))]
        world.stage.edit_deal(cancellation, replace(told, cancels_on=date(2026, 8, 1)))
        world.sync()
        assert world.lines()[deal] == [(120_000, date(2026, 2, 1), date(2026, 7, 31))]
        world.stage.delete_deal(cancellation)
        world.sync()
        assert world.lines()[deal] == [(120_000, date(2026, 2, 1), date(2027, 1, 31))]
        with reading(world.engine) as session:
            assert session.scalar(select(func.count()).where(ChurnNotice.superseded_change_id.is_(None))) == 0

    def test_a_term_that_is_restated_while_cancelled_is_the_one_that_comes_back(
        self, world: World, company: str
    ) -> None:
        deal = world.sold(company, closed_on=date(2026, 2, 1))
        cancellation = world.stage.create_deal(self.cancel(company, cancels_on=date(2026, 6, 1), renewal_of=deal))
        world.sync()
        longer = ToldDeal(
            company, "Core", (ToldLine("CORE", Decimal(1200), term_months=24),), "won", closed_on=date(2026, 2, 1)
        )
        world.stage.edit_deal(deal, longer)
        world.sync()
        assert world.lines()[deal] == [(120_000, date(2026, 2, 1), date(2026, 5, 31))]
        world.stage.edit_deal(cancellation, self.cancel(company, stage="lost"))
        world.sync()
        assert world.lines()[deal] == [(120_000, date(2026, 2, 1), date(2028, 1, 31))]

    def test_what_a_company_had_that_is_merged_into_one_that_cancelled_ends_with_the_rest(
        self, world: World, company: str
    ) -> None:
        twin = world.stage.create_company("Acme once more")
        deal = world.sold(twin, closed_on=date(2026, 2, 1))
        world.stage.create_deal(self.cancel(company, cancels_on=date(2026, 6, 1)))
        world.sync()
        assert world.lines()[deal] == [(120_000, date(2026, 2, 1), date(2027, 1, 31))]
        world.stage.merge_companies(company, twin)
        world.sync()
        assert world.lines()[deal] == [(120_000, date(2026, 2, 1), date(2026, 5, 31))]
        changes = world.count(Change)
        world.sync(is_full=True, names=("story",))
        assert (world.lines()[deal][0][2], world.count(Change)) == (date(2026, 5, 31), changes)

    def test_a_contract_that_becomes_known_after_its_cancellation_ends_with_it(
        self, world: World, company: str
    ) -> None:
        world.crm.page_size = 1
        world.stage.create_deal(self.cancel(company, cancels_on=date(2026, 6, 1)))
        world.stage.create_deal(self.cancel(company, cancels_on=date(2026, 5, 1), renewal_of="deal-000005"))
        deal = world.sold(company, closed_on=date(2026, 2, 1))
        named = world.sold(company, closed_on=date(2026, 2, 1), name="Named")
        world.sync()
        world.sync()
        assert world.lines()[deal] == [(120_000, date(2026, 2, 1), date(2026, 5, 31))]
        assert world.lines()[named] == [(120_000, date(2026, 2, 1), date(2026, 4, 30))]
        assert world.refused() == {}
