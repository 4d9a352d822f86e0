"""What HubSpot's properties say, as values. Everything is a text there; what cannot be read is told, not guessed."""

import calendar
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from app.domain.money import MoneyError, parse_decimal
from integrations.crm.client import CrmNonsense
from integrations.crm.hubspot.wire import read_instant

MOST_MONTHS, MOST_DAYS = 1200, 36_525  # a century

_PERIOD = re.compile(r"P(?:(?P<y>[0-9]{1,3})Y)?(?:(?P<m>[0-9]{1,4})M)?(?:(?P<w>[0-9]{1,4})W)?(?:(?P<d>[0-9]{1,5})D)?")
_WHOLE = re.compile(r"[+-]?[0-9]{1,9}(?:\.0*)?")


@dataclass(frozen=True, slots=True)
class Period:
    """A term as ISO 8601 writes it; a plain number is of months."""

    months: int = 0
    days: int = 0

    @property
    def is_sensible(self) -> bool:
        return self.months + self.days > 0 and self.months <= MOST_MONTHS and self.days <= MOST_DAYS


@dataclass(slots=True)
class Reader:
    """The properties of one thing. `unread` collects the names and values that could not be read."""

    properties: Mapping[str, str]
    fields: Mapping[str, str]  # ours -> the CRM's
    zone: ZoneInfo
    unread: list[str] = field(default_factory=list)

    def text(self, name: str) -> str | None:
        return self.properties.get(name)

    def mapped(self, ours: str) -> str | None:
        return self.properties.get(self.fields.get(ours, ""))

    def number(self, name: str) -> Decimal | None:
        if (value := self.properties.get(name)) is None:
            return None
        try:
            return parse_decimal(value)
        except MoneyError:
            self._tell(name, value)
            return None

    def whole(self, ours: str) -> int | None:
        """A mapped whole number; HubSpot may write it with a point and zeros."""
        if (value := self.mapped(ours)) is None:
            return None
        if not _WHOLE.fullmatch(value):
            self._tell(self.fields[ours], value)
            return None
        return int(value.partition(".")[0])

    def day(self, name: str) -> date | None:
        """A day of the account's own calendar. Midnight in UTC is a day that was given without a time."""
        if (value := self.properties.get(name)) is None:
            return None
        try:
            if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
                return date.fromisoformat(value)
            return local_day(read_instant(value), zone=self.zone)
        except (ValueError, CrmNonsense):
            self._tell(name, value)
            return None

    def mapped_day(self, ours: str) -> date | None:
        return self.day(self.fields[ours]) if ours in self.fields else None

    def period(self, ours: str) -> Period | None:
        if (value := self.mapped(ours)) is None:
            return None
        if _WHOLE.fullmatch(value):
            period = Period(months=int(value.partition(".")[0]))
        elif (found := _PERIOD.fullmatch(value.upper())) is not None:
            years, months, weeks, days = (int(part or 0) for part in found.group("y", "m", "w", "d"))
            period = Period(12 * years + months, 7 * weeks + days)
        else:
            self._tell(self.fields[ours], value)
            return None
        if period.is_sensible:
            return period
        self._tell(self.fields[ours], value)
        return None

    def _tell(self, name: str, value: str) -> None:
        self.unread.append(f"{name}: {value[:80]!r} cannot be read")


def local_day(at: datetime, *, zone: ZoneInfo) -> date:
    is_day = (at.hour, at.minute, at.second, at.microsecond) == (0, 0, 0, 0)
    return at.date() if is_day else at.astimezone(zone).date()


def last_day(starts_on: date, period: Period) -> date:
    """The last day of a term that begins then; a month that is too short ends it with its own end."""
    months = starts_on.year * 12 + starts_on.month - 1 + period.months
    year, month = divmod(months, 12)
    day = min(starts_on.day, calendar.monthrange(year, month + 1)[1])
    return date(year, month + 1, day) + timedelta(days=period.days - 1)
