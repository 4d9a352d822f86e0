"""The step that lets the database look at what was written, so that it walks the right index."""

from collections.abc import Mapping

from sqlalchemy import text
from sqlalchemy.orm import Session

from jobs.night import Night
from jobs.steps import Result, Write


def refresh_statistics(_night: Night, _results: Mapping[str, Result]) -> Write:
    """Without it SQLite never learns that nearly all versions are in force, and sorts them all for one page."""

    def analyze(session: Session) -> Result:
        session.execute(text("ANALYZE"))
        return {}

    return analyze
