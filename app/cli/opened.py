"""What every command begins with: the settings and a migrated database."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime

import click
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from app.config import Settings
from app.db import make_engine, reading
from app.domain.money import MoneyError
from app.errors import TenureError
from app.migrate import is_migrated, migrate


@contextmanager
def opened_database(*, is_upgrade: bool = False) -> Iterator[tuple[Settings, Engine]]:
    """The settings and a migrated database; what goes wrong in the business's words ends the command with them."""
    try:
        settings = Settings.from_env()
        settings.data_folder.mkdir(parents=True, exist_ok=True)
        with closing_engine(settings.database_url) as engine:
            if is_upgrade:
                migrate(engine)
            elif not is_migrated(engine):
                raise click.ClickException("The database is not at the version of the code. Run: tenure db upgrade")
            yield settings, engine
    except (TenureError, MoneyError) as error:
        raise click.ClickException(str(error)) from error
    except OperationalError as error:
        raise click.ClickException(f"The database is busy or cannot be reached: {error.orig}") from error


def say_warnings(settings: Settings) -> None:
    for warning in settings.warnings:
        click.echo(f"Warning: {warning}", err=True)


@contextmanager
def closing_engine(url: str) -> Iterator[Engine]:
    engine = make_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


def today_of(engine: Engine) -> date:
    from zoneinfo import ZoneInfo

    from app.queries.settings import load_company_settings

    with reading(engine) as session:
        zone = load_company_settings(session).reporting_timezone
    return datetime.now(UTC).astimezone(ZoneInfo(zone)).date()
