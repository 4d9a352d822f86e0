"""The step that lets the database look at what was written, so that it walks the right index."""

from collections.abc import Mapping

from sqlalchemy import text
from sqlalchemy.orm import Session

from jobs.night import Night
from jobs.steps import Result, Write

SAMPLED_ROWS = 1_000


def sample_statistics(session: Session) -> None:
    """The same from a sample of each index, in milliseconds: for while a database is being filled."""
    is_sqlite = session.get_bind().dialect.name == "sqlite"  # PostgreSQL samples of itself
    if is_sqlite:
        session.execute(text(f"PRAGMA analysis_limit = {SAMPLED_ROWS}"))
    session.execute(text("ANALYZE"))
    if is_sqlite:
        session.execute(text("PRAGMA analysis_limit = 0"))


def refresh_statistics(_night: Night, _results: Mapping[str, Result]) -> Write:
    """Without it SQLite never learns that nearly all versions are in force, and sorts them all for one page."""

    def analyze(session: Session) -> Result:
        session.execute(text("ANALYZE"))
        return {}

    return analyze
