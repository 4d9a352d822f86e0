"""Changing the company's settings."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any
from zoneinfo import available_timezones

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.domain.event_times import LATE_LIMIT_DAYS
from app.domain.money import MINOR_DIGITS
from app.errors import Conflict, Invalid
from app.models.contracts import ContractLineVersion
from app.models.settings import SettingVersion
from app.models.versions import Change
from app.queries.settings import NAMES, CompanySettings
from app.services.audit import Act, record_act
from app.services.history import ALWAYS
from app.services.versions import record_dated_versions

# Every stored figure rests on these: fixed from the first contract line on.
FIXED = frozenset({"reporting_currency", "reporting_timezone", "fiscal_year_start_month"})

# From, to: both included.
WHOLE = {
    "fiscal_year_start_month": (1, 12),
    "grace_days": (0, 365),
    "ltv_horizon_months": (1, 60),
    "event_retention_days": (LATE_LIMIT_DAYS + 10, 3_650),  # an event that comes late, and again, is known so long
    "flags_a_night": (0, 10_000),
    "flags_an_account": (0, 100),
    "team_capacity": (1, 100_000),
}
DECIMAL = {
    "gross_margin": (Decimal(0), Decimal(1)),
    "annual_discount_rate": (Decimal(0), Decimal(5)),
    "reference_churn": (Decimal("0.001"), Decimal("0.999")),
    "minimum_coverage": (Decimal(0), Decimal(1)),
}
DIMENSIONS = ("adoption", "onboarding", "support", "sentiment", "engagement", "commercial")
MOST_WEIGHT = 3.0
MOST_SEGMENTS = 50  # with weights of their own
LONGEST_SEGMENT = 100


def record_settings(session: Session, change: Change, *, values: Mapping[str, Any], valid_from: date = ALWAYS) -> None:
    """Record company settings from a day on, on record as done by the change's source; values may be text.

    Raises Invalid for a name that is not a setting or a value that it cannot have, Conflict for one
    that is fixed by what has been recorded already.
    """
    encoded = {name: _encoded(name, value) for name, value in values.items()}
    _refuse_change_of_fixed(session, encoded)
    rows = [
        {"name": name, "value": value, "valid_from": valid_from, "valid_to": None, "available_at": datetime.now(UTC)}
        for name, value in encoded.items()
    ]
    act = Act("setting.changed", details={**encoded, "valid_from": valid_from.isoformat()})
    record_act(session, act, actor=change.source[:100], at=datetime.now(UTC))
    record_dated_versions(session, change, table=SettingVersion, key=["name"], rows=rows)


def _encoded(name: str, value: Any) -> Any:
    """The value as JSON keeps it."""
    if name not in NAMES:
        raise Invalid(f"{name!r} is no setting; there are: {', '.join(NAMES)}.")
    if name in WHOLE:
        return int(_within(name, value, bounds=WHOLE[name], whole=True))
    if name in DECIMAL:
        return str(_within(name, value, bounds=DECIMAL[name]))
    if name in TEXT:
        return TEXT[name](value)
    choices = MINOR_DIGITS if name == "reporting_currency" else available_timezones()
    if value not in choices:
        example = "an ISO 4217 code such as EUR" if name == "reporting_currency" else "a zone such as Asia/Tokyo"
        raise Invalid(f"{name} cannot be {value!r}; give {example}.")
    return value


def _within(name: str, value: Any, *, bounds: tuple[Any, Any], whole: bool = False) -> Decimal:
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or not bounds[0] <= number <= bounds[1] or (whole and number % 1):
        kind = "a whole number" if whole else "a number"
        raise Invalid(f"{name} cannot be {value!r}; give {kind} from {bounds[0]} to {bounds[1]}.")
    return number


def _day(value: Any) -> str:
    try:
        return date.fromisoformat(str(value)).isoformat()
    except ValueError:
        raise Invalid(f"tracked_from cannot be {value!r}; give a date such as 2024-01-01.") from None


def _time(value: Any) -> str:
    text = str(value)
    try:
        if text == "off" or time.fromisoformat(text).strftime("%H:%M") == text:
            return text
    except ValueError:
        pass
    raise Invalid(f"night_at cannot be {value!r}; give a time such as 02:00, or off.")


def _sight(value: Any) -> str:
    if value not in {"all", "book"}:
        raise Invalid(f"csm_sees cannot be {value!r}; give all, or book for a manager's own accounts.")
    return str(value)


def check_health_weights(value: Any) -> dict[str, dict[str, float]]:
    """By segment ("" is every other) and dimension, a factor of 0 to MOST_WEIGHT; also as JSON. Raises Invalid."""
    try:
        given = json.loads(value) if isinstance(value, str) else value
        weights = {
            str(segment): {name: _factor(name, each) for name, each in own.items()} for segment, own in given.items()
        }
    except (ValueError, TypeError, AttributeError):
        names = ", ".join(DIMENSIONS)
        raise Invalid(
            f"health_weights cannot be that; give by segment ('' is every other) a factor of 0 to {MOST_WEIGHT:g} for "
            f"some of the dimensions {names}, such as {{'': {{'support': 1.5}}}}."
        ) from None
    if len(weights) > MOST_SEGMENTS or any(len(segment) > LONGEST_SEGMENT for segment in weights):
        raise Invalid(
            f"health_weights are for at most {MOST_SEGMENTS} segments, with names of at most {LONGEST_SEGMENT} "
            "characters; give the others together under ''."
        )
    return weights


def _factor(name: str, value: Any) -> float:
    if name not in DIMENSIONS or isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError
    if not 0.0 <= value <= MOST_WEIGHT:
        raise ValueError
    return float(value)


TEXT: dict[str, Callable[[Any], Any]] = {
    "tracked_from": _day,
    "night_at": _time,
    "csm_sees": _sight,
    "health_weights": check_health_weights,
}


def _refuse_change_of_fixed(session: Session, values: Mapping[str, Any]) -> None:
    if session.scalar(select(ContractLineVersion.id).limit(1)) is None:
        return
    in_force = SettingVersion.superseded_change_id.is_(None)
    rows = session.execute(select(SettingVersion.name, SettingVersion.value).where(in_force))
    stored: dict[str, Any] = dict(rows.all())
    for name in sorted(FIXED & set(values)):
        now = stored.get(name, getattr(CompanySettings(), name))
        if values[name] != now:
            raise Conflict(f"{name} is {now!r} since the first import; figures rest on it, so it cannot change.")
