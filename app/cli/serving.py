"""What runs: `tenure demo` and `tenure serve`."""

import os
import secrets
import socket
import subprocess
import sys
from pathlib import Path

import click
from sqlalchemy import Engine, select

from app.cli.opened import opened_database, say_warnings, today_of
from app.config import Settings
from app.db import reading, transaction

DEMO_ADDRESS = "demo@example.com"
DEMO_NIGHTS = (35, 1)  # days before the last: to compare with last month, and with the night before


@click.command()
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
        from jobs.work import Work

        founded_on = founding_day(today_of(engine))
        make_example_company(
            Work(engine, settings), files, report=click.echo, founded_on=founded_on, days_back=DEMO_NIGHTS
        )
        _add_demo_user(settings, engine)


def _has_accounts(engine: Engine) -> bool:
    from app.models.accounts import Account

    with reading(engine) as session:
        return session.scalar(select(Account.id).limit(1)) is not None


def _add_demo_user(settings: Settings, engine: Engine) -> None:
    from app.services.changes import recording
    from app.services.users import NewUser, add_user

    password = secrets.token_urlsafe(12)
    with transaction(engine) as session, recording(session, "demo") as change:
        add_user(session, change, new=NewUser("Demo", DEMO_ADDRESS, password))
        # Before the commit: a start that dies here is done again, for there is no user yet.
        session.flush()
        path = _demo_password_file(settings)
        path.touch(mode=0o600)
        path.write_text(password)


def _demo_password_file(settings: Settings) -> Path:
    return settings.data_folder / "demo_password"


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--workers", default=2, show_default=True, help="Processes that answer.")
@click.option("--with-worker", is_flag=True, help="Run a worker beside it, that ends when this does.")
def serve(*, host: str, workers: int, with_worker: bool) -> None:
    """Serve pages and API.

    Example: PORT=8080 tenure serve
    """
    with opened_database() as (settings, _):
        _check_address(host, settings.port)
        say_warnings(settings)
        click.echo(f"Tenure is at http://{host}:{settings.port}   (Ctrl-C ends it)")
        password = _demo_password_file(settings)
        if password.exists() and not settings.is_production:  # there, what is printed ends up in logs
            click.echo(f"Log in as {DEMO_ADDRESS} with the password {password.read_text()}")
            click.echo("Try: Today, who needs you and why; Expansion; Is the model right? The API: /api/v1/docs;")
            click.echo(
                "     for a token: .venv/bin/tenure token create --name me --scope accounts:read --scope finance:read"
            )
    sys.stdout.flush()
    if with_worker:
        # The server takes this process's place and so becomes the worker's parent.
        subprocess.Popen([sys.executable, "-m", "app.cli", "worker", "--parent", str(os.getpid())])  # noqa: S603  our own interpreter and arguments
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
    options = ["--workers", str(workers), "--worker-class", "gthread", "--threads", "8", "--no-control-socket"]
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
