"""What the company decided and figures depend on: with versions, like any fact."""

from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import JSON, String
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base
from app.models.versions import DatedVersion, ExactDecimal, Version, current_version_index


class SettingVersion(DatedVersion, Base):
    """A company setting; the names and what they mean are in app/services/settings.py."""

    __tablename__ = "setting_versions"

    name: Mapped[str] = mapped_column(String(100))
    value: Mapped[Any] = mapped_column(JSON)

    __table_args__ = (current_version_index("uq_setting_versions_current", "name", "valid_from"),)


class FxRate(Version, Base):
    """One unit of `base` was worth `rate` units of `quote` on that day, says the source."""

    __tablename__ = "fx_rates"

    day: Mapped[date]
    base: Mapped[str] = mapped_column(String(3))
    quote: Mapped[str] = mapped_column(String(3))
    rate: Mapped[Decimal] = mapped_column(ExactDecimal)
    source: Mapped[str] = mapped_column(String(100))

    __table_args__ = (current_version_index("uq_fx_rates_current", "base", "quote", "day"),)
