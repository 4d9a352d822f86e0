"""Changing the company's settings."""

from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.errors import Conflict, Invalid
from app.models.contracts import ContractLineVersion
from app.models.settings import SettingVersion
from app.models.versions import Change
from app.queries.settings import DECODE, NAMES
from app.services.versions import record_dated_versions

# Every stored figure rests on these: fixed from the first contract line on.
FIXED = frozenset({"reporting_currency", "reporting_timezone", "fiscal_year_start_month"})
ALWAYS = date(1900, 1, 1)


def record_settings(session: Session, change: Change, *, values: dict[str, Any], valid_from: date = ALWAYS) -> None:
    """Record company settings from a day on.

    Raises Invalid for a name that is not a setting, Conflict for one that is fixed by what has
    been recorded already.
    """
    unknown = sorted(set(values) - set(NAMES))
    if unknown:
        raise Invalid(f"{unknown[0]!r} is no setting; there are: {', '.join(NAMES)}.")
    encoded = {name: str(value) if name in DECODE else value for name, value in values.items()}
    _refuse_change_of_fixed(session, encoded)
    rows = [
        {"name": name, "value": value, "valid_from": valid_from, "valid_to": None, "available_at": datetime.now(UTC)}
        for name, value in encoded.items()
    ]
    record_dated_versions(session, change, table=SettingVersion, key=["name"], rows=rows)


def _refuse_change_of_fixed(session: Session, values: dict[str, Any]) -> None:
    if not session.scalar(select(func.count()).select_from(select(ContractLineVersion.id).limit(1).subquery())):
        return
    in_force = SettingVersion.superseded_change_id.is_(None)
    rows = session.execute(select(SettingVersion.name, SettingVersion.value).where(in_force))
    stored: dict[str, Any] = dict(rows)
    for name in sorted(FIXED & set(values)):
        if values[name] != stored.get(name, values[name]):
            raise Conflict(
                f"{name} is {stored[name]!r} since the first import; figures rest on it, so it cannot change."
            )
