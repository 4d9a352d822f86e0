"""Is the model right? What it said a year ago, held against what came, in plain words."""

from dataclasses import dataclass

from flask import render_template
from flask.typing import ResponseReturnValue

from app.auth import requires
from app.domain.backtest import Backtest, RiskGroup
from app.domain.baselines import DEFAULTS, LEARNED
from app.domain.months import MONTHS_OF_A_YEAR, add_months
from app.http import database
from app.queries.model_report import ModelReport, YearBehind, load_model_report
from app.web import model_tables as tables
from app.web.formats import count_accounts, show_day, show_number, show_percent
from app.web.health_judged import describe_judged
from app.web.model_findings import Finding, find
from app.web.model_words import WHY_NOT, describe_gate, show_interval
from app.web.moment import Advice, advise, describe_freshness, load_moment
from app.web.reliability import Diagram, draw_reliability
from app.web.texts import gettext as _
from app.web.texts import ngettext


@dataclass(frozen=True, slots=True)
class ModelCards:
    """About the latest year behind, as forecast in the way that is shown today: learned, or by the default weights."""

    lead: str
    findings: tuple[Finding, ...]
    diagram: Diagram
    diagram_text: str
    groups: tuple[tables.GroupRow, ...]
    slices: tuple[tables.TotalRow, ...]
    years: tuple[tables.TotalRow, ...]
    rankings: tuple[tables.RankingRow, ...]
    ways: tuple[tables.WayRow, ...]
    capacity: str
    capacity_text: str
    missed_text: str
    missed: tuple[tables.MissedRow, ...]
    small_print: str


@dataclass(frozen=True, slots=True)
class Inputs:
    text: str
    rows: tuple[tables.InputRow, ...]


@requires("accounts:read")
def show_model() -> ResponseReturnValue:
    moment = load_moment()
    run_id = moment.run.id if moment.run else 0
    report = load_model_report(database(), moment.report, run_id=run_id, today=moment.today)
    year = report.latest
    return render_template(
        "model.html",
        fresh=describe_freshness(moment),
        advice=advise(moment) if not year else None,
        gate=Advice(*describe_gate(report.gate)) if year else None,
        learned=moment.report.get("churns", 0),
        why_not=str(WHY_NOT[report.reason]) if report.reason in WHY_NOT else str(WHY_NOT["not_run"]),
        cards=_describe(report, year) if year else None,
        judged=describe_judged(moment),
        since=tables.list_since(report.since),
        inputs=_describe_inputs(report),
    )


def _describe(report: ModelReport, year: YearBehind) -> ModelCards:
    shown = DEFAULTS if report.gate.verdict == DEFAULTS else LEARNED
    test = year.of(shown)
    return ModelCards(
        lead=_lead(report, year, test=test),
        findings=find(test),
        diagram=draw_reliability(test.groups),
        diagram_text=_describe_diagram(test.groups),
        groups=tables.list_groups(test.groups),
        slices=tables.list_slices(test.slices),
        years=tables.list_years(report.years, way=shown),
        rankings=tables.list_rankings(test.rankings),
        ways=tables.list_ways(year, shown=shown),
        capacity=show_number(test.top.accounts),
        capacity_text=_describe_capacity(test),
        missed_text=_missed_text(year, test),
        missed=tables.list_missed(year.missed, accounts=test.accounts),
        small_print=_(" · ").join(tables.list_measures(test)),
    )


def _describe_diagram(groups: tuple[RiskGroup, ...]) -> str:
    parts = [
        _(
            "%(forecast)s forecast, %(share)s left",
            forecast=show_percent(group.forecast, digits=0),
            share=show_percent(group.observed_share.value, digits=0),
        )
        for group in groups
    ]
    return _(
        "Forecast against what happened, for ten groups from the safest to the riskiest: %(parts)s.",
        parts=_(", ").join(parts),
    )


def _lead(report: ModelReport, year: YearBehind, *, test: Backtest) -> str:
    parts = [
        _(
            "The model was fitted anew as of %(origin)s on what was available by then (%(churns)s), forecast the "
            "%(accounts)s of that day, and is held against what happened up to %(until)s.",
            origin=show_day(year.origin_on),
            churns=ngettext("%(num)s churn", "%(num)s churns", year.learned_from_churns),
            accounts=count_accounts(test.accounts),
            until=show_day(add_months(year.origin_on, MONTHS_OF_A_YEAR)),
        )
    ]
    if report.is_sample:
        parts.append(_("These accounts are a part of all, drawn at random."))
    if test.undecided:
        parts.append(
            ngettext(
                "%(num)s more is left out: its term is over, and nobody knows yet whether it renews.",
                "%(num)s more are left out: their term is over, and nobody knows yet whether they renew.",
                test.undecided,
            )
        )
    return " ".join(parts)


def _describe_capacity(test: Backtest) -> str:
    top = test.top
    if not test.churns:
        return _("Nobody left in that year, so nobody was missed.")
    return _(
        "Of the %(size)s rated riskiest, %(hits)s left within the year: %(precision)s (%(interval)s), against %(all)s "
        "of all accounts, %(lift)s times as many. They are %(caught)s of all that left.",
        size=show_number(top.accounts),
        hits=show_number(top.churns),
        precision=show_percent(top.precision.value, digits=0),
        interval=show_interval(top.precision),
        all=show_percent(test.churns / test.accounts, digits=0),
        lift=show_number(top.lift.value, digits=1),
        caught=show_percent(top.caught.value, digits=0),
    )


def _missed_text(year: YearBehind, test: Backtest) -> str:
    if not test.churns:
        return _("Nobody left in that year, so nobody was missed.")
    if not year.n_missed:
        return _("Everyone who left had been rated among the riskier half.")
    return ngettext(
        "%(missed)s of the %(churns)s that left had been rated among the safer half.",
        "%(missed)s of the %(churns)s that left had been rated among the safer half.",
        year.n_missed,
        missed=show_number(year.n_missed),
        churns=show_number(test.churns),
    )


def _describe_inputs(report: ModelReport) -> Inputs | None:
    known = [each for each in report.inputs if each.verdict != "unknown"]
    if not known:
        return None
    rows = tables.list_inputs(report.inputs)
    if rows:
        text = ngettext(
            "%(moved)s of %(all)s inputs is another among today's accounts than in the months learned from, beyond "
            "what chance allows. Be careful where a score rests on it.",
            "%(moved)s of %(all)s inputs are others among today's accounts than in the months learned from, beyond "
            "what chance allows. Be careful where a score rests on them.",
            len(rows),
            moved=show_number(len(rows)),
            all=show_number(len(known)),
        )
    else:
        text = _(
            "All %(all)s inputs are among today's accounts as they were in the months learned from.",
            all=show_number(len(known)),
        )
    return Inputs(text, rows)
