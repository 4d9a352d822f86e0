"""A Salesforce of one company in memory: records with what they were, a clock that is set, a recycle bin.

What is written at an instant shows `lag` later, or when it is let through. What is deleted stays to be read for fifteen
days. A deal's Amount is the sum of its lines; a change of lines that leaves the sum touches the lines alone.
"""

import string
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from tests.integrations.crm.salesforce.query import Refused
from tests.integrations.crm.salesforce.shape import PREFIXES, SHAPE, WITH_CURRENCY, Field

BIN = timedelta(days=15)
NEVER = datetime.max.replace(tzinfo=UTC)
STAGES = (
    ("Prospecting", False, False),
    ("Negotiation", False, False),
    ("Closed Won", True, True),
    ("Lost", False, True),
)
_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_SUFFIX = string.ascii_uppercase + string.digits[:6]


def make_id(prefix: str, number: int) -> str:
    """Fifteen characters that count upwards, and three that say which of them are capitals."""
    digits = ""
    for _ in range(12):
        number, rest = divmod(number, 62)
        digits = _DIGITS[rest] + digits
    short = prefix + digits
    parts = (short[start : start + 5] for start in (0, 5, 10))
    return short + "".join(_SUFFIX[sum(1 << i for i, letter in enumerate(part) if letter.isupper())] for part in parts)


@dataclass
class Version:
    shows_at: datetime
    at: datetime
    values: dict[str, Any]


@dataclass
class Org:
    has_currencies: bool = True
    lag: timedelta = timedelta(0)
    clock: datetime = datetime(2026, 3, 10, 9, tzinfo=UTC)
    held: set[str] = field(default_factory=set)
    tables: dict[str, dict[str, list[Version]]] = field(default_factory=lambda: {name: {} for name in SHAPE})
    hidden: set[tuple[str, str]] = field(default_factory=set)  # (object, field) that the user may not see
    count: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        self.user = ""
        self.user = self.create(
            "User", Name="Tenure", Username="tenure@example.com", IsActive=True, UserType="Standard"
        )
        self.create("Organization", Name="例 Example KK", IsSandbox=False)
        for code in ("USD", "JPY", "EUR"):
            self.create("CurrencyType", IsoCode=code, IsCorporate=code == "USD")
        for number, (name, is_won, is_closed) in enumerate(STAGES):
            flags = {"IsWon": is_won, "IsClosed": is_closed, "IsActive": True}
            self.create("OpportunityStage", ApiName=name, MasterLabel=name, SortOrder=number, **flags)
        for number, (name, is_closed) in enumerate((("Not Started", False), ("完了", True))):
            self.create("TaskStatus", ApiName=name, IsClosed=is_closed, IsDefault=number == 0, SortOrder=number)
        self.book = self.create("Pricebook2", Name="Standard", IsStandard=True)

    def fields(self, sobject: str) -> dict[str, Field]:
        """What the user may see."""
        own = dict(SHAPE[sobject])
        if self.has_currencies and sobject in WITH_CURRENCY:
            own["CurrencyIsoCode"] = Field("picklist")
        return {name: kind for name, kind in own.items() if (sobject, name) not in self.hidden}

    # What there is

    def visible(self, sobject: str) -> Iterator[dict[str, Any]]:
        """Each record as it shows now, with those in the recycle bin."""
        for id_ in self.tables[sobject]:
            if (values := self.shown(sobject, id_)) is not None:
                yield values

    def shown(self, sobject: str, id_: str) -> dict[str, Any] | None:
        shown = [version for version in self.tables[sobject][id_] if version.shows_at <= self.clock]
        if not shown or (shown[-1].values.get("IsDeleted") and shown[-1].at + BIN < self.clock):
            return None
        return shown[-1].values

    def get(self, sobject: str, id_: str) -> dict[str, Any]:
        """As it was written last, shown or not."""
        versions = self.tables[sobject].get(id_)
        if versions is None:
            raise Refused("NOT_FOUND", "The requested resource does not exist")
        return versions[-1].values

    def lines(self, deal: str, *, is_deleted: bool = False) -> list[str]:
        return [
            id_
            for id_ in self.tables["OpportunityLineItem"]
            if (line := self.get("OpportunityLineItem", id_))["OpportunityId"] == deal
            and line["IsDeleted"] == is_deleted
        ]

    # What is done

    def create(self, sobject: str, **values: Any) -> str:
        with self.lock:
            self.count += 1
            id_ = make_id(PREFIXES[sobject], self.count)
            kinds = SHAPE[sobject]
            missing = [name for name, kind in kinds.items() if kind.is_needed and values.get(name) is None]
            if missing:
                raise Refused("REQUIRED_FIELD_MISSING", f"Required fields are missing: {missing}")
            for name, kind in kinds.items():
                if kind.is_key and values.get(name) and self.find_key(sobject, name, values[name]):
                    raise Refused("DUPLICATE_VALUE", f"duplicate value found: {name}")
            blank: dict[str, Any] = dict.fromkeys(kinds)
            blank |= {"Id": id_, "CreatedDate": self.clock, "CreatedById": self.user}
            blank |= {name: False for name in ("IsDeleted",) if name in kinds}
            blank |= {"OwnerId": self.user} if "OwnerId" in kinds else {}
            blank |= {"CurrencyIsoCode": "USD"} if self.has_currencies and sobject in WITH_CURRENCY else {}
            self.tables[sobject][id_] = []
            self._write(sobject, id_, {**blank, **values})
            return id_

    def update(self, sobject: str, id_: str, **values: Any) -> None:
        with self.lock:
            self._write(sobject, id_, {**self.get(sobject, id_), **values})

    def _write(self, sobject: str, id_: str, values: dict[str, Any]) -> None:
        values = {**values, "SystemModstamp": self.clock, "LastModifiedDate": self.clock}
        if sobject == "Opportunity":
            stage = next(each for each in STAGES if each[0] == values["StageName"])
            values |= {"IsWon": stage[1], "IsClosed": stage[2]}
        if sobject == "OpportunityLineItem":
            values = self._priced(values)
        is_held = id_ in self.held or values.get("OpportunityId") in self.held
        shows_at = NEVER if is_held else self.clock + self.lag
        self.tables[sobject][id_].append(Version(shows_at, self.clock, values))
        if sobject == "OpportunityLineItem":
            self._sum_up(values["OpportunityId"])

    def _priced(self, values: dict[str, Any]) -> dict[str, Any]:
        if values["Product2Id"] is None:
            values["Product2Id"] = self.get("PricebookEntry", values["PricebookEntryId"])["Product2Id"]
        exact = values["Quantity"] * values["UnitPrice"] * (1 - (values["Discount"] or Decimal(0)) / 100)
        digits = Decimal(1) if values.get("CurrencyIsoCode") == "JPY" else Decimal("0.01")
        return {**values, "TotalPrice": exact.quantize(digits, ROUND_HALF_UP)}

    def _sum_up(self, deal: str) -> None:
        lines = [self.get("OpportunityLineItem", id_) for id_ in self.lines(deal)]
        if lines:
            total = sum((line["TotalPrice"] for line in lines), Decimal(0))
            if self.get("Opportunity", deal)["Amount"] != total:
                self.update("Opportunity", deal, Amount=total)

    def delete(self, sobject: str, id_: str) -> None:
        with self.lock:
            if sobject == "Opportunity":
                for line in self.lines(id_):
                    self.tables["OpportunityLineItem"][line].append(
                        self._stamped({**self.get("OpportunityLineItem", line), "IsDeleted": True})
                    )
            self._write(sobject, id_, {**self.get(sobject, id_), "IsDeleted": True})

    def _stamped(self, values: dict[str, Any]) -> Version:
        stamped = {**values, "SystemModstamp": self.clock, "LastModifiedDate": self.clock}
        is_held = values.get("OpportunityId") in self.held
        return Version(NEVER if is_held else self.clock + self.lag, self.clock, stamped)

    def undelete(self, deal: str) -> None:
        """With the lines that went with it."""
        with self.lock:
            went_at = self.get("Opportunity", deal)["SystemModstamp"]
            self._write("Opportunity", deal, {**self.get("Opportunity", deal), "IsDeleted": False})
            for id_ in self.lines(deal, is_deleted=True):
                line = self.get("OpportunityLineItem", id_)
                if line["SystemModstamp"] == went_at:
                    self.tables["OpportunityLineItem"][id_].append(self._stamped({**line, "IsDeleted": False}))

    def merge(self, sobject: str, kept: str, other: str) -> None:
        """The other goes to the bin and names the one that it lives on in; what was its own changes hands."""
        with self.lock:
            for below in ("Opportunity", "Contact") if sobject == "Account" else ():
                for id_ in self.tables[below]:
                    if self.get(below, id_)["AccountId"] == other:
                        self.update(below, id_, AccountId=kept)
            self._write(sobject, other, {**self.get(sobject, other), "IsDeleted": True, "MasterRecordId": kept})
            self.update(sobject, kept)

    def let_through(self, id_: str) -> None:
        self.held.discard(id_)
        for sobject in ("Opportunity", "OpportunityLineItem"):
            for versions in self.tables[sobject].values():
                for version in versions:
                    if version.values["Id"] == id_ or version.values.get("OpportunityId") == id_:
                        version.shows_at = min(version.shows_at, version.at + self.lag)

    def find_key(self, sobject: str, name: str, value: str) -> str | None:
        return next((id_ for id_ in self.tables[sobject] if self.get(sobject, id_)[name] == value), None)

    def read_body(self, sobject: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """What a request gives, as the fields are typed."""
        fields = self.fields(sobject)
        for name in body:
            if name not in fields:
                raise Refused("INVALID_FIELD", f"No such column '{name}' on sobject of type {sobject}")
        return {name: _typed(fields[name], value) for name, value in body.items()}


def _typed(kind: Field, value: Any) -> Any:
    if value is None:
        return None
    if kind.type in {"double", "currency", "percent", "int"}:
        if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
            raise Refused("JSON_PARSER_ERROR", "Cannot deserialize instance of double")
        return Decimal(str(value))
    if kind.type == "date":
        return date.fromisoformat(value)
    if kind.type == "datetime":
        return datetime.fromisoformat(value).astimezone(UTC)
    if kind.type == "string" and len(value) > 255:
        raise Refused("STRING_TOO_LONG", "data value too large")
    return value
