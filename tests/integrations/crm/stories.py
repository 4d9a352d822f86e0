"""The words in which one story is told to every CRM, and a naive reader that believes what it is given.

An adapter joins the contract test by a module `tests/integrations/crm/KIND_stage.py` with a function

    def open_stage(folder: Path) -> AbstractContextManager[Stage]

whose stage plays the story on its CRM, real or fake, and hands out the client that reads it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

from app.services.deal_terms import settle
from integrations.crm.client import Changed, CrmClient, CrmDeal, Fate, Noun, Window


@dataclass(frozen=True, slots=True)
class ToldLine:
    """A line as a seller enters it. `period_months` None: it does not recur; `term_months` and `ends_on` None: until
    notice. `price` is of one piece, for one period."""

    product: str
    price: Decimal
    quantity: Decimal = Decimal(1)
    discount: Decimal | None = None  # of 1
    period_months: int | None = 12
    term_months: int | None = 12
    starts_on: date | None = None  # None: the day of closing
    ends_on: date | None = None


@dataclass(frozen=True, slots=True)
class ToldDeal:
    """A deal as a seller enters it. `promises` are (kind, text), kinds as in a mapping."""

    company: str
    name: str
    lines: tuple[ToldLine, ...] = ()
    stage: str = "open"  # open, won, lost
    type: str = "new"  # new, renewal, expansion, contraction, cancellation
    closed_on: date = date(2026, 3, 10)
    currency: str = "USD"
    amount: Decimal | None = None  # the deal's own, where it has no lines
    owner: str | None = None
    lead_source: str | None = None
    campaign: str | None = None
    renewal_of: str | None = None
    cancels_on: date | None = None
    promises: tuple[tuple[str, str], ...] = ()


class Stage(Protocol):
    """A CRM on which a story is played. Ids are the CRM's own, as the adapter gives them.

    `cannot` names methods, and fields of a told deal or line, that this CRM does not know, each with the reason; what
    needs one of them is skipped. `many` is how many deals surely fill three pages.
    """

    @property
    def client(self) -> CrmClient: ...

    @property
    def cannot(self) -> Mapping[str, str]: ...

    @property
    def many(self) -> int: ...

    def now(self) -> datetime:
        """An instant after all that was done so far, and not after what is done next."""
        ...

    def create_owner(self, name: str) -> str: ...

    def create_company(self, name: str) -> str: ...

    def create_contact(self, company: str, name: str, *, email: str) -> str: ...

    def create_product(self, name: str, *, sku: str) -> str:
        """The product as `LineRow.product` names it."""
        ...

    def create_deal(self, told: ToldDeal) -> str: ...

    def create_at_once(self, told: Sequence[ToldDeal]) -> list[str]:
        """Deals with one and the same modification time."""
        ...

    def edit_deal(self, deal: str, told: ToldDeal) -> None:
        """Make it what is told, lines and all: this is also how a deal is won, opened again, lost or restated."""
        ...

    def delete_deal(self, deal: str) -> None: ...

    def restore_deal(self, deal: str) -> None: ...

    def merge_deals(self, kept: str, other: str) -> str:
        """The id of the deal that both live on in; it may be a third."""
        ...

    def merge_companies(self, kept: str, other: str) -> str: ...

    def hold_back(self, deal: str) -> None:
        """What is done to the deal from here on shows only after `let_through`, with the time at which it was done."""
        ...

    def let_through(self, deal: str) -> None: ...

    def count_written(self, kind: str) -> int:
        """How many notes, tasks or opportunities (kind: note, task, opportunity) were written back and are there."""
        ...


@dataclass(frozen=True, slots=True)
class Booked:
    """What a line comes to in the ledger, however the adapter says it."""

    product: str
    kind: str
    amount_minor: int
    arr_minor: int | None
    starts_on: date
    ends_on: date | None
    currency: str


def booked(deal: CrmDeal) -> tuple[Booked, ...]:
    """The lines of a deal, settled as the ledger settles them."""
    return tuple(
        Booked(
            line.row.product,
            line.row.kind,
            line.amount.minor,
            line.arr_minor,
            line.starts_on,
            line.ends_on,
            line.amount.currency,
        )
        for line in settle(deal.closed).lines
    )


@dataclass(slots=True)
class NaiveReader:
    """Reads window after window into dictionaries, with the client's overlap; finds deletions by the list of ids."""

    stage: Stage
    things: dict[Noun, dict[str, Any]] = field(default_factory=dict)
    merged: dict[str, str] = field(default_factory=dict)
    given: dict[Noun, int] = field(default_factory=dict)  # of the last pull
    until: datetime | None = None

    def pull(self) -> "NaiveReader":
        client, now = self.stage.client, self.stage.now()
        since = self.until and self.until - timedelta(seconds=client.overlap_seconds)
        for noun in client.nouns():
            pages = list(client.read(noun, Window(since, now)))
            self.given[noun] = sum(len(page.items) for page in pages)
            for page in pages:
                for item in page.items:
                    self._take(noun, item)
        self.until = now
        return self

    def _take(self, noun: Noun, item: Changed[Any]) -> None:
        own = self.things.setdefault(noun, {})
        for old in item.merged:
            own.pop(old, None)
            self.merged[old] = item.id
        if item.row is None:
            own.pop(item.id, None)
        else:
            own[item.id] = item.row

    def reconcile(self, noun: Noun = Noun.DEAL) -> "NaiveReader":
        client, own = self.stage.client, self.things.setdefault(noun, {})
        there = {id_ for part in client.list_ids(noun) for id_ in part}
        missing = sorted(set(own) - there)
        for id_, found in (client.find(noun, missing) if missing else {}).items():
            if found.fate is not Fate.THERE:
                del own[id_]
            if found.fate is Fate.MERGED and found.into is not None:
                self.merged[id_] = found.into
        return self

    @property
    def deals(self) -> dict[str, CrmDeal]:
        return self.things.get(Noun.DEAL, {})
