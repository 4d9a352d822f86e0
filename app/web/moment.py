"""When the figures of a page are from."""

from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import Any

from app.http import database, now
from app.queries import moments
from app.queries.runs import Run, find_run, load_run_report
from app.queries.settings import CompanySettings
from app.web.formats import show_day, show_instant, show_number
from app.web.texts import gettext as _
from app.web.texts import ngettext


@dataclass(frozen=True)
class Moment:
    """`as_of` is the run's day, or today before the first night; `known_at` the last change there is."""

    run: Run | None
    settings: CompanySettings
    today: date
    known_at: datetime

    @property
    def as_of(self) -> date:
        return self.run.as_of if self.run else self.today

    @property
    def currency(self) -> str:
        return self.run.currency if self.run else self.settings.reporting_currency

    @cached_property
    def report(self) -> dict[str, Any]:
        """What the run says of itself; read only by a page that needs it."""
        return load_run_report(database(), self.run) if self.run else {}


@dataclass(frozen=True, slots=True)
class Freshness:
    as_of: str
    known_at: str
    run_id: int
    definition: str
    stale: str = ""  # the feeds that bring nothing


@dataclass(frozen=True, slots=True)
class Advice:
    text: str
    tone: str


def load_moment() -> Moment:
    known = moments.load_moment(database(), as_of=None, known_at=None, now=now())
    return Moment(run=find_run(database()), settings=known.settings, today=known.as_of, known_at=known.known_at)


def describe_freshness(moment: Moment) -> Freshness | None:
    run = moment.run
    if run is None:
        return None
    known_at = show_instant(run.known_at, moment.settings.reporting_timezone)
    stale = _(", ").join(run.stale_feeds)
    return Freshness(show_day(run.as_of), known_at, run.id, run.definition, stale)


def advise(moment: Moment) -> Advice | None:
    """What a reader has to know before the first figure: that the model had too little to learn from, or nothing."""
    if moment.run is None:
        return Advice(_("Nothing has been computed yet. Import deals, then run: tenure nightly"), "watch")
    churns = moment.report.get("churns", 0)
    gate = moment.report.get("evaluation", {}).get("gate", {})
    match moment.run.basis:
        case "prior" if gate.get("verdict") == "defaults":
            text = _(
                "The default weights are shown: over the years behind, what your own churns taught was not better "
                "(see Is the model right?)."
            )
            return Advice(text, "watch")
        case "prior":
            text = ngettext(
                "Not enough data: %(churns)s churn so far. The default weights are shown, with wide intervals.",
                "Not enough data: %(churns)s churns so far. The default weights are shown, with wide intervals.",
                churns,
                churns=show_number(churns),
            )
            return Advice(text, "watch")
        case "segment":
            text = _(
                "All churns fall into one calendar month, so nothing can be learned of how churn follows behaviour "
                "over time. Each account shows the Kaplan-Meier curve of its segment, from its own age on."
            )
            return Advice(text, "watch")
        case "not_applicable":
            return Advice(_("No account has recurring revenue, so retention and health do not apply here."), "info")
    return None
