"""What a CRM gives, made to fit what can be kept: by the same table of fields that files go by (files/nouns.py).

CRMs hold what people type: names without end, employees by the billion, characters that no database takes. What only
describes is cut; what names something, or is reckoned with, cannot be changed and is refused.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Any

from app.domain.money import check_currency
from integrations.crm.client import CrmDeal, Promise
from integrations.files.checks import CHECKS
from integrations.files.nouns import FREE_TEXT, NOUNS, Field
from integrations.files.rows import AccountRow, ClosedDeal, ContactRow, DealRow, LineRow, ProductRow, StaffRow
from integrations.files.values import FIRST_DAY, LARGEST_INTEGER, LAST_DAY

DESCRIBING = frozenset(
    {
        *("name", "email", "phone", "role", "segment", "industry", "country", "channel", "campaign"),
        *("family", "plan", "lead_source", "partner", "employees", "tier"),
    }
)
MOST_DIGITS = 30
"""Of a number before the point and after it: numbers are kept digit for digit, as texts of at most 80 characters."""
_NOUNS = {AccountRow: "account", ContactRow: "contact", StaffRow: "staff", ProductRow: "product"}
_CHECKED = ("account", "product", "line")  # a deal's days may well be in disorder, and it is one all the same

Convert = Callable[[Field, Any], Any]


class Unfit(ValueError):
    """It cannot be kept as it is; `field` says what of it."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field


def fit(row: Any) -> Any:
    """The row with what describes cut to length; itself where nothing is. Raises Unfit where it cannot be kept."""
    if not isinstance(row, CrmDeal):
        return _fit(_NOUNS[type(row)], row)
    deal: DealRow = _fit("deal", row.closed.deal)
    lines: tuple[LineRow, ...] = tuple(_fit("line", line) for line in row.closed.lines)
    promises = tuple(map(_fit_promise, row.promises))
    if row.cancels_on is not None:
        _convert("cancels_on", NOUNS["churn"].fields["effective_on"], convert=_date)(row.cancels_on)
    if (deal, lines, promises) == (row.closed.deal, row.closed.lines, row.promises):
        return row
    return replace(row, closed=ClosedDeal(deal, lines), promises=promises)


def _fit_promise(promise: Promise) -> Promise:
    text = _cut(FREE_TEXT, promise.text)
    is_dated = promise.due_on is None or FIRST_DAY <= promise.due_on <= LAST_DAY
    return replace(promise, text=text, due_on=promise.due_on if is_dated else None)


def _fit(noun: str, row: Any) -> Any:
    changes = {}
    for name, convert in _fields_of(noun):
        value = getattr(row, name)
        if value is not None and (fitted := convert(value)) is not value:
            changes[name] = fitted
    fitted_row = replace(row, **changes) if changes else row
    if noun in _CHECKED and (problem := CHECKS[noun](fitted_row)) is not None:
        raise Unfit(*problem)
    return fitted_row


@cache
def _fields_of(noun: str) -> tuple[tuple[str, Callable[[Any], Any]], ...]:
    return tuple(_converters(noun))


def _converters(noun: str) -> Iterator[tuple[str, Callable[[Any], Any]]]:
    for name, field in NOUNS[noun].fields.items():
        convert = (name in DESCRIBING and _CUT.get(field.type)) or _CONVERT.get(field.type)
        if convert:
            yield name, _convert(name, field, convert=convert)


def _convert(name: str, field: Field, *, convert: Convert) -> Callable[[Any], Any]:
    def converted(value: Any) -> Any:
        try:
            return convert(field, value)
        except ValueError as error:
            raise Unfit(name, f"{name}: {error}") from None

    return converted


def _text(field: Field, value: str) -> str:
    if len(value) > field.longest:
        raise ValueError(f"it is longer than {field.longest} characters")
    if not _is_text(value):
        raise ValueError("it holds a character that no database takes as text")
    return value


def _cut(field: Field, value: str) -> str:
    if len(value) <= field.longest and _is_text(value):
        return value
    return value.replace("\0", "").encode("utf-8", "replace").decode()[: field.longest]


def _is_text(value: str) -> bool:
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:  # half of a pair, as JSON may have it
            return False
    return "\0" not in value


def _date(_field: Field, value: date) -> date:
    if not FIRST_DAY <= value <= LAST_DAY:
        raise ValueError(f"{value} is out of range; dates from {FIRST_DAY} to {LAST_DAY} are taken")
    return value


def _integer(_field: Field, value: int) -> int:
    if abs(value) > LARGEST_INTEGER:
        raise ValueError("it is larger than any number of its kind")
    return value


def _integer_or_none(_field: Field, value: int) -> int | None:
    return value if abs(value) <= LARGEST_INTEGER else None


def _decimal(_field: Field, value: Decimal) -> Decimal:
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -MOST_DIGITS or value.adjusted() >= MOST_DIGITS:
        raise ValueError(f"{value:.3g} is no number that can be kept digit for digit")
    return value


def _currency(_field: Field, value: str) -> str:
    check_currency(value)
    return value


def _choice(field: Field, value: str) -> str:
    if value not in field.choices:
        raise ValueError(f"{value[:40]!r} is none of {', '.join(field.choices)}")
    return value


_CONVERT: dict[str, Convert] = {
    "text": _text,
    "date": _date,
    "integer": _integer,
    "decimal": _decimal,
    "currency": _currency,
    "choice": _choice,
}
_CUT: dict[str, Convert] = {"text": _cut, "integer": _integer_or_none}
