"""From the text of one cell to a value, or a reason why not."""

import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from app.domain.money import MoneyError, check_currency, parse_decimal

FIRST_DAY, LAST_DAY = date(1900, 1, 1), date(2199, 12, 31)
LARGEST_INTEGER = 2**31 - 1
TRUE = frozenset({"true", "yes", "1", "t", "y"})
FALSE = frozenset({"false", "no", "0", "f", "n"})
_ISO_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

Value = str | float | int | bool | date | Decimal | dict[str, str | float | bool | None] | None
Converter = Callable[[str], Value]


class BadValue(ValueError):
    """Why a cell cannot be what its field needs; to be read after the name of the place."""


def shorten(text: str) -> str:
    """The text as it may be repeated in a message: quoted, and never long."""
    return repr(text) if len(text) <= 40 else f"{text[:40]!r}... ({len(text)} characters)"


def text_of(longest: int) -> Converter:
    def convert(text: str) -> str:
        if len(text) > longest:
            raise BadValue(f"has {len(text)} characters; at most {longest} are kept")
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:
                raise BadValue("holds bytes that the file's encoding does not have; set `encoding`") from None
        if "\0" in text:
            raise BadValue("holds a NUL character, which no database takes as text")
        return text

    return convert


def date_of(formats: str | None, zone: ZoneInfo, *, plus_days: int) -> Converter:
    """ISO dates are always understood, unless the format itself begins with the year."""
    shift = timedelta(days=plus_days)

    def convert(text: str) -> date:
        if formats is None or not formats.startswith("%Y"):
            if _ISO_DAY.fullmatch(text[:10]) and (len(text) == 10 or text[10] in "T "):
                return _checked(_read_iso(text, zone), shift)
            if formats is None:
                raise BadValue(f"{shorten(text)} is not a date such as 2024-03-31; set `format`")
        try:
            # A time without a zone is taken as the company's own.
            moment = datetime.strptime(text, formats)  # noqa: DTZ007
        except ValueError:
            raise BadValue(f"{shorten(text)} is not a date of the format {formats}") from None
        return _checked(_day_in(moment, zone), shift)

    return convert


def _read_iso(text: str, zone: ZoneInfo) -> date:
    try:
        return date.fromisoformat(text) if len(text) == 10 else _day_in(datetime.fromisoformat(text), zone)
    except ValueError:
        raise BadValue(f"{shorten(text)} is not a date") from None


def _day_in(moment: datetime, zone: ZoneInfo) -> date:
    return (moment.astimezone(zone) if moment.tzinfo else moment).date()


def _checked(day: date, shift: timedelta) -> date:
    if not FIRST_DAY <= day <= LAST_DAY:
        raise BadValue(f"{day} is out of range; dates from {FIRST_DAY} to {LAST_DAY} are taken")
    return day + shift


def months_before(as_of: date) -> Converter:
    """n months of tenure become the first day of `as_of`'s month less n months."""

    def convert(text: str) -> date:
        months = _integer(text)
        index = as_of.year * 12 + as_of.month - 1 - months
        if months < 0 or index < FIRST_DAY.year * 12:
            raise BadValue(f"{shorten(text)} is not a number of months of tenure")
        return date(index // 12, index % 12 + 1, 1)

    return convert


def _integer(text: str) -> int:
    number = _decimal(text)
    if number != number.to_integral_value() or abs(number) > LARGEST_INTEGER:
        raise BadValue(f"{shorten(text)} is not a whole number of at most {LARGEST_INTEGER}")
    return int(number)


def _decimal(text: str) -> Decimal:
    try:
        return parse_decimal(text)
    except MoneyError as error:
        raise BadValue(str(error)) from None


def decimal_of(point: str, separator: str) -> Converter:
    """Numbers as people write them elsewhere: `decimal` and `thousands` in the mapping say how."""
    if point == "." and not separator:
        return _decimal

    def convert(text: str) -> Decimal:
        return _decimal(text.replace(separator, "").replace(point, ".") if separator else text.replace(point, "."))

    return convert


def whole_of(read: Converter) -> Converter:
    return lambda text: _integer(str(read(text)))


def float_of(read: Converter) -> Converter:
    return lambda text: float(read(text))  # type: ignore[arg-type]


def boolean(text: str) -> bool:
    lowered = text.lower()
    if lowered in TRUE:
        return True
    if lowered in FALSE:
        return False
    raise BadValue(f"{shorten(text)} is neither yes nor no; use true or false, or a `map`")


def choice_of(choices: tuple[str, ...]) -> Converter:
    def convert(text: str) -> str:
        if text not in choices:
            raise BadValue(f"{shorten(text)} is not one of {', '.join(choices)}; add it to `map`")
        return text

    return convert


def currency(text: str) -> str:
    try:
        return check_currency(text)
    except MoneyError as error:
        raise BadValue(str(error)) from None
