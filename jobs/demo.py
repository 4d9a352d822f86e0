"""The example company: simulated, written as files, read in through the same door as real data, and its night made."""

from collections.abc import Callable, Sequence
from datetime import date, timedelta
from pathlib import Path

from app.db import transaction
from app.services.changes import recording
from app.services.settings import record_settings
from integrations.files.mapping import SHIPPED, load_mapping
from jobs.example_company.company import FOUNDED_ON
from jobs.example_company.files import write_files
from jobs.example_company.world import simulate
from jobs.import_files import import_files
from jobs.import_run import Options
from jobs.nightly import run_night
from jobs.work import Work

SEED = 1
YEARS = 4
SETTINGS = {
    "reference_churn": "0.20",  # a year: small customers come and go, and the bands of health are read against that
    "night_at": "off",  # nobody renews once its four years are over: nights made later would see all of it lapse
}
Report = Callable[[str], None]
MAPPING = SHIPPED / "example_company.toml"


def founding_day(today: date) -> date:
    """So that the company's four years end with last month, and its newest figures are fresh."""
    return today.replace(year=today.year - YEARS, day=1)


def make_example_company(
    work: Work, folder: Path, *, report: Report, founded_on: date = FOUNDED_ON, days_back: Sequence[int] = ()
) -> None:
    """Simulate the company's four years, import its files and make the night of the day after its last.

    `days_back`: nights so many days before it, made first, so that there is something to compare it with.
    """
    report("Making the example company: 400 accounts over four years, with a fixed seed ...")
    world = simulate(SEED, founded_on=founded_on)
    paths = write_files(world, folder)
    report("Importing its deals, usage, tickets and surveys ...")
    import_files(work.engine, load_mapping(MAPPING), paths=paths, options=Options())
    with transaction(work.engine) as session, recording(session, "example company") as change:
        record_settings(session, change, values=SETTINGS)
    for back in (*sorted(days_back, reverse=True), 0):
        as_of = world.as_of - timedelta(days=back)
        report(f"Fitting and scoring as of {as_of} ...")
        run_night(work, as_of)
