"""What stands below the list of opportunities: how they were found, and how right that was."""

from dataclasses import dataclass

from flask_babel import LazyString

from app.queries.expansion_report import ExpansionReport, RankerRecord, SeatRecord
from app.web.formats import show_day, show_number, show_percent
from app.web.texts import gettext as _
from app.web.texts import lazy_gettext as _l

WAYS: dict[str, LazyString] = {
    "popularity": _l("What most have"),
    "adoption": _l("What many took lately"),
    "lift": _l("What goes with what they have"),
    "adoption_and_lift": _l("What many took lately and goes with what they have"),
    "propensity": _l("A regression on both and on how much they have"),
}


@dataclass(frozen=True, slots=True)
class RankerRow:
    way: str
    hits: str
    lift: str
    is_used: bool


@dataclass(frozen=True, slots=True)
class SeatRow:
    since: str
    accounts: str
    expected: str
    observed: str


@dataclass(frozen=True, slots=True)
class Report:
    rankers: tuple[RankerRow, ...]
    ranked_text: str
    cross_sell_text: str
    seats: tuple[SeatRow, ...]
    upsell_text: str


def describe_report(report: ExpansionReport) -> Report:
    return Report(
        rankers=tuple(_ranker_row(each) for each in report.rankers if each.buyers),
        ranked_text=_ranked_text(report),
        cross_sell_text=_level_text(report.cross_sell_has_level),
        seats=tuple(_seat_row(each) for each in report.seats),
        upsell_text=_level_text(report.upsell_has_level) if report.seats else _too_few_seats(),
    )


def _ranked_text(report: ExpansionReport) -> str:
    if report.reason is None:
        return _(
            "There is no year of sales before a half year yet to look back on: products are ranked by what many took "
            "lately and goes with what an account has."
        )
    if report.reason == "too_few":
        return _(
            "Too few accounts bought anything new in the half years looked back on to tell the ways apart: products "
            "are ranked by what many took lately and goes with what an account has."
        )
    return _(
        "Each way ranked products as of past half years, by what was known then. A hit: an account that bought "
        "something new within six months bought one of its best %(count)s. The best way is used; of equals, the "
        "simplest.",
        count=show_number(report.looked_at),
    )


def _level_text(has_level: bool) -> str:
    if has_level:
        return _("The expected number was right twice in a row, so chances are said in percent.")
    return _(
        "Chances are said in words only: percentages are shown once the expected number was right (0.7 to 1.4 times "
        "what happened, with at least 20 purchases) in two half years in a row."
    )


def _too_few_seats() -> str:
    return _("Too few accounts bought more seats so far to learn from; who is flagged goes by the seats in use alone.")


def _ranker_row(record: RankerRecord) -> RankerRow:
    share = show_percent(record.hits / record.buyers, digits=0)
    of = _("%(hits)s of %(buyers)s", hits=show_number(record.hits), buyers=show_number(record.buyers))
    return RankerRow(
        way=str(WAYS[record.way]),
        hits=f"{share} ({of})",
        lift="–" if record.lift is None else _("%(times)s times", times=show_number(record.lift, digits=1)),
        is_used=record.is_used,
    )


def _seat_row(record: SeatRecord) -> SeatRow:
    return SeatRow(
        since=show_day(record.origin_on),
        accounts=show_number(record.accounts),
        expected=show_number(record.expected, digits=1),
        observed=show_number(record.observed),
    )
