"""Cursors come back as they went, and whatever else comes is refused."""

import base64
import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import Invalid
from app.queries.cursors import Position, Sort, decode_cursor, encode_cursor

KEYS = st.integers(1, 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=300)
NUMBERS = st.none() | st.floats(-1e15, 1e15) | st.integers(-(2**53), 2**53)


def positions() -> st.SearchStrategy[Position]:
    def of(name: str, values: st.SearchStrategy[Any]) -> st.SearchStrategy[Position]:
        return st.builds(
            Position, st.builds(Sort, st.just(name), st.booleans()), values, KEYS, st.none() | KEYS, st.none() | KEYS
        )

    return of("name", TEXT) | of("renewal", st.none() | st.dates()) | of("health", NUMBERS)


@given(positions())
def test_a_cursor_comes_back_as_it_went(position: Position) -> None:
    assert decode_cursor(encode_cursor(position), sort=position.sort) == position


def test_a_cursor_is_of_one_sort() -> None:
    cursor = encode_cursor(Position(Sort("name"), "Cedar", 3, 1))
    for other in (Sort("name", is_descending=True), Sort("health")):
        with pytest.raises(Invalid, match="none of this list's"):
            decode_cursor(cursor, sort=other)


def written(content: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    ("cursor", "sort"),
    [
        ("", "name"),
        ("!!!", "name"),
        ("東京", "name"),
        ("AAAA", "name"),
        (written([]), "name"),
        (written(["name", "x", 0, None]), "name"),
        (written(["name", "x", "1", None]), "name"),
        (written(["name", "x", 2**63, None]), "name"),
        (written(["name", "x", True, None]), "name"),
        (written(["name", "x", 1, True]), "name"),
        (written(["name", None, 1, None]), "name"),
        (written(["name", "a\0b", 1, None]), "name"),
        (written(["name", "\ud800", 1, None]), "name"),
        (written(["health", "x", 1, None]), "health"),
        (written(["health", True, 1, None]), "health"),
        (written(["health", float("nan"), 1, None]), "health"),
        (written(["health", 10**400, 1, None]), "health"),
        (written(["health", 10**30, 1, None]), "health"),
        (written(["renewal", "2026-13-01", 1, None]), "renewal"),
        (written(["renewal", 5, 1, None]), "renewal"),
        (written(["tenure", 2**31, 1, None]), "tenure"),
        (written(["name", "x", 1, "1"]), "name"),
        (written(["name", "x", 1, None, 0]), "name"),
        (written(["name", "x", 1, None, "1"]), "name"),
        (written(["name", "x", 1, None, 1, 1]), "name"),
        (base64.urlsafe_b64encode(b"[" * 3000).decode(), "name"),
    ],
)
def test_a_bad_cursor_is_refused_in_words(cursor: str, sort: str) -> None:
    with pytest.raises(Invalid, match="Link header"):
        decode_cursor(cursor, sort=Sort(sort))


@given(st.text(max_size=60))
def test_any_text_is_a_cursor_or_refused(text: str) -> None:
    with contextlib.suppress(Invalid):
        decode_cursor(text, sort=Sort("name"))
