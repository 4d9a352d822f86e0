"""Random histories of a CRM, synced as they happen: the ledger holds what the oracle says, at each and of each step.

Deals are created, amended, won, opened again, lost, deleted, restored, merged, cancelled; companies are merged; deals
vanish and come back without a word, as a CRM's recycle bin makes them. Pages come in any order and size, and some of
them twice.
"""

import random
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from sqlalchemy import Engine, text

from app.db import make_engine, reading
from integrations.crm.client import Changed, CrmDeal, Noun, Page, Window
from integrations.files.rows import ClosedDeal, DealRow, LineRow
from jobs.sync_crm import Asked, sync_crms
from tests.integrations.crm.story_crm import StoryClient, StoryCrm, StoryStage, Thing
from tests.jobs.crm_world import World, open_world
from tests.oracle.history_acts import PRODUCTS, Act, histories
from tests.oracle.oracle import CompaniesMerged, DealsMerged, Deleted, Event, Line, Restored, Told, lines_after

A_DAY = timedelta(hours=25)  # after which the CRM's list of ids is held against ours
KNOWN = """
SELECT d.external_id, l.line_key, v.account_id, v.product_id, v.kind, v.starts_on, v.ends_on, v.quantity,
       v.amount_minor, v.currency, v.arr_minor
FROM contract_line_versions v
JOIN contract_lines l ON l.id = v.contract_line_id
JOIN contracts c ON c.id = l.contract_id
JOIN deals d ON d.id = c.deal_id
JOIN changes came ON came.id = v.change_id
LEFT JOIN changes went ON went.id = v.superseded_change_id
WHERE came.recorded_at <= :at AND (went.id IS NULL OR went.recorded_at > :at)
"""


@dataclass(frozen=True, slots=True)
class ShuffledClient(StoryClient):
    """Gives what it has in any order, on pages of any size, and some of it twice."""

    seed: int = 0

    def read(self, noun: Noun, window: Window, *, mark: str | None = None) -> Iterator[Page[Any]]:
        chance = random.Random(f"{self.seed} {noun}")  # noqa: S311  a seed is what it is for
        given: list[Changed[Any]] = [item for page in self.story(noun, window, mark) for item in page.items]
        given += chance.sample(given, k=len(given) // 3)
        chance.shuffle(given)
        while given:
            size = chance.randint(1, 9)
            page, given = given[:size], given[size:]
            yield Page(tuple(page), f"{self.seed} {len(given)}")

    def story(self, noun: Noun, window: Window, mark: str | None) -> Iterator[Page[Any]]:
        return StoryClient.read(self, noun, window, mark=mark)


@dataclass
class Player:
    """Plays acts on the CRM and tells the oracle of them; what cannot be done just then is left out."""

    world: World
    history: list[Event] = field(default_factory=list)
    companies: list[str] = field(default_factory=list)
    told: dict[str, Told] = field(default_factory=dict)  # of deals that are there
    deleted: dict[str, Told] = field(default_factory=dict)
    vanished: dict[str, tuple[Told, Thing]] = field(default_factory=dict)
    known: list[tuple[datetime, set[Line]]] = field(default_factory=list)

    @property
    def crm(self) -> StoryCrm:
        return self.world.crm

    @property
    def stage(self) -> StoryStage:
        return self.world.stage

    def play(self, act: Act) -> None:
        getattr(self, act.name.replace(" ", "_"))(act)

    def tell(self, told: Told) -> None:
        """Create it, or make it so."""
        self.crm.put(Noun.DEAL, deal_of(told), id_=told.deal)
        self.told[told.deal] = told
        self.history.append(told)

    def pick(self, those: Sequence[str], number: int) -> str | None:
        return those[number % len(those)] if those else None

    def new_company(self, _act: Act | None = None) -> None:
        self.companies.append(self.stage.create_company(f"Company {len(self.companies)}"))

    def next_name(self) -> str:
        return f"deal-{len(self.told) + len(self.deleted) + len(self.vanished) + len(self.history):03d}"

    def create(self, act: Act) -> None:
        company = self.companies[act.first % len(self.companies)]
        self.tell(replace(act.told, deal=self.next_name(), company=company))

    def cancel(self, act: Act) -> None:
        """A won deal that ends one that it names, or all that its company has."""
        company = self.companies[act.first % len(self.companies)]
        named = None if act.second % 2 else self.pick(list(self.told), act.second // 2)
        closed_on = act.told.closed_on
        self.tell(
            replace(
                act.told,
                deal=self.next_name(),
                company=company,
                stage="won",
                lines=(),
                cancels_on=closed_on + timedelta(days=act.first),
                cancels=named,
            )
        )

    def amend(self, act: Act) -> None:
        name = self.pick(list(self.told), act.first)
        if name is not None:
            self.keep_merged(name, replace(act.told, deal=name, company=self.told[name].company))

    def _make(self, act: Act, stage: str) -> None:
        name = self.pick(list(self.told), act.first)
        if name is not None:
            self.keep_merged(name, replace(self.told[name], stage=stage))

    def keep_merged(self, name: str, told: Told) -> None:
        merged = self.crm.things[Noun.DEAL][name].merged
        self.tell(told)
        self.crm.things[Noun.DEAL][name].merged = merged

    def win(self, act: Act) -> None:
        self._make(act, "won")

    def reopen(self, act: Act) -> None:
        self._make(act, "open")

    def lose(self, act: Act) -> None:
        self._make(act, "lost")

    def delete(self, act: Act) -> None:
        name = self.pick(list(self.told), act.first)
        if name is not None:
            self.stage.delete_deal(name)
            self.deleted[name] = self.told.pop(name)
            self.history.append(Deleted(name))

    def restore(self, act: Act) -> None:
        name = self.pick(list(self.deleted), act.first)
        if name is not None:
            self.stage.restore_deal(name)
            self.told[name] = self.deleted.pop(name)
            self.history.append(Restored(name))

    def vanish(self, act: Act) -> None:
        """Gone without a word. The CRM never lists nothing at all: that is not believed."""
        name = self.pick(list(self.told), act.first)
        if name is not None and len(self.told) > 1:
            self.vanished[name] = self.told.pop(name), self.crm.things[Noun.DEAL].pop(name)
            self.history.append(Deleted(name))
            self.sync(after=A_DAY)

    def appear(self, act: Act) -> None:
        """There again, with the modification time of long ago: seen when the ids are listed, read the next time."""
        name = self.pick(list(self.vanished), act.first)
        if name is not None:
            self.told[name], self.crm.things[Noun.DEAL][name] = self.vanished.pop(name)
            self.history.append(Restored(name))
            self.sync(after=A_DAY)
            self.sync()

    def merge_deals(self, act: Act) -> None:
        kept, other = self._pair(list(self.told), act)
        if kept is not None and other is not None:
            self.stage.merge_deals(kept, other)
            del self.told[other]
            self.history.append(DealsMerged(kept, other))

    def merge_companies(self, act: Act) -> None:
        kept, other = self._pair(self.companies, act)
        if kept is not None and other is not None:
            self.stage.merge_companies(kept, other)
            self.companies.remove(other)
            self.history.append(CompaniesMerged(kept, other))

    def _pair(self, those: Sequence[str], act: Act) -> tuple[str | None, str | None]:
        kept = self.pick(those, act.first)
        return kept, self.pick([name for name in those if name != kept], act.second)

    def sync(self, *, after: timedelta = timedelta(hours=1), is_again: bool = False) -> None:
        self.crm.clock += after
        client = ShuffledClient(self.crm, seed=len(self.history))
        done = sync_crms(self.world.work, Asked(), connect=lambda _work, _connection: client)
        assert done.failed == 0, self.world.feed()
        if self.world.refused() and not is_again:  # what waits for another is read again the next time
            self.sync(is_again=True)

    def compare(self) -> None:
        """What is known now is what stands now."""
        wanted = lines_after(self.history)
        at = self.last_recorded_at()
        assert self.lines_known_at(at) == wanted
        self.known.append((at, wanted))

    def compare_all(self) -> None:
        """What was known at each step is what stood at each step."""
        for at, wanted in self.known:
            assert self.lines_known_at(at) == wanted, f"as known at {at}"

    def last_recorded_at(self) -> datetime:
        with reading(self.world.engine) as session:
            return str(session.execute(text("SELECT max(recorded_at) FROM changes")).scalar())  # type: ignore[return-value]

    def lines_known_at(self, at: datetime) -> set[Line]:
        accounts, products = (
            self._names("external_ids", "account_id"),
            self._names("product_external_ids", "product_id"),
        )
        with reading(self.world.engine) as session:
            rows = session.execute(text(KNOWN), {"at": at}).all()
        return {
            Line(
                deal=row.external_id,
                key=row.line_key,
                account=accounts[row.account_id],
                product=products[row.product_id],
                kind=row.kind,
                starts_on=date.fromisoformat(row.starts_on),
                ends_on=date.fromisoformat(row.ends_on) if row.ends_on else None,
                quantity=Decimal(row.quantity),
                amount_minor=row.amount_minor,
                currency=row.currency,
                arr_minor=row.arr_minor,
            )
            for row in rows
        }

    def _names(self, table: str, column: str) -> dict[int, str]:
        """The id under which each came in; those of what was merged into it came later."""
        with reading(self.world.engine) as session:
            rows = session.execute(text(f"SELECT {column}, external_id FROM {table} ORDER BY id DESC"))  # noqa: S608
            return dict(tuple(row) for row in rows)


def deal_of(told: Told) -> CrmDeal:
    """The deal as an adapter gives it."""
    row = DealRow(
        id=told.deal,
        account=told.company,
        name=told.deal,
        stage=told.stage,
        closed_on=told.closed_on,
        currency=told.currency,
        type="new" if told.cancels_on is None else "cancellation",
        renewal_of=told.cancels,
    )
    lines = tuple(
        LineRow(
            deal=told.deal,
            product=line.product,
            amount=line.amount,
            key=line.key,
            kind=line.kind,
            quantity=line.quantity,
            starts_on=line.starts_on,
            ends_on=line.ends_on,
            term_months=line.term_months,
            price_months=line.price_months,
            auto_renew=line.auto_renew,
            currency=told.currency,
        )
        for line in told.lines
    )
    return CrmDeal(ClosedDeal(row, lines if told.stage == "won" else ()), cancels_on=told.cancels_on)


def play(template: Path, given: Sequence[Act]) -> Player:
    with TemporaryDirectory() as folder:
        shutil.copy(template, Path(folder) / "tenure.db")
        engine = make_engine(f"sqlite:///{folder}/tenure.db")
        try:
            return _play(engine, Path(folder), given)
        finally:
            engine.dispose()


def _play(engine: Engine, folder: Path, given: Sequence[Act]) -> Player:
    player = Player(open_world(engine, folder))
    for sku in PRODUCTS[1:]:
        player.stage.create_product(sku.title(), sku=sku)
    player.new_company()
    player.new_company()
    for act in given:
        player.play(act)
        if act.is_read:
            player.sync()
            player.compare()
    player.sync()
    player.compare()
    player.compare_all()
    return player


@pytest.fixture(scope="module")
def template(request: pytest.FixtureRequest) -> Path:
    """An empty, migrated database, to be copied for each history."""
    return Path(request.getfixturevalue("_sqlite_template"))


def checked(count: int) -> Any:
    slow = [HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(max_examples=count, deadline=None, derandomize=True, database=None, suppress_health_check=slow)


@given(given_acts=histories)
@checked(25)
def test_the_ledger_holds_at_each_step_what_the_oracle_says(template: Path, given_acts: list[Act]) -> None:
    play(template, given_acts)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("part", range(4))
def test_the_ledger_holds_it_in_five_hundred_histories(template: Path, part: int) -> None:
    @seed(part)
    @given(given_acts=histories)
    @settings(checked(125), derandomize=False, phases=[Phase.generate])  # making it small takes minutes
    def hold(given_acts: list[Act]) -> None:
        play(template, given_acts)

    hold()
