"""The settings of an installation, and what a job gets to work with there."""

from pathlib import Path

from sqlalchemy import Engine

from app.config import Settings
from app.services.changes import utc_now
from jobs.work import Clock, Work


def settings_of(database_url: str, folder: Path) -> Settings:
    return Settings(
        database_url=database_url,
        secret_key="a secret of the tests, longer than 32 characters",
        data_folder=folder,
        is_production=False,
        trusted_hosts=("localhost",),
        port=8000,
        public_url="http://127.0.0.1:8000",
    )


def work_on(engine: Engine, *, folder: Path = Path("var"), clock: Clock = utc_now) -> Work:
    """Nobody else is at work there."""
    return Work(engine, settings_of(engine.url.render_as_string(hide_password=False), folder), clock)
