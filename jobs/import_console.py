"""`tenure import` as a person sees it: progress on a terminal, log lines elsewhere, the report at the end."""

import logging
import sys
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

import click
from sqlalchemy import Engine

from app.errors import Invalid
from integrations.files.mapping import MappingError, load_mapping
from jobs.import_files import import_files
from jobs.import_report import ImportReport
from jobs.import_run import Options

log = logging.getLogger(__name__)

SECONDS_BETWEEN_LINES = 10.0


def import_on_console(
    engine: Engine, mapping: Path, *, files: Sequence[Path], as_of: date | None, options: Options
) -> ImportReport:
    """Load the mapping, import the files, print the report. Raises Invalid for a mapping that does not fit."""
    try:
        loaded = load_mapping(mapping, as_of=as_of)
        report = import_files(engine, loaded, paths=files, options=options)
    except MappingError as error:
        raise Invalid(visible(str(error))) from error
    if sys.stderr.isatty():
        click.echo("\r\033[K", err=True, nl=False)
    for line in report.lines():
        click.echo(visible(line))
    return report


def visible(text: str) -> str:
    """The text with control characters written out: names out of a file must not steer the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def show_progress() -> Callable[[str, int], None]:
    """Rows done, as a line that renews itself on a terminal, else as a log line now and then."""
    last = time.monotonic()

    def on_terminal(what: str, rows: int) -> None:
        click.echo(f"\r\033[K{visible(what)}: {rows:,}", err=True, nl=False)

    def in_log(what: str, rows: int) -> None:
        nonlocal last
        if time.monotonic() - last >= SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            log.info("%s: %s", visible(what), f"{rows:,}")

    return on_terminal if sys.stderr.isatty() else in_log
