"""Lifetime value of groups: of the accounts there are, of one that begins now, and what winning one costs."""

from dataclasses import dataclass

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from app.auth import current_actor, may, requires
from app.errors import NotReady
from app.http import database, now
from app.queries.groups import ALL, UNKNOWN
from app.queries.ltv import GroupLtv, LtvSummary, PackedValues, load_ltv_summary
from app.queries.new_customers import FEWEST_NEW, NewLtv, NewLtvSummary, load_new_ltv
from app.queries.scores import Curve
from app.services.acquisition import record_acquisition_costs
from app.services.changes import recording
from app.services.sources import Source
from app.web.acquisition import describe_acquisition, describe_cost_form, read_cost
from app.web.formats import NONE, show_money, show_money_briefly, show_money_range, show_number, show_percent
from app.web.lists import Figure, Select
from app.web.ltv_terms import AskedTerms, describe_fields, read_terms
from app.web.moment import Advice, advise, describe_freshness, load_moment
from app.web.retention import Cell, MonthRow
from app.web.texts import gettext as _
from app.web.texts import lazy_gettext as _l
from app.web.texts import ngettext

CUTS = {
    "segment": _l("Segment"),
    "channel": _l("Channel"),
    "plan": _l("Plan"),
    "product": _l("Product"),
    "campaign": _l("Campaign"),
    "owner": _l("Account owner"),
    "cohort": _l("Year of start"),
}
NEW_CUTS = ("segment", "channel")
MOST_GROUPS = 40


@dataclass(frozen=True, slots=True)
class GroupRow:
    """Of the accounts there are. `formula` is of one average account of them."""

    name: str
    accounts: str
    arr: str
    residual: str
    interval: str
    realised: str
    expansion: str
    total: str
    extrapolated: str
    formula: str


@dataclass(frozen=True, slots=True)
class NewRow:
    """Of one account that begins now; `reason` is why there is nothing."""

    name: str
    accounts: str
    mrr: str
    value: str
    interval: str
    expansion: str
    extrapolated: str
    formula: str
    reason: str


@dataclass(frozen=True, slots=True)
class NewCurve:
    rows: tuple[MonthRow, ...]
    summary: str


@requires("finance:read")
def show_ltv() -> ResponseReturnValue:
    return _page()


@requires("finance:write")
def record_cost() -> ResponseReturnValue:
    """Record what a channel cost in a month, and show the page again."""
    given = {name: request.form.get(name, "").strip() for name in ("channel", "month", "amount", "currency")}
    row = read_cost(given)
    if isinstance(row, str):
        return _page(notice=Advice(row, "risk"), cost=given), 400
    with recording(database(), current_actor(), clock=now) as change:
        record_acquisition_costs(database(), change, source=Source(system="page", now=now()), rows=[row])
    return redirect(url_for("web.ltv", _anchor="costs"), 303)


def _page(*, notice: Advice | None = None, cost: dict[str, str] | None = None) -> str:
    moment, asked = load_moment(), read_terms()
    cut = request.args.get("by", "")
    cut = cut if cut in CUTS else "segment"
    found = _load(cut, asked)
    costs = describe_acquisition(asked) if found else None
    channels = costs.channels if costs else ()
    return render_template(
        "ltv.html",
        fresh=describe_freshness(moment),
        advice=notice or _advise(asked) or advise(moment),
        by=Select("by", _("Group by"), cut, tuple((name, str(text)) for name, text in CUTS.items())),
        fields=describe_fields(found[0].terms, level=asked.level) if found else None,
        figures=_figures(found[0]) if found else (),
        groups=_list_groups(found[1]) if found else (),
        cut_word=str(CUTS[cut]),
        csv_url=url_for("api.show_ltv_summary", group_by=cut, format="csv"),
        new=[(str(CUTS[each]), _list_new(each, asked)) for each in NEW_CUTS] if found else [],
        curve=_describe_curve(asked) if found else None,
        acquisition=costs,
        cost_form=describe_cost_form(moment, cost or {}, channels=channels) if may("finance:write") else None,
    )


def _load(cut: str, asked: AskedTerms) -> tuple[LtvSummary, LtvSummary] | None:
    """All accounts together, and by the cut; None before the first night, and where nobody pays."""
    try:
        everyone = load_ltv_summary(database(), ALL, given=asked.given, level=asked.level)
    except NotReady:
        return None
    if not everyone.groups:
        return None
    return everyone, load_ltv_summary(database(), cut, given=asked.given, level=asked.level)


def _advise(asked: AskedTerms) -> Advice | None:
    if not asked.refused:
        return None
    return Advice(_("Give discount and margin as per cent, such as 10 and 80. The company's own are shown."), "watch")


def _figures(found: LtvSummary) -> tuple[Figure, ...]:
    [group], currency = found.groups[:1], found.run.currency
    values, left_out = group.values, group.left_out_accounts
    without = ngettext("%(num)s more without a forecast", "%(num)s more without a forecast", left_out)
    return (
        Figure(_("Accounts"), show_number(group.accounts), without if left_out else ""),
        Figure(_("ARR"), show_money_briefly(group.arr_minor, currency)),
        Figure(_("Residual value"), show_money_briefly(round(values.residual), currency), _interval(values, currency)),
        Figure(_("Expansion"), show_money_briefly(round(values.expansion), currency), _("growth of those that stay")),
        Figure(_("Total"), show_money_briefly(round(values.total), currency)),
        Figure(_("Extrapolated"), show_percent(values.extrapolated_share, digits=0), _("beyond the observed tenure")),
    )


def _list_groups(found: LtvSummary) -> tuple[GroupRow, ...]:
    largest = sorted(found.groups, key=lambda group: (group.group == UNKNOWN, -group.values.residual))[:MOST_GROUPS]
    return tuple(_describe_group(group, found.run.currency) for group in largest)


def _describe_group(group: GroupLtv, currency: str) -> GroupRow:
    values = group.values
    return GroupRow(
        name=_name(group.label),
        accounts=show_number(group.accounts),
        arr=show_money(group.arr_minor, currency),
        residual=show_money(round(values.residual), currency),
        interval=_interval(values, currency),
        realised=_realised(values, currency),
        expansion=show_money(round(values.expansion), currency),
        total=show_money(round(values.total), currency),
        extrapolated=show_percent(values.extrapolated_share, digits=0),
        formula=_whole(group.formula, currency),
    )


def _list_new(cut: str, asked: AskedTerms) -> tuple[NewRow, ...]:
    found = _load_new(cut, asked)
    return tuple(_describe_new(group, found.run.currency) for group in found.groups)


def _load_new(cut: str, asked: AskedTerms) -> NewLtvSummary:
    return load_new_ltv(database(), cut, given=asked.given, level=asked.level)


def _describe_new(group: NewLtv, currency: str) -> NewRow:
    values = group.values
    reason = ngettext(
        "Not enough data: %(num)s began in the last 12 months, it takes %(fewest)s.",
        "Not enough data: %(num)s began in the last 12 months, it takes %(fewest)s.",
        group.accounts,
        fewest=FEWEST_NEW,
    )
    return NewRow(
        name=_name(group.group),
        accounts=show_number(group.accounts),
        mrr=_whole(group.mrr_minor, currency) if values else NONE,
        value=_whole(values.residual, currency) if values else NONE,
        interval=_interval(values, currency) if values else "",
        expansion=_whole(values.expansion, currency) if values else NONE,
        extrapolated=show_percent(values.extrapolated_share, digits=0) if values else NONE,
        formula=_whole(group.formula, currency),
        reason="" if values else reason,
    )


def _describe_curve(asked: AskedTerms) -> NewCurve | None:
    """R of all that begin, with its band."""
    curve = next((group.curve for group in _load_new(ALL, asked).groups), None)
    if curve is None:
        return None
    marks = [months for months in (12, 24, 36, 60) if months <= len(curve.estimate)]
    parts = [
        _("%(share)s in %(months)s months", share=show_percent(float(curve.estimate[k - 1]), digits=0), months=k)
        for k in marks
    ]
    text = _("Of the revenue that begins now there is to be left: %(parts)s.", parts=_(", ").join(parts))
    return NewCurve(tuple(_month_row(k, curve) for k in range(len(curve.estimate) + 1)), text)


def _month_row(month: int, curve: Curve) -> MonthRow:
    three = [float(values[month - 1]) if month else 1.0 for values in (curve.estimate, curve.lower, curve.upper)]
    return MonthRow(month, tuple(Cell(round(value, 4), show_percent(value)) for value in three))


def _interval(values: PackedValues, currency: str) -> str:
    return show_money_range(round(values.lower), round(values.upper), currency=currency)


def _realised(values: PackedValues, currency: str) -> str:
    """Empty for a run that stored no chance."""
    if values.realised is None:
        return ""
    low, high = values.realised
    return _("will come in: %(range)s", range=show_money_range(round(low), round(high), currency=currency))


def _name(group: str) -> str:
    return _("Unknown") if group == UNKNOWN else group


def _whole(value: float | None, currency: str) -> str:
    return show_money(None if value is None else round(value), currency)
