"""Values out of Tryton's records, by fields whose dots lead on."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from integrations.crm.tryton.wire import Record

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)


def value_at(record: Any, path: str | None) -> Any:
    """What the path leads to, of many the first that has it; a record at its end is its id. None without a path."""
    return next(_values(record, path.split(".")), None) if path else None


def _values(found: Any, path: list[str]) -> Iterator[Any]:
    if isinstance(found, list):
        for each in found:
            yield from _values(each, path)
    elif not path:
        yield found["id"] if isinstance(found, dict) else found
    elif isinstance(found, dict) and found.get(path[0]) is not None:
        yield from _values(found[path[0]], path[1:])


def text_at(record: Record, path: str | None) -> str | None:
    found = value_at(record, path)
    return None if found is None or found == "" else str(found)


def day_at(record: Record, path: str | None) -> date | None:
    found = value_at(record, path)
    if isinstance(found, datetime):
        return found.date()
    return found if isinstance(found, date) else None


def number_at(record: Record, path: str | None) -> Decimal | None:
    found = value_at(record, path)
    is_number = isinstance(found, int | Decimal) and not isinstance(found, bool)
    return Decimal(found) if is_number else None


def whole_at(record: Record, path: str | None) -> int | None:
    found = number_at(record, path)
    return int(found) if found is not None and found == found.to_integral_value() else None


def modified_at(record: Record, *paths: str) -> datetime:
    """When the record, or what is behind one of the paths, was last written or made."""
    instants = [_written(each) for each in (record, *(each for path in paths for each in _records(record, path)))]
    return max(instants)


def _written(record: Record) -> datetime:
    found = record.get("write_date") or record.get("create_date")
    return found if isinstance(found, datetime) else EARLIEST


def _records(found: Any, path: str) -> Iterator[Record]:
    name, _, rest = path.partition(".")
    if not isinstance(found, dict):
        return
    below = found.get(name)
    for each in below if isinstance(below, list) else [below]:
        if not rest and isinstance(each, dict):
            yield each
        elif rest:
            yield from _records(each, rest)
