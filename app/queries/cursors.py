"""Cursors: where a page ended, written so that only this service reads it."""

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import date
from typing import Any

from app.errors import Invalid

LARGEST_KEY = 2**63 - 1
LARGEST_TENURE = 2**31 - 1  # its column is narrower
DAYS = ("renewal", "flagged")
BAD_CURSOR = "This cursor is none of this list's; take it unchanged from the Link header, with the same sort."


@dataclass(frozen=True, slots=True)
class Sort:
    name: str
    is_descending: bool = False

    @property
    def text(self) -> str:
        return f"-{self.name}" if self.is_descending else self.name


@dataclass(frozen=True, slots=True)
class Position:
    """The last row of a page: the value it was sorted by (None: it had none), its key, and the run it was read from.

    In a list that orders rows of one value by something else before their keys, `rank` is that.
    """

    sort: Sort
    value: Any
    account_id: int
    run_id: int | None
    rank: int | None = None


def encode_cursor(position: Position) -> str:
    value = position.value.isoformat() if isinstance(position.value, date) else position.value
    content = [position.sort.text, value, position.account_id, position.run_id]
    if position.rank is not None:
        content.append(position.rank)
    text = json.dumps(content, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_cursor(cursor: str, *, sort: Sort) -> Position:
    """The position that `encode_cursor` wrote for the same sort; Invalid for anything else."""
    try:
        content = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        said, value, account_id, run_id, rank = content if len(content) == 5 else [*content, None]
        position = Position(sort, _typed(value, sort), _key(account_id), _optional_key(run_id), _optional_key(rank))
    except (binascii.Error, ValueError, TypeError, RecursionError):
        raise Invalid(BAD_CURSOR, {"cursor": [BAD_CURSOR]}) from None
    if said != sort.text:
        raise Invalid(BAD_CURSOR, {"cursor": [BAD_CURSOR]})
    return position


def _key(value: Any) -> int:
    if type(value) is not int or not 0 < value <= LARGEST_KEY:
        raise ValueError
    return value


def _optional_key(value: Any) -> int | None:
    return None if value is None else _key(value)


def _typed(value: Any, sort: Sort) -> Any:
    """The value as the sorted column has it."""
    if sort.name == "name":
        if not isinstance(value, str) or "\0" in value:
            raise ValueError
        value.encode()  # half a surrogate pair fits no database
        return value
    if value is None:
        return None
    if sort.name in DAYS:
        return date.fromisoformat(value)
    largest = LARGEST_TENURE if sort.name == "tenure" else LARGEST_KEY
    if isinstance(value, bool) or not isinstance(value, int | float) or not -largest <= value <= largest:
        raise ValueError
    return value
