"""The `tenure` command. Each command imports what it needs when it runs: `--help` must not wait for lifelines."""

import logging
import os
import secrets
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path

import click
from sqlalchemy import Engine, select
from sqlalchemy.exc import OperationalError

from app.config import Settings
from app.db import make_engine, reading, transaction
from app.domain.money import MoneyError
from app.errors import TenureError
from app.migrate import is_migrated, migrate

DEMO_ADDRESS = "demo@example.com"


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


@contextmanager
def closing_engine(url: str) -> Iterator[Engine]:
    engine = make_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-v", "--verbose", is_flag=True, help="Show what is being done.")
def main(*, verbose: bool) -> None:
    """Tenure: customer-success health and lifetime value, from closed deals."""
    os.umask(0o077)  # names, mails and password hashes: what is written is for its owner alone
    logging.basicConfig(
        level=logging.INFO if verbose or not sys.stderr.isatty() else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    logging.getLogger("alembic").setLevel(logging.WARNING)


@main.group()
def db() -> None:
    """The database."""


@db.command("upgrade")
def db_upgrade() -> None:
    """Bring the database to the version of the code.

    Example: DATABASE_URL=postgresql://user@host/tenure tenure db upgrade
    """
    with opened_database(is_upgrade=True):
        pass
    click.echo("The database is at the version of the code.")


@main.command()
@click.option("--as-of", type=click.DateTime(["%Y-%m-%d"]), help="The date of the figures; today if left out.")
@click.option("--again", is_flag=True, help="Make a night that was made already once more, from what is known now.")
def nightly(*, as_of: datetime | None, again: bool) -> None:
    """Fit, score and publish as of a date.

    Example: tenure nightly --as-of 2026-01-01
    """
    from jobs.nightly import run_night

    with opened_database() as (_, engine):
        results = run_night(engine, as_of.date() if as_of else _today(engine), is_again=again)
        for name, result in results.items():
            click.echo(f"{name}: " + ", ".join(f"{key} {value}" for key, value in result.items()))


@main.command("import")
@click.argument("mapping", type=click.Path(path_type=Path))
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--check", "is_check", is_flag=True, help="Only say what would happen; nothing is recorded.")
@click.option("--as-of", type=click.DateTime(["%Y-%m-%d"]), help="The day that tenure in months is counted back from.")
def import_(mapping: Path, *, files: tuple[Path, ...], is_check: bool, as_of: datetime | None) -> None:
    """Import FILES (CSV or Parquet) as MAPPING says: a TOML file, or the name of one that ships with Tenure.

    Good rows are recorded; bad ones are set aside in a file, each with line, column and reason. The
    same file again changes nothing. With --check the exit code is 1 if any row is bad.

    Example: tenure import --check telco Telco-Customer-Churn.csv
    """
    from jobs.import_console import import_on_console, show_progress
    from jobs.import_run import Options

    day = as_of.date() if as_of else None
    with opened_database() as (settings, engine):
        options = Options(is_check, settings.data_folder / "rejected", show_progress())
        report = import_on_console(engine, mapping, files=files, as_of=day, options=options)
    if is_check and report.rejected:
        sys.exit(1)


def _today(engine: Engine) -> date:
    from zoneinfo import ZoneInfo

    from app.queries.settings import load_company_settings

    with reading(engine) as session:
        zone = load_company_settings(session).reporting_timezone
    return datetime.now(UTC).astimezone(ZoneInfo(zone)).date()


@main.command()
@click.option("--if-empty", is_flag=True, help="Do nothing if the database holds accounts already.")
def demo(*, if_empty: bool) -> None:
    """Make the example company and its night in an empty database.

    Example: tenure demo
    """
    with opened_database(is_upgrade=True) as (settings, engine):
        files = settings.data_folder / "example"
        was_cut_short = files.exists() and not _demo_password_file(settings).exists()
        if _has_accounts(engine) and not was_cut_short:
            if not if_empty:
                raise click.ClickException("The database holds accounts; the example company needs an empty one.")
            return
        # Only now: what simulates and fits takes seconds to import, and every start but the first ends above.
        from jobs.demo import founding_day, make_example_company

        make_example_company(engine, files, report=click.echo, founded_on=founding_day(_today(engine)))
        _add_demo_user(settings, engine)


def _has_accounts(engine: Engine) -> bool:
    from app.models.accounts import Account

    with reading(engine) as session:
        return session.scalar(select(Account.id).limit(1)) is not None


def _add_demo_user(settings: Settings, engine: Engine) -> None:
    from app.services.changes import recording
    from app.services.users import add_user

    password = secrets.token_urlsafe(12)
    with transaction(engine) as session, recording(session, "demo") as change:
        add_user(session, change, name="Demo", email=DEMO_ADDRESS, password=password)
        # Before the commit: a start that dies here is done again, for there is no user yet.
        session.flush()
        path = _demo_password_file(settings)
        path.touch(mode=0o600)
        path.write_text(password)


def _demo_password_file(settings: Settings) -> Path:
    return settings.data_folder / "demo_password"


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--workers", default=2, show_default=True, help="Processes that answer.")
def serve(*, host: str, workers: int) -> None:
    """Serve pages and API.

    Example: PORT=8080 tenure serve
    """
    with opened_database() as (settings, _):
        _check_address(host, settings.port)
        click.echo(f"Tenure is at http://{host}:{settings.port}   (Ctrl-C ends it)")
        password = _demo_password_file(settings)
        if password.exists() and not settings.is_production:  # there, what is printed ends up in logs
            click.echo(f"Log in as {DEMO_ADDRESS} with the password {password.read_text()}")
            click.echo("Try: Accounts sorted by churn probability; open one and see why. Then /api/v1/docs;")
            click.echo(
                "     for a token: .venv/bin/tenure token create --name me --scope accounts:read --scope finance:read"
            )
    sys.stdout.flush()
    command = [
        sys.executable,
        "-m",
        "gunicorn",
        "wsgi:app",
        "--bind",
        f"{host}:{settings.port}",
        "--log-level",
        "warning",
    ]
    options = ["--workers", str(workers), "--worker-class", "gthread", "--threads", "4", "--no-control-socket"]
    os.execv(sys.executable, [*command, *options])  # noqa: S606  our own interpreter and arguments


def _check_address(host: str, port: int) -> None:
    """The server would say it ten times over, and after its address has been printed."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise click.ClickException(
            f"Cannot listen on {host}, port {port}: {error.strerror}. Set another with PORT=..."
        ) from error


@main.group()
def settings() -> None:
    """What the company decided and figures depend on: currency, margin, discount, grace ..."""


@settings.command("show")
def settings_show() -> None:
    """List the settings.

    Example: tenure settings show
    """
    from app.queries.settings import NAMES, load_company_settings

    with opened_database() as (_, engine), reading(engine) as session:
        company = load_company_settings(session)
    for name in NAMES:
        click.echo(f"{name:<26}{getattr(company, name)}")


@settings.command("set")
@click.argument("name")
@click.argument("value")
@click.option(
    "--from", "valid_from", type=click.DateTime(["%Y-%m-%d"]), help="The first day it holds; always if left out."
)
def settings_set(*, name: str, value: str, valid_from: datetime | None) -> None:
    """Change a setting; the next night works with it.

    Example: tenure settings set gross_margin 0.75 --from 2026-01-01
    """
    from app.services.changes import recording
    from app.services.history import ALWAYS
    from app.services.settings import record_settings

    with opened_database() as (_, engine), transaction(engine) as session, recording(session, "command") as change:
        day = valid_from.date() if valid_from else ALWAYS
        record_settings(session, change, values={name: value}, valid_from=day)
    click.echo(f"{name} is {value}.")


@main.group()
def user() -> None:
    """Our staff who log in."""


@user.command("add")
@click.argument("email")
@click.option("--name", prompt=True, help="As colleagues know them.")
@click.password_option(help="At least 12 characters.")
def user_add(*, email: str, name: str, password: str) -> None:
    """Add somebody who can log in.

    Example: tenure user add ana@example.com --name Ana
    """
    from app.services.changes import recording
    from app.services.users import add_user

    with opened_database() as (_, engine), transaction(engine) as session, recording(session, "command") as change:
        add_user(session, change, name=name, email=email, password=password)
    click.echo(f"{email} can log in.")


@user.command("password")
@click.argument("email")
@click.password_option(help="At least 12 characters.")
def user_password(*, email: str, password: str) -> None:
    """Set a new password for somebody, and end all their sessions.

    Example: tenure user password ana@example.com
    """
    from app.services.users import change_password, find_user

    with opened_database() as (_, engine), transaction(engine) as session:
        change_password(session, user_id=find_user(session, email).id, password=password)
    click.echo(f"{email} can log in with the new password.")


@main.group()
def token() -> None:
    """The keys of programs."""


@token.command("create")
@click.option("--name", required=True, help="What it is for.")
@click.option("--scope", "scopes", multiple=True, required=True, help="What it may do; can be given several times.")
def token_create(*, name: str, scopes: tuple[str, ...]) -> None:
    """Create a token; it is shown once.

    Example: tenure token create --name "BI tool" --scope finance:read
    """
    from app.services.changes import utc_now
    from app.services.tokens import create_token

    with opened_database() as (_, engine), transaction(engine) as session:
        made = create_token(session, name=name, scopes=scopes, now=utc_now())
    click.echo(made.token)


if __name__ == "__main__":
    main()
