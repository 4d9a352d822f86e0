"""A TOML mapping, read and checked: which columns of which file become what.

Everything wrong is refused with the key's full name and what is allowed there, before any file is
opened. The reference is docs/import.md.
"""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

from app.domain.money import MoneyError, check_currency
from integrations.files.nouns import NOUNS

SHIPPED = Path(__file__).parent / "mappings"

TOP_KEYS = ("system", "kind", "as_of", "currency", "backfill", "company", "files")
FILE_KEYS = ("name", "format", "encoding", "delimiter", "null")
SECTION_KEYS = ("where", "unless_blank", "custom")
CELL_KEYS = ("column", "columns", "value", "type", "format", "map", "default", "plus_days", "decimal", "thousands")
COMPANY_KEYS = ("reporting_currency", "reporting_timezone", "fiscal_year_start_month", "tracked_from")
ID_KINDS = ("crm", "billing", "product", "support")
CUSTOM_TYPES = ("text", "number", "date", "boolean")
CELL_TYPES = ("tenure_months", "as_of")


class MappingError(ValueError):
    """A mapping that cannot be used, with the key that is wrong and the remedy."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Where one value comes from: columns (several are joined with "/"), or a constant."""

    columns: tuple[str, ...] = ()
    value: str | None = None
    type: str | None = None
    format: str | None = None
    map: Mapping[str, str] = field(default_factory=dict)
    default: str | None = None
    plus_days: int = 0
    decimal: str = "."
    thousands: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """One noun made of each row of a file for which all of `where` holds."""

    noun: str
    fields: Mapping[str, Cell]
    custom: Mapping[str, Cell] = field(default_factory=dict)
    custom_types: Mapping[str, str] = field(default_factory=dict)
    where: Mapping[str, frozenset[str]] = field(default_factory=dict)
    unless_blank: tuple[str, ...] = ()

    @property
    def columns(self) -> set[str]:
        cells = [*self.fields.values(), *self.custom.values()]
        return {*self.where, *self.unless_blank, *(name for cell in cells for name in cell.columns)}


@dataclass(frozen=True, slots=True)
class FileMap:
    name: str  # a pattern such as "customers-*.csv"
    sections: tuple[Section, ...]
    format: str | None = None  # None: by the name's ending
    encoding: str = "utf-8-sig"
    delimiter: str = ","
    null: frozenset[str] = frozenset({""})


@dataclass(frozen=True, slots=True)
class ImportMapping:
    title: str
    system: str
    files: tuple[FileMap, ...]
    kind: str = "crm"
    as_of: date | None = None
    currency: str | None = None
    lag_days: int | None = None  # None: a live feed, known when it is recorded
    company: Mapping[str, Any] = field(default_factory=dict)


def load_mapping(path: Path, *, as_of: date | None = None) -> ImportMapping:
    """Read a mapping, or one that ships with the program by its bare name ("telco").

    `as_of` replaces the mapping's own. Raises MappingError with the place and the remedy.
    """
    shipped = SHIPPED / f"{path}.toml"
    source = shipped if not path.is_file() and path.name == str(path) and shipped.exists() else path
    try:
        document = tomllib.loads(source.read_text(encoding="utf-8"))
    except FileNotFoundError:
        names = sorted(ready.stem for ready in SHIPPED.glob("*.toml"))
        raise MappingError(
            f"{path}: no such file, and no ready mapping of that name; {suggest(str(path), names)}"
        ) from None
    except OSError as error:
        raise MappingError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # no TOML, no UTF-8, a number of thousands of digits
        raise MappingError(f"{path}: not valid TOML: {error}") from None
    try:
        mapping = _read_mapping(document, title=source.stem)
    except MappingError as error:
        raise MappingError(f"{path.name}: {error}") from None
    return _with_as_of(mapping, as_of or mapping.as_of, path=path)


def _with_as_of(mapping: ImportMapping, as_of: date | None, *, path: Path) -> ImportMapping:
    cells = [cell for file in mapping.files for part in file.sections for cell in part.fields.values()]
    if as_of is None and any(cell.type in CELL_TYPES for cell in cells):
        raise MappingError(f"{path.name}: as_of: tenure in months needs a day to count back from; set it here")
    return replace(mapping, as_of=as_of)


def _read_mapping(document: Mapping[str, Any], *, title: str) -> ImportMapping:
    _refuse_unknown(document, TOP_KEYS, place="")
    backfill = _table(document, "backfill", place="")
    _refuse_unknown(backfill, ("lag_days",), place="backfill")
    company = _company(document)
    files = document.get("files")
    if not isinstance(files, list) or not files:
        raise MappingError("files: name at least one file, as [[files]] with a `name`")
    currency = document.get("currency")
    return ImportMapping(
        title=title,
        system=_text(document, "system", place="", required=True) or "",
        kind=_choice(document, "kind", choices=ID_KINDS, default="crm"),
        as_of=_date(document.get("as_of")),
        currency=None if currency is None else _currency(currency),
        lag_days=_whole(backfill, "lag_days", place="backfill", default=0) if "backfill" in document else None,
        company=company,
        files=tuple(_read_file(file, place=f"files[{number}]") for number, file in enumerate(files, start=1)),
    )


def _company(document: Mapping[str, Any]) -> Mapping[str, Any]:
    company = _table(document, "company", place="")
    _refuse_unknown(company, COMPANY_KEYS, place="company")
    zone = _text(company, "reporting_timezone", place="company") or "UTC"
    month = company.get("fiscal_year_start_month", 1)
    if zone not in available_timezones():
        raise MappingError(f"company.reporting_timezone: {zone!r} is no time zone; use a name such as Asia/Tokyo")
    if month not in range(1, 13):
        raise MappingError(f"company.fiscal_year_start_month: {month!r} is not a month from 1 to 12")
    if "reporting_currency" in company:
        _currency(company["reporting_currency"], place="company.reporting_currency")
    if not isinstance(company.get("tracked_from", date.min), date):
        raise MappingError("company.tracked_from: must be a date such as 2021-01-01, without quotes")
    return company


def _read_file(table: Any, *, place: str) -> FileMap:
    if not isinstance(table, dict):
        raise MappingError(f"{place}: must be a table, begun with [[files]]")
    _refuse_unknown(table, (*FILE_KEYS, *NOUNS), place=place)
    sections = tuple(
        _read_section(noun, part, place=f"{place}.{noun}")
        for noun in NOUNS
        for part in (table[noun] if isinstance(table.get(noun), list) else [table[noun]] if noun in table else [])
    )
    if not sections:
        raise MappingError(f"{place}: says nothing of what its rows are; add one of {', '.join(NOUNS)}")
    null = table.get("null", [])
    if not isinstance(null, list) or not all(isinstance(text, str) for text in null):
        raise MappingError(f'{place}.null: must be a list of texts that mean nothing, such as ["NA", "-"]')
    return FileMap(
        name=_text(table, "name", place=place, required=True) or "",
        sections=_with_deals(sections, place),
        format=_choice(table, "format", choices=("csv", "parquet"), default=None, place=place),
        encoding=_encoding(table, place),
        delimiter=_delimiter(table, place),
        null=frozenset({"", *null}),
    )


def _with_deals(sections: tuple[Section, ...], place: str) -> tuple[Section, ...]:
    """Lines beside a deal belong to it without saying so."""
    deal = next((section for section in sections if section.noun == "deal"), None)
    own = {"deal": deal.fields["id"]} if deal else {}
    if any(part.noun == "line" and not {**own, **part.fields}.get("deal") for part in sections):
        raise MappingError(f"{place}.line.deal: is needed; name the column that holds the deal's id")
    return tuple(replace(part, fields={**own, **part.fields}) if part.noun == "line" else part for part in sections)


def _read_section(noun: str, table: Any, *, place: str) -> Section:
    if not isinstance(table, dict):
        raise MappingError(f"{place}: must be a table of fields, begun with [files.{noun}]")
    kind = NOUNS[noun]
    keys = SECTION_KEYS if kind.has_custom_fields else SECTION_KEYS[:2]
    _refuse_unknown(table, (*kind.fields, *keys), place=place)
    fields = {name: _read_cell(table[name], place=f"{place}.{name}") for name in kind.fields if name in table}
    for name, spec in kind.fields.items():
        if name not in fields and spec.like in fields:
            fields[name] = fields[spec.like]
    deal_comes_later = {"deal"} if noun == "line" else set()
    for name, spec in kind.fields.items():
        if spec.required and name not in fields and name not in deal_comes_later:
            raise MappingError(f"{place}.{name}: is needed; name the column it is in")
    custom = _table(table, "custom", place=place)
    cells = {name: _read_cell(cell, place=f"{place}.custom.{name}", custom=True) for name, cell in custom.items()}
    return Section(
        noun=noun,
        fields=fields,
        custom={name: replace(cell, type=None) for name, cell in cells.items()},
        custom_types={name: cell.type or "text" for name, cell in cells.items()},
        where={
            name: _texts(value, f"{place}.where.{name}") for name, value in _table(table, "where", place=place).items()
        },
        unless_blank=tuple(sorted(_texts(table.get("unless_blank", []), f"{place}.unless_blank"))),
    )


def _read_cell(given: Any, *, place: str, custom: bool = False) -> Cell:
    if isinstance(given, str):
        return Cell(columns=(given,))
    if not isinstance(given, dict):
        raise MappingError(f'{place}: must be the name of a column, or a table such as {{ value = "USD" }}')
    _refuse_unknown(given, CELL_KEYS, place=place)
    listed = given.get("columns", [given["column"]] if "column" in given else [])
    columns = tuple(listed) if isinstance(listed, list) else (None,)
    types = CUSTOM_TYPES if custom else CELL_TYPES
    cell = Cell(
        columns=columns,
        value=_constant(given.get("value"), place),
        type=_choice(given, "type", choices=types, default=None, place=place),
        format=_text(given, "format", place=place),
        map={str(key): str(value) for key, value in _table(given, "map", place=place).items()},
        default=_constant(given.get("default"), place),
        plus_days=_whole(given, "plus_days", place=place, default=0),
        decimal=_text(given, "decimal", place=place) or ".",
        thousands=_text(given, "thousands", place=place) or "",
    )
    if not all(isinstance(column, str) for column in columns):
        raise MappingError(f"{place}.columns: must be a list of names of columns")
    if sum((bool(columns), cell.value is not None, cell.type == "as_of")) != 1:
        raise MappingError(f"{place}: needs one of `column`, `columns` and `value`")
    return cell


def _constant(value: Any, place: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float | date):
        return str(value)
    raise MappingError(f"{place}: a constant must be a text, a number, a date, true or false")


def _refuse_unknown(table: Mapping[str, Any], allowed: Iterable[str], *, place: str) -> None:
    names = list(allowed)
    for key in table:
        if key not in names:
            where = f"{place}.{key}" if place else key
            raise MappingError(f"{where}: there is no such key; {suggest(key, names)}")


def suggest(given: str, names: Iterable[str]) -> str:
    """ "did you mean ...", or all there is."""
    near = get_close_matches(given, list(names), n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names)}"


def _table(table: Mapping[str, Any], key: str, *, place: str) -> Mapping[str, Any]:
    value = table.get(key, {})
    if not isinstance(value, dict):
        raise MappingError(f"{place}.{key}".lstrip(".") + ": must be a table")
    return value


def _text(table: Mapping[str, Any], key: str, *, place: str, required: bool = False) -> str | None:
    value = table.get(key)
    if value is None and not required:
        return None
    if not isinstance(value, str) or not value:
        raise MappingError(f"{place}.{key}".lstrip(".") + ": must be a text")
    return value


def _texts(value: Any, place: str) -> frozenset[str]:
    texts = value if isinstance(value, list) else [value]
    if not all(isinstance(text, str | int | bool) for text in texts):
        raise MappingError(f"{place}: must be a text or a list of texts")
    return frozenset(_constant(text, place) or "" for text in texts)


def _choice(table: Mapping[str, Any], key: str, *, choices: tuple[str, ...], default: Any, place: str = "") -> Any:
    value = table.get(key, default)
    if value is not default and value not in choices:
        raise MappingError(f"{place}.{key}".lstrip(".") + f": {value!r} is not one of {', '.join(choices)}")
    return value


def _whole(table: Mapping[str, Any], key: str, *, place: str, default: int) -> int:
    value = table.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > 36_500:
        raise MappingError(f"{place}.{key}: must be a whole number of days")
    return value


def _date(value: Any) -> date | None:
    if isinstance(value, datetime) or not isinstance(value, date | None):
        raise MappingError("as_of: must be a date such as 2024-12-31, without quotes")
    return value


def _currency(value: Any, place: str = "currency") -> str:
    try:
        return check_currency(str(value))
    except MoneyError as error:
        raise MappingError(f"{place}: {error}") from None


def _encoding(table: Mapping[str, Any], place: str) -> str:
    name = _text(table, "encoding", place=place) or "utf-8-sig"
    try:
        "a".encode(name, errors="surrogateescape")
    except (LookupError, ValueError):
        raise MappingError(f"{place}.encoding: {name!r} is unknown; try utf-8, cp932, latin-1 or utf-16") from None
    return name


def _delimiter(table: Mapping[str, Any], place: str) -> str:
    value = table.get("delimiter", ",")
    if not isinstance(value, str) or len(value) != 1 or value in '"\r\n':
        raise MappingError(f'{place}.delimiter: must be one character, such as ";" or "\\t"')
    return value
