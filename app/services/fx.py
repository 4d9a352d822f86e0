"""Exchange rates as a source publishes them."""

from collections.abc import Sequence

from sqlalchemy.orm import Session

from app.models.settings import FxRate
from app.models.versions import Change
from app.services.sources import Recorded, Source
from app.services.versions import record_versions
from integrations.files.rows import FxRateRow


def record_fx_rates(session: Session, change: Change, *, source: Source, rows: Sequence[FxRateRow]) -> Recorded:
    """Record rates; (base, quote, day) must be unique in `rows`."""
    versions = [
        {
            "day": row.day,
            "base": row.base,
            "quote": row.quote,
            "rate": row.rate,
            "source": row.source or source.system,
            "available_at": source.available_at(row.day, row.available_on),
        }
        for row in rows
    ]
    return Recorded(record_versions(session, change, table=FxRate, key=["base", "quote", "day"], rows=versions))
