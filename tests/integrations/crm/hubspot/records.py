"""What the fake HubSpot keeps: records of all types, what they are associated with, and how they come and go."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

# Numbers of associations, there and back; the second of a pair is that of the primary company.
ASSOCIATIONS: dict[tuple[str, str], tuple[int, ...]] = {
    ("deals", "companies"): (341, 5),
    ("companies", "deals"): (342, 6),
    ("contacts", "companies"): (279, 1),
    ("companies", "contacts"): (280, 2),
    ("deals", "contacts"): (3,),
    ("contacts", "deals"): (4,),
    ("line_items", "deals"): (20,),
    ("deals", "line_items"): (19,),
    ("notes", "companies"): (190,),
    ("companies", "notes"): (189,),
    ("notes", "deals"): (214,),
    ("deals", "notes"): (213,),
    ("tasks", "companies"): (192,),
    ("companies", "tasks"): (191,),
}
KINDS = ("companies", "contacts", "deals", "line_items", "products", "notes", "tasks")
TICK = timedelta(seconds=1)


class Invalid(Exception):
    """What HubSpot answers with 400."""


@dataclass(slots=True)
class Record:
    id: int
    properties: dict[str, str]
    created_at: datetime
    modified_at: datetime
    archived_at: datetime | None = None
    merged_into: int | None = None
    indexed: list[tuple[datetime, dict[str, str], datetime]] = field(default_factory=list)  # for a search that lags
    held: tuple[dict[str, str], datetime] | None = None  # how it was when it was held back

    @property
    def shown(self) -> tuple[dict[str, str], datetime]:
        return self.held or (self.properties, self.modified_at)


class Records:
    """`clock` moves on by a second with everything that is done, but within what is done at once."""

    def __init__(self) -> None:
        self.clock = datetime(2026, 3, 10, 12, tzinfo=UTC)
        self.is_at_once = False
        self.index_lag = timedelta(0)
        self.kinds: dict[str, dict[int, Record]] = {kind: {} for kind in KINDS}
        self.links: dict[tuple[str, str], dict[int, dict[int, set[int]]]] = defaultdict(lambda: defaultdict(dict))
        self.unique: dict[str, set[str]] = {"deals": {"tenure_key"}}
        self.stages: dict[str, str] = {}  # id -> open, won, lost
        self._next_id = 10_000_000_001

    def create(self, kind: str, properties: dict[str, Any], links: list[dict[str, Any]] | None = None) -> Record:
        wanted = [self._check_link(kind, link) for link in links or []]
        self._check(kind, properties, own=None)
        at = self._tick()
        record = Record(self._next_id, {}, at, at)
        self._next_id += 1
        self.kinds[kind][record.id] = record
        self._set(kind, record, properties, at=at)
        for other_kind, other, numbers in wanted:
            self.associate(kind, record.id, other_kind, other, numbers)
        return record

    def update(self, kind: str, id_: int, properties: dict[str, Any]) -> Record:
        record = self.alive(kind, id_)
        if record is None:
            raise KeyError(id_)
        self._check(kind, properties, own=record.id)
        self._set(kind, record, properties, at=self._tick())
        return record

    def associate(self, kind: str, one: int, other_kind: str, other: int, numbers: set[int]) -> None:
        """Nothing is touched by that."""
        all_of = ASSOCIATIONS[kind, other_kind]
        is_primary = all_of[-1] in numbers and len(all_of) == 2
        self.links[kind, other_kind][one].setdefault(other, set()).update(numbers | {all_of[0]})
        back = ASSOCIATIONS[other_kind, kind]
        self.links[other_kind, kind][other].setdefault(one, set()).update(back if is_primary else back[:1])

    def linked(self, kind: str, id_: int, other_kind: str) -> dict[int, set[int]]:
        others = self.kinds[other_kind]
        own = self.links[kind, other_kind].get(id_, {})
        return {other: own[other] for other in sorted(own) if others[other].archived_at is None}

    def archive(self, kind: str, id_: int) -> None:
        """It is in no search any more; nothing else says so."""
        self.kinds[kind][id_].archived_at = self._tick()

    def restore(self, kind: str, id_: int) -> None:
        record = self.kinds[kind][id_]
        record.archived_at = None
        self._set(kind, record, {}, at=self._tick())

    def merge(self, kind: str, kept: int, other: int) -> Record:
        """A third record with what both had; the two answer with it, and are archived."""
        both = [self.alive(kind, id_) for id_ in (kept, other)]
        if both[0] is None or both[1] is None or both[0] is both[1]:
            raise Invalid("both records must exist")
        old = [record for record in both if record is not None]
        merged = [id_ for record in old for id_ in [*self._merged(record), str(record.id)]]
        properties = old[1].properties | old[0].properties | {"hs_merged_object_ids": ";".join(merged)}
        new = self.create(kind, properties)
        for (own, other_kind), links in list(self.links.items()):
            for record in old if own == kind else []:
                for id_, numbers in links.pop(record.id, {}).items():
                    links[new.id].setdefault(id_, set()).update(numbers)
                    back = self.links[other_kind, kind][id_]
                    back.setdefault(new.id, set()).update(back.pop(record.id, set()))
        for record in old:
            record.merged_into, record.archived_at = new.id, self.clock
        return new

    def alive(self, kind: str, id_: int) -> Record | None:
        """The record that an id stands for, also after it was merged; None if archived or never there."""
        record = self.kinds[kind].get(id_)
        while record is not None and record.merged_into is not None:
            record = self.kinds[kind][record.merged_into]
        return None if record is None or record.archived_at is not None else record

    def find_unique(self, kind: str, name: str, value: str) -> Record | None:
        if name not in self.unique.get(kind, set()):
            raise Invalid(f"{name} has no unique values")
        own = self.kinds[kind].values()
        return next((each for each in own if each.properties.get(name) == value and each.archived_at is None), None)

    def in_index(self, record: Record) -> tuple[dict[str, str], datetime] | None:
        """How the search sees it: as it was some time ago, or not yet."""
        if not self.index_lag or record.held is not None:
            return record.held or (record.properties, record.modified_at)
        seen = [(properties, at) for shown_at, properties, at in record.indexed if shown_at <= self.clock]
        return seen[-1] if seen else None

    def _tick(self) -> datetime:
        at = self.clock
        if not self.is_at_once:
            self.clock += TICK
        return at

    def _set(self, kind: str, record: Record, properties: dict[str, Any], *, at: datetime) -> None:
        record.properties = record.properties | {name: str(value) for name, value in properties.items()}
        record.modified_at = at
        if kind == "line_items":
            record.properties["amount"] = _net(record.properties)
        if kind == "deals":
            state = self.stages.get(record.properties.get("dealstage", ""), "open")
            record.properties |= {
                "hs_is_closed": str(state != "open").lower(),
                "hs_is_closed_won": str(state == "won").lower(),
            }
        if self.index_lag:
            record.indexed.append((at + self.index_lag, record.properties, at))

    def _check(self, kind: str, properties: dict[str, Any], *, own: int | None) -> None:
        if kind == "line_items" and Decimal(str(properties.get("price") or 0)) < 0:
            raise Invalid("price must not be negative")
        if kind == "deals" and properties.get("dealstage") not in {None, *self.stages}:
            raise Invalid("there is no such stage")
        if kind in {"notes", "tasks"} and own is None and not properties.get("hs_timestamp"):
            raise Invalid("hs_timestamp is required")
        for name in self.unique.get(kind, set()) & properties.keys():
            other = self.find_unique(kind, name, str(properties[name]))
            if other is not None and other.id != own:
                raise Invalid(f"{name} is taken")

    def _check_link(self, kind: str, link: dict[str, Any]) -> tuple[str, int, set[int]]:
        numbers = {each["associationTypeId"] for each in link["types"]}
        for (own, other_kind), known in ASSOCIATIONS.items():
            if own == kind and numbers <= set(known):
                other = self.alive(other_kind, int(link["to"]["id"]))
                if other is None:
                    raise Invalid(f"there is no {other_kind} {link['to']['id']}")
                return other_kind, other.id, numbers
        raise Invalid(f"no association of {kind} is of type {numbers}")

    def _merged(self, record: Record) -> list[str]:
        return [id_ for id_ in record.properties.get("hs_merged_object_ids", "").split(";") if id_]


def _net(properties: dict[str, str]) -> str:
    """What one period costs, as HubSpot shows it: to three places."""
    price, quantity = Decimal(properties.get("price") or 0), Decimal(properties.get("quantity") or 1)
    off = Decimal(properties.get("discount") or 0)
    if percent := properties.get("hs_discount_percentage"):
        off = price * Decimal(percent) / 100
    return f"{(price - off) * quantity:.3f}"
