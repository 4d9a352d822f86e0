"""What lists have in common: figures above them, filters to choose from, headings to sort by."""

from dataclasses import dataclass
from typing import Any, Protocol

from flask import request, url_for

from app.queries.cursors import Sort

LONGEST_ID = 15  # digits: fits every database's key


@dataclass(frozen=True, slots=True)
class Figure:
    name: str
    value: str
    under: str = ""


@dataclass(frozen=True, slots=True)
class Select:
    name: str
    label: str
    chosen: str
    options: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Column:
    """A heading; without an address it is only a word."""

    name: str
    word: str
    is_number: bool = False
    url: str | None = None
    aria_sort: str | None = None


class Asked(Protocol):
    """What an address asks of a list, and how it asks the same with something changed."""

    @property
    def sort(self) -> Sort: ...
    def address(self, endpoint: str, **changed: Any) -> str: ...


def describe_column(asked: Asked, endpoint: str, *, heading: Column, sort: str, starts_down: bool = True) -> Column:
    """The heading as a link that sorts by it: the other way round where it is what the list is sorted by."""
    is_current = asked.sort.name == sort
    way = not asked.sort.is_descending if is_current else starts_down
    aria = ("descending" if asked.sort.is_descending else "ascending") if is_current else None
    return Column(
        heading.name, heading.word, heading.is_number, asked.address(endpoint, sort=Sort(sort, way).text), aria
    )


def address_of(endpoint: str, given: dict[str, Any]) -> str:
    """The address without what is empty."""
    return url_for(endpoint, **{name: value for name, value in given.items() if value})


def read_sort() -> Sort:
    given = request.args.get("sort", "")
    return Sort(given.removeprefix("-"), given.startswith("-"))


def is_id(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= LONGEST_ID
