"""SOQL as far as a CRM reader uses it, read strictly: what Salesforce would refuse is refused with its code.

Fields and paths, one level of sub-query, COUNT(), WHERE with = != < <= > >= IN, NOT IN, AND, OR and parentheses
(without which AND and OR do not mix), ORDER BY, LIMIT. Instants and dates are written bare, texts in quotes.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, TypeVar

Record = Mapping[str, Any]
Chosen = TypeVar("Chosen", bound=Record)
Test = Callable[[Record], bool]
_TOKEN = re.compile(
    r"\s*(?:(?P<text>'(?:[^'\\]|\\.)*')|(?P<instant>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)|(?P<day>\d{4}-\d\d-\d\d)"
    r"|(?P<number>-?\d+(?:\.\d+)?)|(?P<name>[A-Za-z_][A-Za-z0-9_.]*)|(?P<sign><=|>=|!=|[=<>(),]))"
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "'": "'", "\\": "\\", '"': '"'}
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<": lambda left, right: left is not None and left < right,
    "<=": lambda left, right: left is not None and left <= right,
    ">": lambda left, right: left is not None and left > right,
    ">=": lambda left, right: left is not None and left >= right,
}
KINDS = {"text": str, "instant": datetime, "day": date, "number": (int, float), "boolean": bool}


class Refused(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class Query:
    sobject: str
    fields: list[str] = field(default_factory=list)
    below: dict[str, "Query"] = field(default_factory=dict)
    is_count: bool = False
    test: Test = lambda _record: True
    paths: list[tuple[str, str]] = field(default_factory=list)  # of the conditions: path, and what it is compared with
    order: list[tuple[str, bool]] = field(default_factory=list)
    limit: int | None = None

    def choose(self, records: Iterable[Chosen]) -> list[Chosen]:
        found = [record for record in records if self.test(record)]
        for path, is_down in reversed(self.order):
            found.sort(key=lambda record, path=path: _sortable(look(record, path)), reverse=is_down)
        return found if self.limit is None else found[: self.limit]


def look(record: Any, path: str) -> Any:
    for name in path.split("."):
        record = record.get(name) if isinstance(record, Mapping) else None
    return record


def _sortable(value: Any) -> tuple[bool, Any]:
    return (value is not None, value)  # nulls first


def read(text: str) -> Query:
    return _Reader(text).query()


class _Reader:
    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        place = 0
        while place < len(text.rstrip()):
            found = _TOKEN.match(text, place)
            if found is None:
                raise Refused("MALFORMED_QUERY", f"unexpected token: {text[place : place + 10]!r}")
            self.tokens.append((str(found.lastgroup), found.group().strip()))
            place = found.end()
        self.place = 0

    def query(self) -> Query:
        query = self.select()
        if self.place < len(self.tokens):
            raise Refused("MALFORMED_QUERY", f"unexpected token: {self.tokens[self.place][1]}")
        return query

    def peek(self) -> str:
        return self.tokens[self.place][1].upper() if self.place < len(self.tokens) else ""

    def take(self, *wanted: str) -> tuple[str, str]:
        if self.place >= len(self.tokens) or (wanted and self.peek() not in wanted):
            raise Refused("MALFORMED_QUERY", f"expecting {' or '.join(wanted)}, found {self.peek()!r}")
        self.place += 1
        return self.tokens[self.place - 1]

    def skip(self, word: str) -> bool:
        if self.peek() != word:
            return False
        self.place += 1
        return True

    def name(self) -> str:
        kind, word = self.take()
        if kind != "name":
            raise Refused("MALFORMED_QUERY", f"unexpected token: {word}")
        return word

    def select(self) -> Query:
        self.take("SELECT")
        query = Query("")
        while True:
            if self.skip("("):
                below = self.select()
                self.take(")")
                query.below[below.sobject] = below
            elif (name := self.name()).upper() == "COUNT":
                self.take("(")
                self.take(")")
                query.is_count = True
            else:
                query.fields.append(name)
            if not self.skip(","):
                break
        self.take("FROM")
        query.sobject = self.name()
        if self.skip("WHERE"):
            query.test = self.conditions(query)
        if self.skip("ORDER"):
            self.take("BY")
            query.order.append(self.ordering())
            while self.skip(","):
                query.order.append(self.ordering())
        if self.skip("LIMIT"):
            query.limit = int(self.take()[1])
        return query

    def ordering(self) -> tuple[str, bool]:
        name = self.name()
        is_down = self.skip("DESC")
        if not is_down:
            self.skip("ASC")
        return name, is_down

    def conditions(self, query: Query) -> Test:
        tests, joined = [self.condition(query)], ""
        while (word := self.peek()) in {"AND", "OR"}:
            if joined not in {"", word}:
                raise Refused("MALFORMED_QUERY", "AND and OR need parentheses")
            joined = word
            self.place += 1
            tests.append(self.condition(query))
        if joined == "OR":
            return lambda record: any(test(record) for test in tests)
        return lambda record: all(test(record) for test in tests)

    def condition(self, query: Query) -> Test:
        if self.skip("("):
            test = self.conditions(query)
            self.take(")")
            return test
        path = self.name()
        is_not = self.skip("NOT")
        sign = self.take("IN")[1] if is_not else self.take("IN", *_COMPARE)[1]
        if sign.upper() == "IN":
            self.take("(")
            values = [self.value(query, path)]
            while self.skip(","):
                values.append(self.value(query, path))
            self.take(")")
            return lambda record: (look(record, path) in values) != is_not
        value, compare = self.value(query, path), _COMPARE[sign]
        return lambda record: compare(look(record, path), value)

    def value(self, query: Query, path: str) -> Any:
        kind, word = self.take()
        if kind == "name" and word.lower() in {"true", "false", "null"}:
            if word.lower() != "null":
                query.paths.append((path, "boolean"))
            return {"true": True, "false": False, "null": None}[word.lower()]
        if kind not in KINDS:
            raise Refused("MALFORMED_QUERY", f"unexpected token: {word}")
        query.paths.append((path, kind))
        if kind == "text":
            return re.sub(r"\\(.)", lambda found: _ESCAPES[found[1]], word[1:-1])
        if kind == "instant":
            return datetime.fromisoformat(word)
        return date.fromisoformat(word) if kind == "day" else float(word)
