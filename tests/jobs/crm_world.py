"""A CRM in memory, an installation that reads it, and what the ledger holds then."""

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, func, select

from app.db import reading, transaction
from app.models.contracts import Contract, ContractLine, ContractLineVersion
from app.models.crm import CrmConnection
from app.models.deals import Deal, DealVersion
from app.queries.crm import find_connection, list_refused
from app.queries.feeds import find_feed
from jobs.sync_crm import Asked, CrmSynced, sync_crms
from tests.installation import work_on
from tests.integrations.crm.stories import ToldDeal, ToldLine
from tests.integrations.crm.story_crm import StoryCrm, StoryStage

HOUR = timedelta(hours=1)
YEAR = (ToldLine("CORE", Decimal(1200)),)


@dataclass(slots=True)
class World:
    """A CRM, and an installation that reads it, with a clock of their own."""

    engine: Engine
    folder: Path
    crm: StoryCrm = field(default_factory=StoryCrm)

    @property
    def stage(self) -> StoryStage:
        return StoryStage(self.crm)

    @property
    def work(self) -> Any:
        return work_on(self.engine, folder=self.folder, clock=lambda: self.crm.clock)

    def sync(self, **asked: Any) -> CrmSynced:
        self.crm.clock += HOUR
        return sync_crms(self.work, Asked(**asked), connect=lambda _work, _connection: self.stage.client)

    def connection(self) -> Any:
        with reading(self.engine) as session:
            return find_connection(session, "story")

    def sold(self, company: str, **values: Any) -> str:
        told = {"name": "Core", "lines": YEAR, "stage": "won"} | values
        return self.stage.create_deal(ToldDeal(company, **told))

    def lines(self) -> dict[str, list[tuple[int | None, date, date | None]]]:
        """What is in force: ARR, first and last paid day of every line, by deal."""
        version = ContractLineVersion
        statement = (
            select(Deal.external_id, version.arr_minor, version.starts_on, version.ends_on)
            .join(ContractLine, ContractLine.id == version.contract_line_id)
            .join(Contract, Contract.id == ContractLine.contract_id)
            .join(Deal, Deal.id == Contract.deal_id)
            .where(version.superseded_change_id.is_(None))
            .order_by(version.contract_line_id)
        )
        found: dict[str, list[tuple[int | None, date, date | None]]] = {}
        with reading(self.engine) as session:
            for deal, *said in session.execute(statement):
                found.setdefault(deal, []).append(tuple(said))
        return found

    def count(self, table: Any) -> int:
        with reading(self.engine) as session:
            return session.scalar(select(func.count()).select_from(table)) or 0

    def stages(self) -> dict[str, str]:
        statement = (
            select(Deal.external_id, DealVersion.stage)
            .join(DealVersion, DealVersion.deal_id == Deal.id)
            .where(DealVersion.superseded_change_id.is_(None))
        )
        with reading(self.engine) as session:
            return dict(session.execute(statement).all())

    def feed(self) -> Any:
        with reading(self.engine) as session:
            return find_feed(session, kind="sync", name="story")

    def refused(self) -> dict[str, str]:
        with reading(self.engine) as session:
            return {each.external_id: each.reason for each in list_refused(session, self.connection().id)}


def connect_story(engine: Engine, at: datetime) -> None:
    with transaction(engine) as session:
        session.add(
            CrmConnection(
                name="story",
                kind="hubspot",  # of those that ship: what the mapping says of the story is nothing
                mapping='kind = "hubspot"',
                secret_ciphertext=b"",
                created_at=at,
                failures=0,
            )
        )


def open_world(engine: Engine, folder: Path) -> World:
    world = World(engine, folder)
    world.stage.create_product("Core", sku="CORE")
    connect_story(engine, world.crm.clock)
    return world
