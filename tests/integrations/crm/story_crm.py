"""A CRM in memory, with what CRMs do to those who read them: equal times, late rows, merges, deletions, nonsense."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from integrations.crm.client import (
    About,
    AccountFields,
    Changed,
    CrmDeal,
    CrmNonsense,
    Fate,
    Found,
    NewNote,
    NewOpportunity,
    NewTask,
    Noun,
    Option,
    Page,
    Promise,
    Push,
    Window,
    WriteBack,
)
from integrations.files.rows import AccountRow, ClosedDeal, ContactRow, DealRow, LineRow, ProductRow, StaffRow
from tests.integrations.crm.stories import ToldDeal, ToldLine

BEGIN = datetime(2026, 3, 1, 9, tzinfo=UTC)
TICK = timedelta(seconds=1)
KINDS = {NewNote: "note", NewTask: "task", NewOpportunity: "opportunity"}


@dataclass(slots=True)
class Thing:
    row: Any
    at: datetime
    merged: tuple[str, ...] = ()
    into: str | None = None
    shown_as: Any = None  # what is listed while the newest is held back

    @property
    def is_alive(self) -> bool:
        return self.row is not None and self.into is None


@dataclass(slots=True)
class StoryCrm:
    """The CRM itself; `told` says what it answers instead of the truth, by the name of a method."""

    clock: datetime = BEGIN
    page_size: int = 100
    things: dict[Noun, dict[str, Thing]] = field(default_factory=lambda: {noun: {} for noun in Noun})
    written: dict[str, tuple[str, Any]] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    faults: dict[str, str] = field(default_factory=dict)
    tells_total_once: bool = False  # with the first page of a window
    _numbers: int = 0

    def tick(self) -> datetime:
        self.clock += TICK
        return self.clock

    def put(self, noun: Noun, row: Any, *, id_: str | None = None, at: datetime | None = None) -> str:
        if id_ is None:
            self._numbers += 1
            id_ = f"{noun.value}-{self._numbers:06d}"
        self.things[noun][id_] = Thing(row(id_) if callable(row) else row, at or self.tick())
        return id_


@dataclass(frozen=True, slots=True)
class StoryClient:
    """The adapter of `StoryCrm`: a mark is the last (time, id) of a page."""

    crm: StoryCrm
    overlap_seconds: int = 900
    lag_seconds: int = 0

    def ask_about(self) -> About:
        return About("Story CRM", "tests", "1", "USD")

    def nouns(self) -> Sequence[Noun]:
        return tuple(Noun)

    def read(self, noun: Noun, window: Window, *, mark: str | None = None) -> Iterator[Page[Any]]:
        if self.crm.faults.get("read") == "nonsense":
            raise CrmNonsense("The CRM answered 200 with something that is not JSON.")
        if self.crm.faults.get("read") == "empty":
            return
        found = sorted(
            (thing.at, id_)
            for id_, thing in self.crm.things[noun].items()
            if thing.into is None
            and id_ not in self.crm.held
            and (window.since is None or thing.at >= window.since)
            and thing.at < window.until
        )
        total = len(found)
        if mark is not None:
            at, _, id_ = mark.partition(" ")
            found = [pair for pair in found if pair > (datetime.fromisoformat(at), id_)]
        for start in range(0, len(found), self.crm.page_size):
            part = found[start : start + self.crm.page_size]
            items = tuple(self._changed(noun, id_) for _, id_ in part)
            is_told = not self.crm.tells_total_once or (start == 0 and mark is None)
            yield Page(items, f"{part[-1][0].isoformat()} {part[-1][1]}", total if is_told else None)

    def _changed(self, noun: Noun, id_: str) -> Changed[Any]:
        thing = self.crm.things[noun][id_]
        return Changed(id_, thing.at, thing.row, thing.merged)

    def list_ids(self, noun: Noun) -> Iterator[Sequence[str]]:
        fault = self.crm.faults.get("list_ids")
        if fault == "nonsense":
            raise CrmNonsense("The CRM answered 200 with something that is not JSON.")
        alive = sorted(id_ for id_, thing in self.crm.things[noun].items() if thing.is_alive)
        kept = [] if fault == "empty" else alive[: len(alive) // 2] if fault == "half" else alive
        for start in range(0, len(kept), self.crm.page_size):
            yield kept[start : start + self.crm.page_size]

    def find(self, noun: Noun, ids: Sequence[str]) -> Mapping[str, Found]:
        lies = self.crm.faults.get("find") == "gone"
        return {id_: Found(Fate.GONE) if lies else self._found(noun, id_) for id_ in ids}

    def _found(self, noun: Noun, id_: str) -> Found:
        thing = self.crm.things[noun].get(id_)
        if thing is not None and thing.into is not None:
            return Found(Fate.MERGED, thing.into)
        if thing is None or not thing.is_alive:
            return Found(Fate.GONE)
        return Found(Fate.THERE, modified_at=thing.at)

    def list_options(self) -> Mapping[str, Sequence[Option]]:
        return {"stages": (Option("won", "Won", "won"), Option("parked", "Parked"))}

    def write(self, what: WriteBack) -> str:
        crm = self.crm
        if isinstance(what.item, AccountFields):
            crm.written[what.key] = (what.item.account, what.item)
        elif what.key not in crm.written:
            id_ = f"written-{len(crm.written) + 1}"
            if isinstance(what.item, NewOpportunity):
                id_ = StoryStage(crm).create_deal(
                    ToldDeal(what.item.account, what.item.name, currency=what.item.currency)
                )
            crm.written[what.key] = (id_, what.item)
        return crm.written[what.key][0]

    def is_genuine(self, push: Push, *, secret: str, now: datetime) -> bool:
        return push.headers.get("X-Story-Secret") == secret and now >= BEGIN


@dataclass(frozen=True, slots=True)
class StoryStage:
    crm: StoryCrm = field(default_factory=StoryCrm)
    many: int = 250
    cannot: Mapping[str, str] = field(default_factory=dict)

    @property
    def client(self) -> StoryClient:
        return StoryClient(self.crm)

    def now(self) -> datetime:
        return self.crm.clock + TICK

    def create_owner(self, name: str) -> str:
        return self.crm.put(Noun.OWNER, lambda id_: StaffRow(id_, name))

    def create_company(self, name: str, **values: Any) -> str:
        return self.crm.put(Noun.COMPANY, lambda id_: AccountRow(id_, name, **values))

    def create_contact(self, company: str, name: str, *, email: str) -> str:
        return self.crm.put(Noun.CONTACT, lambda id_: ContactRow(id_, company, name, email))

    def create_product(self, name: str, *, sku: str) -> str:
        return self.crm.put(Noun.PRODUCT, ProductRow(sku, sku, name), id_=sku)

    def create_deal(self, told: ToldDeal) -> str:
        return self.crm.put(Noun.DEAL, lambda id_: deal_of(id_, told))

    def create_at_once(self, told: Sequence[ToldDeal]) -> list[str]:
        at = self.crm.tick()
        return [self.crm.put(Noun.DEAL, lambda id_, one=one: deal_of(id_, one), at=at) for one in told]

    def edit_deal(self, deal: str, told: ToldDeal) -> None:
        merged = self.crm.things[Noun.DEAL][deal].merged
        self.crm.put(Noun.DEAL, deal_of(deal, told), id_=deal)
        self.crm.things[Noun.DEAL][deal].merged = merged

    def delete_deal(self, deal: str) -> None:
        thing = self.crm.things[Noun.DEAL][deal]
        thing.shown_as, thing.row, thing.at = thing.row, None, self.crm.tick()

    def restore_deal(self, deal: str) -> None:
        thing = self.crm.things[Noun.DEAL][deal]
        thing.row, thing.at = thing.shown_as, self.crm.tick()

    def merge_deals(self, kept: str, other: str) -> str:
        return self._merge(Noun.DEAL, kept, other)

    def merge_companies(self, kept: str, other: str) -> str:
        return self._merge(Noun.COMPANY, kept, other)

    def _merge(self, noun: Noun, kept: str, other: str) -> str:
        things = self.crm.things[noun]
        things[other].into = kept
        things[kept].merged += (other, *things[other].merged)
        things[kept].at = self.crm.tick()
        return kept

    def hold_back(self, deal: str) -> None:
        self.crm.held.add(deal)

    def let_through(self, deal: str) -> None:
        self.crm.held.discard(deal)

    def count_written(self, kind: str) -> int:
        return sum(KINDS.get(type(item)) == kind for _, item in self.crm.written.values())


def deal_of(id_: str, told: ToldDeal) -> CrmDeal:
    row = DealRow(
        id=id_,
        account=told.company,
        name=told.name,
        stage=told.stage,
        type=told.type,
        closed_on=told.closed_on,
        amount=told.amount,
        currency=told.currency,
        lead_source=told.lead_source,
        campaign=told.campaign,
        owner=told.owner,
        renewal_of=told.renewal_of,
    )
    lines = tuple(_line(id_, number, line, told.currency) for number, line in enumerate(told.lines, start=1))
    promises = tuple(Promise(f"{kind}-{number}", kind, text) for number, (kind, text) in enumerate(told.promises))
    return CrmDeal(ClosedDeal(row, lines if told.stage == "won" else ()), promises, told.cancels_on)


def _line(deal: str, number: int, told: ToldLine, currency: str) -> LineRow:
    return LineRow(
        deal=deal,
        product=told.product,
        amount=told.price * told.quantity * (1 - (told.discount or Decimal(0))),
        key=str(number),
        kind="one_time" if told.period_months is None else "recurring",
        quantity=told.quantity,
        unit_price=told.price,
        discount=told.discount,
        starts_on=told.starts_on,
        ends_on=told.ends_on,
        term_months=told.term_months if told.period_months is not None else None,
        price_months=told.period_months,
        auto_renew=told.term_months is None and told.ends_on is None and told.period_months is not None,
        currency=currency,
    )


def days(n: int) -> date:
    """The n-th day of closing."""
    return date(2026, 1, 1) + timedelta(days=n)


@contextmanager
def open_stage(_folder: Path) -> Iterator[StoryStage]:
    yield StoryStage()
