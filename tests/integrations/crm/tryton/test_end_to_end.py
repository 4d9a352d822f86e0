"""A year of sales in Tryton, in two languages and two currencies: the ledger holds what Tryton says they come to."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, func, select

from app.db import reading, transaction
from app.domain.money import Money
from app.models.accounts import ExternalId
from app.models.contracts import Contract, ContractLine, ContractLineVersion
from app.models.crm import CrmWrite
from app.models.deals import Deal, DealVersion
from app.models.expansion import ExpansionOpportunity
from app.models.persons import Person
from app.models.products import ProductExternalId
from app.models.scores import PublishedRun
from app.models.versions import Change
from app.queries.crm import ConnectionState, find_connection, list_refused
from app.services.changes import recording
from app.services.crm import NewConnection, create_connection, read_mapping
from app.services.expansion import Move, move_opportunity
from app.services.secrets import Keyring
from jobs.sync_crm import Asked, CrmSynced, connect_over_network, sync_crms
from jobs.work import Work
from jobs.write_crm import BackWriter, Written, write_back
from tests.installation import settings_of
from tests.integrations.crm.stories import ToldDeal, ToldLine
from tests.integrations.crm.tryton.server import HOST, TrytonServer, fresh_tryton, mapping_text
from tests.integrations.crm.tryton_stage import TrytonStage
from tests.small_company import AS_OF, publish_small_run, write_small_company

pytestmark = pytest.mark.one_database

AHEAD = timedelta(minutes=2)  # of Tryton's clock: what was just done is older than the client's lag
WON, LOST, OPEN = 40, 10, 10
COMPANIES = ("Borealis GmbH", "青葉商事株式会社", "Acme Corp.", "さくら製作所", "O'Neill & Sons", "山田システム")
NAMES = ("Core for a year", "コア 年間契約", "More seats", "追加ライセンス")
PRICES = {
    "USD": (Decimal("1200.00"), Decimal("99.99"), Decimal("0.07")),
    "JPY": tuple(map(Decimal, (120_000, 9_999, 7))),
}


@dataclass(slots=True)
class World:
    """A Tryton, and an installation that is connected to it over the network."""

    server: TrytonServer
    work: Work
    stage: TrytonStage
    told: dict[str, ToldDeal] = field(default_factory=dict)

    @property
    def connection(self) -> ConnectionState:
        with reading(self.work.engine) as session:
            found = find_connection(session, "tryton")
        assert found is not None
        return found

    def connect(self, *, extra: str = "") -> None:
        new = NewConnection(mapping_text(self.server, extra=extra), {"token": self.server.key})
        with transaction(self.work.engine) as session:
            create_connection(
                session, new, keyring=Keyring.of(self.work.settings), actor="user:1", at=self.work.clock()
            )

    def sync(self, *, is_full: bool = False) -> CrmSynced:
        return sync_crms(self.work, Asked(names=("tryton",), is_full=is_full))

    def sell(self, told: Sequence[ToldDeal]) -> list[str]:
        """Deals of one stage."""
        ids = self.stage.create_at_once(told)
        self.told |= zip(ids, told, strict=True)
        return ids

    def edit(self, deal: str, **changes: Any) -> None:
        self.told[deal] = replace(self.told[deal], **changes)
        self.stage.edit_deal(deal, self.told[deal])

    def booked(self) -> dict[str, list[str]]:
        """What the ledger has of each won deal: its currency, and what its lines come to."""
        version = ContractLineVersion
        statement = (
            select(Deal.external_id, version.currency, func.sum(version.amount_minor))
            .join(Contract, Contract.deal_id == Deal.id)
            .join(ContractLine, ContractLine.contract_id == Contract.id)
            .join(version, version.contract_line_id == ContractLine.id)
            .where(version.superseded_change_id.is_(None))
            .group_by(Deal.external_id, version.currency)
        )
        with reading(self.work.engine) as session:
            return {
                deal: [currency, Money(int(minor), currency).text]
                for deal, currency, minor in session.execute(statement)
            }

    def versions(self) -> dict[str, tuple[int, frozenset[int]]]:
        """By deal: which version of it is in force, and which of its lines."""
        lines = (
            select(Contract.deal_id, ContractLineVersion.id)
            .join(ContractLine, ContractLine.contract_id == Contract.id)
            .join(ContractLineVersion, ContractLineVersion.contract_line_id == ContractLine.id)
            .where(ContractLineVersion.superseded_change_id.is_(None))
        )
        deals = (
            select(Deal.external_id, Deal.id, DealVersion.id)
            .join(DealVersion, DealVersion.deal_id == Deal.id)
            .where(DealVersion.superseded_change_id.is_(None))
        )
        with reading(self.work.engine) as session:
            below: dict[int, set[int]] = {}
            for deal_id, line in session.execute(lines):
                below.setdefault(deal_id, set()).add(line)
            return {
                name: (version, frozenset(below.get(deal_id, ()))) for name, deal_id, version in session.execute(deals)
            }

    def stages(self) -> dict[str, str]:
        statement = (
            select(Deal.external_id, DealVersion.stage)
            .join(DealVersion, DealVersion.deal_id == Deal.id)
            .where(DealVersion.superseded_change_id.is_(None))
        )
        with reading(self.work.engine) as session:
            return dict(session.execute(statement).all())

    def changes(self) -> int:
        with reading(self.work.engine) as session:
            return session.scalar(select(func.count()).select_from(Change)) or 0

    def must_agree(self) -> None:
        """The ledger, Tryton's own sums, and a pencil."""
        by_tryton = {deal: [currency, _text(amount, currency)] for deal, (currency, amount) in self.sums().items()}
        assert (
            self.booked()
            == by_tryton
            == {
                deal: [told.currency, _text(_worth(told), told.currency)]
                for deal, told in self.told.items()
                if told.stage == "won"
            }
        )

    def sums(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = self.server.tell("sums")
        return found


def _text(amount: Decimal | str, currency: str) -> str:
    return f"{Decimal(amount):.{0 if currency == 'JPY' else 2}f}"


def _worth(told: ToldDeal) -> Decimal:
    """Of each line, what its pieces cost over its term, or for a period where it goes on until notice."""
    total = Decimal(0)
    for line in told.lines:
        periods = line.term_months // line.period_months if line.term_months and line.period_months else 1
        total += line.price * line.quantity * periods
    return total


@pytest.fixture
def world(engine: Engine, tmp_path: Path) -> World:
    server = fresh_tryton()
    settings = replace(settings_of(engine.url.render_as_string(hide_password=False), tmp_path), private_targets=(HOST,))
    return World(server, Work(engine, settings, lambda: datetime.now(UTC) + AHEAD), TrytonStage(server))


def _seed(world: World) -> None:
    """Sixty opportunities: every fourth line is monthly until notice, one-time, for three years, or for a year."""
    companies = [world.stage.create_company(name) for name in COMPANIES]
    owner = world.stage.create_owner("佐藤 花子")
    core, plus, setup = (world.stage.create_product(sku.title(), sku=sku) for sku in ("CORE", "PLUS", "SETUP"))
    terms = (
        ToldLine(core, Decimal(0)),
        ToldLine(plus, Decimal(0), period_months=1, term_months=None, quantity=Decimal(3)),
        ToldLine(core, Decimal(0), term_months=36, quantity=Decimal(2)),
        ToldLine(setup, Decimal(0), period_months=None, term_months=None),
    )
    told = []
    for number in range(WON + LOST + OPEN):
        currency = "JPY" if number % 2 else "USD"
        line = replace(terms[number % 4], price=PRICES[currency][number % 3])
        extra = replace(terms[1], price=PRICES[currency][0]) if number % 5 == 0 and number % 4 != 1 else None
        told.append(
            ToldDeal(
                companies[number % len(companies)],
                f"{NAMES[number % 4]} {number}",
                (line, extra) if extra else (line,),
                stage="won" if number < WON else "lost" if number < WON + LOST else "open",
                closed_on=date(2026, 1 + number % 9, 1 + number % 28),
                currency=currency,
                owner=owner if number % 3 else None,
            )
        )
    for stage in ("won", "lost", "open"):
        world.sell([each for each in told if each.stage == stage])


@pytest.mark.slow
def test_the_ledger_agrees_with_tryton_whatever_happens_there(world: World) -> None:
    _seed(world)
    world.connect()
    assert world.sync().failed == 0
    assert sorted(world.stages().values()) == ["lost"] * LOST + ["open"] * OPEN + ["won"] * WON
    world.must_agree()
    before, changes = world.versions(), world.changes()
    world.sync()
    assert (world.versions(), world.changes()) == (before, changes)

    won = [deal for deal, told in world.told.items() if told.stage == "won"]
    lost, opened = (next(d for d, told in world.told.items() if told.stage == stage) for stage in ("lost", "open"))
    core = world.told[won[0]].lines[0]
    more = ToldLine(world.stage.create_product("Sso", sku="SSO"), Decimal(250))
    world.edit(won[0], lines=(replace(core, price=Decimal(1500), quantity=Decimal(4)),))  # edited
    world.edit(won[2], stage="open")  # opened again
    world.edit(won[4], stage="lost")
    world.edit(won[6], lines=(*world.told[won[6]].lines, more))  # a line more
    world.edit(won[8], currency="JPY", lines=(replace(more, price=Decimal(25_000)),))
    world.edit(opened, stage="won", lines=(more,))
    world.edit(lost, stage="won")
    touched = {won[0], won[2], won[4], won[6], won[8], opened, lost}
    assert world.sync().failed == 0
    world.must_agree()
    after = world.versions()
    assert {deal for deal in before if after.get(deal) != before[deal]} == touched
    assert {world.stages()[deal] for deal in (won[0], won[6], won[8], opened, lost)} == {"won"}
    assert (world.stages()[won[2]], world.stages()[won[4]]) == ("open", "lost")

    for deal in (won[10], won[2]):
        world.stage.delete_deal(deal)
        del world.told[deal]
    assert world.sync(is_full=True).failed == 0
    world.must_agree()
    left = world.versions()
    assert {deal: version for deal, version in left.items() if deal in world.told} == {
        deal: version for deal, version in after.items() if deal in world.told
    }
    assert {won[10], won[2]} & set(world.booked()) == set()
    with reading(world.work.engine) as session:
        assert not list_refused(session, world.connection.id)
        assert "佐藤 花子" in set(session.scalars(select(Person.name)))


def test_a_parties_deals_are_one_accounts_after_it_was_replaced(world: World) -> None:
    kept, other = world.stage.create_company("Borealis GmbH"), world.stage.create_company("Borealis")
    line = ToldLine(world.stage.create_product("Core", sku="CORE"), Decimal(1200))
    world.sell([ToldDeal(company, "Core", (line,), stage="won") for company in (kept, other)])
    world.connect()
    world.sync()
    world.stage.merge_companies(kept, other)
    world.sync()
    world.sync(is_full=True)
    with reading(world.work.engine) as session:
        accounts = set(
            session.scalars(
                select(ContractLineVersion.account_id).where(ContractLineVersion.superseded_change_id.is_(None))
            )
        )
    assert len(world.booked()) == 2
    assert len(accounts) == 1


def test_an_accepted_upsell_is_in_tryton_once_however_often_it_is_written(world: World) -> None:
    engine = world.work.engine
    party = world.stage.create_company("青葉商事株式会社")
    product = world.stage.create_product("Plus", sku="PLUS")
    write_small_company(engine)
    publish_small_run(engine)
    world.connect(extra="[write]\nopportunity = true\nnote = true\ntask = true")
    with transaction(engine) as session, recording(session, "ids") as change:
        said = {"change_id": change.id, "available_at": world.work.clock(), "system": "tryton"}
        session.add(ExternalId(kind="crm", external_id=party, account_id=1, **said))
        session.add(ProductExternalId(external_id=product, product_id=2, **said))
    with transaction(engine) as session:
        run_id = session.scalar(select(PublishedRun.run_id))
        session.add(
            ExpansionOpportunity(
                account_id=1, motion="upsell", product_id=2, episode=1, state="flagged", flagged_on=AS_OF,
                flagged_at=world.work.clock(), seen_on=AS_OF, moved_at=world.work.clock(), run_id=run_id,
                likelihood="high", score=1.0, quantity=5, measure="arr", amount_minor=600_000, currency="JPY",
                evidence=[],
            )
        )  # fmt: skip
    with transaction(engine) as session:
        move_opportunity(session, Move(1, "accept"), actor="user:1", at=world.work.clock() + timedelta(minutes=1))

    def write() -> Written:
        client = connect_over_network(world.work, world.connection)
        mapping = read_mapping(world.connection.mapping)
        return write_back(BackWriter(world.work, world.connection, client, mapping, float("inf")))

    assert (write(), write()) == (Written(written=3), Written())
    _forget_what_was_written(engine)  # as if it had died before it could note it
    assert write() == Written(written=3)
    assert [world.stage.count_written(kind) for kind in ("opportunity", "note", "task")] == [1, 1, 1]
    (deal,) = world.server.tell("written_opportunities")
    described = world.server.tell("describe", deal)
    assert (described["party"], described["currency"], described["amount"]) == ("青葉商事株式会社", "JPY", "600000")
    assert described["lines"] == [["PLUS", 5.0, "Month"]]


def _forget_what_was_written(engine: Engine) -> None:
    with transaction(engine) as session:
        for row in session.scalars(select(CrmWrite)):
            session.delete(row)
