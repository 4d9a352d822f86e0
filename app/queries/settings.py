"""The company's settings: what figures depend on, as of a day and as known at an instant."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.models.settings import SettingVersion
from app.queries.known import in_force, last_recorded_at, valid_on


@dataclass(frozen=True, slots=True)
class CompanySettings:
    """Each field is a setting; its default holds until the company says otherwise."""

    reporting_currency: str = "USD"
    reporting_timezone: str = "UTC"
    fiscal_year_start_month: int = 1
    grace_days: int = 30
    tracked_from: date | None = None  # the first month with complete records of churn; none: from the first contract
    gross_margin: Decimal = Decimal("0.80")
    annual_discount_rate: Decimal = Decimal("0.10")
    ltv_horizon_months: int = 60
    reference_churn: Decimal = Decimal("0.10")  # a year; the scale of the health bands
    minimum_coverage: Decimal = Decimal("0.40")  # below it a health score is withheld
    event_retention_days: int = 90  # raw usage events are kept for so long; what was counted of them stays
    night_at: str = "02:00"  # when the worker makes the night, in the reporting time zone; "off": it does not
    csm_sees: str = "all"  # whose accounts a customer success manager sees: all, or "book": their own
    flags_a_night: int = 40  # new expansion opportunities at most, the best first
    flags_an_account: int = 2  # expansion opportunities that stand at once
    # By segment ("" is every other) and dimension, what multiplies its contribution to health; 1 is as calculated.
    health_weights: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    team_capacity: int = 20  # accounts at risk that the team can work on at once; the model is judged by as many


# JSON has neither decimals nor dates; they are stored as text.
DECODE: dict[str, Any] = {
    "tracked_from": date.fromisoformat,
    "gross_margin": Decimal,
    "annual_discount_rate": Decimal,
    "reference_churn": Decimal,
    "minimum_coverage": Decimal,
}
NAMES = tuple(each.name for each in fields(CompanySettings))


def load_company_settings(
    session: Session, *, as_of: date | None = None, known_at: datetime | None = None
) -> CompanySettings:
    """The settings in force on `as_of` (none: the newest) as known at `known_at` (none: now)."""
    known = known_at or last_recorded_at(session)
    if known is None:
        return CompanySettings()
    day = as_of or date.max
    rows = session.execute(
        select(SettingVersion.name, SettingVersion.value).where(
            in_force(SettingVersion, known),
            SettingVersion.name.in_(NAMES),
            valid_on(SettingVersion, day),
        )
    )
    return decode_settings((name, value) for name, value in rows)


def decode_settings(stored: Iterable[tuple[str, Any]]) -> CompanySettings:
    return CompanySettings(**{name: DECODE.get(name, lambda value: value)(value) for name, value in stored})
