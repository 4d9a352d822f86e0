"""Which fields the company's Salesforce has and shows us, and what stands in them."""

import threading
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from integrations.crm.client import CrmNonsense, CrmRefused
from integrations.crm.salesforce.session import Record, Session

FieldOf = Mapping[str, Any]


class Schema:
    """The descriptions of objects, each asked for once."""

    def __init__(self, session: Session) -> None:
        self._session, self._lock = session, threading.Lock()
        self._fields: dict[str, dict[str, FieldOf]] = {}

    def fields(self, sobject: str) -> Mapping[str, FieldOf]:
        with self._lock:
            if sobject not in self._fields:
                self._fields[sobject] = self._describe(sobject)
            return self._fields[sobject]

    def _describe(self, sobject: str) -> dict[str, FieldOf]:
        body = self._session.call("GET", self._session.path(f"sobjects/{sobject}/describe"))
        fields = body.get("fields") if isinstance(body, dict) else None
        if not isinstance(fields, list) or not all(isinstance(f, dict) and "name" in f for f in fields):
            raise CrmNonsense(f"Salesforce's description of {sobject} is not one.")
        return {field["name"]: field for field in fields}

    def find(self, sobject: str, path: str) -> FieldOf | None:
        """The field that a path such as Amount or Campaign.Name leads to; None: there is none, or we may not see it."""
        first, _, rest = path.partition(".")
        fields = self.fields(sobject)
        if not rest:
            return fields.get(first)
        link = next((field for field in fields.values() if field.get("relationshipName") == first), None)
        targets = link.get("referenceTo") if link else None
        return self.find(targets[0], rest) if targets else None

    def columns(self, sobject: str, *, needed: Sequence[str], wanted: Iterable[str]) -> list[str]:
        """What can be asked for: all that is needed, and of what is wanted the standard fields that are to be seen.

        CrmRefused where one that is needed is hidden, or one of the company's own that the mapping names.
        """
        found = dict.fromkeys(needed)
        for path in (*needed, *wanted):
            if self.find(sobject, path) is not None:
                found[path] = None
            elif path in needed or path.endswith("__c") or "__r." in path:
                raise CrmRefused(f"{sobject} has no field {path}, or this user may not see it: see to its permission.")
        return list(found)

    def has_currencies(self) -> bool:
        """Whether the company has several currencies: only then does a record name its own."""
        return "CurrencyIsoCode" in self.fields("Opportunity")


def value_at(record: Record, path: str | None) -> Any:
    """What stands at the end of a path; None where any step of it leads nowhere."""
    if path is None:
        return None
    value: Any = record
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def text_at(record: Record, path: str | None) -> str | None:
    value = value_at(record, path)
    if value is None or isinstance(value, Mapping | list):
        return None
    if isinstance(value, Decimal):
        return f"{value:f}"
    return str(value).strip() or None


def decimal_at(record: Record, path: str | None) -> Decimal | None:
    """An exact number. CrmNonsense where there is something else."""
    value = value_at(record, path)
    if value is None:
        return None
    try:
        number = Decimal(value) if isinstance(value, int | str | Decimal) else None
    except InvalidOperation:
        number = None
    if number is None or not number.is_finite():
        raise CrmNonsense(f"Salesforce's {path} holds no number.")
    return number


def day_at(record: Record, path: str | None) -> date | None:
    """A day; of an instant, its day in UTC as Salesforce writes it. ValueError where there is something else."""
    value = value_at(record, path)
    if value is None:
        return None
    return datetime.fromisoformat(str(value)).date()


def whole_at(record: Record, path: str | None) -> int | None:
    """A whole number, also one that is written 12.0 or as a text. ValueError where there is something else."""
    value = value_at(record, path)
    if value is None or not str(value).strip():
        return None
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        raise ValueError(value) from None
    if not number.is_finite() or number != number.to_integral_value():
        raise ValueError(value)
    return int(number)
