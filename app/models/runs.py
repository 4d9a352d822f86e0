"""What was run: imports and the steps of the night."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from app.db import Base, UTCDateTime
from app.models.versions import Id


class ImportRun(Base):
    """One reading of files through a mapping, with its report."""

    __tablename__ = "import_runs"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    system: Mapped[str] = mapped_column(String(100))
    mapping: Mapped[str] = mapped_column(String(200))
    files: Mapped[list[Any]] = mapped_column(JSON)  # name and SHA-256 of each
    started_at: Mapped[datetime] = mapped_column(UTCDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    report: Mapped[dict[str, Any]] = mapped_column(JSON)


class JobRun(Base):
    """A task of a date, from what was known at an instant: done once, however often it is asked for."""

    __tablename__ = "job_runs"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    task: Mapped[str] = mapped_column(String(50))
    scheduled_for: Mapped[date]
    known_at: Mapped[datetime] = mapped_column(UTCDateTime)
    started_at: Mapped[datetime] = mapped_column(UTCDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UTCDateTime)

    __table_args__ = (UniqueConstraint("task", "scheduled_for", name="uq_job_runs_task"),)


class JobStep(Base):
    """A step of a run. What it wrote was committed with its `finished_at`."""

    __tablename__ = "job_steps"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    job_run_id: Mapped[int] = mapped_column(ForeignKey("job_runs.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(50))
    started_at: Mapped[datetime] = mapped_column(UTCDateTime)
    finished_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    error: Mapped[str | None] = mapped_column(Text)

    __table_args__ = (UniqueConstraint("job_run_id", "name", name="uq_job_steps_name"),)
