"""A company's years in HubSpot, read by the sync into the ledger: it holds what HubSpot's own lines add up to."""

from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select

from app.db import reading, transaction
from app.models.contracts import Contract, ContractLine, ContractLineVersion
from app.models.crm import CrmConnection
from app.models.deals import Deal
from app.models.versions import Change
from app.queries.crm import find_connection, list_refused
from jobs.sync_crm import Asked, CrmSynced, sync_crms
from tests.installation import work_on
from tests.integrations.crm.hubspot_stage import HubspotStage
from tests.integrations.crm.stories import ToldDeal, ToldLine

pytestmark = pytest.mark.one_database


@dataclass
class World:
    engine: Engine
    folder: Path
    stage: HubspotStage

    def sync(self, **asked: Any) -> CrmSynced:
        """An hour later, so that what was done lies before the lag."""
        self.stage.fake.wait(3600)
        work = work_on(self.engine, folder=self.folder, clock=lambda: self.stage.fake.records.clock)
        done = sync_crms(work, Asked(**asked), connect=lambda _work, _connection: self.stage.client)
        assert done.failed == 0
        return done

    def booked(self) -> Counter[tuple[str, int, str]]:
        """What the ledger has in force: deal, amount and currency of each line."""
        version = ContractLineVersion
        statement = (
            select(Deal.external_id, version.amount_minor, version.currency)
            .join(ContractLine, ContractLine.id == version.contract_line_id)
            .join(Contract, Contract.id == ContractLine.contract_id)
            .join(Deal, Deal.id == Contract.deal_id)
            .where(version.superseded_change_id.is_(None))
        )
        with reading(self.engine) as session:
            return Counter(tuple(row) for row in session.execute(statement))  # type: ignore[misc]

    def in_hubspot(self) -> Counter[tuple[str, int, str]]:
        """The same from HubSpot's own records, without the adapter."""
        records = self.stage.fake.records
        return Counter(
            (str(deal.id), int(Decimal(line["amount"]) * (1 if currency == "JPY" else 100)), currency)
            for deal in records.kinds["deals"].values()
            if deal.archived_at is None and deal.properties["hs_is_closed_won"] == "true"
            for currency in [deal.properties["deal_currency_code"]]
            for line_id in records.linked("deals", deal.id, "line_items")
            for line in [records.kinds["line_items"][line_id].properties]
        )

    def refused(self) -> dict[str, str]:
        with reading(self.engine) as session:
            connection = find_connection(session, "hubspot")
            return {each.external_id: each.reason for each in list_refused(session, connection.id)}

    def count_changes(self) -> int:
        with reading(self.engine) as session:
            return len(session.scalars(select(Change.id)).all())


@pytest.fixture
def world(engine: Engine, tmp_path: Path, stage: HubspotStage) -> World:
    with transaction(engine) as session:
        at = stage.fake.records.clock
        told = {"name": "hubspot", "kind": "hubspot", "mapping": 'kind = "hubspot"', "secret_ciphertext": b""}
        session.add(CrmConnection(**told, created_at=at, failures=0))
    return World(engine, tmp_path, stage)


def test_the_ledger_holds_what_hubspot_does_after_every_kind_of_change(world: World) -> None:
    stage, states, deals = world.stage, ("open", "won", "lost"), []
    products = [stage.create_product(sku, sku=sku) for sku in ("CORE", "PLUS")]
    companies = [stage.create_company(name) for name in ("Borealis GmbH", "青葉商事", "Aoba")]
    owner = stage.create_owner("Kim Sato")

    def told(number: int, **values: Any) -> ToldDeal:
        currency = "JPY" if number % 4 == 0 else "USD"
        price = Decimal(12_000) if currency == "JPY" else Decimal("0.29") * number
        lines = tuple(ToldLine(product, price, quantity=Decimal(number)) for product in products[: 1 + number % 2])
        closed_on = date(2025, 1, 1) + timedelta(days=number)
        own = {"stage": states[number % 3], "closed_on": closed_on, "currency": currency, "owner": owner}
        return ToldDeal(companies[number % 3], f"Deal {number}", **({"lines": lines} | own | values))

    deals = [stage.create_deal(told(number)) for number in range(60)]
    world.sync()
    assert world.booked() == world.in_hubspot()
    assert sum(world.booked().values()) == 30
    assert world.refused() == {}
    before = world.count_changes()
    world.sync(is_full=True, names=("hubspot",))
    assert world.count_changes() == before

    stage.edit_deal(deals[0], told(0, stage="won", currency="USD"))  # won, and the currency put right
    stage.edit_deal(deals[1], told(1, stage="open"))
    stage.edit_deal(deals[4], told(4, stage="lost"))
    stage.edit_deal(deals[7], told(7, lines=(ToldLine(products[1], Decimal(99)),)))
    (line, *_) = stage.fake.records.linked("deals", int(deals[10]), "line_items")
    stage.fake.records.update("line_items", line, {"quantity": "77"})
    stage.delete_deal(deals[13])
    stage.delete_deal(deals[16])
    merged = stage.merge_deals(deals[19], deals[22])
    stage.merge_companies(companies[1], companies[2])
    world.sync()
    assert world.booked() == world.in_hubspot()
    booked = {deal for deal, _, _ in world.booked()}
    assert merged in booked
    assert not booked & {deals[number] for number in (1, 4, 13, 16, 19, 22)}

    stage.restore_deal(deals[13])
    world.sync()
    assert world.booked() == world.in_hubspot()
    assert deals[13] in {deal for deal, _, _ in world.booked()}
    assert world.refused() == {}
    before = world.count_changes()
    world.sync()
    assert world.count_changes() == before
