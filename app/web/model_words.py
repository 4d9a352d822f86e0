"""The words of the page "Is the model right?": its verdicts, and why there is none."""

from flask_babel import LazyString

from app.domain.backtest import Backtest, Estimate
from app.domain.gate import Gate
from app.web.formats import NONE, show_number, show_percent
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
WAYS: dict[str, LazyString] = {
    "learned": _l("What was learned"),
    "defaults": _l("The default weights"),
    "kaplan_meier": _l("Contract and age alone"),
    "usage_trend": _l("Falling use, last 90 days"),
    "days_to_renewal": _l("Next to renew"),
    "equal_points": _l("Counting bad signs"),
}
CONTRACTS: dict[str, LazyString] = {"monthly": _l("By the month"), "term": _l("For a longer term")}
TOTALS: dict[str, LazyString] = {
    "right": _l("right, within chance"),
    "too_few": _l("expected too few"),
    "too_many": _l("expected too many"),
    "unknown": _l("not enough data"),
}
TONES = {"right": "good", "too_few": "risk", "too_many": "watch", "unknown": "none"}


def describe_gate(gate: Gate) -> tuple[str, str]:
    """What is shown, learned or default, and why; and its tone."""
    years = ngettext("%(num)s year", "%(num)s years", gate.years)
    churns = ngettext("%(num)s churn", "%(num)s churns", gate.churns)
    match gate.reason:
        case "passed":
            text = _(
                "What your own churns taught is shown. Over the years behind that were held against it (%(years)s, "
                "%(churns)s) it was not clearly less accurate than the default weights, and expected about as many to "
                "leave as did.",
                years=years,
                churns=churns,
            )
            return text, "good"
        case "less_accurate":
            text = _(
                "The default weights are shown. Over the years behind that were held against it (%(years)s, "
                "%(churns)s), what your own churns taught was less accurate than they are.",
                years=years,
                churns=churns,
            )
            return text, "watch"
        case "wrong_total":
            text = _(
                "The default weights are shown. Over the years behind that were held against it (%(years)s, "
                "%(churns)s), what your own churns taught expected %(ratio)s times as many to leave as did.",
                years=years,
                churns=churns,
                ratio=show_number(gate.ratio.value, digits=2),
            )
            return text, "watch"
        case "few":
            text = _("Too few left in the years behind (%(churns)s) to judge what was learned.", churns=churns)
            return text, "info"
    return _("What was learned could not be judged yet."), "info"


def few_left(test: Backtest) -> str:
    return ngettext(
        "%(num)s account left in that year; below twenty nothing is concluded.",
        "%(num)s accounts left in that year; below twenty nothing is concluded.",
        test.churns,
    )


def show_interval(estimate: Estimate) -> str:
    """Of shares."""
    if estimate.lower is None or estimate.upper is None:
        return NONE
    low, high = show_percent(estimate.lower, digits=0), show_percent(estimate.upper, digits=0)
    return _("%(low)s to %(high)s", low=low, high=high)


def show_range(estimate: Estimate) -> str:
    """Of numbers, to two digits."""
    if estimate.lower is None:
        return NONE
    if estimate.upper is None:
        return _("%(low)s or more", low=show_number(estimate.lower, digits=2))
    low, high = show_number(estimate.lower, digits=2), show_number(estimate.upper, digits=2)
    return _("%(low)s to %(high)s", low=low, high=high)


def signed_percent(share: float | None) -> str:
    """With a real minus, and without `<` before zero."""
    if share is None:
        return NONE
    return ("−" if share < 0 else "") + show_percent(round(abs(share), 3), digits=1)
