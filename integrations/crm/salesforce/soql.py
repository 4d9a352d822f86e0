"""SOQL, written: texts quoted, instants in UTC, and the place after which to go on."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from integrations.crm.client import CrmError, CrmNonsense, Window

IDS_A_QUERY = 200  # a query goes by the URL, which holds 16,384 characters
BY_CHANGE = "SystemModstamp, Id"
_ID = re.compile(r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?")
_MARK = re.compile(r"(?P<part>[01]) (?P<at>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) (?P<id>[A-Za-z0-9]{15,18})")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a reading stands: in which of its parts, and after which (SystemModstamp, Id), none at its beginning."""

    part: int = 0
    at: str = ""
    id: str = ""

    def mark(self) -> str:
        return f"{self.part} {self.at} {self.id}"


def read_mark(mark: str | None) -> Place:
    if mark is None:
        return Place()
    found = _MARK.fullmatch(mark)
    if found is None:
        raise CrmError("The mark to go on from is not one of Salesforce's; read the window from its beginning.")
    return Place(int(found["part"]), found["at"], found["id"])


def text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    return f"'{escaped}'"


def instant(at: datetime) -> str:
    utc = at.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}Z"


def read_instant(value: object) -> datetime:
    """Salesforce's 2026-01-31T23:59:59.000+0000."""
    try:
        at = datetime.fromisoformat(str(value))
    except ValueError:
        raise CrmNonsense("Salesforce gives a time that is not one.") from None
    if at.tzinfo is None:
        raise CrmNonsense("Salesforce gives a time without a zone.")
    return at.astimezone(UTC)


def ids(values: Sequence[str]) -> str:
    return f"({', '.join(text(value) for value in values)})"


def in_parts(values: Sequence[str]) -> Iterator[Sequence[str]]:
    """Ids, as many as a query holds at a time; what is no id of Salesforce's is left out: nothing has it."""
    proper = [value for value in values if _ID.fullmatch(value)]
    for start in range(0, len(proper), IDS_A_QUERY):
        yield proper[start : start + IDS_A_QUERY]


def select(
    sobject: str,
    columns: Sequence[str],
    *,
    where: Sequence[str] = (),
    order: str | None = None,
    most: int | None = None,
) -> str:
    """A query; `where` are conditions that all hold, their values quoted already."""
    parts = [f"SELECT {', '.join(columns)} FROM {sobject}"]  # noqa: S608  no database is asked
    parts += [f"WHERE {' AND '.join(where)}"] if where else []
    parts += [f"ORDER BY {order}"] if order else []
    parts += [f"LIMIT {most}"] if most else []
    return " ".join(parts)


def equals(field: str, value: str) -> str:
    return f"{field} = {text(value)}"


def within(window: Window, place: Place | None = None) -> list[str]:
    """The conditions for what changed in a window, after a place in it."""
    conditions = [f"SystemModstamp < {instant(window.until)}"]
    if window.since is not None:
        conditions.append(f"SystemModstamp >= {instant(window.since)}")
    if place is not None and place.at:
        conditions.append(f"(SystemModstamp > {place.at} OR (SystemModstamp = {place.at} AND Id > {text(place.id)}))")
    return conditions
