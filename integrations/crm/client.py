"""What every CRM adapter gives and takes. Nothing here knows of any one CRM, of the database or of a clock.

A reading is of a fixed window of modification times, [since, until): what changes while it goes on belongs to the
next window. Within it an adapter goes by pages, each with a mark to go on from, so that whoever reads can commit a
page together with its mark and be killed at any moment. An adapter gives everything that changed, in any stage:
otherwise a deal that is opened again, merged or deleted is never put right. It may give a thing twice.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar

from integrations.files.rows import AccountRow, ClosedDeal, ContactRow, ProductRow, StaffRow


class CrmError(Exception):
    """The CRM could not be read or written; the message says why, in a sentence fit for the operator."""


class CrmRefused(CrmError):
    """It answered that we may not: a token that is wrong, has expired or lacks a scope. Trying again is no use."""


class CrmBusy(CrmError):
    """It asks to be left alone until later: a limit was reached. `retry_after_seconds` None: not said."""

    def __init__(self, message: str, *, retry_after_seconds: int | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class CrmNonsense(CrmError):
    """The answer is not what the CRM gives: HTML, truncated JSON, a page that leads back to itself."""


Keep = Callable[[Mapping[str, str]], None]
"""Is given the whole secret anew where the CRM exchanged a part of it, before anything is done with the new one."""


def keep_nowhere(_secret: Mapping[str, str]) -> None:
    """For who has no more than one use for it."""


class Noun(StrEnum):
    """What is read, in the order in which it is: each may name what is before it."""

    OWNER = "owner"
    COMPANY = "company"
    CONTACT = "contact"
    PRODUCT = "product"
    DEAL = "deal"


@dataclass(frozen=True, slots=True)
class Promise:
    """What sales promised along with a deal: a goal, a date, a stakeholder, or a note."""

    key: str  # the CRM's field, or number: stays the same when the words change
    kind: str  # goal, date, stakeholder, note
    text: str
    due_on: date | None = None


@dataclass(frozen=True, slots=True)
class CrmDeal:
    """A deal with its lines and what was promised; `unmapped` are values that the mapping has no word for.

    `cancels_on` is the first day no longer paid for by what the deal cancels: the contract of the deal that
    `closed.deal.renewal_of` names, or all of the account's.
    """

    closed: ClosedDeal
    promises: tuple[Promise, ...] = ()
    cancels_on: date | None = None
    cancel_cause: str = "voluntary"
    unmapped: tuple[str, ...] = ()


Row = TypeVar("Row", bound=AccountRow | ContactRow | StaffRow | ProductRow | CrmDeal)


@dataclass(frozen=True, slots=True)
class Changed(Generic[Row]):
    """A thing as it is now. `row` None: deleted or archived. `merged` are ids that live on in this one."""

    id: str
    modified_at: datetime
    row: Row | None
    merged: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Window:
    """Modification times from `since` (None: from the beginning) up to, not on, `until`; both in UTC."""

    since: datetime | None
    until: datetime


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Some of what changed, and the mark to go on from after it. `total` is how many the window has, if it is known.

    `until` may be earlier than the window's, where the CRM is known to show changes late.
    """

    items: tuple[Changed[Row], ...]
    mark: str
    total: int | None = None


class Fate(StrEnum):
    """What became of a thing that the CRM lists no longer."""

    THERE = "there"
    GONE = "gone"
    MERGED = "merged"


@dataclass(frozen=True, slots=True)
class Found:
    fate: Fate
    into: str | None = None  # of a merged one
    modified_at: datetime | None = field(default=None, compare=False)  # of one that is there


@dataclass(frozen=True, slots=True)
class About:
    """Who answered: shown to the operator, so that nobody syncs with the wrong one."""

    name: str
    user: str
    version: str = ""
    currency: str | None = None


@dataclass(frozen=True, slots=True)
class Option:
    """A value that the CRM has for a field: a stage, a deal type, a custom field."""

    id: str
    label: str
    meaning: str | None = None  # what the mapping makes of it; None: nothing


@dataclass(frozen=True, slots=True)
class NewNote:
    account: str
    text: str
    deal: str | None = None


@dataclass(frozen=True, slots=True)
class NewTask:
    account: str
    subject: str
    text: str
    owner: str | None = None
    due_on: date | None = None


@dataclass(frozen=True, slots=True)
class NewLine:
    product: str
    quantity: Decimal
    unit_price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class NewOpportunity:
    account: str
    name: str
    currency: str
    amount: Decimal | None = None
    owner: str | None = None
    close_on: date | None = None
    lines: tuple[NewLine, ...] = ()
    text: str = ""


@dataclass(frozen=True, slots=True)
class AccountFields:
    """What is kept up to date on an account; the mapping names the CRM's field of each, one without is left out."""

    account: str
    values: Mapping[str, str | Decimal | date | None]  # health_band, churn_risk, ltv, ltv_currency, renewal_on


@dataclass(frozen=True, slots=True)
class WriteBack:
    """Something to be written, known by a `key` of ours that the CRM keeps: written twice, it is there once."""

    key: str
    item: NewNote | NewTask | NewOpportunity | AccountFields


@dataclass(frozen=True, slots=True)
class Push:
    """A request that says something changed. It is never believed beyond that: it asks for a sync."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class CrmClient(Protocol):
    """One CRM of one customer. Made from a `transport.Transport` and a `mapping.CrmMapping`; see `registry.py`.

    Every method may raise CrmError. None keeps state beyond caches: two clients may read side by side.
    """

    @property
    def overlap_seconds(self) -> int:
        """How far back of the last window the next one begins: changes show late, clocks differ."""
        ...

    @property
    def lag_seconds(self) -> int:
        """How long before now a window ends, so that what shows late is not passed by."""
        ...

    def ask_about(self) -> About: ...

    def nouns(self) -> Sequence[Noun]:
        """What this CRM has, in the order of `Noun`."""
        ...

    def read(self, noun: Noun, window: Window, *, mark: str | None = None) -> Iterator[Page[Any]]:
        """The pages of what changed in the window, after the mark of a page read before; none where nothing did."""
        ...

    def list_ids(self, noun: Noun) -> Iterator[Sequence[str]]:
        """The ids of all that is there now, in parts."""
        ...

    def find(self, noun: Noun, ids: Sequence[str]) -> Mapping[str, Found]:
        """What became of things that are not listed."""
        ...

    def list_options(self) -> Mapping[str, Sequence[Option]]:
        """By what the mapping speaks of (stages, types, fields): what the CRM has, and what would be made of it."""
        ...

    def write(self, what: WriteBack) -> str:
        """Write it unless it is there by its key; the CRM's id of it."""
        ...

    def is_genuine(self, push: Push, *, secret: str, now: datetime) -> bool:
        """Whether a push is signed as the CRM signs them, and fresh."""
        ...
