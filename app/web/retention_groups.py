"""Retention of groups of accounts: Kaplan-Meier with interval and numbers at risk, one small chart a group."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flask import render_template, request, url_for
from flask.typing import ResponseReturnValue

from app.auth import requires
from app.http import database
from app.queries.groups import ALL, UNKNOWN
from app.queries.retention import GroupRetention, load_retention
from app.web.formats import NONE, count_accounts, show_number, show_percent
from app.web.moment import advise, describe_freshness, load_moment
from app.web.retention import Cell
from app.web.texts import gettext as _
from app.web.texts import lazy_gettext as _l
from app.web.texts import ngettext

CUTS = {
    "segment": _l("By segment"),
    "plan": _l("By plan"),
    "channel": _l("By channel"),
    "campaign": _l("By campaign"),
    "cohort": _l("By year of start"),
    "all": _l("All together"),
}
MARKS_MONTHS = (12, 24, 36, 60)
MOST_GROUPS = 24


@dataclass(frozen=True, slots=True)
class CutChoice:
    name: str
    word: str
    url: str
    is_current: bool


@dataclass(frozen=True, slots=True)
class MarkRow:
    months: int
    retention: str
    interval: str
    at_risk: str


@dataclass(frozen=True, slots=True)
class MonthRow:
    month: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class GroupCard:
    number: int
    name: str
    about: str
    summary: str
    has_all: bool
    marks: tuple[MarkRow, ...]
    rows: tuple[MonthRow, ...]


@requires("accounts:read")
def show_retention() -> ResponseReturnValue:
    moment = load_moment()
    cut = request.args.get("by", "")
    cut = cut if cut in CUTS else "segment"
    cards: tuple[GroupCard, ...] = ()
    left_out = 0
    if moment.run:
        groups = load_retention(database(), cut).groups
        every = load_retention(database(), "all", group=ALL).groups
        largest = sorted(groups, key=lambda group: -group.accounts)[:MOST_GROUPS]
        left_out = len(groups) - len(largest)
        shown = sorted((g for g in groups if g in largest), key=lambda g: (g.group == UNKNOWN, g.group))
        cards = tuple(_describe_groups(shown, every[0] if every and cut != "all" else None))
    return render_template(
        "retention.html",
        fresh=describe_freshness(moment),
        advice=advise(moment),
        choices=_choices(cut),
        cards=cards,
        most_months=max((card.rows[-1].month for card in cards), default=0),
        left_out=ngettext("%(num)s smaller group is left out.", "%(num)s smaller groups are left out.", left_out)
        if left_out
        else "",
    )


def _choices(cut: str) -> list[CutChoice]:
    return [CutChoice(name, str(word), url_for("web.retention", by=name), name == cut) for name, word in CUTS.items()]


def _describe_groups(groups: Sequence[GroupRetention], every: GroupRetention | None) -> Iterator[GroupCard]:
    for number, group in enumerate(groups):
        marks = tuple(_describe_mark(group, months) for months in MARKS_MONTHS if months < len(group.months))
        name = {UNKNOWN: _("Unknown"), ALL: _("All accounts")}.get(group.group, group.group)
        accounts = count_accounts(group.accounts)
        churned = ngettext("%(count)s churned", "%(count)s churned", group.churned, count=show_number(group.churned))
        yield GroupCard(
            number=number,
            name=name,
            about=f"{accounts} · {churned}",
            summary=_summary(name, marks),
            has_all=every is not None,
            marks=marks,
            rows=tuple(_describe_month(group, every, index=index) for index in range(len(group.months))),
        )


def _summary(name: str, marks: Sequence[MarkRow]) -> str:
    """What a screen reader says in place of the drawing."""
    parts = [_("%(share)s after %(months)s months", share=mark.retention, months=mark.months) for mark in marks]
    return _("Retention of %(name)s: %(parts)s.", name=name, parts=_(", ").join(parts)) if parts else name


def _describe_mark(group: GroupRetention, months: int) -> MarkRow:
    low, high = show_percent(group.lower[months], digits=0), show_percent(group.upper[months], digits=0)
    retention = show_percent(group.retention[months])
    is_known = group.retention[months] < 1.0  # before the first churn the interval has no width, and says nothing
    return MarkRow(months, retention, f"{low} – {high}" if is_known else NONE, show_number(group.at_risk[months]))


def _describe_month(group: GroupRetention, every: GroupRetention | None, *, index: int) -> MonthRow:
    everyone = every.retention[index] if every and index < len(every.retention) else None
    shares = (group.retention[index], group.lower[index], group.upper[index], everyone)
    cells = [Cell(None if v is None else round(v, 4), NONE if v is None else show_percent(v)) for v in shares]
    at_risk = group.at_risk[index]
    return MonthRow(group.months[index], (*cells, Cell(at_risk, show_number(at_risk))))
