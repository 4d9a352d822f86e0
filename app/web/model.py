"""Is the model right? What it said a year ago, held against what came, in plain words."""

from collections.abc import Iterator
from dataclasses import dataclass

from flask import render_template, url_for
from flask.typing import ResponseReturnValue
from flask_babel import LazyString

from app.auth import requires
from app.domain.backtest import Backtest, Estimate, Ranking, RiskGroup
from app.domain.months import MONTHS_OF_A_YEAR, add_months
from app.http import database
from app.queries.model_report import Missed, ModelReport, load_model_report
from app.web.formats import NONE, count_accounts, show_day, show_number, show_percent
from app.web.moment import advise, describe_freshness, load_moment
from app.web.texts import gettext as _
from app.web.texts import lazy_gettext as _l
from app.web.texts import ngettext

WHY_NOT: dict[str, LazyString] = {
    "not_run": _l("The look back is made every night. Run: tenure nightly"),
    "too_young": _l("The record is too short: it takes a year to learn from, and a year after it to be held against."),
    "nobody": _l("A year ago no account with recurring revenue was there to be forecast."),
    "no_fit": _l("The model of a year ago could not be fitted to what was known then."),
    "segment": _l(
        "All churns fall into one calendar month, so no forecast can be held against another time. "
        "It becomes possible once accounts leave in more than one month."
    ),
    "not_applicable": _l("No account has recurring revenue, so nothing is forecast."),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer: `tone` is good, watch, risk or none."""

    question: str
    answer: str
    text: str
    tone: str


@dataclass(frozen=True, slots=True)
class GroupRow:
    forecast_value: float
    share_value: float | None
    lower_value: float | None
    upper_value: float | None
    forecast: str
    share: str
    interval: str
    accounts: str
    expected: str
    observed: str


@dataclass(frozen=True, slots=True)
class RankingRow:
    months: str
    churns: str
    share: str
    interval: str


@dataclass(frozen=True, slots=True)
class MissedRow:
    name: str
    url: str | None
    churned: str
    forecast: str
    rank: str


@dataclass(frozen=True, slots=True)
class ModelCards:
    lead: str
    findings: tuple[Finding, ...]
    groups: tuple[GroupRow, ...]
    rankings: tuple[RankingRow, ...]
    missed_text: str
    missed: tuple[MissedRow, ...]
    chart_text: str
    small_print: str


@requires("accounts:read")
def show_model() -> ResponseReturnValue:
    moment = load_moment()
    report = load_model_report(database(), moment.report, today=moment.today)
    return render_template(
        "model.html",
        fresh=describe_freshness(moment),
        advice=advise(moment),
        learned=moment.report.get("churns", 0),
        why_not=str(WHY_NOT[report.reason]) if report.reason else "",
        cards=_describe(report, report.backtest) if report.backtest else None,
    )


def _describe(report: ModelReport, test: Backtest) -> ModelCards:
    return ModelCards(
        lead=_lead(report, test),
        findings=(_ranking(test), _total(test), _accuracy(test)),
        groups=tuple(_describe_group(group) for group in test.groups),
        rankings=tuple(_describe_ranking(each) for each in test.rankings),
        missed_text=_missed_text(report, test),
        missed=tuple(_describe_missed(each, test) for each in report.missed),
        chart_text=_(
            "Forecast against what happened, for ten groups from the safest to the riskiest: %(parts)s.",
            parts=_(", ").join(
                _(
                    "%(forecast)s forecast, %(share)s left",
                    forecast=show_percent(group.forecast, digits=0),
                    share=show_percent(group.observed_share.value, digits=0),
                )
                for group in test.groups
            ),
        ),
        small_print=_small_print(test),
    )


def _lead(report: ModelReport, test: Backtest) -> str:
    if report.origin_on is None:
        return ""
    until_on = add_months(report.origin_on, MONTHS_OF_A_YEAR)
    parts = [
        _(
            "The model was fitted anew as of %(origin)s on what was available by then (%(churns)s), forecast the "
            "%(accounts)s of that day, and is held against what happened up to %(until)s.",
            origin=show_day(report.origin_on),
            churns=ngettext("%(num)s churn", "%(num)s churns", report.learned_from_churns),
            accounts=count_accounts(test.accounts),
            until=show_day(until_on),
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


def _ranking(test: Backtest) -> Finding:
    question = _("Does it know who is more likely to leave?")
    auc = test.rankings[-1].auc
    said = _(
        "Of one account that left and one that stayed, it had rated the one that left as riskier in %(share)s of all "
        "pairs (%(interval)s); a coin does in 50%%.",
        share=show_percent(auc.value, digits=0),
        interval=_interval(auc),
    )
    match test.ranking:
        case "learned":
            return Finding(question, _("Yes, better than chance"), said, "good")
        case "chance":
            text = said + " " + _("Do not decide by its order who is called first.")
            return Finding(question, _("No better than chance"), text, "risk")
    return Finding(question, _("Not enough data"), _few(test) + (" " + said if auc.value is not None else ""), "none")


def _total(test: Backtest) -> Finding:
    question = _("Does it expect as many to leave as do?")
    said = _(
        "It expected %(expected)s to leave, and %(observed)s did.",
        expected=show_number(test.expected, digits=1),
        observed=show_number(test.churns),
    )
    if test.ratio.value is not None:
        said += " " + _(
            "Expected over observed is %(ratio)s (%(low)s to %(high)s).",
            ratio=show_number(test.ratio.value, digits=2),
            low=show_number(test.ratio.lower, digits=2),
            high=show_number(test.ratio.upper, digits=2),
        )
    answers = {
        "right": (_("Yes, within what chance allows"), "good"),
        "too_few": (_("No, it expected too few"), "risk"),
        "too_many": (_("No, it expected too many"), "watch"),
    }
    if test.total not in answers:
        return Finding(question, _("Not enough data"), f"{_few(test)} {said}", "none")
    answer, tone = answers[test.total]
    return Finding(question, answer, said, tone)


def _accuracy(test: Backtest) -> Finding:
    question = _("Does it know more than contract and age alone?")
    gain = test.accuracy
    if gain.value is None or gain.lower is None or gain.upper is None:
        return Finding(question, _("Not enough data"), _few(test), "none")
    said = _(
        "Its error is %(share)s smaller (%(low)s to %(high)s) than that of the churn rate by kind of contract and age "
        "(Kaplan-Meier).",
        share=_signed_percent(gain.value),
        low=_signed_percent(gain.lower),
        high=_signed_percent(gain.upper),
    )
    if test.ranking == "unknown":
        return Finding(question, _("Not enough data"), f"{_few(test)} {said}", "none")
    if gain.lower > 0:
        return Finding(question, _("Yes"), said, "good")
    if gain.upper < 0:
        return Finding(question, _("No, less"), said, "risk")
    return Finding(question, _("Cannot be told yet"), said, "watch")


def _few(test: Backtest) -> str:
    return ngettext(
        "%(num)s account left in that year; below twenty nothing is concluded.",
        "%(num)s accounts left in that year; below twenty nothing is concluded.",
        test.churns,
    )


def _interval(estimate: Estimate) -> str:
    if estimate.lower is None or estimate.upper is None:
        return NONE
    low, high = show_percent(estimate.lower, digits=0), show_percent(estimate.upper, digits=0)
    return _("%(low)s to %(high)s", low=low, high=high)


def _signed_percent(share: float) -> str:
    """With a real minus, and without `<` before zero."""
    return ("−" if share < 0 else "") + show_percent(round(abs(share), 3), digits=1)


def _describe_group(group: RiskGroup) -> GroupRow:
    share = group.observed_share
    return GroupRow(
        forecast_value=round(group.forecast, 4),
        share_value=_rounded(share.value),
        lower_value=_rounded(share.lower),
        upper_value=_rounded(share.upper),
        forecast=show_percent(group.forecast),
        share=show_percent(share.value),
        interval=_interval(share),
        accounts=show_number(group.accounts),
        expected=show_number(group.expected, digits=1),
        observed=show_number(group.observed),
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _describe_ranking(ranking: Ranking) -> RankingRow:
    return RankingRow(
        months=ngettext("within %(num)s month", "within %(num)s months", ranking.months),
        churns=show_number(ranking.churns),
        share=show_percent(ranking.auc.value, digits=0),
        interval=_interval(ranking.auc),
    )


def _missed_text(report: ModelReport, test: Backtest) -> str:
    if not test.churns:
        return _("Nobody left in that year, so nobody was missed.")
    if not report.n_missed:
        return _("Everyone who left had been rated among the riskier half.")
    return ngettext(
        "%(missed)s of the %(churns)s that left had been rated among the safer half.",
        "%(missed)s of the %(churns)s that left had been rated among the safer half.",
        report.n_missed,
        missed=show_number(report.n_missed),
        churns=show_number(test.churns),
    )


def _describe_missed(missed: Missed, test: Backtest) -> MissedRow:
    return MissedRow(
        name=missed.name or _("Account %(number)s", number=missed.account_id),
        url=url_for("web.account", account_id=missed.account_id) if missed.name else None,
        churned=show_day(missed.churned_on),
        forecast=show_percent(missed.probability),
        rank=_("%(rank)s. safest of %(accounts)s", rank=show_number(missed.rank), accounts=show_number(test.accounts)),
    )


def _small_print(test: Backtest) -> str:
    return _(" · ").join(_measures(test))


def _measures(test: Backtest) -> Iterator[str]:
    yield _("Brier score %(value)s", value=show_number(test.brier, digits=3))
    if test.slope is not None:
        yield _(
            "calibration slope %(value)s (1 is right, below it is too bold)", value=show_number(test.slope, digits=2)
        )
    yield _("mean gap of the tenths %(value)s", value=show_percent(test.calibration_error))
    if test.lift is not None:
        yield _("the riskiest tenth left %(value)s times as often as all", value=show_number(test.lift, digits=1))
