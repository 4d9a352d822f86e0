"""Three answers about a year: the order, the number, and what contract and age alone would have said."""

from dataclasses import dataclass

from app.domain.backtest import CHANCE, FEWEST_CHURNS, Backtest, Ranking
from app.web.formats import show_number, show_percent
from app.web.model_words import few_left, show_interval, signed_percent
from app.web.texts import gettext as _
from app.web.texts import ngettext


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer: `tone` is good, watch, risk or none."""

    question: str
    answer: str
    text: str
    tone: str


def find(test: Backtest) -> tuple[Finding, ...]:
    return _ranking(test), _total(test), _accuracy(test)


def _ranking(test: Backtest) -> Finding:
    question = _("Does it know who is more likely to leave?")
    year = test.rankings[-1]
    said = _(
        "Of one account that left and one that stayed, it had rated the one that left as riskier in %(share)s of all "
        "pairs (%(interval)s); a coin does in 50%%.",
        share=show_percent(year.auc.value, digits=0),
        interval=show_interval(year.auc),
    )
    match test.ranking:
        case "learned":
            return Finding(question, _("Yes, better than chance"), said, "good")
        case "chance":
            nearer = _best_before(test)
            if nearer:
                return _only_sooner(question, nearer, said=said)
            text = said + " " + _("Do not decide by its order who is called first.")
            return Finding(question, _("No better than chance"), text, "risk")
    text = few_left(test) + (f" {said}" if year.auc.value is not None else "")
    return Finding(question, _("Not enough data"), text, "none")


def _best_before(test: Backtest) -> Ranking | None:
    """The longest time short of a year for which the order is better than chance."""
    known = [each for each in test.rankings[:-1] if each.churns >= FEWEST_CHURNS]
    return next((each for each in reversed(known) if (each.auc.lower or 0.0) > CHANCE), None)


def _only_sooner(question: str, nearer: Ranking, *, said: str) -> Finding:
    answer = ngettext("Yes, but only %(num)s month ahead", "Yes, but only %(num)s months ahead", nearer.months)
    text = _(
        "Of those that left sooner it had put %(share)s of all pairs into the right order (%(interval)s). Over a year "
        "chance would do as well: %(year)s",
        share=show_percent(nearer.auc.value, digits=0),
        interval=show_interval(nearer.auc),
        year=said,
    )
    return Finding(question, answer, text, "watch")


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
    elif test.ratio.lower is not None:
        said += " " + _(
            "Where nobody left, expected over observed has no value; it is %(low)s or more.",
            low=show_number(test.ratio.lower, digits=2),
        )
    answers = {
        "right": (_("Yes, within what chance allows"), "good"),
        "too_few": (_("No, it expected too few"), "risk"),
        "too_many": (_("No, it expected too many"), "watch"),
    }
    if test.total not in answers:
        return Finding(question, _("Not enough data"), f"{few_left(test)} {said}", "none")
    answer, tone = answers[test.total]
    return Finding(question, answer, said, tone)


def _accuracy(test: Backtest) -> Finding:
    question = _("Does it know more than contract and age alone?")
    gain = test.accuracy
    if gain.value is None or gain.lower is None or gain.upper is None:
        return Finding(question, _("Not enough data"), few_left(test), "none")
    said = _(
        "Its error is %(share)s smaller (%(low)s to %(high)s) than that of the churn rate by kind of contract and age "
        "(Kaplan-Meier).",
        share=signed_percent(gain.value),
        low=signed_percent(gain.lower),
        high=signed_percent(gain.upper),
    )
    if test.ranking == "unknown":
        return Finding(question, _("Not enough data"), f"{few_left(test)} {said}", "none")
    if gain.lower > 0:
        return Finding(question, _("Yes"), said, "good")
    if gain.upper < 0:
        return Finding(question, _("No, less"), said, "risk")
    return Finding(question, _("Cannot be told yet"), said, "watch")
